"""The result of a session as a document: `qlq.qkd.run/1`.

The same function serves a live session and the check of an archive, so that a figure that was
printed and a figure that is recomputed come from the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qlq.errors import ProtocolAbort
from qlq.numerics import chsh
from qlq.provenance import Attempt, Provenance, vendor_ids
from qlq.qkd import authentication, estimation, record, worth
from qlq.qkd.no_signalling import marginal_test
from qlq.qkd.parameters import Parameters, Protocol

SCHEMA = "qlq.qkd.run/1"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a document is made from, beside the parameters and the transcript's record.

    Attributes:
        provenances: Of all jobs, in order.
        order_seed: Seed of the public shuffle of rows.
        eps_earlier: Epsilon of the earlier keys that filled the authentication pool.
        bootstrap_bits: Tag-key bits that came from operating-system entropy.
        reserved_bits: Bits of the new key that went to the pool beyond those used.
        key_id: Id of the stored key; None if none was stored.
        reproducible: Whether everything followed from a typed seed.
        abort: `{reason, detail}`; None after a good end.
        eve: The attack as the operator wrote it; None without one.
        attempts: The backends that were tried before, `{backend, error, detail}` each; None in
            archives that were written before attempts were recorded.
    """

    provenances: tuple[Provenance, ...]
    order_seed: int
    eps_earlier: float
    bootstrap_bits: int
    reserved_bits: int
    key_id: str | None
    reproducible: bool
    abort: dict[str, str] | None
    eve: str | None
    attempts: Sequence[Mapping[str, str]] | None = None


def abort(error: ProtocolAbort) -> dict[str, str]:
    """The `aborted` field for this error."""
    return {"reason": error.reason, "detail": str(error)}


def attempt(tried: Attempt) -> dict[str, str]:
    """One line of the `attempts` field."""
    return {"backend": tried.backend, "error": tried.error, "detail": tried.detail}


def number(value: float | None) -> float | None:
    """A float for JSON: None for NaN, which JSON does not have."""
    return None if value is None or math.isnan(value) else float(value)


def build(parameters: Parameters, found: record.Record, outcome: Outcome) -> dict[str, Any]:
    """All deterministic fields of the document."""
    estimate = found.estimate
    secret = 0 if outcome.abort else parameters.secret_bits
    consumed = found.tags * authentication.TAG_KEY_BITS
    net = 0 if outcome.abort else secret - consumed
    return {
        "schema": SCHEMA,
        "protocol": parameters.protocol.value,
        "sampling": parameters.sampling.value,
        "backend": outcome.provenances[0].backend,
        "provenance": _provenance(outcome),
        "eve": outcome.eve,
        "pulses": parameters.pulses,
        "basis_bias": parameters.key_bias / 65536,
        "sifted_bits": found.sifted_bits,
        "test_bits": parameters.test_rounds if estimate else 0,
        "key_bits": parameters.key_rounds if found.leakage.corrected_bits is not None else 0,
        "qber": number(estimate.sample.rate) if estimate else None,
        "qber_key": number(estimate.key.rate) if estimate else None,
        "qber_test": number(estimate.test.rate) if estimate else None,
        "qber_max": parameters.qber_max,
        "chsh": _chsh(parameters, found, outcome),
        "reconciliation": {
            "method": parameters.reconciliation.value,
            "leak_ec_bits": found.leakage.leak_ec_bits,
            "leak_max_bits": parameters.leak_max_bits,
            "efficiency": number(found.leakage.efficiency(parameters.key_rounds)),
            "messages": found.leakage.messages,
            "corrected_bits": found.leakage.corrected_bits,
        },
        "finite_key": _finite_key(parameters, found, outcome),
        "authentication": {
            "tags": found.tags,
            "key_bits_consumed": consumed,
            "key_bits_reserved": outcome.reserved_bits,
            "bootstrap_bits": outcome.bootstrap_bits,
        },
        "secret_bits": secret,
        "net_bits": net,
        "key_id": outcome.key_id,
        "worth": _worth(parameters, outcome),
        "aborted": outcome.abort,
    }


def _provenance(outcome: Outcome) -> dict[str, Any]:
    first = outcome.provenances[0]
    attempts = {} if outcome.attempts is None else {"attempts": list(outcome.attempts)}
    return {
        "tier": first.tier.value,
        "claim": first.claim.label,
        "provider": first.provider,
        "device": first.device,
        "kind": first.kind.value,
        "qubits": list(first.qubits),
        "job_ids": [one for p in outcome.provenances for one in vendor_ids(p.job_id)],
        "sdk": dict(sorted(first.sdk.items())),
        "reproducible": outcome.reproducible,
        **attempts,
    }


def _worth(parameters: Parameters, outcome: Outcome) -> dict[str, Any]:
    value = worth.value(parameters, outcome.provenances, reproducible=outcome.reproducible)
    if outcome.abort:  # there is no key
        return {"claim": value.claim.label, "secret_against": [], "entropy_cap_bits": 0}
    return {
        "claim": value.claim.label,
        "secret_against": list(value.secret_against),
        "entropy_cap_bits": value.entropy_cap_bits,
    }


def _finite_key(parameters: Parameters, found: record.Record, outcome: Outcome) -> dict[str, Any]:
    eps_sec, eps_cor = float(parameters.eps_sec), 2.0**-parameters.tag_bits
    return {
        "theorem": parameters.theorem,
        "key_rounds": parameters.key_rounds,
        "test_rounds": parameters.test_rounds,
        "rate_rounds": parameters.rate_rounds,
        "eps_sec": eps_sec,
        "eps_cor": eps_cor,
        "eps_auth": found.eps_auth,
        "eps_earlier": outcome.eps_earlier,
        "eps_total": eps_sec + eps_cor + found.eps_auth + outcome.eps_earlier,
        "assumptions": list(worth.assumptions(parameters)),
    }


def _chsh(parameters: Parameters, found: record.Record, outcome: Outcome) -> dict[str, Any] | None:
    if parameters.protocol is not Protocol.E91 or found.disclosed is None:
        return None
    if found.estimate is None or found.estimate.chsh is None:
        return None
    value = found.estimate.chsh
    signalling = marginal_test(parameters, found.disclosed, order_seed=outcome.order_seed)
    return {
        "s": number(value.s),
        "sigma": number(value.sigma),
        "no_signalling_p": signalling.p_value if signalling else None,
        "max_marginal_shift": number(signalling.max_marginal_shift) if signalling else None,
        "max_marginal_shift_sigma": number(signalling.sigma) if signalling else None,
        "exceeds_tsirelson": bool(chsh.exceeds_tsirelson(value)),
    }


def blocks(parameters: Parameters, found: record.Record) -> list[dict[str, Any]]:
    """Error rates and S of each block in order of time."""
    if found.disclosed is None:
        return []
    return [
        {
            "block": index,
            "qber_key": number(estimate.key.rate),
            "qber_test": number(estimate.test.rate),
            "chsh_s": None if estimate.chsh is None else number(estimate.chsh.s),
        }
        for index, estimate in enumerate(estimation.estimate_by_block(parameters, found.disclosed))
    ]
