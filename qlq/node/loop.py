"""One validator's part in making blocks final: receive -> step -> persist -> send, in that order.

The only code that sends. Whatever a step wants on disk is synced before the next message of the
same step leaves; several records before one message share a sync.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import Enum, auto

from qlq.consensus import certificate as certificates
from qlq.consensus import finality, votes
from qlq.consensus import validators as validator_sets
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement
from qlq.consensus.phases import (
    Candidate,
    CertificateHeard,
    Conflict,
    Decided,
    Effect,
    Event,
    Final,
    KeyUsedElsewhere,
    Message,
    Persist,
    Phase,
    Record,
    Seat,
    Send,
    VoteHeard,
)
from qlq.consensus.validators import Validators
from qlq.consensus.votes import SignedVote
from qlq.crypto.signing import SigningKey
from qlq.errors import (
    BlockMissing,
    InvalidBlock,
    InvalidCertificate,
    InvalidTransaction,
    InvalidVote,
    InvariantBroken,
    LedgerError,
    RemoteMisuse,
)
from qlq.faults import TransactionFault
from qlq.ledger import block as blocks
from qlq.ledger import execution, parcel, transition
from qlq.ledger.block import Block
from qlq.ledger.operations import ChangeValidators, Operation
from qlq.ledger.parcel import CONTENT_KEY_BYTES, Content
from qlq.ledger.sealing import Opener
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.ledger.transition import Outcome, Rules, Tip
from qlq.node.engines.port import Engine

ENTRY_BYTES_MAX = 1 << 25
AHEAD_MS = 60_000
"""A block whose time is so far ahead of this node's clock is no candidate."""
APPENDS_MAX = 3
"""Lost races for one height after which the node waits for the others."""


class _Wire(Enum):
    """First byte of a message, so that votes and certificates share a way."""

    VOTE = auto()
    CERTIFICATE = auto()
    STATEMENT = auto()


@dataclass(frozen=True, slots=True)
class _Held:
    """A block that was carried out here and waits for its certificate."""

    block: Block
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Made:
    """A block that became final.

    Attributes:
        block: The block.
        outcome: What it did.
        certificate: Who says so.
    """

    block: Block
    outcome: Outcome
    certificate: QuorumCertificate


