"""`qlq`: the entry point and the tree of commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; `--version` answers before anything is imported."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"qlq {version('qlq')}\n")
        return
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    from qlq.cli import app, console

    try:
        code = app.app(arguments, standalone_mode=False)
    except BrokenPipeError:
        sys.stderr.close()
        return console.EXIT_OK
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else console.EXIT_BUG
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        return app.finish(error)
    return code if isinstance(code, int) else console.EXIT_OK
