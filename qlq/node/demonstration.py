"""What `qlq demo` tells after its sessions: randomness, and a ledger that uses what was made.

Everything happens in a home that is gone when the story ends.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qlq.archive import bundle
from qlq.config import Settings
from qlq.crypto.signing import Algorithm
from qlq.ledger.proofs import Trusted
from qlq.node import audit, certifying, entropy, proving, pulsing, wallets
from qlq.node.audit import Level
from qlq.node.entropy import EntropyOrder, Sampling, Tell
from qlq.node.proving import Form
from qlq.node.transacting import SealPolicy, Wish
from qlq.node.wallets import Purse
from qlq.provenance import EntropyTier
from qlq.wallet import accounts

BYTES = 32
CERTIFICATE_SHOTS = 20_000
PULSES = 2


@contextmanager
def passing(settings: Settings) -> Iterator[Settings]:
    """The settings of a home that is gone after; that of the command is left alone."""
    with tempfile.TemporaryDirectory(prefix="qlq-demo-") as folder:
        home = Path(folder) / "home"
        yield dataclasses.replace(settings, home=home, passphrase=secrets.token_hex(16))


def randomness(backend: str, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Draw bytes, certify others, make and check two pulses.

    Args:
        backend: URI of a simulator.
        settings: Of a passing home.
        tell: Is told in words what happens.

    Returns:
        `draw` (bytes_hex, tier, claim_bits, reasons), `certificate` (the result's figures and
        `valid`, from the bundle's own check) and `beacon` (pulses, value, tier, `valid`).
    """
    order = EntropyOrder(backends=(backend,), sampling=Sampling.SHORT)
    return {
        "draw": _draw(order, tell),
        "certificate": _certificate(backend, settings, settings.home / "bundle", tell),
        "beacon": _beacon(order, settings, tell),
    }


def ledger(settings: Settings, tell: Tell) -> dict[str, Any]:
    """Two wallets, an asset, a transfer sealed with the home's session key, proved and verified.

    Args:
        settings: Of a passing home in which a session has left its key.
        tell: Is told in words what happens.

    Returns:
        `transfer` (as `wallet send`), `balances` by account, `proof` (bytes, size, index,
        `valid`) and `verification` (height, `valid`).
    """
    passphrase = settings.passphrase or ""
    for name in ("alice", "bob"):
        accounts.create(settings.home, name, Algorithm.ML_DSA_65, passphrase)
    alice = Purse("alice", lambda: passphrase)
    wallets.define(alice, "GOLD", decimals=2, cap=None, settings=settings, tell=tell)
    wallets.issue(
        "GOLD",
        amount="1000",
        to="alice",
        passphrase=lambda: passphrase,
        settings=settings,
        tell=tell,
    )
    sent = wallets.send(
        alice,
        to="bob",
        asset="GOLD",
        amount="12.50",
        wish=Wish((), b"for the lens", SealPolicy.QKD),
        settings=settings,
        tell=tell,
    )
    return {
        "transfer": sent,
        "balances": {name: wallets.show(name, settings)["balances"] for name in ("alice", "bob")},
        **_proved(sent["tx_id"], settings),
    }


def _proved(transaction: str, settings: Settings) -> dict[str, Any]:
    """A proof of a transaction, checked without the ledger, and the ledger, audited in full."""
    made = proving.prove_transaction(settings, bytes.fromhex(transaction), form=Form.DISCLOSED)
    audited = audit.verify_home(settings, Level.FULL)
    trusted = Trusted(chain=bytes.fromhex(audited["chain"]))
    checked = proving.check_document(made, trusted=trusted)
    return {
        "proof": {
            "bytes": len(base64.b64decode(made["bytes"])),
            "size": made["log"]["size"],
            "index": made["log"]["index"],
            "valid": checked["valid"],
        },
        "verification": {"height": audited["height"], "valid": audited["valid"]},
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
