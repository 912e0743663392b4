"""A chain in memory: accounts with keys, and blocks made of what they send."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from qlq.consensus import validators as validator_sets
from qlq.consensus.validators import Validator
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidTransaction
from qlq.ledger import address, execution, genesis, holdings, transaction, transition
from qlq.ledger.execution import Contracts
from qlq.ledger.genesis import Allocation, Genesis, Limits, Policy
from qlq.ledger.operations import NATIVE, Operation
from qlq.ledger.receipt import Receipt
from qlq.ledger.transaction import Authorisation, Draft, SignedTransaction
from qlq.ledger.transition import Proposal, Rules

START_MS = 1_900_000_000_000


def seed(name: str) -> bytes:
    """32 bytes that tests may know."""
    return hashlib.sha256(name.encode()).digest()


@dataclass
class Person:
    """Somebody with a key; Ed25519, which is quick."""

    name: str
    key: SigningKey
    address: bytes
    is_known: bool = False


def person(name: str, algorithm: Algorithm = Algorithm.ED25519) -> Person:
    """Somebody with a key of their own."""
    key = SigningKey(algorithm, seed(name))
    return Person(name, key, address.of(key.verifying_key))


@dataclass
class Node:
    """A validator's keys."""

    key: SigningKey
    opening: DecapsulationKey
    member: Validator

    @property
    def address(self) -> bytes:
        return self.member.address


def node(name: str, weight: int = 1) -> Node:
    """A validator with keys of its own."""
    key = SigningKey(Algorithm.ED25519, seed(f"vote {name}"))
    opening = DecapsulationKey(seed(f"open {name}"))
    member = validator_sets.validator(key.verifying_key, opening.encapsulation_key, weight=weight)
    return Node(key, opening, member)


@dataclass
class Chain:
    """A chain of some validators, whose blocks are final at once."""

    rules: Rules
    nodes: list[Node]
    salt: int = 0
    proposals: list[Proposal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state, self.tip = transition.begin(self.rules.genesis)

    @property
    def administrator(self) -> Person:
        first = self.nodes[0]
        return Person("administrator", first.key, first.address, is_known=True)

    def nonce(self, of: Person) -> int:
        account = holdings.find_account(self.state, of.address)
        return 0 if account is None else account.nonce

    def draft(self, sender: Person, *operations: Operation, **fields: Any) -> Draft:
        """What a person would sign now; fields in place of the usual ones."""
        self.salt += 1
        usual: dict[str, Any] = {
            "chain": self.rules.chain,
            "sender": sender.address,
            "nonce": self.nonce(sender),
            "valid_until": self.tip.height + 100,
            "fee": self.rules.genesis.policy.fee_min,
            "salt": self.salt.to_bytes(16, "big"),
            "operations": operations,
        }
        return Draft(**(usual | fields))

    def signed(self, draft: Draft, sender: Person, *others: Person) -> SignedTransaction:
        """A draft with signatures, keys shown by whoever the chain does not know yet."""
        ordered = [sender, *sorted(others, key=lambda one: one.address)]
        return SignedTransaction(draft, tuple(self.authorise(draft, one) for one in ordered))

    def authorise(self, draft: Draft, signer: Person) -> Authorisation:
        account = holdings.find_account(self.state, signer.address)
        shown = None if account is not None and account.key else signer.key.verifying_key
        return transaction.sign(draft, signer.address, signer.key, shown=shown)

    def send(self, sender: Person, *operations: Operation, **fields: Any) -> Receipt:
        """One transaction in a block of its own; raises what refuses it."""
        draft = self.draft(sender, *operations, **fields)
        return self.put(self.signed(draft, sender))

    def put(self, *signed: SignedTransaction) -> Receipt:
        """A block with these; the last one's receipt. Raises what refuses the last one."""
        entries = [one.to_bytes() for one in signed]
        proposal = self.propose(*entries)
        for entry, error in proposal.refused:
            if entry == entries[-1]:
                raise error
        self.accept(proposal)
        return proposal.outcome.receipts[-1]

    def propose(self, *entries: bytes) -> Proposal:
        time_ms = START_MS + 1000 * (self.tip.height + 1)
        return transition.propose(self.state, self.tip, entries, time_ms=time_ms, rules=self.rules)

    def accept(self, proposal: Proposal) -> None:
        """Carry a block out as another node would, and go on from it."""
        outcome = transition.apply_block(self.state, self.tip, proposal.block, rules=self.rules)
        assert outcome.tree.root == proposal.outcome.tree.root
        assert outcome.receipts == proposal.outcome.receipts
        self.state.accept(outcome.changes, outcome.tree)
        self.tip = self.tip.after(proposal.block.header)
        self.proposals.append(proposal)

    def balance(self, of: Person | bytes, asset: bytes = NATIVE) -> int:
        where = of.address if isinstance(of, Person) else of
        return holdings.balance(self.state, where, asset)

    def enrol(self, *people: Person) -> None:
        from qlq.ledger.operations import Enrol

        receipt = self.send(self.administrator, *(Enrol(one.address) for one in people))
        assert receipt.reason is None

    def refusal(self, signed: SignedTransaction | bytes) -> InvalidTransaction:
        """Why a transaction is refused; the state does not change."""
        root = self.state.tree.root
        entry = signed if isinstance(signed, bytes) else signed.to_bytes()
        proposal = self.propose(entry)
        assert not proposal.block.entries
        assert self.state.tree.root == root
        return proposal.refused[0][1]


def chain(
    policy: Policy = genesis.QUOTAS,
    *,
    nodes: int = 1,
    limits: Limits | None = None,
    contracts: Contracts | None = None,
    beacon: bytes = b"",
    rich: tuple[Person, ...] = (),
    native: int = 10**12,
) -> Chain:
    """A chain with these rules; the rich have native units from the beginning."""
    voters = [node(f"{index}") for index in range(nodes)]
    holders = sorted([one.address for one in rich] + [voters[0].address])
    made = Genesis(
        name="test",
        time_ms=START_MS,
        validators=validator_sets.of(*(one.member for one in voters)),
        administrators=(voters[0].address,),
        policy=policy,
        limits=limits or Limits(),
        beacon=beacon,
        allocations=tuple(Allocation(holder, native) for holder in holders) if rich else (),
    )
    genesis.check(made)
    return Chain(Rules(made, made.chain, contracts or execution.NoContracts()), voters)


class World:
    """What tests make: chains, people, validators, and structs with other fields."""

    chain = staticmethod(chain)
    person = staticmethod(person)
    node = staticmethod(node)
    seed = staticmethod(seed)

    @staticmethod
    def changed(value: Any, **fields: Any) -> Any:
        return msgspec.structs.replace(value, **fields)


@pytest.fixture
def world() -> type[World]:
    return World


@pytest.fixture
def alice() -> Person:
    return person("alice")


@pytest.fixture
def bob() -> Person:
    return person("bob")


@pytest.fixture
def carol() -> Person:
    return person("carol")


@pytest.fixture
def quotas(alice: Person, bob: Person) -> Chain:
    """A chain with quotas that knows Alice and Bob."""
    made = chain()
    made.enrol(alice, bob)
    return made


@pytest.fixture
def fees(alice: Person, bob: Person) -> Chain:
    """A chain with fees; Alice and Bob have 10^12 native units each."""
    return chain(genesis.FEES, rich=(alice, bob))
