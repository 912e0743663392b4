"""Any transactions in any order: the ledger holds what a book of plain dictionaries holds."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from qlq.errors import InvalidProof
from qlq.faults import TransactionFault as Fault
from qlq.ledger import genesis, operations, records, state_tree, transition
from qlq.ledger.genesis import PolicyKind
from qlq.ledger.operations import AMOUNT_MAX, NATIVE, Leg, Operation
from qlq.ledger.records import Account, Asset, Escrow
from qlq.ledger.state import State
from qlq.ledger.state_tree import Proof

PLENTY = AMOUNT_MAX // 8
DEPOSIT = genesis.FEES.deposit
QUOTA = 5
WHO = (0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 5)
"""People by number: Dave, who is poor, Erin, whom nobody knows, and the administrator are rarer."""
Key = tuple[bytes, bytes]


def named(name: bytes, data: bytes) -> bytes:
    return hashlib.sha256(bytes([len(name)]) + name + data).digest()


class Refused(Exception):
    """The book does not allow it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def need(condition: object, fault: Fault) -> None:
    if not condition:
        raise Refused(fault)


@dataclass
class Book:
    """What the ledger should hold."""

    with_fees: bool
    administrator: bytes
    nonces: dict[bytes, int] = field(default_factory=dict)
    held: Counter[Key] = field(default_factory=Counter)
    assets: dict[bytes, list[Any]] = field(default_factory=dict)
    escrows: dict[bytes, Escrow] = field(default_factory=dict)
    anchors: set[bytes] = field(default_factory=set)
    made: Counter[bytes] = field(default_factory=Counter)

    @property
    def entries(self) -> int:
        """Entries of the state that somebody answers for: an asset has its symbol beside it."""
        balances = sum(amount > 0 for (_, asset), amount in self.held.items() if asset != NATIVE)
        parts = (self.nonces, self.assets, self.assets, self.escrows, self.anchors)
        return balances + sum(len(part) for part in parts)

    def take(self, account: bytes, asset: bytes, amount: int) -> None:
        need(self.held[account, asset] >= amount, Fault.INSUFFICIENT_BALANCE)
        self.held[account, asset] -= amount

    def give(self, account: bytes, asset: bytes, amount: int) -> None:
        need(account in self.nonces or self.with_fees, Fault.UNKNOWN_ACCOUNT)
        self.nonces.setdefault(account, 0)
        self.held[account, asset] += amount

    def carry_out(self, draft: Any, height: int) -> Fault | None:
        """Do all of a draft or none; why not. Raises Refused if it may be in no block."""
        sender, nonce = draft.sender, self.nonces.get(draft.sender)
        need(nonce is not None, Fault.UNKNOWN_SENDER)
        need(draft.nonce >= nonce, Fault.NONCE_USED)
        need(draft.nonce <= nonce, Fault.NONCE_GAP)
        need(self.held[sender, NATIVE] >= draft.fee, Fault.FEE_UNAFFORDABLE)
        givers = {giver for part in draft.operations for giver in operations.givers(part)}
        need(givers <= set(self.nonces), Fault.UNKNOWN_SENDER)
        self.nonces[sender] += 1
        self.held[sender, NATIVE] -= draft.fee
        before, fault = copy.deepcopy(vars(self)), None
        try:
            for index, part in enumerate(draft.operations):
                self.do(sender, part, draft.id + index.to_bytes(2, "big"), height)
            self.settle(sender, before["made"], Book(**before).entries)
        except Refused as refused:
            vars(self).update(before)
            fault = refused.fault
        self.held[self.administrator, NATIVE] += draft.fee
        return fault

    def settle(self, sender: bytes, made: Counter[bytes], entries: int) -> None:
        new = self.entries - entries
        if not new:
            return
        self.made[sender] = max(0, made[sender] + new)
        if not self.with_fees:
            need(self.made[sender] <= QUOTA, Fault.STATE_QUOTA)
            return
        need(self.held[sender, NATIVE] >= new * DEPOSIT, Fault.DEPOSIT_UNAFFORDABLE)
        self.held[sender, NATIVE] -= new * DEPOSIT
        self.held[records.DEPOSITS, NATIVE] += new * DEPOSIT

    def do(self, sender: bytes, part: Operation, name: bytes, height: int) -> None:
        match part:
            case operations.Transfer(legs):
                for leg in legs:
                    self.take(leg.source, leg.asset, leg.amount)
                    self.give(leg.target, leg.asset, leg.amount)
            case operations.DefineAsset(symbol, _, cap):
                taken = {asset[0] for asset in self.assets.values()} | {"QLQ"}
                need(symbol not in taken, Fault.SYMBOL_TAKEN)
                self.assets[named(b"qlq/asset/1", name)] = [symbol, sender, 0, cap]
            case operations.Issue(asset, target, amount):
                need(asset in self.assets, Fault.UNKNOWN_ASSET)
                _, issuer, supply, cap = self.assets[asset]
                need(issuer == sender, Fault.NOT_ISSUER)
                need(supply + amount <= cap, Fault.SUPPLY_OVERFLOW)
                self.assets[asset][2] += amount
                self.give(target, asset, amount)
            case operations.Burn(asset, amount):
                need(asset in self.assets, Fault.UNKNOWN_ASSET)
                self.take(sender, asset, amount)
                self.assets[asset][2] -= amount
            case operations.Enrol(account):
                need(sender == self.administrator, Fault.NOT_ADMIN)
                need(account not in self.nonces, Fault.ALREADY_ENROLLED)
                self.nonces[account] = 0
            case operations.Anchor(_, found):
                need(found not in self.anchors, Fault.ALREADY_ANCHORED)
                self.anchors.add(found)
            case _:
                self.decide(sender, part, named(b"qlq/escrow/1", name), height)

    def decide(self, sender: bytes, part: Operation, name: bytes, height: int) -> None:
        match part:
            case operations.Reserve(target, asset, amount, arbiter, until):
                need(until >= height, Fault.ESCROW_EXPIRED)
                self.take(sender, asset, amount)
                self.escrows[name] = Escrow(sender, target, asset, amount, arbiter, until)
            case operations.Post(escrow):
                need(escrow in self.escrows, Fault.UNKNOWN_ESCROW)
                waits = self.escrows[escrow]
                need(sender == waits.arbiter, Fault.NOT_ARBITER)
                need(height <= waits.until, Fault.ESCROW_EXPIRED)
                del self.escrows[escrow]
                self.give(waits.target, waits.asset, waits.amount)
            case operations.Void(escrow):
                need(escrow in self.escrows, Fault.UNKNOWN_ESCROW)
                waits = self.escrows[escrow]
                need(sender == waits.arbiter or height > waits.until, Fault.ESCROW_OPEN)
                del self.escrows[escrow]
                self.give(waits.source, waits.asset, waits.amount)


