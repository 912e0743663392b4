"""`qlq contract`: contracts from a template to the ledger."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console, contract_views, purse, settings

app = typer.Typer(help="Contracts.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_NEW = "qlq.contract.new/1"
SCHEMA_CHECK = "qlq.contract.check/1"
SCHEMA_TEST = "qlq.contract.test/1"
SCHEMA_DEPLOY = "qlq.contract.deploy/1"
SCHEMA_CALL = "qlq.contract.call/1"
SCHEMA_UPGRADE = "qlq.contract.upgrade/1"
SCHEMA_EVENTS = "qlq.contract.events/1"
SCHEMA_REPLAY = "qlq.contract.replay/1"
SCHEMA_BIND = "qlq.contract.bind/1"
SCHEMA_ABI = "qlq.contract.abi/1"


STDERR = 2
"""Its file descriptor."""


class TemplateName(StrEnum):
    """What a contract can begin as."""

    TOKEN = "token"  # noqa: S105 - no secret
    ESCROW = "escrow"
    LOTTERY = "lottery"
    AUCTION = "auction"
    MULTISIG = "multisig"
    QKD_SLA = "qkd-sla"


class SealName(StrEnum):
    """How a transaction travels."""

    QKD = "qkd"
    PQ = "pq"
    AUTO = "auto"


File = Annotated[Path, typer.Argument(help="Source of the contract.")]
Address = Annotated[str, typer.Argument(help="Address of the contract, qlqcontract1…, or `last`.")]
Sender = Annotated[str, typer.Option("--from", help="Account of this home that sends.")]
Arguments = Annotated[
    str,
    typer.Option(
        "--args", help='JSON: [1, "alice"] in the order of the parameters, or {"amount": 1}.'
    ),
]
Gas = Annotated[
    int | None,
    typer.Option(min=1, help="Bound of the work; with it a failing call is sent all the same."),
]
Seal = Annotated[
    SealName,
    typer.Option(help="qkd: with a quantum-distributed key; pq: with ML-KEM-768 and X25519."),
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new folder.")],
    *,
    template: Annotated[TemplateName, typer.Option(help="Where to begin.")] = TemplateName.TOKEN,
    json: purse.Json = False,
) -> None:
    """Begin a contract: its source, tests that pass, and what it does in words."""
    console.State.document_schema = SCHEMA_NEW if json else None
    from qlq.node import contract_folders

    made = contract_folders.begin(name, contract_folders.Template(template.value), Path())
    if json:
        console.document(SCHEMA_NEW, made)
        return
    console.table(made)
    console.tell(f"Next: qlq contract test {name}")


@app.command()
def check(file: File, *, json: purse.Json = False) -> None:
    """Check a source: errors with their place and a hint, and remarks."""
    console.State.document_schema = SCHEMA_CHECK if json else None
    from qlq.node import contract_folders

    found = contract_folders.check(file)
    if json:
        console.document(SCHEMA_CHECK, found)
    else:
        contract_views.show_check(found)
    if not found["valid"]:
        raise typer.Exit(console.EXIT_USAGE)


@app.command("test")
def run_tests(
    folder: Annotated[Path, typer.Argument(help="Folder of the contract.")] = Path(),
    *,
    only: Annotated[str | None, typer.Option(help="Tests with this in their names.")] = None,
    gas_report: Annotated[
        bool, typer.Option("--gas-report", help="Gas of each method, least to most.")
    ] = False,
    json: purse.Json = False,
) -> None:
    """Run a contract's tests, each call on both back-ends."""
    console.State.document_schema = SCHEMA_TEST if json else None
    from qlq.node import contract_runs

    more = [*(["-k", only] if only else []), *(["--gas-report"] if gas_report else [])]
    found = contract_runs.run(folder, *more, words_to=STDERR if json else None)
    if json:
        console.document(SCHEMA_TEST, found)
    if found["failed"] or found["errors"]:
        raise typer.Exit(console.EXIT_USAGE)


