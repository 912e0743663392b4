"""What a crash left of the block that was being made: taken up, or given up by the operator.

A vote rests on the disk before it counts, and the block itself before the vote. If the embedded
engine's log is lost in between, the node has promised a block that nobody has: it must not vote
for another one, and cannot finish this one. Where it is the chain's one validator, nobody has
heard the promise, and the operator may forget it. No block that a command has reported is touched:
those are in the ledger's own file.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from qlq.config import Settings
from qlq.disk.turn import Turn
from qlq.errors import BlockMissing, ConfigError, LedgerError
from qlq.ledger import execution
from qlq.ledger.store import LedgerStore
from qlq.node import chains


class Unfinished(Enum):
    """What becomes of a height whose block is lost."""

    KEEP = auto()
    """The ledger stays as it is, and says what is missing."""
    DROP = auto()
    """What this node said of the height is destroyed, and another block may take its place."""


def recover(settings: Settings, *, unfinished: Unfinished) -> dict[str, Any]:
    """Open a home's ledger, take up what the log holds, and say what that was.

    Args:
        settings: Of the home.
        unfinished: What becomes of a height whose block is lost.

    Returns:
        `height` after it, `taken_up` (heights that became final now), and `dropped`: None, or
        the height, the block's hash and the number of records that were destroyed.

    Raises:
        ConfigError: There is no ledger, or it cannot be used.
        BlockMissing: The block is lost, and is to be kept.
        LedgerDamaged, LedgerError, KeyStoreError: As `chains.opened`; or others vote, too.
    """
    before = _height(settings)
    dropped = None
    try:
        height = _opened_height(settings)
    except BlockMissing as missing:
        if unfinished is Unfinished.KEEP:
            raise BlockMissing(
                height=missing.height,
                block=missing.block,
                way_out="put the log's file back if there is a copy; no command has reported the "
                "block, and qlq ledger recover --drop-unfinished gives it up",
            ) from missing
        records = _drop(settings, missing)
        dropped = {
            "height": missing.height,
            "block": missing.block.hex(),
            "records": records,
        }
        height = _opened_height(settings)
    return {
        "height": height,
        "taken_up": list(range(before + 1, height + 1)),
        "dropped": dropped,
    }


def _height(settings: Settings) -> int:
    """Height of the last block in the file, before anything is taken up."""
    where = chains.folder(settings)
    if not chains.exists(settings):
        raise ConfigError(f"no ledger in {where}: qlq ledger init begins one")
    with LedgerStore(where, chains.open_keys(settings).storage) as store:
        return store.height()


def _opened_height(settings: Settings) -> int:
    with chains.opened(settings) as validator:
        return validator.tip.height


def _drop(settings: Settings, missing: BlockMissing) -> int:
    """Destroy this node's records of a height that nobody else can have heard of."""
    where = chains.folder(settings)
    turn = Turn(where)
    turn.take(timeout_s=chains.TURN_S)
    try:
        with LedgerStore(where, chains.open_keys(settings).storage) as store:
            state, tip = chains.load(store)
            others = len(execution.read_validators(state).current) - 1
            if others:
                raise LedgerError(
                    f"{others} other validators may have this node's vote for block "
                    f"{missing.height}: repair the ledger from a peer's export: qlq ledger repair "
                    "--from FILE"
                )
            if tip.height + 1 != missing.height:
                raise LedgerError(f"block {missing.height} is final by now: open the ledger again")
            return store.forget_records(missing.height)
    finally:
        turn.give_back()
