"""Envelopes open for each validator and nobody else, and say outside what they hold inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qlq.errors import InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault as Fault
from qlq.ledger import parcel, sealing
from qlq.ledger.operations import Anchor
from qlq.ledger.parcel import Content
from qlq.ledger.sealing import LinkKey, Opener, Reader, SealedTransaction
from qlq.ledger.transaction import SealKind, SignedTransaction
from qlq.provenance import Claim

ID = bytes(range(32))
CONTENT_KEY = bytes(range(100, 132))
KEY_IDS = [bytes([index]) * 16 for index in range(4)]
BYTES_MAX = 1 << 20


def link(index: int, claim: Claim = Claim.SIMULATION) -> LinkKey:
    return LinkKey(KEY_IDS[index], claim, bytes([200 + index]) * 40)


def readers(chain: Any, *links: LinkKey | None) -> tuple[Reader, ...]:
    """One reader for each validator, in the order of the set."""
    members = chain.rules.genesis.validators.members
    by_address = {node.address: node for node in chain.nodes}
    return tuple(
        Reader(one.address, by_address[one.address].opening.encapsulation_key, found)
        for one, found in zip(members, links, strict=True)
    )


def openers(chain: Any) -> list[Opener]:
    by_address = {node.address: node for node in chain.nodes}
    members = chain.rules.genesis.validators.members
    return [Opener(one.address, by_address[one.address].opening) for one in members]


def sealed(
    chain: Any, sender: Any, *links: LinkKey | None
) -> tuple[SealedTransaction, SignedTransaction]:
    whom = readers(chain, *links)
    draft = chain.draft(sender, Anchor(1, ID), memo=b"between us", seals=sealing.records(whom))
    signed = chain.signed(draft, sender)
    return sealing.seal(signed, whom, content_key=CONTENT_KEY), signed


def holding(*keys: LinkKey) -> Callable[[bytes], LinkKey]:
    by_id = {key.key_id: key for key in keys}
    return lambda key_id: by_id[key_id]


@pytest.fixture
def four(world: Any, alice: Any) -> Any:
    chain = world.chain(nodes=4)
    chain.enrol(alice)
    return chain


def test_each_validator_opens_by_its_own_seal(four: Any, alice: Any) -> None:
    """Under a key of two nodes alone, under a simulator's and the hybrid, under the hybrid."""
    keys = (link(0, Claim.TWO_NODE), link(1), None, link(3, Claim.CLASSICAL))
    envelope, signed = sealed(four, alice, *keys)
    kinds = [SealKind.QKD, SealKind.QKD_AND_PQ, SealKind.PQ, SealKind.QKD_AND_PQ]
    assert [SealKind(seal.kind) for seal in envelope.seals] == kinds
    again = sealing.decode(envelope.to_bytes(), bytes_max=BYTES_MAX)
    held = holding(*(key for key in keys if key))
    for opener in openers(four):
        assert sealing.unseal(again, opener, held) == signed
    assert four.put(signed).reason is None


def test_what_is_inside_cannot_be_read_outside(four: Any, alice: Any) -> None:
    envelope, _ = sealed(four, alice, None, None, None, None)
    assert b"between us" not in envelope.to_bytes()
    assert ID not in envelope.to_bytes()


def test_nobody_else_opens(four: Any, world: Any, alice: Any) -> None:
    envelope, _ = sealed(four, alice, link(0), None, None, None)
    stranger = world.node("stranger")
    first, second = openers(four)[:2]
    held = holding(link(0))
    for opener, reason in (
        (Opener(stranger.address, stranger.opening), Fault.SEAL_NOT_FOR_US),
        (Opener(first.address, stranger.opening), Fault.SEAL_BROKEN),
        (Opener(second.address, first.key), Fault.SEAL_BROKEN),
    ):
        with pytest.raises(InvalidTransaction) as caught:
            sealing.unseal(envelope, opener, held)
        assert caught.value.reason is reason
    other = LinkKey(KEY_IDS[0], Claim.SIMULATION, bytes(40))
    with pytest.raises(InvalidTransaction) as caught:
        sealing.unseal(envelope, first, holding(other))
    assert caught.value.reason is Fault.SEAL_BROKEN


def test_both_secrets_of_a_double_seal_are_needed(four: Any, alice: Any) -> None:
    """The link key alone, with the right hybrid key replaced, does not open; nor the other way."""
    envelope, _ = sealed(four, alice, link(0), None, None, None)
    first, second = openers(four)[:2]
    for opener, key in ((Opener(first.address, second.key), link(0)), (first, link(1))):
        with pytest.raises(InvalidTransaction) as caught:
            sealing.unseal(envelope, opener, lambda _, key=key: key)  # type: ignore[misc]
        assert caught.value.reason is Fault.SEAL_BROKEN


