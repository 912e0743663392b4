"""`qlq`: the entry point and the tree of commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; `--version` answers before anything is imported."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"qlq {version('qlq')}\n")
        return
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    A reader of stdout that goes away early, as `head` does, is no error.
    """
    code = 0
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends, and must not find the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(arguments: list[str]) -> int:
    from qlq.cli import app, console

    if "--json" in arguments:
        console.State.document_schema = console.schema_of(app.app, arguments)
    try:
        code = app.app(arguments, standalone_mode=False)
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer's own way out of a broken pipe
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else console.EXIT_BUG
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        console.document_usage(error)
        return app.finish(error)
    return code if isinstance(code, int) else console.EXIT_OK