KINDS = (
    *("transfer", "transfer", "define", "issue", "issue", "burn"),
    *("reserve", "reserve", "post", "post", "void", "enrol", "anchor"),
)
AMOUNTS = (*range(1, 30), PLENTY, AMOUNT_MAX)
OFF = (*[0] * 14, -1, 1)
"""How far a nonce is off."""
NUMBERS = st.integers(0, 11)


class Ledger(RuleBasedStateMachine):
    """A chain and the book beside it."""

    seen: Counter[str]

    def __init__(self, world: Any, kind: PolicyKind, seen: Counter[str]) -> None:
        super().__init__()
        self.world, self.seen = world, seen
        self.people = [world.person(name) for name in ("alice", "bob", "carol", "dave", "erin")]
        quotas = world.changed(genesis.QUOTAS, entries_max=QUOTA)
        with_fees = kind is PolicyKind.FEES
        policy = genesis.FEES if with_fees else quotas
        rich = tuple(self.people[:3]) if with_fees else ()
        self.chain = world.chain(policy, rich=rich, native=PLENTY)
        first = self.chain.nodes[0].address
        self.book = Book(with_fees, first, nonces={first: 0, records.DEPOSITS: 0})
        for one in rich:
            self.book.nonces[one.address] = 0
            self.book.held[one.address, NATIVE] = PLENTY
        if with_fees:
            self.book.held[first, NATIVE] = PLENTY
        self.people.append(self.chain.administrator)

    @initialize()
    def begin(self) -> None:
        """Four people, one of them poor, and an asset of Alice's; nobody knows Erin."""
        alice, bob, carol, dave, _, administrator = self.people
        if self.book.with_fees:
            gift = operations.Transfer((Leg(carol.address, dave.address, NATIVE, 500),))
            self.make(self.draft(carol, 0, (gift,)))
        else:
            enrolled = tuple(operations.Enrol(one.address) for one in (alice, bob, carol, dave))
            self.make(self.draft(administrator, 0, enrolled))
        self.make(self.draft(alice, 0, (operations.DefineAsset("GOLD", 2, 1000),)))
        (gold,) = self.book.assets
        self.make(
            self.draft(
                alice, 0, tuple(operations.Issue(gold, one.address, 200) for one in (alice, bob))
            )
        )

    @rule(seed=st.integers(0, (1 << 32) - 1))
    def blocks(self, seed: int) -> None:
        """Blocks of some transactions, as far as they may be in them.

        From a seed, since examples that are drawn number by number are mostly alike.
        """
        for _ in range(6):
            sim_rng = Random((seed << 16) + self.chain.tip.height)  # noqa: S311 - a simulation
            self.make(*(self.plan(sim_rng) for _ in range(sim_rng.randint(1, 4))))

    @precondition(lambda self: self.book.escrows)
    @rule(number=NUMBERS, ending=st.sampled_from([operations.Post, operations.Void]))
    def decide(self, number: int, ending: type[operations.Post | operations.Void]) -> None:
        """An arbiter does what it is there for."""
        escrow, found = list(self.book.escrows.items())[number % len(self.book.escrows)]
        arbiter = next(one for one in self.people if one.address == found.arbiter)
        self.make(self.draft(arbiter, 0, (ending(escrow),)))

    @rule(number=NUMBERS)
    def wait(self, number: int) -> None:
        """Blocks without transactions: escrows come to their end."""
        for _ in range(1 + number):
            self.make()

    def plan(self, sim_rng: Random) -> Callable[[], Any]:
        """A draft whose ids are found when its turn comes."""

        def made() -> Any:
            whom = self.people[sim_rng.choice(WHO)]
            count = sim_rng.choice((1, 1, 1, 2, 3))
            parts = tuple(self.part(whom.address, sim_rng) for _ in range(count))
            return self.draft(whom, sim_rng.choice(OFF), parts)()

        return made

    def draft(self, sender: Any, off: int, parts: tuple[Operation, ...]) -> Callable[[], Any]:
        def made() -> Any:
            nonce = max(0, self.book.nonces.get(sender.address, 0) + off)
            return self.chain.draft(sender, *parts, nonce=nonce)

        return made

    def part(self, sender: bytes, sim_rng: Random) -> Operation:
        """Some operation on what there is, and now and then on what there is not."""
        a, b, c = (sim_rng.randrange(12) for _ in range(3))
        account, other = (self.people[WHO[number]].address for number in (a, b))
        amount = sim_rng.choice(AMOUNTS)
        own = [asset for (whom, asset), held in self.book.held.items() if whom == sender and held]
        asset = sim_rng.choice([*self.book.assets, *own, *own, NATIVE, bytes([9]) * 32])
        escrows = self.book.escrows
        due = [name for name, escrow in escrows.items() if escrow.arbiter == sender]
        escrow = sim_rng.choice([*escrows, *due, *due, bytes([8]) * 32])
        arbiter = sim_rng.choice((sender, other))
        legs = (Leg(sender, account, asset, amount), Leg(account, other, asset, amount))
        kept = tuple(leg for leg in legs if leg.source != leg.target)[: 1 + (c > 8)]
        until = self.chain.tip.height + 2 * b
        symbol = ("GOLD", "TIN", "QLQ", f"X{b}")[a % 4]
        found: dict[str, Operation] = {
            "transfer": operations.Transfer(kept or (Leg(sender, b"\7" * 32, asset, amount),)),
            "define": operations.DefineAsset(symbol, 0, 100 * c + 1),
            "issue": operations.Issue(asset, account, amount),
            "burn": operations.Burn(asset, amount),
            "reserve": operations.Reserve(account, asset, amount, arbiter, until),
            "post": operations.Post(escrow),
            "void": operations.Void(escrow),
            "enrol": operations.Enrol(account),
            "anchor": operations.Anchor(1, bytes([a % 3]) * 32),
        }
        return found[sim_rng.choice(KINDS)]

    def make(self, *plans: Callable[[], Any]) -> None:
        """One block, and the same in the book."""
        height, entries, faults, refused = self.chain.tip.height + 1, [], [], []
        for plan in plans:
            draft = plan()
            givers = {giver for part in draft.operations for giver in operations.givers(part)}
            people = {one.address: one for one in self.people}
            others = [people[giver] for giver in givers - {draft.sender}]
            entry = self.chain.signed(draft, people[draft.sender], *others).to_bytes()
            entries.append(entry)
            try:
                faults.append(self.book.carry_out(draft, height))
                if faults[-1] is None:
                    self.seen.update(type(part).__name__ for part in draft.operations)
            except Refused as error:
                refused.append((entry, error.fault))
        proposal = self.chain.propose(*entries)
        assert [(entry, error.reason) for entry, error in proposal.refused] == refused
        assert [receipt.reason for receipt in proposal.outcome.receipts] == faults
        self.chain.accept(proposal)
        self.seen.update(fault.word for fault in faults if fault)
        self.seen.update(fault.word for _, fault in refused)

    def prove(self) -> None:
        """What is in the state and what is not can be shown, and nothing else."""
        state = self.chain.state
        items, root = list(state.items()), state.tree.root
        key, value = items[len(self.chain.proposals) % len(items)]
        present = partial(state_tree.verify_membership, key=key, value=value, root_hash=root)
        absent = partial(state_tree.verify_absence, key=b"?" + key, root_hash=root)
        for found, verify in ((key, present), (b"?" + key, absent)):
            proof = state.tree.prove(found)
            verify(proof)
            self.refuse_changes(proof.to_bytes(), verify)

    def refuse_changes(self, data: bytes, verify: Callable[[Proof], None]) -> None:
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(InvalidProof):
                verify(Proof.from_bytes(bytes(changed)))

    @invariant()
    def holds_what_the_book_holds(self) -> None:
        """Entry by entry, so that nothing is there beside it."""
        found = Book(self.book.with_fees, self.book.administrator)
        symbols = {}
        for key, value in self.chain.state.items():
            match key[:1]:
                case b"A":
                    account = records.read(value, Account)
                    found.nonces[key[1:]] = account.nonce
                    found.held[key[1:], NATIVE] = account.native
                    found.made[key[1:]] = account.entries
                case b"B":
                    found.held[key[1:33], key[33:]] = int.from_bytes(value, "big")
                case b"S":
                    asset = records.read(value, Asset)
                    found.assets[key[1:]] = [asset.symbol, asset.issuer, asset.supply, asset.cap]
                case b"Y":
                    symbols[key[1:].decode()] = value
                case b"E":
                    found.escrows[key[1:]] = records.read(value, Escrow)
                case b"N":
                    found.anchors.add(key[1:])
                case kind:
                    assert kind in (b"V", b"T")
        assert found == self.book  # counters: 0 is none
        assert symbols == {asset[0]: id_ for id_, asset in self.book.assets.items()}

    @invariant()
    def makes_and_loses_nothing(self) -> None:
        """Of each asset, accounts and escrows hold its supply; of the native one, the genesis's."""
        whole: Counter[bytes] = Counter()
        for key, value in self.chain.state.items():
            if key[:1] == b"A":
                whole[NATIVE] += records.read(value, Account).native
            elif key[:1] == b"B":
                whole[key[33:]] += int.from_bytes(value, "big")
            elif key[:1] == b"E":
                escrow = records.read(value, Escrow)
                whole[escrow.asset] += escrow.amount
            elif key[:1] == b"S":
                whole[key[1:]] -= records.read(value, Asset).supply
        allocated = sum(one.amount for one in self.chain.rules.genesis.allocations)
        assert whole == Counter({NATIVE: allocated})

    @invariant()
    def is_its_own_snapshot(self) -> None:
        """A state made of its entries at once has the root that step after step has led to."""
        root = State(dict(self.chain.state.items())).tree.root
        assert root == self.chain.state.tree.root
        if self.chain.proposals:
            assert root == self.chain.proposals[-1].block.header.state_root

    def teardown(self) -> None:
        """Proofs of the last state, and all blocks again from the genesis."""
        self.prove()
        rules = self.chain.rules
        state, tip = transition.begin(rules.genesis)
        for proposal in self.chain.proposals:
            outcome = transition.apply_block(state, tip, proposal.block, rules=rules)
            assert outcome.tree.root == proposal.block.header.state_root
            state.accept(outcome.changes, outcome.tree)
            tip = tip.after(proposal.block.header)
        assert tip == self.chain.tip
        assert dict(state.items()) == dict(self.chain.state.items())


