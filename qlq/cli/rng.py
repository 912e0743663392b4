"""`qlq rng`: quantum random bytes, and what they are worth."""

from __future__ import annotations

import typer

app = typer.Typer(help="Quantum random numbers.", no_args_is_help=True)
