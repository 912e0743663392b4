"""An envelope uses up its link key on both sides, once, and only if it opens."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq.config import Settings
from qlq.crypto.kem import EncapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidTransaction, KeysExhausted, KeyStoreDamaged
from qlq.faults import TransactionFault as Fault
from qlq.keys import SecretKey, Worth
from qlq.kme import master
from qlq.kme.database import FILE as KEYS_FILE
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore
from qlq.ledger import address, admission, genesis, holdings, sealing, transaction, transition
from qlq.ledger.operations import Anchor
from qlq.ledger.sealing import LinkKey, Reader
from qlq.ledger.transaction import Draft, SealKind, SealRecord, SignedTransaction
from qlq.node import chains, transacting
from qlq.node.link_keys import SENDER, VALIDATOR
from qlq.node.parties import party_folder
from qlq.node.transacting import SealPolicy, Sender, Sent, Wish
from qlq.node.validator import Validator
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qkd.duties import Party

PERSON = SigningKey(Algorithm.ED25519, hashlib.sha256(b"person").digest())
ACCOUNT = address.of(PERSON.verifying_key)
KEY_ID = uuid.UUID(int=7)
MATERIAL = bytes(range(0x40, 0x60))
SIMULATED = Provenance(
    tier=Tier.SIMULATOR,
    claim=Claim.SIMULATION,
    backend="aer:fez",
    provider="qiskit-aer",
    device="fake_fez",
    kind=Kind.NOISY,
    job_id="job-1",
    program_digest="00" * 32,
    sdk={"qiskit-aer": "0.17.2"},
    qubits=(4,),
    calibration={},
    entropy_cap_bits=32,
)


def secret(number: int, claim: Claim = Claim.SIMULATION) -> SecretKey:
    """A key as a session hands it over."""
    return SecretKey(
        material=bytes([number]) * 2 + MATERIAL,
        length_bits=8 * (2 + len(MATERIAL)),
        key_id=str(uuid.UUID(int=number)),
        eps_sec=1e-10,
        eps_cor=1e-12,
        eps_auth=1e-20,
        provenance=SIMULATED,
        worth=Worth(claim, ("an eavesdropper in the simulation",), 32),
    )


def link(number: int, claim: Claim = Claim.SIMULATION) -> LinkKey:
    """The sender's copy of it."""
    return LinkKey(uuid.UUID(int=number).bytes, claim, secret(number).material)


@dataclass
class Home:
    """A home with a ledger, whose account may send."""

    settings: Settings
    told: list[str] = field(default_factory=list)

    @contextmanager
    def store(self, party: Party) -> Iterator[KeyStore]:
        key = master.obtain(
            passphrase=None,
            data_folder=self.settings.home,
            settings_folder=self.settings.settings_folder,
        )
        with KeyStore(party_folder(self.settings.home, party), key) as store:
            yield store

    def share(self, *numbers: int) -> None:
        """Keys that both sides have."""
        for party, peer in ((SENDER, VALIDATOR), (VALIDATOR, SENDER)):
            with self.store(party) as store:
                for number in numbers:
                    store.add(secret(number), peer.value, number)

    def states(self, party: Party) -> list[State]:
        with self.store(party) as store:
            return [row.state for row in store.list()]

    def send(self, validator: Validator, seal: SealPolicy, number: int = 0) -> Sent:
        """What `qlq wallet send` does."""

        @contextmanager
        def unlock() -> Iterator[SigningKey]:
            yield PERSON

        wish = Wish((anchor(number),), seal=seal)
        sender = Sender("person", ACCOUNT, unlock)
        return transacting.send(validator, sender, wish, self.settings, self.told.append)


def anchor(number: int) -> Anchor:
    return Anchor(1, hashlib.sha256(b"%d" % number).digest())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(Settings(tmp_path / "data", tmp_path / "settings", "aer", None, {}))
    beginning = chains.Beginning("test", genesis.QUOTAS, genesis.Limits(), None, 0)
    chains.begin(beginning, made.settings)
    with chains.opened(made.settings) as validator:
        transacting.enrol(validator, chains.open_keys(made.settings), ACCOUNT)
    return made


@pytest.fixture
def validator(home: Home) -> Iterator[Validator]:
    with chains.opened(home.settings) as opened:
        yield opened


def draft(validator: Validator, *seals: SealRecord, number: int = 0) -> Draft:
    known = holdings.find_account(validator.state, ACCOUNT)
    assert known is not None
    return Draft(
        chain=validator.rules.chain,
        sender=ACCOUNT,
        nonce=known.nonce,
        valid_until=validator.tip.height + 50,
        fee=0,
        salt=os.urandom(16),
        operations=(anchor(number),),
        seals=seals,
    )


def signed(found: Draft) -> SignedTransaction:
    own = transaction.sign(found, ACCOUNT, PERSON, shown=PERSON.verifying_key)
    return SignedTransaction(found, (own,))


