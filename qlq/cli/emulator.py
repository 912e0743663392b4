"""`qlq emulator`: loopback servers that speak the vendors' HTTP, to try hardware without one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlq.cli import console

if TYPE_CHECKING:
    from qlq.backends.emulator.server import Emulator

app = typer.Typer(help="Emulated vendors.", no_args_is_help=True, rich_markup_mode=None)

Port = Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")]
Faults = Annotated[
    Path | None, typer.Option(help="JSON file that says which requests go wrong, and how.")
]


@app.command()
def ibm(*, port: Port = 0, faults: Faults = None) -> None:
    """Serve as the IBM Quantum Platform until Ctrl-C; stdout says how to reach it."""

    def make() -> Emulator:
        from qlq.backends.emulator.ibm import IBMEmulator

        return IBMEmulator()

    _serve(make, port=port, faults=faults)


@app.command()
def braket(*, port: Port = 0, faults: Faults = None) -> None:
    """Serve as Amazon Braket until Ctrl-C; stdout says how to reach it."""

    def make() -> Emulator:
        from qlq.backends.emulator.braket import BraketEmulator

        return BraketEmulator()

    _serve(make, port=port, faults=faults)


def _serve(make: Callable[[], Emulator], *, port: int, faults: Path | None) -> None:
    """Read the faults, listen, print the environment, wait."""
    from qlq.backends.emulator import faults as scripts
    from qlq.backends.emulator.server import Server

    script = None if faults is None else scripts.read(faults)
    server = Server(make(), faults=script, port=port)
    try:
        for name, value in server.environment.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.flush()
        console.tell(f"listening on {server.url}; Ctrl-C ends it")
        server.wait()
    finally:
        server.close()
