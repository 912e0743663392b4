"""A randomness certificate as a folder of files, and its check by a third party.

    certificate.json       the certificate, its id, the signer's public key and the signature
    calibration.draw       settings of the calibration batch, as the client drew them
    calibration.shots      its raw shots: all bits in order, packed, first bit highest
    data.draw              settings of the data batch
    seed.bin               the extractor's seed
    secrets/data.shots     raw shots of the data batch, mode 0600
    secrets/output.bin     the output, mode 0600

Raw shots and seed give the output, so that both lie in `secrets/`: delete it before giving a
bundle away, what remains still verifies at the public level.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from qlq.archive import differences, folder, session
from qlq.archive import signed as signing
from qlq.archive.differences import Finding
from qlq.archive.signed import Verdict
from qlq.crypto.signing import SigningKey
from qlq.errors import ConfigError, QLQError
from qlq.numerics import bits as bitwise
from qlq.numerics import chsh
from qlq.provenance import Provenance
from qlq.qrng import certificate, certificate_commitment, certificate_rounds, source
from qlq.qrng.certificate import Evidence
from qlq.qrng.certificate_commitment import Commitment
from qlq.qrng.certificate_rounds import Arrangement, Outcomes
from qlq.qrng.extraction import CommittedSeed, SeedOrigin
from qlq.qrng.source import Batch
from qlq.shots import Shots

CERTIFICATE = "certificate.json"
CALIBRATION_DRAW, CALIBRATION_SHOTS = "calibration.draw", "calibration.shots"
DATA_DRAW, SEED = "data.draw", "seed.bin"
DATA_SHOTS, OUTPUT = f"{folder.SECRETS}/data.shots", f"{folder.SECRETS}/output.bin"
KIND = signing.Kind("qlq.rng.certificate/1", certificate.SIGNATURE_CONTEXT)

MALFORMED = (
    *(QLQError, msgspec.MsgspecError, struct.error),
    *(LookupError, TypeError, AttributeError, ValueError, ArithmeticError),
)
"""What reading a certificate of somebody else's making may raise."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """One batch of a run.

    Attributes:
        drawn: The client's random bytes behind its settings.
        rounds: Rounds that were drawn.
        blocks: Stretches of time.
        batch: What was measured.
        submitted: When it was ordered, ISO 8601, UTC.
        received: When its shots were there.
    """

    drawn: bytes = field(repr=False)
    rounds: int
    blocks: int
    batch: Batch
    submitted: str
    received: str


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """All of a run that a bundle is written from.

    Attributes:
        commitment: Fixed between the two batches.
        seed: The extractor's.
        calibration: The first batch.
        data: The second batch.
        attempts: Backends that were left before, `{backend, error, detail}` each.
        issued: When the certificate was made, ISO 8601, UTC.
    """

    commitment: Commitment
    seed: CommittedSeed
    calibration: Leg
    data: Leg
    attempts: tuple[Mapping[str, str], ...]
    issued: str


def write(path: Path, run: Run, *, key: SigningKey) -> dict[str, Any]:
    """Write a bundle and return its certificate, signed: the content of `certificate.json`.

    Raises:
        ConfigError: The folder cannot be written.
        ValueError: The batches do not belong together.
    """
    result, output = certificate.conclude(_evidence(run))
    contents = {
        CALIBRATION_DRAW: run.calibration.drawn,
        CALIBRATION_SHOTS: run.calibration.batch.packed,
        DATA_DRAW: run.data.drawn,
        SEED: run.seed.material,
        DATA_SHOTS: run.data.batch.packed,
        OUTPUT: output,
    }
    document = {
        "format": certificate.FORMAT,
        "inputs": _inputs(run),
        "result": result,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    document = json.loads(json.dumps(document))  # as it will be read: tuples are lists
    signed = signing.sign(document, kind=KIND, key=key)
    folder.publish(path, {**contents, CERTIFICATE: folder.canonical_json(signed)})
    return signed


def _inputs(run: Run) -> dict[str, Any]:
    """What is recorded and cannot be recomputed."""
    commitment = msgspec.structs.asdict(run.commitment)
    return {
        "issued": run.issued,
        "commitment": {
            **commitment,
            "calibration": run.commitment.calibration.hex(),
            "digest": run.commitment.digest.hex(),
        },
        "seed": {"origin": run.seed.origin.value, "detail": run.seed.detail},
        "calibration": _leg(run.calibration),
        "data": _leg(run.data),
        "attempts": [dict(attempt) for attempt in run.attempts],
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "rounds": leg.rounds,
        "blocks": leg.blocks,
        "submitted": leg.submitted,
        "received": leg.received,
        **_batch(leg.batch),
    }


def _batch(batch: Batch) -> dict[str, Any]:
    """What a batch says of itself."""
    plan = batch.order.plan
    return {
        "rows": len(plan.bindings),
        "shots_per_row": plan.shots,
        "plan_digest": plan.digest,
        "tags": list(plan.tags),
        "provenance": session.job_document(batch.provenance),
    }


def _evidence(run: Run) -> Evidence:
    return Evidence(
        commitment=run.commitment,
        calibration=certificate_rounds.count(_arranged(run.calibration), run.calibration.batch),
        data=run.data.batch,
        outcomes=certificate_rounds.evaluate(_arranged(run.data), run.data.batch),
        seed=run.seed,
        provenances=(run.calibration.batch.provenance, run.data.batch.provenance),
    )


def _arranged(leg: Leg) -> Arrangement:
    return certificate_rounds.arrange(leg.drawn, count=leg.rounds, blocks=leg.blocks)


def check(path: Path, *, signer: str | None) -> Verdict:
    """Recompute a bundle: every number, and with `secrets/` every output byte.

    Args:
        path: The bundle.
        signer: Fingerprint that the signer must have; None accepts any and tells it.

    Raises:
        ConfigError: The folder is no bundle, or cannot be read.
    """
    file = path / CERTIFICATE
    if not file.is_file():
        raise ConfigError(f"{path} is not a randomness bundle: it has no {CERTIFICATE}")
    signed, findings = signing.read(file, kind=KIND)
    if signed is None:
        return Verdict("public", tuple(findings), "", "", {})
    document = signed["certificate"]
    found_signer, of_signature = signing.check(signed, kind=KIND, signer=signer, file=CERTIFICATE)
    findings += of_signature
    contents, of_files = differences.read_files(path, document, manifest_name=CERTIFICATE)
    findings += of_files
    try:
        for finding in _recompute(document, contents):
            findings.append(finding)
    except MALFORMED as error:
        if not findings:
            findings.append(Finding(CERTIFICATE, "", "a run that can be recomputed", str(error)))
    result = document.get("result")
    return Verdict(
        level="full" if DATA_SHOTS in contents else "public",
        findings=tuple(findings),
        certificate_id=str(signed.get("id", "")),
        signer=found_signer,
        result=result if isinstance(result, dict) else {},
    )


def _recompute(document: Mapping[str, Any], contents: Mapping[str, bytes]) -> Iterator[Finding]:
    """Differences one by one: what was found before a field cannot be read is kept."""
    inputs, claimed = document["inputs"], document["result"]
    yield from _compare("format", certificate.FORMAT, document["format"])
    commitment = _read_commitment(inputs["commitment"])
    yield from _compare(
        "inputs.commitment.digest", commitment.digest.hex(), inputs["commitment"]["digest"]
    )
    seed = CommittedSeed(
        contents[SEED], SeedOrigin(inputs["seed"]["origin"]), inputs["seed"]["detail"]
    )
    yield from _compare("inputs.commitment.seed", seed.commitment, commitment.seed)
    arrangement, batch = _read_leg(
        inputs["calibration"], contents[CALIBRATION_DRAW], contents[CALIBRATION_SHOTS]
    )
    calibration = certificate_rounds.count(arrangement, batch)
    yield from _check_commitment(commitment, calibration, contents[CALIBRATION_DRAW], batch)
    yield from _check_legs(inputs, commitment)
    yield from _check_batch("calibration", batch, inputs)
    if DATA_SHOTS in contents:
        arrangement, data = _read_leg(
            inputs["data"], contents[DATA_DRAW], contents[DATA_SHOTS], commitment=commitment
        )
        outcomes = certificate_rounds.evaluate(arrangement, data)
        evidence = Evidence(
            commitment, calibration, data, outcomes, seed, (batch.provenance, data.provenance)
        )
        yield from _check_batch("data", data, inputs)
        result, output = certificate.conclude(evidence)
        yield from _compare("result", json.loads(json.dumps(result)), claimed)
        if output != contents[OUTPUT]:
            yield Finding(OUTPUT, "", "the output of the raw shots", "other bytes")
        return
    yield from _compare_public(inputs, claimed, commitment, calibration)


def _check_legs(inputs: Mapping[str, Any], commitment: Commitment) -> list[Finding]:
    """Whether the records of the two jobs agree with the commitment and with each other."""
    first, second = (
        session.provenance_of(inputs[leg]["provenance"]) for leg in ("calibration", "data")
    )
    findings = _compare("inputs.data.rounds", commitment.rounds, inputs["data"]["rounds"])
    findings += _compare("inputs.data.blocks", commitment.blocks, inputs["data"]["blocks"])
    for name in ("tier", "kind", "backend", "provider", "device"):
        place = f"inputs.data.provenance.{name}"
        findings += _compare(place, str(getattr(first, name)), str(getattr(second, name)))
    for name in ("calibration", "data"):
        for when in ("submitted", "received"):
            dt.datetime.fromisoformat(inputs[name][when])
    return findings


def _check_batch(leg: str, batch: Batch, inputs: Mapping[str, Any]) -> list[Finding]:
    """Whether a job's record is that of its batch."""
    expected = _batch(batch)
    found = {name: inputs[leg].get(name, differences.ABSENT) for name in expected}
    return _compare(f"inputs.{leg}", expected, found)