def test_no_changed_bit_opens(quotas: Any, alice: Any) -> None:
    """Every 7th bit of an envelope: it is refused, or does not decode."""
    envelope, _ = sealed(quotas, alice, link(0))
    data = envelope.to_bytes()
    (opener,) = openers(quotas)
    for place in range(0, 8 * len(data), 7):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidTransaction):
            sealing.unseal(
                sealing.decode(bytes(changed), bytes_max=BYTES_MAX), opener, lambda _: link(0)
            )


@pytest.mark.parametrize(
    ("field", "value"),
    [("nonce", 9), ("valid_until", 9), ("fee", 9), ("sender", ID), ("chain", ID)],
)
def test_what_is_clear_is_bound(
    world: Any, quotas: Any, alice: Any, field: str, value: object
) -> None:
    envelope, _ = sealed(quotas, alice, None)
    (opener,) = openers(quotas)
    with pytest.raises(InvalidTransaction) as caught:
        sealing.unseal(world.changed(envelope, **{field: value}), opener, holding())
    assert caught.value.reason is Fault.SEAL_BROKEN


def test_an_envelope_that_says_something_else_than_its_inside_is_refused(
    world: Any, quotas: Any, alice: Any
) -> None:
    """A sender that seals another fee than it signed."""
    whom = readers(quotas, None)
    draft = quotas.draft(alice, Anchor(1, ID), seals=sealing.records(whom))
    honest = quotas.signed(draft, alice)
    outside = quotas.signed(world.changed(draft, fee=5), alice)
    envelope = sealing.seal(outside, whom, content_key=CONTENT_KEY)
    forged = world.changed(
        envelope,
        ciphertext=sealing.aead.seal(
            CONTENT_KEY, honest.to_bytes(), nonce=bytes(12), aad=envelope.clear
        ),
    )
    (opener,) = openers(quotas)
    with pytest.raises(InvalidTransaction) as caught:
        sealing.unseal(forged, opener, holding())
    assert caught.value.reason is Fault.SEAL_MISMATCH


def test_a_claim_above_that_of_the_validators_copy_is_refused(four: Any, alice: Any) -> None:
    envelope, _ = sealed(four, alice, link(0, Claim.TWO_NODE), None, None, None)
    with pytest.raises(InvalidTransaction) as caught:
        sealing.unseal(envelope, openers(four)[0], holding(link(0, Claim.SAME_CHIP)))
    assert caught.value.reason is Fault.SEAL_POLICY


def test_a_draft_that_does_not_say_how_it_is_sealed_is_not_sealed(quotas: Any, alice: Any) -> None:
    whom = readers(quotas, link(0))
    signed = quotas.signed(quotas.draft(alice, Anchor(1, ID)), alice)
    with pytest.raises(ValueError, match="how it is sealed"):
        sealing.seal(signed, whom, content_key=CONTENT_KEY)


def test_a_link_key_has_256_bits_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="256"):
        LinkKey(KEY_IDS[0], Claim.SIMULATION, bytes(31))
    assert "c8c8" not in repr(link(0))
    assert repr(bytes([200])) not in repr(link(0))


def test_an_envelope_has_bounds(quotas: Any, alice: Any) -> None:
    data = sealed(quotas, alice, None)[0].to_bytes()
    with pytest.raises(InvalidTransaction) as caught:
        sealing.decode(data, bytes_max=len(data) - 1)
    assert caught.value.reason is Fault.SEAL_TOO_LARGE
    assert sealing.decode(data, bytes_max=len(data)).to_bytes() == data


def test_a_commitment_needs_its_salt() -> None:
    salt = bytes(range(32))
    assert sealing.commit(b"data", salt) != sealing.commit(b"data", bytes(32))
    assert sealing.commit(b"data", salt) != sealing.commit(b"date", salt)
    with pytest.raises(ValueError, match="32 bytes"):
        sealing.commit(b"data", bytes(31))


def test_a_parcel_opens_for_validators_as_what_it_is(four: Any, world: Any) -> None:
    packed = parcel.pack(
        b"a block",
        content=Content.BLOCK,
        chain=four.rules.chain,
        height=7,
        readers=four.rules.genesis.validators,
        content_key=CONTENT_KEY,
    )
    again = parcel.decode(packed.to_bytes(), bytes_max=BYTES_MAX)
    for opener in openers(four):
        plain = parcel.unpack(again, opener, content=Content.BLOCK, chain=four.rules.chain)
        assert plain == b"a block"
    first, stranger = openers(four)[0], world.node("stranger")
    refused = (
        (again, first, Content.SNAPSHOT, four.rules.chain),
        (again, first, Content.BLOCK, ID),
        (again, Opener(stranger.address, stranger.opening), Content.BLOCK, four.rules.chain),
        (again, Opener(first.address, stranger.opening), Content.BLOCK, four.rules.chain),
        (world.changed(again, height=8), first, Content.BLOCK, four.rules.chain),
        (world.changed(again, content=Content.EXPORT), first, Content.EXPORT, four.rules.chain),
    )
    for one, opener, content, chain_id in refused:
        with pytest.raises(RemoteMisuse):
            parcel.unpack(one, opener, content=content, chain=chain_id)
