"""A home whose chain is handed over to others: it can be read, and says that it makes no blocks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from qlq.config import Settings
from qlq.consensus import validators as validator_sets
from qlq.consensus.validators import Validator as Member
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidTransaction, LedgerError
from qlq.faults import TransactionFault as Fault
from qlq.ledger import execution, genesis
from qlq.ledger.operations import Anchor, ChangeValidators
from qlq.node import audit, chains, copies, transacting

OTHER = SigningKey(Algorithm.ED25519, hashlib.sha256(b"other").digest())
OTHER_OPENING = DecapsulationKey(hashlib.sha256(b"other opens").digest())


def member(key: SigningKey, opening: DecapsulationKey) -> Member:
    return validator_sets.validator(key.verifying_key, opening.encapsulation_key, weight=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(tmp_path / "data", tmp_path / "settings", "aer", None, {})
    chains.begin(chains.Beginning("test", genesis.QUOTAS, genesis.Limits(), None, 0), made)
    return made


def anchor(number: int) -> Anchor:
    return Anchor(1, hashlib.sha256(b"%d" % number).digest())


def hand_over(settings: Settings) -> int:
    """To another validator; the height of the last block that this node makes."""
    keys = chains.open_keys(settings)
    following = validator_sets.of(member(OTHER, OTHER_OPENING))
    with chains.opened(settings) as validator:
        sent = transacting.send_own(validator, keys, ChangeValidators(following.to_bytes()))
        assert sent.receipt.reason is None
        made, refused = validator.make_block()
        assert refused == []
        assert execution.read_validators(validator.state).current == following
        return made[-1].block.header.height


def test_the_last_block_before_the_others_take_over_is_made_and_kept(
    settings: Settings, tmp_path: Path
) -> None:
    height = hand_over(settings)
    keys = chains.open_keys(settings)
    with chains.opened(settings) as validator:
        assert validator.tip.height == height
        with pytest.raises(LedgerError, match=rf"block {height + 1} is for other validators"):
            validator.make_block()
        with pytest.raises(LedgerError, match="this node is not in it"):
            transacting.send_own(validator, keys, anchor(1))
        copies.write_snapshot(validator.store, validator.state, tmp_path / "snapshot")
    report = audit.verify_home(settings, audit.Level.FULL)
    assert report["findings"] == []


def test_a_set_that_this_node_s_engine_cannot_reach_is_refused_before_it_is_final(
    settings: Settings,
) -> None:
    keys = chains.open_keys(settings)
    own = member(keys.signing, keys.opening)
    together = validator_sets.of(own, member(OTHER, OTHER_OPENING))
    with chains.opened(settings) as validator:
        with pytest.raises(InvalidTransaction) as caught:
            transacting.send_own(validator, keys, ChangeValidators(together.to_bytes()))
        assert caught.value.reason is Fault.VALIDATORS_INVALID
        assert "serves 1" in str(caught.value)
        assert transacting.send_own(validator, keys, anchor(1)).receipt.reason is None