def _read_commitment(recorded: Mapping[str, Any]) -> Commitment:
    """The commitment that `_inputs` wrote down; raises KeyError, ValueError or a MsgspecError."""
    values = {**recorded, "calibration": bytes.fromhex(recorded["calibration"])}
    fields = Commitment.__struct_fields__
    if unknown := values.keys() - {*fields, "digest"}:
        raise ValueError(f"unknown field {min(unknown)!r} of a commitment")
    return msgspec.convert([values[name] for name in fields], Commitment)


def _compare(name: str, expected: object, found: object) -> list[Finding]:
    return differences.compare(name, expected, found, file=CERTIFICATE)


def _read_leg(
    leg: Mapping[str, Any], drawn: bytes, packed: bytes, *, commitment: Commitment | None = None
) -> tuple[Arrangement, Batch]:
    """A batch as it was measured, and where its rounds lie."""
    rounds, blocks = leg["rounds"], leg["blocks"]
    if commitment is not None:
        rounds, blocks = commitment.rounds, commitment.blocks
    arrangement = certificate_rounds.arrange(drawn, count=rounds, blocks=blocks)
    order = certificate_rounds.order(
        arrangement,
        tags=tuple(leg["tags"]),
        seed_commitment=None if commitment is None else commitment.seed,
    )
    shape = (len(order.plan.bindings), order.plan.shots, order.plan.program.n_bits)
    bits = bitwise.unpack(packed, count=int(np.prod(shape))).reshape(shape)
    provenance = session.provenance_of(leg["provenance"])
    batch = source.collect(order, Shots(bits, provenance))
    return arrangement, batch


