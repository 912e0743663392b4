"""Pulses of a home's beacon on its chain, so that contracts and elections can use them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlq.archive import pulses
from qlq.config import Settings
from qlq.errors import ConfigError, InvalidPulse, InvalidTransaction
from qlq.faults import PulseFault
from qlq.ledger import records, transition
from qlq.node import chains, pulsing, transacting, wallets
from qlq.qrng import beacon
from qlq.qrng.beacon import Pulse


def publish(settings: Settings) -> dict[str, Any]:
    """Put the pulses on the chain that it does not have yet; the document of `ledger pulse`.

    Each brings contracts a round if it was made after the block that brought the round before:
    `contract_round`, else null. A second of the clock has passed when this returns, so that a
    pulse that is made from then on is later than these blocks.

    Raises:
        ConfigError: The home has no ledger, or no pulses; or the chain has none of its beacon.
        ArchiveInvalid, InvalidPulse: The file of pulses was changed, or ends before the pulse
            that the chain has.
        InvalidTransaction: The chain takes another beacon's pulses.
    """
    wallets.need_ledger(settings)
    path = pulsing.pulse_file(settings)
    if not path.exists():
        raise ConfigError(f"no pulses in {path}: qlq rng pulse makes one")
    published = []
    keys = chains.open_keys(settings)
    with chains.opened(settings) as validator:
        if not validator.rules.genesis.beacon:
            raise ConfigError("this chain takes no pulses: its genesis names no beacon")
        latest = transition.latest_pulse(validator.state)
        for pulse in _following(path, *latest):
            sent = transacting.publish_pulse(validator, keys, pulse.to_bytes())
            if sent.receipt.reason is not None:
                raise InvalidTransaction(sent.receipt.reason, f"pulse {pulse.body.index}")
            rounds = records.read_rounds(validator.state.get(records.ROUNDS))
            brings = rounds.height == sent.height
            published.append(
                {
                    "index": pulse.body.index,
                    "round": pulse.body.index + 1,
                    "contract_round": rounds.count if brings else None,
                    "value": pulse.body.value.hex(),
                    "tx_id": sent.transaction.hex(),
                    "height": sent.height,
                }
            )
        beacon_round, _ = transition.latest_pulse(validator.state)
        rounds = records.read_rounds(validator.state.get(records.ROUNDS))
        latest_ms = validator.tip.time_ms
    if published:
        time.sleep(max(0.0, min(1.0, latest_ms // 1000 + 1 - time.time())))
    return {
        "file": str(path),
        "published": published,
        "round": beacon_round,
        "contract_round": rounds.count,
    }


def _following(path: Path, beacon_round: int, digest: bytes) -> Iterator[Pulse]:
    """The file's pulses after the chain's latest one, which has to be among them."""
    found = pulses.read(path).records
    if beacon_round > len(found):
        detail = f"the chain has pulse {beacon_round - 1}, {path} ends before it"
        raise InvalidPulse(PulseFault.GAP, index=len(found), detail=detail)
    if beacon_round and beacon.decode(found[beacon_round - 1]).digest != digest:
        detail = f"the chain and {path} have different ones"
        raise InvalidPulse(PulseFault.FORK, index=beacon_round - 1, detail=detail)
    return (beacon.decode(record) for record in found[beacon_round:])
