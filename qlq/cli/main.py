"""`qlq`: the entry point and the tree of commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line; `--version` answers before anything is imported."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us: nobody wants to read it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"qlq {version('qlq')}\n")
        return
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    A reader of stdout that goes away early, as `head` does, is no error; one that cannot take
    what is written, such as a full disk, is.
    """
    code = 0
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        from qlq.cli import console

        _drop_stdout()
        sys.stderr.write(f"error: cannot write to stdout: {error.strerror}\n")
        return code or console.EXIT_USAGE
    return code


def _drop_stdout() -> None:
    """Python flushes stdout once more when it ends, and must not find the fault again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    from qlq.cli import app, console

    if "--json" in arguments:
        console.State.document_schema = console.schema_of(app.tree(), arguments)
    try:
        code = app.tree()(arguments, standalone_mode=False)
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer's own way out of a broken pipe
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else console.EXIT_BUG
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        console.name_value(error, arguments)
        console.document_usage(error)
        return app.finish(error)
    return code if isinstance(code, int) else console.EXIT_OK