def _check_commitment(
    commitment: Commitment, calibration: NDArray[np.int64], drawn: bytes, batch: Batch
) -> list[Finding]:
    """Whether the commitment is the calibration's, and promises no more than it showed."""
    expected = certificate_commitment.calibration_digest(drawn, batch)
    lengths = certificate_commitment.plan_output(
        commitment.read_factors(),
        calibration,
        rounds=commitment.rounds,
        epsilon_log2=commitment.epsilon_log2,
        extractor_epsilon_log2=commitment.extractor_epsilon_log2,
    )
    disclosed = certificate_commitment.disclosed_bits(commitment.rounds)
    name = "inputs.commitment"
    return [
        *_compare(f"{name}.calibration", expected.hex(), commitment.calibration.hex()),
        *_compare(f"{name}.threshold_bits", lengths[0], commitment.threshold_bits),
        *_compare(f"{name}.output_bits", lengths[1], commitment.output_bits),
        *_compare(f"{name}.disclosed_bits", disclosed, commitment.disclosed_bits),
    ]


def _compare_public(
    inputs: Mapping[str, Any],
    claimed: Mapping[str, Any],
    commitment: Commitment,
    calibration: NDArray[np.int64],
) -> list[Finding]:
    """What the counts in the certificate give, without the raw shots."""
    counts = np.array(claimed["counts"], dtype=np.int64).reshape(2, 2, 2, 2)
    numbers = certificate.read_counts(commitment, counts)
    p = claimed["no_signalling_p"]
    signalling = None
    if p is not None:
        signalling = chsh.NoSignalling(
            p, claimed["max_marginal_shift"], claimed["max_marginal_shift_sigma"]
        )
    output_bits = commitment.output_bits if numbers["threshold_reached"] else 0
    provenances: tuple[Provenance, ...] = tuple(
        session.provenance_of(inputs[leg]["provenance"]) for leg in ("calibration", "data")
    )
    standing = certificate.judge(
        provenances,
        Outcomes(counts, certificate_rounds.value(counts), signalling),
        output_bits=output_bits,
    )
    expected = {
        **numbers,
        **certificate.read_calibration(calibration),
        **standing.document(),
        "rounds": commitment.rounds,
    }
    found = {name: claimed.get(name, differences.ABSENT) for name in expected}
    findings = _compare("result", expected, found)
    return findings + _compare("result.output.bytes", output_bits // 8, claimed["output"]["bytes"])
