"""`qlq rng certify`, `verify`, `pulse`, `check-pulses`: certificates and beacon pulses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlq.cli import console, rng, settings, terms
from qlq.cli.console import Output

if TYPE_CHECKING:
    from qlq.config import Settings
    from qlq.node.pulsing import Checked, Made
    from qlq.node.verifying import Checked as VerifiedTarget
    from qlq.qrng.beacon import Pulse

SCHEMA_CERTIFY = "qlq.rng.certify/1"
SCHEMA_VERIFY = "qlq.rng.verify/1"
SCHEMA_PULSE = "qlq.rng.pulse/1"
SCHEMA_CHECK_PULSES = "qlq.rng.check-pulses/1"

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what it would take; submit nothing.")
]


def register(group: typer.Typer) -> None:
    """Add the commands of this file to `qlq rng`."""
    group.command()(certify)
    group.command()(verify)
    group.command()(pulse)
    group.command("check-pulses")(check_pulses)


def certify(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the bundle.")],
    backend: rng.Backends = None,
    shots: Annotated[int, typer.Option(help="Rounds of both batches, 10,240 to 10^7.")] = 100_000,
    epsilon_log2: Annotated[
        int, typer.Option(help="Base-2 logarithm of the error probability.")
    ] = -64,
    dry_run: DryRun = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    json: rng.Json = False,
) -> None:
    """Certify random bytes by a Bell test: calibrate, commit, measure, extract, sign."""
    console.State.document_schema = SCHEMA_CERTIFY if json else None
    from qlq.node import certifying

    found = settings.load(backend=backend[0] if backend else None)
    order = certifying.CertifyOrder(
        backends=(found.backend, *(backend or [])[1:]),
        shots=shots,
        bundle=output,
        epsilon_log2=epsilon_log2,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        deadline_s=None if deadline is None else terms.time_left(deadline, default_s=deadline),
    )
    if dry_run:
        _show_plan(certifying.plan(order), Output.JSON if json else Output.TABLE)
        return
    with console.interruptible():
        signed = certifying.certify(order, found, console.tell)
    document = {
        "bundle": str(output),
        "certificate_id": signed["id"],
        **signed["certificate"]["result"],
        "provenance": _provenance(signed["certificate"]["inputs"]),
    }
    if json:
        console.document(SCHEMA_CERTIFY, document)
        return
    _show(document)


def _provenance(inputs: dict[str, Any]) -> dict[str, Any]:
    """Where the data came from, and which backends were left before."""
    from qlq.provenance import vendor_ids

    data = inputs["data"]["provenance"]
    return {
        **{name: data[name] for name in ("backend", "provider", "device", "kind", "qubits")},
        "job_ids": [
            one
            for leg in ("calibration", "data")
            for one in vendor_ids(inputs[leg]["provenance"]["job_id"])
        ],
        "sdk": data["sdk"],
        "attempts": inputs["attempts"],
    }


def _show_plan(planned: dict[str, Any], shown: Output) -> None:
    if shown is Output.JSON:
        console.document(SCHEMA_CERTIFY, {"dry_run": True, **planned})
        return
    for name, value in planned.items():
        console.out().print(f"{name.replace('_', ' ')}: {value}", markup=False)
    console.tell(
        "rows of a job have equal lengths: surplus shots are measured, paid for and extracted, and "
        "not counted"
    )


def _show(document: dict[str, Any]) -> None:
    """A certificate as a table, with what it is worth and the next command."""
    from rich.table import Table

    table = Table(
        show_header=False, title=f"CHSH certificate on {document['provenance']['device']}"
    )
    p = document["no_signalling_p"]
    for name, value in (
        ("CHSH S", f"{document['s']:.3f} ± {document['sigma']:.3f}"),
        ("no-signalling p", "not measurable" if p is None else f"{p:.3f}"),
        (
            "certified bits",
            f"{document['certified_bits']} (committed: {document['threshold_bits']})",
        ),
        ("epsilon", f"{document['epsilon']:.2e}"),
        ("output", f"{document['output']['bytes']} bytes"),
        ("tier", document["tier_label"]),
        ("claim", f"{document['claim_bits']} bits"),
        ("certificate", document["certificate_id"]),
    ):
        table.add_row(name, value)
    out = console.out()
    out.print(table)
    for reason in document["claim_reasons"]:
        out.print(reason, markup=False)
    out.print("Assumptions:")
    for assumption in document["assumptions"]:
        out.print(f"- {assumption}", markup=False)
    out.print(f"Next: qlq rng verify {document['bundle']}", markup=False)


def verify(
    target: Annotated[
        str,
        typer.Argument(
            help="Folder of a certificate; NAME.qbits or NAME.cert.json of rng get -o; a seed's "
            "record, or the id of one in this home."
        ),
    ],
    *,
    signer: Annotated[
        str | None, typer.Option(help="Fingerprint that the signer must have, SHA-256 in hex.")
    ] = None,
    json: rng.Json = False,
) -> None:
    """Recompute what a certificate id names; exits with 7 on any difference.

    A bundle is recomputed from its raw shots, random bytes are held against their signed
    certificate, and a record against its id, which is its digest.
    """
    console.State.document_schema = SCHEMA_VERIFY if json else None
    from qlq.archive import signed
    from qlq.node import certifying, verifying

    found = settings.load()
    wanted = _hex_digest(signer, characters=signed.FINGERPRINT_CHARACTERS)
    checked = verifying.check(target, found, signer=wanted)
    verdict = checked.verdict
    own = certifying.own_fingerprint(found)
    whose = "unknown" if not verdict.signer else "own" if verdict.signer == own else "another"
    if json:
        console.document(SCHEMA_VERIFY, _verified_fields(checked, whose))
    else:
        _show_verified(target, checked)
    if verdict.signer and signer is None:
        console.tell(_about_signer(verdict.signer, whose))
    if not verdict.is_valid:
        raise typer.Exit(console.EXIT_INTEGRITY)


def _verified_fields(checked: VerifiedTarget, whose: str) -> dict[str, Any]:
    """What a check found, as a document."""
    from dataclasses import asdict

    verdict = checked.verdict
    return {
        "valid": verdict.is_valid,
        "target": checked.target.value,
        "level": verdict.level,
        "certificate_id": verdict.certificate_id,
        "signer": verdict.signer,
        "signer_is": whose,
        "tier": verdict.result.get("tier") if verdict.is_valid else None,
        "claim_bits": verdict.result.get("claim_bits") if verdict.is_valid else None,
        "record": checked.record,
        "findings": [asdict(finding) for finding in verdict.findings],
    }


def _show_verified(target: str, checked: VerifiedTarget) -> None:
    """The same for people: every difference, or what the bits are worth and where from."""
    out, verdict = console.out(), checked.verdict
    for finding in verdict.findings:
        place = f"{finding.file}: {finding.field}" if finding.field else finding.file
        out.print(f"{place}: expected {finding.expected}, found {finding.found}", markup=False)
    state = "valid" if verdict.is_valid else f"{len(verdict.findings)} findings"
    out.print(f"{target}: {state} ({verdict.level} check)", markup=False)
    if verdict.is_valid:
        claim = verdict.result["claim_bits"]
        out.print(f"{verdict.result['tier_label']}, claim {claim:g} bits", markup=False)
    if checked.record is not None:
        for job in checked.record["record"]["jobs"]:
            words = ("backend", "device", "job_id", "raw_bits", "batch_digest")
            told = ", ".join(f"{word.replace('_', ' ')} {job[word]}" for word in words)
            out.print(told, markup=False)


def _about_signer(signer: str, whose: str) -> str:
    if whose == "own":
        return f"signed with this home's own key {signer}"
    return (
        f"signed with another key than this home's: {signer}; compare it with the one that its "
        "maker published, or give it as --signer"
    )


def pulse(
    *,
    backend: rng.Backends = None,
    period: Annotated[
        int, typer.Option(min=0, help="Promised seconds from pulse to pulse; 0 for none.")
    ] = 0,
    allow_fallback: rng.AllowFallback = False,
    allow_short: rng.AllowShort = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    json: rng.Json = False,
) -> None:
    """Make the next pulse of this home's beacon, and draw the value of the one after it."""
    console.State.document_schema = SCHEMA_PULSE if json else None
    from qlq.backends.chain import Fallback
    from qlq.node import pulsing
    from qlq.node.entropy import EntropyOrder, Sampling

    found = settings.load(backend=backend[0] if backend else None)
    order = EntropyOrder(
        backends=(found.backend, *(backend or [])[1:]),
        fallback=Fallback.ALLOWED if allow_fallback else Fallback.FORBIDDEN,
        sampling=Sampling.SHORT if allow_short else Sampling.FULL,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        deadline_s=None if deadline is None else terms.time_left(deadline, default_s=deadline),
        home=found.home,
    )
    with console.interruptible():
        made = pulsing.pulse(order, found, period_s=period, tell=console.tell)
    fields = {"file": str(made.path), **_pulse_fields(made.pulse)}
    if made.next_degraded:
        rng.say(f"warning: degraded: the next pulse's value: {made.reasons[0]}")
    if json:
        console.document(SCHEMA_PULSE, {**fields, **_beside_pulse(made, found)})
        return
    if made.pulse.body.degraded:
        console.tell("this pulse's value was drawn when the operating system stood in")
    out = console.out()
    for name in ("index", "time_s", "value", "precommitment", "tier_label", "claim_bits", "origin"):
        out.print(f"{name}: {fields[name]}", markup=False)
    out.print(f"Next: qlq rng check-pulses {made.path}", markup=False)


