"""`qlq rng assess` and `test`: what bits of a file are worth, and whether an alarm goes off."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console

SCHEMA_ASSESS = "qlq.rng.assess/1"
SCHEMA_TEST = "qlq.rng.test/1"
SEED_BITS = 64


class FileForm(StrEnum):
    """What a byte of the file holds."""

    SYMBOLS = "symbols"
    PACKED = "packed"
    TEXT = "text"


File = Annotated[Path, typer.Argument(help="File of samples.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `qlq rng`."""
    app.command()(assess)
    app.command("test")(smoke_test)


def assess(
    file: File,
    *,
    bits: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Width of a symbol; default the narrowest that fits."),
    ] = None,
    form: Annotated[
        FileForm, typer.Option(help="symbols: one a byte; packed: eight bits; text: 0 and 1.")
    ] = FileForm.SYMBOLS,
    allow_short: Annotated[
        bool, typer.Option("--allow-short", help="Assess fewer than 1,000,000 samples, marked so.")
    ] = False,
    iid: Annotated[
        bool, typer.Option("--iid", help="Run the IID track as well; takes a minute or two.")
    ] = False,
    json: Json = False,
) -> None:
    """Estimate the min-entropy of raw samples by SP 800-90B: one symbol a byte, in its low bits."""
    console.State.document_schema = SCHEMA_ASSESS if json else None
    from qlq.qrng import sample_files
    from qlq.qrng.assessment import documents, report

    found = sample_files.read_samples(_content(file), form=sample_files.Form(form.value), bits=bits)
    length = report.Length.SHORT if allow_short else report.Length.STANDARD
    document = documents.of_assessment(report.assess(found, length=length))
    document["iid"] = _iid(found, length) if iid else None
    if document["short"]:
        console.tell("warning: fewer than 1,000,000 samples: this supports no claim")
    if json:
        console.document(SCHEMA_ASSESS, document)
    else:
        _print_assessment(document)


def smoke_test(
    file: File,
    *,
    form: Annotated[
        FileForm, typer.Option(help="packed: eight bits a byte; symbols: one bit; text: 0 and 1.")
    ] = FileForm.PACKED,
    json: Json = False,
) -> None:
    """Run the 15 tests of SP 800-22 over bits: a smoke alarm, not evidence of entropy.

    Exits with 0 whether or not an alarm goes off, since sound bits raise one at the stated rate:
    scripts read `alarms` of the --json document. With 5 where there are too few bits to test.
    """
    console.State.document_schema = SCHEMA_TEST if json else None
    from qlq.errors import ConfigError
    from qlq.qrng import sample_files
    from qlq.qrng.randomness_tests import examination

    bits = sample_files.read_bits(_content(file), form=sample_files.Form(form.value))
    try:
        document = examination.document(examination.examine(bits))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if json:
        console.document(SCHEMA_TEST, document)
    else:
        _print_tests(document)


def _content(file: Path) -> bytes:
    """The file; one that is too large is refused unread."""
    from qlq.errors import ConfigError
    from qlq.qrng.sample_files import BYTES_MAX

    with file.open("rb") as stream:
        data = stream.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise ConfigError(f"{file} has more than {BYTES_MAX} bytes: give a part of it")
    return data


def _iid(found: Any, length: Any) -> dict[str, Any]:
    """The IID track, with shuffles nobody could foresee; the seed is in the document."""
    import secrets

    from qlq.qrng.assessment import documents, iid

    seed = secrets.randbits(SEED_BITS)
    with console.interruptible():
        return documents.of_iid(iid.assess(found, seed=seed, length=length), seed=seed)


def _print_assessment(document: dict[str, Any]) -> None:
    """An assessment for people."""
    from rich.table import Column, Table

    table = Table("estimator", Column("bits per symbol or bit", justify="right"))
    for name, value in document["estimators"].items():
        table.add_row(name.replace("_", " "), "too few" if value is None else f"{value:.6f}")
    out = console.out()
    out.print(table)
    out.print(f"{document['samples']} samples of {document['bits']} bits")
    out.print(f"Assessed: {document['assessed']:.6f} bits per symbol")
    if document["iid"] is not None:
        _print_iid(document["iid"], out)
    console.tell(document["meaning"])


def _print_iid(iid: dict[str, Any], out: Any) -> None:
    failed = [name for name, test in iid["chi_square"].items() if not test["passed"]]
    failed += [] if iid["longest_repeat"]["passed"] else ["longest_repeat"]
    failed += [name for name, one in iid["statistics"].items() if one["passed"] is False]
    if failed:
        names = ", ".join(failed).replace("_", " ")
        out.print(f"IID track: failed ({names}); it gives no min-entropy")
    else:
        out.print(f"IID track: passed, {iid['assessed']:.6f} bits per symbol")


def _print_tests(document: dict[str, Any]) -> None:
    """The outcome of the tests for people."""
    from rich.table import Column, Table

    table = Table("test", Column("adjusted p-value", justify="right"), "")
    for test in document["tests"]:
        adjusted = test["adjusted_p_value"]
        word = "ALARM" if test["alarm"] else (test["refusal"] or "")
        table.add_row(
            test["test"].replace("_", " "), "-" if adjusted is None else f"{adjusted:.6f}", word
        )
    out = console.out()
    out.print(table)
    alarms = ", ".join(document["alarms"]) or "none"
    out.print(f"Alarms: {alarms} ({document['rule']}, rate {document['family_wise_rate']:g})")
    console.tell(document["disclaimer"])