@app.command()
def deploy(
    file: File,
    *,
    source: Sender,
    arguments: Arguments = "[]",
    gas: Gas = None,
    seal: Seal = SealName.AUTO,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Put a contract on the ledger; it is there when the command returns."""
    console.State.document_schema = SCHEMA_DEPLOY if json else None
    from qlq.node import contracting
    from qlq.node.contracting import Order
    from qlq.node.transacting import SealPolicy
    from qlq.node.wallets import Purse

    told = contracting.deploy(
        Purse(source, purse.passphrase),
        file,
        Order(arguments, gas, seal=SealPolicy(seal.value)),
        settings.load(home=home),
        console.tell,
    )
    _show(SCHEMA_DEPLOY, told, output=purse.output(json=json))
    if told["status"] == "ok":
        console.tell(f"Next: qlq contract call {told['address']} METHOD --from {source}")


@app.command(context_settings={"allow_extra_args": True})
def call(
    context: typer.Context,
    contract: Address,
    method: Annotated[str, typer.Argument(help="Name of the method.")],
    *,
    source: Annotated[
        str | None, typer.Option("--from", help="Account of this home that calls.")
    ] = None,
    arguments: Arguments = "[]",
    gas: Gas = None,
    value: Annotated[str | None, typer.Option(help="Amount that goes with it.")] = None,
    asset: Annotated[str, typer.Option(help="Symbol of the value's asset.")] = "QLQ",
    seal: Seal = SealName.AUTO,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Call a method; a view is looked at without a transaction."""
    console.State.document_schema = SCHEMA_CALL if json else None
    if context.args:
        raise typer.BadParameter(f"arguments go into one option: --args {_as_json(context.args)}")
    from qlq.node import contracting
    from qlq.node.contracting import Order
    from qlq.node.transacting import SealPolicy
    from qlq.node.wallets import Purse

    told = contracting.call(
        None if source is None else Purse(source, purse.passphrase),
        contract,
        method,
        Order(arguments, gas, value, asset, SealPolicy(seal.value)),
        settings=settings.load(home=home),
        tell=console.tell,
    )
    _show(SCHEMA_CALL, told, output=purse.output(json=json))


def _as_json(words: list[str]) -> str:
    """Arguments as somebody typed them, as the option takes them."""
    from json import JSONDecodeError, dumps, loads

    if len(words) == 1:
        with suppress(JSONDecodeError):
            if isinstance(loads(words[0]), list | dict):
                return f"'{words[0]}'"
    values = [int(word) if word.isascii() and word.isdigit() else word for word in words]
    return f"'{dumps(values)}'"


@app.command()
def upgrade(
    contract: Address,
    file: File,
    *,
    source: Sender,
    gas: Gas = None,
    seal: Seal = SealName.AUTO,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Announce new code of a contract, and once its delay has passed, put it in place."""
    console.State.document_schema = SCHEMA_UPGRADE if json else None
    from qlq.node import contracting
    from qlq.node.contracting import Order
    from qlq.node.transacting import SealPolicy
    from qlq.node.wallets import Purse

    told = contracting.replace(
        Purse(source, purse.passphrase),
        contract,
        file,
        Order(gas=gas, seal=SealPolicy(seal.value)),
        settings=settings.load(home=home),
        tell=console.tell,
    )
    purse.show_sent(SCHEMA_UPGRADE, told, output=purse.output(json=json))


@app.command()
def events(
    contract: Address,
    *,
    name: Annotated[str | None, typer.Option(help="Only events of this name.")] = None,
    since: Annotated[int, typer.Option(min=1, help="First height that counts.")] = 1,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """List what a contract has told, the oldest first."""
    console.State.document_schema = SCHEMA_EVENTS if json else None
    from qlq.node import contract_events

    found = contract_events.events(
        contract, name=name, since=since, settings=settings.load(home=home), tell=console.tell
    )
    if json:
        console.document(SCHEMA_EVENTS, found)
    else:
        contract_views.show_events(found)


@app.command()
def replay(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction, or `last`.")],
    *,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Carry a transaction's calls out again, line by line, with values and gas."""
    console.State.document_schema = SCHEMA_REPLAY if json else None
    from qlq.node import contract_replay

    found = contract_replay.replay(transaction, settings.load(home=home), console.tell)
    if json:
        console.document(SCHEMA_REPLAY, found)
    else:
        contract_views.show_replay(found)
    if not (found["agrees"] and found["receipt_matches"]):
        console.tell("error: the replay does not lead to what the chain says")
        raise typer.Exit(console.EXIT_INTEGRITY)


@app.command()
def bind(
    contract: Annotated[str, typer.Argument(help="Address of a contract, or its source.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="File of the client.")],
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Write a typed Python client of a contract, and its .pyi."""
    console.State.document_schema = SCHEMA_BIND if json else None
    from qlq.node import contract_binding

    made = contract_binding.bind(contract, output, settings.load(home=home), console.tell)
    if json:
        console.document(SCHEMA_BIND, made)
    else:
        console.table(made)


@app.command()
def abi(file: File, *, json: purse.Json = False) -> None:
    """Print the interface of a contract as JSON: functions, events, errors, state."""
    console.State.document_schema = SCHEMA_ABI if json else None
    from qlq.node import contract_folders

    found = contract_folders.interface(file)
    console.document(SCHEMA_ABI, {name: part for name, part in found.items() if name != "schema"})


def _show(schema: str, told: dict[str, Any], *, output: console.Output) -> None:
    """What came of a deploy or a call; exits with 2 if it failed."""
    if output is console.Output.JSON:
        console.document(schema, told)
    else:
        contract_views.show_outcome(told)
    if told["status"] == "ok":
        return
    console.tell(contract_views.failure_lines(told))
    raise typer.Exit(console.EXIT_USAGE)