def _beside_pulse(made: Made, found: Settings) -> dict[str, Any]:
    """What a pulse does not hold itself: the record that it names, and about the next value."""
    from qlq.archive import document
    from qlq.node import verifying

    named = made.pulse.body.certificate.hex()
    return {
        "record": verifying.find(found, named) if named else None,
        "next_claim_reasons": list(made.reasons),
        "next_degraded": made.next_degraded,
        "next_attempts": [document.attempt(one) for one in made.next_attempts],
    }


def _pulse_fields(made: Pulse) -> dict[str, Any]:
    """A pulse as documents show it; bytes in hex."""
    from qlq.provenance import EntropyTier

    body = made.body
    tier = EntropyTier(body.tier)
    return {
        "index": body.index,
        "time_s": body.time_s,
        "period_s": body.period_s,
        "status": body.status.name.lower(),
        "value": body.value.hex(),
        "local": body.local.hex(),
        "precommitment": body.precommitment.hex(),
        "previous": body.previous.hex(),
        "skips": [digest.hex() for digest in body.skips],
        "digest": made.digest.hex(),
        "tier": tier.code,
        "tier_label": tier.label,
        "claim_bits": body.claim_bits,
        "degraded": body.degraded,
        "origin": body.origin,
        "certificate_id": body.certificate.hex() or None,
        "signer": body.signer.hex(),
    }


