"""The second half of `qlq demo`: randomness with its tier, a certificate, beacon pulses."""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
from pathlib import Path
from typing import Any

from qlq.archive import bundle
from qlq.config import Settings
from qlq.node import certifying, entropy, pulsing
from qlq.node.entropy import EntropyOrder, Sampling, Tell
from qlq.provenance import EntropyTier

BYTES = 32
CERTIFICATE_SHOTS = 20_000
PULSES = 2


def randomness(backend: str, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Draw bytes, certify others, make and check two pulses, all in a home that is gone after.

    Args:
        backend: URI of a simulator.
        settings: Of the command; its home is left alone.
        tell: Is told in words what happens.

    Returns:
        `draw` (bytes_hex, tier, claim_bits, reasons), `certificate` (the result's figures and
        `valid`, from the bundle's own check) and `beacon` (pulses, value, tier, `valid`).
    """
    order = EntropyOrder(backends=(backend,), sampling=Sampling.SHORT)
    with tempfile.TemporaryDirectory(prefix="qlq-demo-") as folder:
        passing = dataclasses.replace(
            settings, home=Path(folder) / "home", passphrase=secrets.token_hex(16)
        )
        return {
            "draw": _draw(order, tell),
            "certificate": _certificate(backend, passing, Path(folder) / "bundle", tell),
            "beacon": _beacon(order, passing, tell),
        }


def _draw(order: EntropyOrder, tell: Tell) -> dict[str, Any]:
    pool, _ = entropy.open_pool(order, tell)
    drawn = pool.draw(BYTES)
    return {
        "bytes_hex": drawn.bytes.hex(),
        "tier": drawn.tier.code,
        "claim_bits": drawn.claim_bits,
        "reasons": list(drawn.reasons),
    }


def _certificate(backend: str, settings: Settings, folder: Path, tell: Tell) -> dict[str, Any]:
    order = certifying.CertifyOrder(backends=(backend,), shots=CERTIFICATE_SHOTS, bundle=folder)
    signed = certifying.certify(order, settings, tell)
    result = signed["certificate"]["result"]
    names = ("s", "sigma", "no_signalling_p", "certified_bits", "epsilon", "tier", "claim_bits")
    figures = {name: result[name] for name in names}
    return {**figures, "valid": bundle.check(folder, signer=None).is_valid}


def _beacon(order: EntropyOrder, settings: Settings, tell: Tell) -> dict[str, Any]:
    made = [pulsing.pulse(order, settings, period_s=0, tell=tell) for _ in range(PULSES)][-1]
    checked = pulsing.check(made.path, signer=None, against=None)
    return {
        "pulses": checked.chain.next_index,
        "value": made.pulse.body.value.hex(),
        "tier": EntropyTier(made.pulse.body.tier).code,
        "valid": checked.fault is None,
    }