def sealed(validator: Validator, key: LinkKey | None, number: int = 0) -> Any:
    """An envelope for the validator, under this copy of a link key."""
    (member,) = validator.rules.genesis.validators.members
    own = EncapsulationKey.from_bytes(member.encapsulation_key)
    readers = (Reader(member.address, own, key),)
    made = signed(draft(validator, *sealing.records(readers), number=number))
    return sealing.seal(made, readers, content_key=os.urandom(32))


def refusal(submit: Callable[[], Any]) -> Fault:
    with pytest.raises(InvalidTransaction) as caught:
        submit()
    return caught.value.reason


def submit(validator: Validator, envelope: Any) -> bytes:
    return validator.submit_sealed(envelope.to_bytes(), peer="somebody")


def test_a_good_envelope_uses_its_key_up_once_on_both_sides(
    home: Home, validator: Validator
) -> None:
    home.share(1, 2)
    sent = home.send(validator, SealPolicy.QKD)
    assert (sent.kind, sent.key_id) == (SealKind.QKD_AND_PQ, str(uuid.UUID(int=1)))
    assert sent.claim == "simulation"
    assert sent.receipt.reason is None
    for party in (SENDER, VALIDATOR):
        assert home.states(party) == [State.DELIVERED, State.READY]
    assert home.send(validator, SealPolicy.QKD, 1).key_id == str(uuid.UUID(int=2))
    for party in (SENDER, VALIDATOR):
        assert home.states(party) == [State.DELIVERED, State.DELIVERED]
    with pytest.raises(KeysExhausted):
        home.send(validator, SealPolicy.QKD, 2)


FORGERIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "another key": lambda one: {
        "wraps": (changed(one.wraps[0], wrapped=turned(one.wraps[0].wrapped)),)
    },
    "another ciphertext": lambda one: {"ciphertext": turned(one.ciphertext)},
    "no ciphertext": lambda _: {"ciphertext": b""},
    "a wrap that is none": lambda one: {"wraps": (changed(one.wraps[0], wrapped=b""),)},
    "another hybrid secret": lambda one: {
        "wraps": (changed(one.wraps[0], encapsulated=bytes(1120)),)
    },
    "a hybrid secret cut off": lambda one: {"wraps": (changed(one.wraps[0], encapsulated=b""),)},
    "another expiry": lambda one: {"valid_until": one.valid_until - 1},
    "a seal by the link key alone": lambda one: {
        "seals": (changed(one.seals[0], kind=SealKind.QKD, claim=Claim.TWO_NODE),)
    },
}