def check_pulses(
    file: Annotated[Path, typer.Argument(help="File of pulses.")],
    *,
    signer: Annotated[
        str | None, typer.Option(help="SHA-512 of the key that must have signed, in hex.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another copy of the chain: a fork is found.")
    ] = None,
    growing: Annotated[
        bool,
        typer.Option("--growing", help="The file is being written: its last pulse may be torn."),
    ] = False,
    json: rng.Json = False,
) -> None:
    """Verify a chain of pulses from its file alone; exits with 7 unless every byte fits.

    Bytes of an unfinished pulse at the end are a fault, too, unless --growing says that the file
    is being written. Whole pulses that were cut off show beside a longer copy only: --against.
    """
    console.State.document_schema = SCHEMA_CHECK_PULSES if json else None
    from qlq.node import pulsing
    from qlq.qrng import beacon

    checked = pulsing.check(
        file,
        signer=_hex_digest(signer, characters=2 * beacon.VALUE_BYTES),
        against=against,
        tail=pulsing.Tail.GROWING if growing else pulsing.Tail.WHOLE,
    )
    if json:
        console.document(SCHEMA_CHECK_PULSES, _checked_fields(checked))
    else:
        _show_checked(file, checked)
    if checked.torn_bytes:
        console.tell(f"{file} ends with {checked.torn_bytes} bytes of an unwritten pulse")
    if (missing := (checked.against_pulses or 0) - checked.chain.next_index) > 0:
        console.tell(f"{against} has {missing} more: {file} was cut off, or is an older copy")
    if checked.signer and signer is None:
        console.tell(f"signed with the key {checked.signer}; give it as --signer to insist on it")
    if checked.fault is not None:
        raise typer.Exit(console.EXIT_INTEGRITY)


def _checked_fields(checked: Checked) -> dict[str, Any]:
    """What the check of a file of pulses found, as a document."""
    last, fault = checked.chain.last, checked.fault
    tiers = Counter(body.tier for body in checked.bodies)
    return {
        "valid": fault is None,
        "pulses": checked.chain.next_index,
        "tiers": {f"T{tier}": count for tier, count in sorted(tiers.items())},
        "degraded": sum(bool(body.degraded) for body in checked.bodies),
        "signer": checked.signer,
        "last": None if last is None else _pulse_fields(last),
        "torn_bytes": checked.torn_bytes,
        "against_pulses": checked.against_pulses,
        "fault": None
        if fault is None
        else {"reason": fault.reason.value, "index": fault.index, "detail": str(fault)},
    }


def _show_checked(file: Path, checked: Checked) -> None:
    """The same for people, with what the pulses are worth."""
    from qlq.provenance import EntropyTier

    state = "valid" if checked.fault is None else str(checked.fault)
    out = console.out()
    out.print(f"{file}: {checked.chain.next_index} pulses, {state}", markup=False)
    for tier, count in sorted(Counter(body.tier for body in checked.bodies).items()):
        out.print(f"{EntropyTier(tier).label}: {count} pulses", markup=False)
    if count := sum(bool(body.degraded) for body in checked.bodies):
        out.print(f"degraded, of the operating system: {count} pulses", markup=False)


def _hex_digest(text: str | None, *, characters: int) -> str | None:
    """A fingerprint that was given as an option, in lower case; None if none was.

    Raises:
        ConfigError: It is none: nothing could ever be signed with it.
    """
    from qlq.errors import ConfigError

    if text is None:
        return None
    digest = text.strip().lower()
    if len(digest) != characters or not set(digest) <= set("0123456789abcdef"):
        raise ConfigError(f"--signer takes {characters} hexadecimal digits, not {text!r}")
    return digest
