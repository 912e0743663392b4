"""Signatures are verified once, ahead of their block, whatever else is remembered."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator

import pytest

from qlq import codec
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidTransaction
from qlq.ledger import address, admission, records, transaction
from qlq.ledger.admission import Need
from qlq.ledger.operations import Anchor
from qlq.ledger.records import Account
from qlq.ledger.state import State
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.node import verification
from qlq.node.verification import Verifier

CHAIN = bytes(32)


def key(name: str) -> SigningKey:
    return SigningKey(Algorithm.ED25519, hashlib.sha256(name.encode()).digest())


def signed(name: str, nonce: int, *, shows: bool) -> SignedTransaction:
    own = key(name)
    sender = address.of(own.verifying_key)
    draft = Draft(
        chain=CHAIN,
        sender=sender,
        nonce=nonce,
        valid_until=9,
        fee=0,
        salt=bytes(16),
        operations=(Anchor(1, hashlib.sha256(b"%d" % nonce).digest()),),
    )
    shown = own.verifying_key if shows else None
    return SignedTransaction(draft, (transaction.sign(draft, sender, own, shown=shown),))


def need(name: str, nonce: int = 0) -> Need:
    made = signed(name, nonce, shows=False)
    return Need(key(name).verifying_key.to_bytes(), made.draft.to_bytes(), made.authorisations[0])


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    made = Verifier(2)
    yield made
    made.close()


def is_known(verifier: Verifier, one: Need) -> bool:
    """Nothing is begun for what is known."""
    return not verifier.begin([one])  # of a verifier with threads


def test_what_was_verified_ahead_is_known_and_what_does_not_fit_is_not(verifier: Verifier) -> None:
    good, other = need("a"), need("b")
    bad = Need(good.key, good.message, other.authorisation)
    verifier.finish(verifier.begin([good, bad]))
    assert is_known(verifier, good)
    assert not is_known(verifier, bad)
    verifier.verify(good)
    with pytest.raises(InvalidTransaction):
        verifier.verify(bad)


def test_a_known_signature_of_another_key_or_message_is_not_known(verifier: Verifier) -> None:
    good, other = need("a"), need("b")
    verifier.verify(good)
    for changed in (
        Need(other.key, good.message, good.authorisation),
        Need(good.key, other.message, good.authorisation),
    ):
        assert not is_known(verifier, changed)
        with pytest.raises(InvalidTransaction):
            verifier.verify(changed)
    assert is_known(verifier, good)


@pytest.mark.parametrize(("remembered_max", "known"), [(8, 10), (2, 4), (0, 2)])
def test_older_ones_are_remembered_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, remembered_max: int, known: int
) -> None:
    monkeypatch.setattr(verification, "RECENT_MAX", 2)
    made = Verifier(2, remembered_max=remembered_max)
    needs = [need("a", nonce) for nonce in range(11)]
    try:
        for one in needs:
            made.verify(one)
        assert [is_known(made, one) for one in needs] == [False] * (11 - known) + [True] * known
    finally:
        made.close()


def test_keys_shown_in_blocks_before_or_in_the_same_one_are_foreseen() -> None:
    known = address.of(key("known").verifying_key)
    account = Account(key=key("known").verifying_key.to_bytes())
    state = State({records.account_key(known): codec.encode(account)})
    shown: dict[bytes, bytes] = {}
    first = [signed("new", 0, shows=True), signed("new", 1, shows=False)]
    second = [signed("new", 2, shows=False), signed("known", 0, shows=False)]
    stranger = signed("stranger", 0, shows=False)
    found = [
        list(admission.foresee(state, [one.to_bytes() for one in block], shown))
        for block in (first, [*second, stranger])
    ]
    assert [[one.message for one in block] for block in found] == [
        [one.draft.to_bytes() for one in block] for block in (first, second)
    ]
    for block in found:
        for one in block:
            admission.verify(one)


def test_the_interpreter_is_shared_only_while_it_is_asked_for() -> None:
    before = sys.getswitchinterval()
    with verification.sharing():
        assert sys.getswitchinterval() == pytest.approx(verification.SWITCH_S)
    assert sys.getswitchinterval() == before


def test_with_one_core_signatures_are_verified_in_one_go_and_known_after() -> None:
    made = Verifier(1)
    good, other = need("a"), need("b")
    bad = Need(good.key, good.message, other.authorisation)
    assert made.begin([good, bad]) == ()
    made.verify(good)
    with pytest.raises(InvalidTransaction):
        made.verify(bad)
    made.close()


def test_who_waits_verifies_what_no_thread_has_begun() -> None:
    made = Verifier(2)
    assert made._pool is not None
    hold = threading.Event()
    held = made._pool.submit(hold.wait)  # the only other thread is busy
    try:
        good, other = need("a"), need("b")
        bad = Need(good.key, good.message, other.authorisation)
        made.finish(made.begin([good, bad, other]))
        assert [is_known(made, one) for one in (good, other)] == [True, True]
        assert not held.done()
        with pytest.raises(InvalidTransaction):
            made.verify(bad)
    finally:
        hold.set()
        made.close()
