"""`qlq rng`: quantum random bytes, and what they are worth."""

from __future__ import annotations

import base64
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlq.cli import console, settings, terms
from qlq.cli.console import Output

if TYPE_CHECKING:
    from qlq.config import Settings
    from qlq.node.entropy import EntropyOrder
    from qlq.qrng.seed_record import SeedRecord

app = typer.Typer(help="Quantum random numbers.", no_args_is_help=True)

SCHEMA_GET = "qlq.rng.get/1"
GET_BYTES_MAX = 1 << 20

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Backends = Annotated[
    list[str] | None,
    typer.Option("--backend", help="Backend URI: aer:fez, ibm:NAME …; more are tried in order."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail without a quantum backend; this is the default.")
]
AllowFallback = Annotated[
    bool,
    typer.Option("--allow-fallback", help="Let the operating system stand in, marked degraded."),
]
AllowShort = Annotated[
    bool, typer.Option("--allow-short", help="Measure less than a full assessment takes.")
]
ReseedBytes = Annotated[int, typer.Option(min=1, help="Bytes from one seed; then measure again.")]
RESEED_BYTES = 1 << 30


class Format(StrEnum):
    """How bytes are written on stdout."""

    RAW = "raw"
    HEX = "hex"
    BASE64 = "base64"


@app.command()
def get(
    *,
    count: Annotated[
        int, typer.Option("--bytes", min=1, max=GET_BYTES_MAX, help="How many bytes.")
    ] = 32,
    backend: Backends = None,
    format: Annotated[Format, typer.Option(help="raw, hex or base64.")] = Format.HEX,  # noqa: A002 - the option's name
    full_entropy: Annotated[
        bool, typer.Option("--full-entropy", help="As much entropy as bits, or fail.")
    ] = False,
    strict: Strict = False,
    allow_fallback: AllowFallback = False,
    allow_short: AllowShort = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write NAME.qbits and its certificate instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Print random bytes; stderr or the document says what they are worth."""
    console.State.document_schema = SCHEMA_GET if json else None
    found = settings.load(backend=backend[0] if backend else None)
    order = _order(
        found,
        backend,
        strict=strict,
        allow_fallback=allow_fallback,
        allow_short=allow_short,
        consent=(max_cost, max_qpu_seconds, yes),
        deadline=deadline,
    )
    if output is not None:
        _refuse_with_output(full_entropy=full_entropy, form=format)
        with console.interruptible():
            _save(order, found, output, count, Output.JSON if json else Output.TABLE)
        return
    if format is Format.RAW and not json:
        _refuse_terminal()
    with console.interruptible():
        document = _drawn(order, found, count, full_entropy=full_entropy)
    _warn_degraded(document)
    if json:
        console.document(SCHEMA_GET, document)
        return
    console.tell(f"{document['tier_label']}, claim {document['claim_bits']:g} bits")
    for reason in document["claim_reasons"]:
        console.tell(reason)
    _write(bytes.fromhex(document["bytes_hex"]), format)


@app.command()
def stream(
    *,
    count: Annotated[
        int | None, typer.Option("--bytes", min=1, help="How many bytes; endless without it.")
    ] = None,
    backend: Backends = None,
    reseed_bytes: ReseedBytes = RESEED_BYTES,
    strict: Strict = False,
    allow_fallback: AllowFallback = False,
    allow_short: AllowShort = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
) -> None:
    """Write raw random bytes to a pipe; ends with an error as soon as the source is lost."""
    from qlq.node import entropy
    from qlq.qrng import generators

    order = _order(
        settings.load(backend=backend[0] if backend else None),
        backend,
        strict=strict,
        allow_fallback=allow_fallback,
        allow_short=allow_short,
        consent=(max_cost, max_qpu_seconds, yes),
        deadline=deadline,
        reseed_bytes=reseed_bytes,
    )
    _refuse_terminal()
    pool, _ = entropy.open_pool(order, console.tell)
    left = sys.maxsize if count is None else count
    told = None
    with console.interruptible():
        for draw in generators.chunks(pool, left):
            if told != (draw.tier, draw.degraded):
                told = (draw.tier, draw.degraded)
                _warn_degraded({"degraded": draw.degraded, "claim_reasons": draw.reasons})
                console.tell(draw.reasons[0])
            sys.stdout.buffer.write(draw.bytes)
        sys.stdout.buffer.flush()


@app.command()
def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
    backend: Backends = None,
    reseed_bytes: ReseedBytes = RESEED_BYTES,
    strict: Strict = False,
    allow_fallback: AllowFallback = False,
    allow_short: AllowShort = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
) -> None:
    """Serve GET /v1/bytes?count=N on this machine until Ctrl-C; stdout says where."""
    from qlq.node import entropy, verifying
    from qlq.qrng import generators_http

    found = settings.load(backend=backend[0] if backend else None)
    order = _order(
        found,
        backend,
        strict=strict,
        allow_fallback=allow_fallback,
        allow_short=allow_short,
        consent=(max_cost, max_qpu_seconds, yes),
        deadline=deadline,
        reseed_bytes=reseed_bytes,
    )
    pool, _ = entropy.open_pool(order, console.tell, verifying.keeper(found, say))
    pool.draw(0)  # a source that gives nothing shows before anybody asks
    server = generators_http.Server(pool, port=port, tell=say)
    try:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        console.tell("Ctrl-C ends it")
        with console.interruptible():
            server.wait()
    finally:
        server.close()


def _order(
    found: Settings,
    backend: list[str] | None,
    *,
    strict: bool,
    allow_fallback: bool,
    allow_short: bool,
    consent: tuple[str | None, float | None, bool],
    deadline: float | None,
    reseed_bytes: int = RESEED_BYTES,
) -> EntropyOrder:
    """What the options ask for; raises ConfigError for options that exclude each other."""
    from qlq.backends.chain import Fallback
    from qlq.errors import ConfigError
    from qlq.node.entropy import EntropyOrder, Sampling

    if strict and allow_fallback:
        raise ConfigError("--strict and --allow-fallback exclude each other: leave one out")
    max_cost, max_qpu_seconds, yes = consent
    return EntropyOrder(
        backends=(found.backend, *(backend or [])[1:]),
        fallback=Fallback.ALLOWED if allow_fallback else Fallback.FORBIDDEN,
        sampling=Sampling.SHORT if allow_short else Sampling.FULL,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        deadline_s=None if deadline is None else terms.time_left(deadline, default_s=deadline),
        reseed_bytes=reseed_bytes,
        home=found.home,
    )


def _drawn(
    order: EntropyOrder, found: Settings, count: int, *, full_entropy: bool
) -> dict[str, Any]:
    """The bytes and everything about them, as the document shows it."""
    from qlq.archive import document
    from qlq.node import entropy, verifying

    pool, origin = entropy.open_pool(order, console.tell, verifying.keeper(found, say))
    records: tuple[SeedRecord, ...]
    if full_entropy:
        block, record = origin.full_entropy(count)
        fields = _fields(
            block.material, block.tier, block.min_entropy_bits, block.reasons, block.certificate_id
        )
        provenance, degraded, records = block.provenance, False, (record,)
    else:
        draw = pool.draw(count)
        fields = _fields(draw.bytes, draw.tier, draw.claim_bits, draw.reasons, draw.certificate_id)
        provenance, degraded, records = pool.provenance, draw.degraded, draw.records
    return {
        **fields,
        "degraded": degraded,
        "records": [record.as_document() for record in records],
        "provenance": {
            "jobs": entropy.describe(provenance),
            "attempts": [document.attempt(one) for one in origin.attempts],
        },
    }


def _fields(
    data: bytes,
    tier: Any,
    claim_bits: float,
    reasons: tuple[str, ...],
    certificate_id: str | None,
) -> dict[str, Any]:
    return {
        "bytes_hex": data.hex(),
        "tier": tier.code,
        "tier_label": tier.label,
        "claim_bits": claim_bits,
        "claim_reasons": list(reasons),
        "certificate_id": certificate_id,
    }


def _refuse_with_output(*, full_entropy: bool, form: Format) -> None:
    """A file holds raw bytes of a generator, whatever `--format` says; so say nothing else."""
    from qlq.errors import ConfigError

    if full_entropy or form is not Format.HEX:
        raise ConfigError("--output writes raw bytes: leave --format and --full-entropy out")


def _save(order: EntropyOrder, found: Settings, output: Path, count: int, shown: Output) -> None:
    """Write the bytes and their signed certificate, and say where they are."""
    from qlq.archive import random_file
    from qlq.node import certifying, entropy, verifying

    random_file.check_free(output)
    pool, origin = entropy.open_pool(order, console.tell, verifying.keeper(found, say))
    signed = random_file.write(
        pool,
        output,
        count=count,
        key=certifying.open_signer(found),
        issued=certifying.now(),
        attempts=lambda: origin.attempts,
    )
    written = signed["certificate"]
    _warn_degraded(written)
    if shown is Output.JSON:
        fields = {name: value for name, value in written.items() if name != "format"}
        fields = {"file": str(output), "certificate_id": signed["id"], **fields}
        console.document(SCHEMA_GET, fields)
    else:
        console.tell(f"{written['tier_label']}, claim {written['claim_bits']:g} bits")
        sys.stdout.write(f"{output}\n{random_file.certificate_of(output)}\n")
        console.tell(f"Next: qlq rng verify {output}")


def _warn_degraded(document: dict[str, Any]) -> None:
    """Say on stderr, also under --quiet, that the bytes are not what was asked for first."""
    if document["degraded"]:
        say(f"warning: degraded: {document['claim_reasons'][0]}")


def say(text: str) -> None:
    """A line on stderr, also under --quiet."""
    sys.stderr.write(text + "\n")


def _refuse_terminal() -> None:
    """Raw bytes would garble a terminal."""
    if sys.stdout.isatty():
        from qlq.errors import ConfigError

        raise ConfigError("raw bytes do not go to a terminal: send them to a file or a pipe")


def _write(data: bytes, form: Format) -> None:
    if form is Format.RAW:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        text = data.hex() if form is Format.HEX else base64.b64encode(data).decode()
        sys.stdout.write(text + "\n")