COMMON = {
    *("Transfer", "DefineAsset", "Issue", "Burn", "Reserve", "Post", "Void", "Anchor"),
    *("insufficient-balance", "nonce-used", "nonce-gap", "unknown-sender", "not-issuer"),
    *(
        "symbol-taken",
        "unknown-asset",
        "unknown-escrow",
        "escrow-expired",
        "escrow-open",
        "not-arbiter",
    ),
}
WITH = {
    genesis.QUOTAS.kind: COMMON | {"state-quota", "unknown-account", "not-admin"},
    genesis.FEES.kind: COMMON | {"fee-unaffordable"},
}
"""What the examples have to come across; they are the same ones every time."""


def check(world: Any, kind: PolicyKind, *, examples: int, steps: int) -> None:
    seen: Counter[str] = Counter()
    run(
        lambda: Ledger(world, kind, seen),
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
    assert WITH[kind] <= set(seen), sorted(seen.items())


@pytest.mark.parametrize("kind", PolicyKind)
def test_the_ledger_holds_what_the_book_holds(world: Any, kind: PolicyKind) -> None:
    check(world, kind, examples=36, steps=8)


@pytest.mark.long
@pytest.mark.parametrize("kind", PolicyKind)
def test_the_ledger_holds_what_the_book_holds_for_long(world: Any, kind: PolicyKind) -> None:
    check(world, kind, examples=200, steps=30)