def changed(one: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(one, **fields)


def turned(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_a_forged_envelope_uses_up_no_key(home: Home, validator: Validator) -> None:
    """The key is still there for the honest one, also after all of them."""
    home.share(7)
    honest = sealed(validator, link(7))
    forged = [changed(honest, **change(honest)) for change in FORGERIES.values()]
    forged.append(sealed(validator, changed_material(7)))
    for one in forged:
        reason = refusal(partial(submit, validator, one))
        assert reason in {Fault.SEAL_BROKEN, Fault.SEAL_POLICY}
        assert home.states(VALIDATOR) == [State.READY]
        assert len(validator.waiting) == 0
    submit(validator, honest)
    assert home.states(VALIDATOR) == [State.DELIVERED]
    made, _ = validator.make_block()
    assert made[0].outcome.receipts[0].reason is None


def changed_material(number: int) -> LinkKey:
    """Of somebody who knows the id of a key, and nothing else of it."""
    return LinkKey(uuid.UUID(int=number).bytes, Claim.SIMULATION, bytes(34))


def test_a_key_that_the_validator_has_not_got_is_told(home: Home, validator: Validator) -> None:
    """Neither without any keys, nor beside others."""
    for numbers in ((), (3,)):
        home.share(*numbers)
        found = sealed(validator, link(7))
        assert refusal(partial(submit, validator, found)) is Fault.SEAL_KEY_UNKNOWN
    assert home.states(VALIDATOR) == [State.READY]


def test_a_key_that_something_else_has_reserved_stays_reserved(
    home: Home, validator: Validator
) -> None:
    home.share(7)
    with home.store(VALIDATOR) as store:
        store.reserve(str(KEY_ID))
    found = sealed(validator, link(7))
    assert refusal(lambda: submit(validator, found)) is Fault.SEAL_KEY_UNKNOWN
    assert home.states(VALIDATOR) == [State.RESERVED]


def test_a_claim_above_that_of_the_validators_copy_uses_up_no_key(
    home: Home, validator: Validator
) -> None:
    home.share(7)
    for claim in (Claim.SAME_CHIP, Claim.TWO_NODE):
        found = sealed(validator, link(7, claim))
        assert refusal(partial(submit, validator, found)) is Fault.SEAL_POLICY
        assert home.states(VALIDATOR) == [State.READY]


def test_an_envelope_counts_once(home: Home, validator: Validator) -> None:
    """While it waits, when it is in a block, and after its key served another one."""
    home.share(7)
    found = sealed(validator, link(7))
    submit(validator, found)
    assert refusal(lambda: submit(validator, found)) is Fault.REPLACEMENT_FEE_TOO_LOW
    validator.make_block()
    assert refusal(lambda: submit(validator, found)) is Fault.NONCE_USED
    second = sealed(validator, link(7), 1)
    assert refusal(lambda: submit(validator, second)) is Fault.SEAL_KEY_REUSED
    assert home.states(VALIDATOR) == [State.DELIVERED]
    assert len(validator.waiting) == 0


def test_a_damaged_key_store_is_no_fault_of_the_sender(home: Home, validator: Validator) -> None:
    home.share(7)
    path = party_folder(home.settings.home, VALIDATOR) / KEYS_FILE
    found = sealed(validator, link(7))
    data = bytearray(path.read_bytes())
    data[data.index(b"aer:fez")] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(KeyStoreDamaged):
        submit(validator, found)


def test_what_seals_without_a_link_key_is_said_and_on_the_chain(
    home: Home, validator: Validator
) -> None:
    sent = home.send(validator, SealPolicy.AUTO)
    assert (sent.kind, sent.key_id, sent.claim) == (SealKind.PQ, None, None)
    (told,) = home.told
    assert "classical, computational" in told
    (entry,) = validator.store.block(sent.height).block.entries
    (seal,) = transaction.decode(entry).draft.seals
    assert (seal.reader, seal.kind, seal.key_id, seal.claim) == (
        *(validator.address, SealKind.PQ),
        *(b"", 0),
    )


def test_the_hybrid_alone_keeps_the_link_keys(home: Home, validator: Validator) -> None:
    home.share(7)
    assert home.send(validator, SealPolicy.PQ).kind is SealKind.PQ
    assert home.told == []
    for party in (SENDER, VALIDATOR):
        assert home.states(party) == [State.READY]


def test_what_the_sender_sealed_does_not_arrive_open(home: Home, validator: Validator) -> None:
    """Nor is an open one taken for sealed."""
    home.share(7)
    record = SealRecord(validator.address, SealKind.QKD_AND_PQ, KEY_ID.bytes, Claim.SIMULATION)
    found = signed(draft(validator, record)).to_bytes()
    assert refusal(lambda: validator.submit(found, peer="")) is Fault.SEAL_MISMATCH
    plain = signed(draft(validator)).to_bytes()
    assert refusal(lambda: validator.submit_sealed(plain, peer="")) is Fault.MALFORMED
    assert home.states(VALIDATOR) == [State.READY]


def test_a_signature_is_verified_once(
    validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On arrival; the block finds it remembered. A wrong one is remembered as nothing."""
    calls = []
    original = admission.verify

    def counted(need: admission.Need) -> None:
        calls.append(need)
        original(need)

    monkeypatch.setattr(admission, "verify", counted)
    found = signed(draft(validator))
    validator.submit(found.to_bytes(), peer="")
    assert len(calls) == 1
    made, _ = validator.make_block()
    assert len(made[0].outcome.ids) == 1
    assert len(calls) == 1
    other = signed(draft(validator, number=1))
    (authorisation,) = other.authorisations
    forged = changed(authorisation, signature=turned(authorisation.signature))
    wrong = changed(other, authorisations=(forged,)).to_bytes()
    for _ in range(2):
        before = len(calls)
        assert refusal(lambda: validator.submit(wrong, peer="")) is Fault.SIGNATURE
        assert len(calls) > before


def test_the_chain_needs_none_of_its_link_keys_again(home: Home) -> None:
    """All of them erased, and their stores gone: everything loads, and applies from the genesis."""
    home.share(1, 2)
    with chains.opened(home.settings) as validator:
        sent = [home.send(validator, SealPolicy.QKD, number) for number in range(2)]
        root, tip = validator.state.tree.root, validator.tip
    for party in (SENDER, VALIDATOR):
        with home.store(party) as store:
            for row in store.list():
                store.erase(row.description.key_id)
        assert set(home.states(party)) == {State.ERASED}
        shutil.rmtree(party_folder(home.settings.home, party))
    with chains.opened(home.settings) as validator:
        assert (validator.state.tree.root, validator.tip) == (root, tip)
        state, replayed = transition.begin(validator.rules.genesis)
        for one in validator.store.blocks():
            outcome = transition.apply_block(state, replayed, one.block, rules=validator.rules)
            assert outcome.receipts == one.receipts
            state.accept(outcome.changes, outcome.tree)
            replayed = replayed.after(one.block.header)
        assert (state.tree.root, replayed) == (root, tip)
        assert validator.store.place(sent[0].transaction) is not None
        assert home.send(validator, SealPolicy.AUTO, 2).kind is SealKind.PQ


def test_a_key_that_is_too_short_to_seal_is_refused_and_stays(
    home: Home, validator: Validator
) -> None:
    short = dataclasses.replace(secret(9), material=secret(9).material[:16], length_bits=128)
    with home.store(VALIDATOR) as store:
        store.add(short, SENDER.value, 9)
    envelope = sealed(validator, link(9))
    assert refusal(lambda: submit(validator, envelope)) is Fault.SEAL_KEY_UNKNOWN
    assert home.states(VALIDATOR) == [State.READY]
