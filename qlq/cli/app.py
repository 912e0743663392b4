"""The tree of commands. Typer and the standard library only: everything else is imported late."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

from qlq.cli import (
    asset,
    backend,
    config,
    console,
    contract,
    demo,
    doctor,
    emulator,
    job,
    keys,
    ledger,
    ledger_copies,
    ledger_proofs,
    ledger_records,
    qkd,
    rng,
    rng_certificates,
    rng_quality,
    terminals,
    wallet,
)

app = typer.Typer(
    name="qlq",
    help="Quantum key distribution on real backends, re-verifiable by anyone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich costs 0.2 s of import, which help would pay each time
)
terminals.register(qkd.app)
app.add_typer(qkd.app, name="qkd")
rng_certificates.register(rng.app)
rng_quality.register(rng.app)
app.add_typer(rng.app, name="rng")
app.add_typer(backend.app, name="backend")
app.add_typer(job.app, name="job")
app.add_typer(keys.app, name="keys")
app.add_typer(wallet.app, name="wallet")
app.add_typer(asset.app, name="asset")
for commands in (ledger_proofs, ledger_records, ledger_copies):
    commands.register(ledger.app)
app.add_typer(ledger.app, name="ledger")
app.add_typer(contract.app, name="contract")
app.add_typer(emulator.app, name="emulator")
app.add_typer(config.app, name="config")
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands over the flag
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"qlq {installed('qlq')}")
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of qlq.toml.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where an error comes from.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has ended the command already
        bool,
        typer.Option("--version", help="Version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Options that go before the command."""
    console.State.home, console.State.profile = home, profile
    console.State.verbose, console.State.quiet = verbose, quiet


@cache
def tree() -> Callable[..., object]:
    """All commands, as typer makes them from these files: a tenth of a second, once."""
    from typer.main import get_command

    return get_command(app)


def finish(error: BaseException) -> int:
    """The exit code of whatever ended the command; says what went wrong."""
    from typer._click import exceptions  # typer brings its own click

    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, typer.Abort):
        return console.EXIT_INTERRUPTED
    if isinstance(error, exceptions.ClickException):
        if isinstance(error, exceptions.NoArgsIsHelpError):
            error.show(file=sys.stderr)
            return console.EXIT_USAGE
        context = getattr(error, "ctx", None)
        way_out = (
            "" if context is None else f"; '{context.command_path} --help' shows what it takes"
        )
        sys.stderr.write(f"error: {error.format_message()}{way_out}\n")
        return console.EXIT_USAGE
    return console.report(error)
