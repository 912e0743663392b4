"""Options that say what a session should be."""

from __future__ import annotations

from typing import Annotated

import typer

Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend", help="Backend URI: aer, aer:fez, ibm:NAME …; more are tried in order."
    ),
]
Symmetric = Annotated[
    bool, typer.Option("--symmetric", help="Uniform bases, random sample of all rounds.")
]
BasisBias = Annotated[
    float | None, typer.Option(help="Probability of the key setting, 0.5 to 0.99.")
]
QberMax = Annotated[
    float | None, typer.Option(help="Tolerated QBER; default from the calibration.")
]
Method = Annotated[str, typer.Option(help="cascade, cascade-biconf or cascade-yanetal.")]
Eve = Annotated[str | None, typer.Option(help="intercept-resend:P[@random|key|test|ANGLE]")]
Seed = Annotated[int | None, typer.Option(help="Reproducible run; its keys are never stored.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what it would take; submit nothing.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Forbid the classical fallback.")]
