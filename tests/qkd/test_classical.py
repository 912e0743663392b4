"""A key exchange without quantum: who gets a key, and what any change on the wire leads to."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import msgspec
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from qlq.crypto.kem import CIPHERTEXT_BYTES
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import AuthenticationFailed, LocalMisuse, OutOfTurn, QLQError, RemoteMisuse
from qlq.qkd import classical
from qlq.qkd.authentication import framed
from qlq.qkd.classical import Answer, Confirmation, Confirmed, Offer, Person
from qlq.qkd.duties import Party, Transcript

KEYS = {party: SigningKey(Algorithm.ML_DSA_65, bytes([n]) * 32) for n, party in enumerate(Party)}
MALLORY = SigningKey(Algorithm.ML_DSA_65, b"m" * 32)
Tamper = Callable[[int, bytes], bytes]


def person(party: Party, **changes: object) -> Person:
    other = Party.BOB if party is Party.ALICE else Party.ALICE
    brought = {
        "party": party,
        "own": KEYS[party],
        "peer": KEYS[other].verifying_key,
        "seed": party.value.encode().ljust(32, b"."),
        **changes,
    }
    return Person(**brought)  # type: ignore[arg-type]


@dataclass
class Table:
    """Two parties with an attacker on their wire; whoever raises is dead."""

    phases: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)


def talk(
    alice: Person | None = None, bob: Person | None = None, tamper: Tamper | None = None
) -> Table:
    table, wire = Table(), deque()
    change = tamper or (lambda _number, data: data)

    def post(sender: Party, said: list) -> None:
        for message in said:
            data = classical.encode(message)
            table.sent.append((sender, data))
            wire.append((sender, change(len(table.sent) - 1, data)))

    for who in (bob or person(Party.BOB), alice or person(Party.ALICE)):
        table.phases[who.party], said = classical.start(who)
        post(who.party, said)
    while wire:
        sender, data = wire.popleft()
        receiver = Party.BOB if sender is Party.ALICE else Party.ALICE
        if receiver in table.errors:
            continue
        try:
            phase, said = classical.step(table.phases[receiver], classical.decode(data))
        except QLQError as error:
            table.errors[receiver] = error
            continue
        table.phases[receiver] = phase
        post(receiver, said)
    return table


def confirmed(table: Table) -> dict:
    return {
        party: classical.confirmed_key(phase)
        for party, phase in table.phases.items()
        if isinstance(phase, Confirmed) and party not in table.errors
    }


def test_both_parties_get_one_key_of_256_bits_in_four_messages() -> None:
    table = talk()
    keys = confirmed(table)
    assert table.errors == {}
    assert keys[Party.ALICE] == keys[Party.BOB]
    assert len(keys[Party.ALICE]) == 32
    assert [sender for sender, _ in table.sent] == [
        *(Party.ALICE, Party.BOB, Party.BOB, Party.ALICE)
    ]
    transcripts = {phase.transcript for phase in table.phases.values()}
    assert transcripts == {Transcript(tuple(table.sent))}


def test_two_exchanges_of_the_same_parties_have_different_keys() -> None:
    first, second = (confirmed(talk())[Party.ALICE] for _ in range(2))
    assert first != second


def test_the_key_is_hkdf_of_the_secret_under_both_first_messages() -> None:
    table = talk()
    before = Transcript(tuple(table.sent[:2]))
    secret = b"s" * 32
    derived = classical.derive(secret, before)
    material = HKDF(
        algorithm=SHA256(),
        length=96,
        salt=hashlib.sha256(framed(before)).digest(),
        info=b"qlq classical exchange 1",
    ).derive(secret)
    assert derived.key == material[:32]
    assert derived.tag_keys == {Party.ALICE: material[32:64], Party.BOB: material[64:]}


@given(number=st.integers(0, 3), position=st.integers(0, 20_000), bit=st.integers(0, 7))
def test_one_bit_turned_on_the_wire_leaves_nobody_with_a_key_the_other_lacks(
    number: int, position: int, bit: int
) -> None:
    def turn(index: int, data: bytes) -> bytes:
        if index != number:
            return data
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    table = talk(tamper=turn)
    assert table.errors
    keys = confirmed(table)
    # Alice has confirmed before Bob hears it: only her last message may cost him alone his key.
    assert set(keys) <= ({Party.ALICE} if number == 3 else set())
    for error in table.errors.values():
        assert isinstance(error, AuthenticationFailed | RemoteMisuse)


@pytest.mark.parametrize("number", [2, 3])
def test_a_tag_that_does_not_fit_is_refused_though_the_signature_does(number: int) -> None:
    """The signature covers what was said before it; the tag alone shows that the keys are one."""

    def other_tag(index: int, data: bytes) -> bytes:
        if index != number:
            return data
        said = classical.decode(data)
        assert isinstance(said, Confirmation)
        return classical.encode(msgspec.structs.replace(said, tag=bytes(16)))

    table = talk(tamper=other_tag)
    receiver = Party.ALICE if number == 2 else Party.BOB
    assert isinstance(table.errors[receiver], AuthenticationFailed)
    assert "different keys" in str(table.errors[receiver])
    assert receiver not in confirmed(table)


@pytest.mark.parametrize("party", Party)
def test_a_party_that_shows_an_unknown_identity_gets_no_key(party: Party) -> None:
    mallory = person(party, own=MALLORY)
    table = talk(**{party.value: mallory})
    other = Party.BOB if party is Party.ALICE else Party.ALICE
    assert isinstance(table.errors[other], AuthenticationFailed)
    assert confirmed(table) == {}


def test_mallory_cannot_speak_in_alice_s_name() -> None:
    """He shows her identity, and has his own signing key."""

    def show_alice(index: int, data: bytes) -> bytes:
        if index:
            return data
        offer = classical.decode(data)
        assert isinstance(offer, Offer)
        shown = KEYS[Party.ALICE].verifying_key.to_bytes()
        return classical.encode(msgspec.structs.replace(offer, identity=shown))

    table = talk(alice=person(Party.ALICE, own=MALLORY), tamper=show_alice)
    assert Party.BOB not in confirmed(table)


def test_a_signature_of_one_party_is_none_of_the_other() -> None:
    """Both use one key: their confirmations still cannot stand for each other."""
    shared = KEYS[Party.ALICE]
    people = {p: person(p, own=shared, peer=shared.verifying_key) for p in Party}
    seen: list[bytes] = []

    def reflect(index: int, data: bytes) -> bytes:
        seen.append(data)
        return seen[2] if index == 3 else data

    table = talk(people[Party.ALICE], people[Party.BOB], reflect)
    assert isinstance(table.errors[Party.BOB], AuthenticationFailed)


def test_messages_of_an_earlier_exchange_are_worth_nothing() -> None:
    earlier = talk(alice=person(Party.ALICE, seed=b"e" * 32))
    for replayed in (1, 2, 3):
        table = talk(tamper=lambda i, data, r=replayed: earlier.sent[i][1] if i == r else data)
        assert table.errors
        assert Party.BOB not in confirmed(table)


def test_every_pair_of_phase_and_message_is_a_step_or_out_of_turn() -> None:
    table = talk()
    offer, answer, by_bob, _ = (classical.decode(data) for _, data in table.sent)
    listening = classical.start(person(Party.BOB))[0]
    offered = classical.start(person(Party.ALICE))[0]
    keyed = classical.step(listening, offer)[0]
    phases = {"offered": offered, "listening": listening, "keyed": keyed}
    phases["confirmed"] = table.phases[Party.BOB]
    allowed = {("offered", Answer), ("listening", Offer), ("keyed", Confirmation)}
    for (name, phase), message in product(phases.items(), (offer, answer, by_bob)):
        if (name, type(message)) in allowed:
            continue
        with pytest.raises(OutOfTurn):
            classical.step(phase, message)


def test_no_key_is_given_out_before_the_other_one_has_confirmed() -> None:
    offer = classical.start(person(Party.ALICE))[1][0]
    keyed = classical.step(classical.start(person(Party.BOB))[0], offer)[0]
    with pytest.raises(LocalMisuse, match="Keyed"):
        classical.confirmed_key(keyed)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        classical.decode(data)
    except RemoteMisuse:
        return
    raise AssertionError(data)


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(RemoteMisuse, match="too long"):
        classical.decode(bytes((1 << 14) + 1))


@pytest.mark.parametrize(
    "answer",
    [
        {"nonce": bytes(31)},
        {"ciphertext": bytes(CIPHERTEXT_BYTES - 1)},
        {"ciphertext": bytes(CIPHERTEXT_BYTES)},  # its point has low order
    ],
)
def test_an_answer_that_no_honest_bob_gives_is_refused(answer: dict[str, bytes]) -> None:
    def change(index: int, data: bytes) -> bytes:
        if index != 1:
            return data
        return classical.encode(msgspec.structs.replace(classical.decode(data), **answer))

    assert isinstance(talk(tamper=change).errors[Party.ALICE], RemoteMisuse)


def test_anyone_can_check_who_said_a_transcript_and_alice_s_seed_finds_the_key_again() -> None:
    table = talk()
    transcript = Transcript(tuple(table.sent))
    assert classical.check_transcript(transcript) == {
        party: key.verifying_key for party, key in KEYS.items()
    }
    seed = person(Party.ALICE).seed
    assert classical.recompute(transcript, seed) == confirmed(table)[Party.BOB]
    with pytest.raises(AuthenticationFailed):
        classical.recompute(transcript, b"x" * 32)


@given(data=st.data())
def test_a_changed_or_reordered_transcript_does_not_check(data: st.DataObject) -> None:
    entries = list(talk().sent)
    if data.draw(st.booleans()):
        index = data.draw(st.integers(0, 3))
        sender, said = entries[index]
        at = data.draw(st.integers(0, len(said) - 1))
        # Alice's own tag is under a secret key, and nobody signs it: its 16 bytes and their length.
        if index == 3 and at >= len(said) - 18:
            return
        entries[index] = (sender, said[:at] + bytes([said[at] ^ 1]) + said[at + 1 :])
    else:
        order = data.draw(st.permutations(range(4)))
        if order == list(range(4)):
            return
        entries = [entries[index] for index in order]
    with pytest.raises((AuthenticationFailed, RemoteMisuse)):
        classical.check_transcript(Transcript(tuple(entries)))


def test_no_secret_is_shown() -> None:
    table = talk()
    shown = repr(table.phases) + repr(person(Party.ALICE))
    for secret in (confirmed(table)[Party.ALICE], person(Party.ALICE).seed):
        assert repr(secret) not in shown
