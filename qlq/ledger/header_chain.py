"""What anybody can check of a chain from its headers: no body, no state, no key is needed.

One header after the other: that it follows the one before, names the log of all before it, the
voters and the rules, and comes from the validator whose turn it was. What is wrong is returned,
all of it, so that an audit can go on behind damage; a field that cannot be compared because an
earlier header is lost is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qlq.consensus import proposer
from qlq.consensus.validators import Validators
from qlq.faults import BlockFault
from qlq.ledger import merkle
from qlq.ledger.block import NO_BEACON, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.merkle import Frontier


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a header that is not as it must be."""

    fault: BlockFault
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far headers have been followed.

    Attributes:
        genesis: Of the chain.
        chain: Its id.
        height: Of the last block; 0 before the first.
        hash: Its hash, the chain id before the first; None if it is lost.
        header: Its header; None before the first, or if it is lost.
        log: The tree over all hashes up to it; None once one is lost.
    """

    genesis: Genesis
    chain: bytes
    height: int
    hash: bytes | None
    header: Header | None
    log: Frontier | None


def begin(genesis: Genesis) -> Progress:
    """Before the first block."""
    chain = genesis.chain
    return Progress(genesis, chain, 0, chain, None, Frontier())


def differences(progress: Progress, header: Header, validators: Validators) -> list[Difference]:
    """What is wrong with the next header.

    Args:
        progress: Before it.
        header: At the next height.
        validators: The set that votes on it.
    """
    height = progress.height + 1
    whose, mode = proposer.proposer(validators, height)
    pairs: list[tuple[BlockFault, object, object]] = [
        (BlockFault.CHAIN, progress.chain, header.chain),
        (BlockFault.HEIGHT, height, header.height),
        (BlockFault.PROPOSER, whose.address, header.proposer),
        (BlockFault.PROPOSER, int(mode), int(header.mode)),
        (BlockFault.VALIDATORS, validators.hash, header.validators_hash),
        (BlockFault.PARAMETERS, progress.genesis.parameters_hash, header.parameters_hash),
    ]
    if progress.hash is not None:
        pairs.append((BlockFault.PARENT, progress.hash, header.parent))
    if progress.log is not None:
        pairs.append((BlockFault.LOG_ROOT, progress.log.root, header.log_root))
    found = [Difference(fault, _shown(a), _shown(b)) for fault, a, b in pairs if a != b]
    return found + _ordered(progress, header)


def after(progress: Progress, header: Header | None, found: bytes | None) -> Progress:
    """The next block has been looked at.

    Args:
        progress: Before it.
        header: Its header; None if it is lost.
        found: Its hash; None if it is not known.
    """
    log = progress.log
    if log is not None:
        log = None if found is None else log.append(merkle.leaf_hash(found))
    return replace(progress, height=progress.height + 1, hash=found, header=header, log=log)


def _ordered(progress: Progress, header: Header) -> list[Difference]:
    """Time and beacon, which only go forward."""
    before = progress.header
    is_first = progress.height == 0
    if before is None and not is_first:
        return []
    time_ms = progress.genesis.time_ms if before is None else before.time_ms
    beacon = (0, NO_BEACON) if before is None else (before.beacon_round, before.beacon_digest)
    found: list[Difference] = []
    if header.time_ms <= time_ms:
        found.append(Difference(BlockFault.TIME, f"after {time_ms}", str(header.time_ms)))
    is_same_round = header.beacon_round == beacon[0]
    if header.beacon_round < beacon[0]:
        expected = f"round {beacon[0]} or later"
        found.append(Difference(BlockFault.BEACON, expected, f"round {header.beacon_round}"))
    elif is_same_round and header.beacon_digest != beacon[1]:
        expected, shown = beacon[1].hex(), header.beacon_digest.hex()
        found.append(Difference(BlockFault.BEACON, expected, shown))
    return found


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