class Loop:
    """A validator at the tip of its chain. One thread."""

    def __init__(
        self,
        store: LedgerStore,
        engine: Engine,
        rules: Rules,
        *,
        state: State,
        tip: Tip,
        key: SigningKey,
        opener: Opener,
    ) -> None:
        """Go on from what the store says.

        Args:
            store: Of this node alone.
            engine: Of all validators.
            rules: The chain's.
            state: After the tip.
            tip: The last final block.
            key: This validator's own.
            opener: What it opens parcels with.
        """
        self._store, self._engine, self._rules = store, engine, rules
        self._key, self._opener = key, opener
        self.state, self.tip = state, tip
        self._held: dict[bytes, _Held] = {}
        self._made: list[Made] = []
        self._phase = self._begin()

    def check_seat(self) -> None:
        """Return if this node takes part in making the next block; raises LedgerError."""
        current = execution.read_validators(self.state).current
        height = self.tip.height + 1
        if self._phase is None:
            raise LedgerError(
                f"block {height} is for other validators to make: the set that votes now is "
                f"{_listed(current)}, and this node is not in it"
            )
        if len(current) > self._engine.validators_max:
            raise LedgerError(
                f"block {height} takes the votes of {current.quorum} of {len(current)} validators, "
                f"and this node's engine reaches {self._engine.validators_max}"
            )

    def check_operation(self, operation: Operation) -> None:
        """Return unless an operation hands over to more validators than the engine can serve.

        Raises:
            InvalidTransaction: It does: there would be no block after it.
        """
        if not isinstance(operation, ChangeValidators):
            return
        try:
            following = validator_sets.decode(operation.validators)
        except RemoteMisuse:
            return  # refused by the rules of the chain
        most = self._engine.validators_max
        if len(following) > most:
            detail = f"{len(following)} validators, and this node's engine serves {most}"
            raise InvalidTransaction(TransactionFault.VALIDATORS_INVALID, detail)

    def _begin(self) -> Phase | None:
        """The phase of the next height, from what was persisted of it; None without a vote."""
        height = self.tip.height + 1
        current = execution.read_validators(self.state).current
        self._waiting: list[Effect] = []
        if validator_sets.address_of(self._key.verifying_key) not in current:
            return None
        seat = Seat(self._rules.chain, height, current, self._key)
        records: list[Record] = [record for _, record in self._store.records(height)]
        phase, effects = finality.resume(seat, records)
        self._waiting = effects
        return phase

    def recover(self) -> list[Made]:
        """Take up what the log holds of the next heights: after a restart, or from others."""
        entries = list(self._engine.follow(0))
        for entry in entries:
            self._hold(entry)
        self._flush()  # votes cast before a restart may decide a block that is only now here
        for entry in entries:
            self._take(entry)
        return self._collect()

    def propose(self, block: Block, outcome: Outcome) -> list[Made]:
        """Put a block of this node into the log, vote on it, and say what became final.

        Raises:
            LedgerError: Others were faster, again and again; or this node makes no blocks.
        """
        self.check_seat()
        self._held[block.header.hash] = _Held(block, outcome)
        readers = execution.read_validators(self.state).current
        packed = parcel.pack(
            block.to_bytes(),
            content=Content.BLOCK,
            chain=self._rules.chain,
            height=block.header.height,
            readers=readers,
            content_key=os.urandom(CONTENT_KEY_BYTES),
        ).to_bytes()
        for _ in range(APPENDS_MAX):
            head = self._engine.head()
            if self._engine.append(packed, expected=head):
                self._step(Candidate(block.header.hash))
                return self._collect()
            for entry in self._engine.follow(head):
                self._take(entry)
            if self.tip.height >= block.header.height:
                return self._collect()
        raise LedgerError("other validators' blocks came first; try again")

    def hear(self) -> list[Made]:
        """Take in the messages of others that have arrived; what is no message is passed over."""
        for message in self._engine.receive():
            try:
                self._step(_event(message))
            except (RemoteMisuse, InvalidVote, InvalidCertificate):
                continue
        return self._collect()

    def _take(self, entry: bytes) -> None:
        """Vote on a block of the log if it extends the tip."""
        if found := self._hold(entry):
            self._step(Candidate(found))

    def _hold(self, entry: bytes) -> bytes | None:
        """Carry out a block of the log if it extends the tip, and return its hash; else None."""
        try:
            packed = parcel.decode(entry, bytes_max=ENTRY_BYTES_MAX)
            if packed.height != self.tip.height + 1:
                return None
            plain = parcel.unpack(
                packed, self._opener, content=Content.BLOCK, chain=self._rules.chain
            )
            block = blocks.decode(plain)
            found = block.header.hash
            if block.header.time_ms > time.time_ns() // 1_000_000 + AHEAD_MS:
                return None
            if found not in self._held:
                outcome = transition.apply_block(self.state, self.tip, block, rules=self._rules)
                self._held[found] = _Held(block, outcome)
        except (RemoteMisuse, InvalidBlock):
            return None
        return found

    def _step(self, event: Event) -> None:
        """One step of the votes, its effects, and the next height if this one is decided."""
        if self._phase is None:
            return
        self._phase, effects = finality.step(self._phase, event)
        self._waiting.extend(effects)
        self._flush()

    def _flush(self) -> None:
        """Carry out effects in their order: records together, then what may be sent after them."""
        pending: list[Record] = []
        effects, self._waiting = self._waiting, []
        for effect in effects:
            if isinstance(effect, Persist):
                pending.append(effect.record)
                continue
            if pending:
                self._store.save_records(self.tip.height + 1, pending)
                pending = []
            self._carry_out(effect)
        if pending:
            self._store.save_records(self.tip.height + 1, pending)
        if isinstance(self._phase, Decided) and self._phase.seat.height == self.tip.height:
            self._phase = self._begin()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self._engine.send(_wire(message))
            case Final(certificate):
                self._finish(certificate)
            case Conflict() | KeyUsedElsewhere():
                raise InvariantBroken(
                    f"height {self.tip.height + 1}: {type(effect).__name__}: more validators lie "
                    "than the chain can bear, or this validator's key is in use elsewhere"
                )
            case _:
                return

    def _finish(self, certificate: QuorumCertificate) -> None:
        """Keep a final block and go on from it."""
        held = self._held.get(certificate.block)
        if held is None:
            is_alone = len(execution.read_validators(self.state).current) == 1
            raise BlockMissing(
                height=self.tip.height + 1,
                block=certificate.block,
                way_out="put the log's file back, or give the block up: qlq ledger recover"
                if is_alone
                else "repair the ledger from a peer's export: qlq ledger repair --from FILE",
            )
        self._store.append(held.block, certificate, held.outcome)
        self.state.accept(held.outcome.changes, held.outcome.tree)
        self.tip = self.tip.after(held.block.header)
        self._held.clear()
        self._made.append(Made(held.block, held.outcome, certificate))

    def _collect(self) -> list[Made]:
        made, self._made = self._made, []
        return made


def _listed(validators: Validators) -> str:
    return ", ".join(f"{member.address.hex()[:16]}…" for member in validators.members)


def _wire(message: Message) -> bytes:
    return bytes([_kind(message).value]) + message.to_bytes()


def _kind(message: Message) -> _Wire:
    match message:
        case SignedVote():
            return _Wire.VOTE
        case QuorumCertificate():
            return _Wire.CERTIFICATE
        case SignedStatement():
            return _Wire.STATEMENT


def _event(data: bytes) -> Event:
    """The event that a message is; raises RemoteMisuse for anything else.

    Statements belong to a recovery, which an operator leads by hand; they are no event here.
    """
    body = data[1:]
    if data[:1] == bytes([_Wire.VOTE.value]):
        return VoteHeard(votes.decode(body))
    if data[:1] == bytes([_Wire.CERTIFICATE.value]):
        return CertificateHeard(certificates.decode(body))
    raise RemoteMisuse("neither a vote nor a certificate")
