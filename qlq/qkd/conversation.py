"""Both parties of a session, talking through serialised messages only.

`converse` carries bytes from one state machine to the other and hands every duty to the caller:
it yields a `LinkUse` or a `TagKeyWish` and is sent the answer. It decides nothing. The same
function runs a live session and replays an archived one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qlq.errors import InvariantBroken, ProtocolAbort
from qlq.qkd import alice, bob, messages
from qlq.qkd.duties import (
    Duty,
    Event,
    KeepKey,
    Measured,
    Party,
    TagKey,
    TakeTagKey,
    Transcript,
    UseLink,
)
from qlq.qkd.parameters import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class LinkUse:
    """Both parties have chosen; run the link and answer with `LinkOutcomes`."""

    alice_inputs: NDArray[np.uint8] = field(repr=False)
    bob_inputs: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class LinkOutcomes:
    """What the link gave: None for Alice where she only prepares."""

    alice_bits: NDArray[np.uint8] | None = field(repr=False)
    bob_bits: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TagKeyWish:
    """A party wants a one-time key from its own pool; answer with `TagKey`."""

    party: Party
    wanted: TakeTagKey


Wish = LinkUse | TagKeyWish
Answer = LinkOutcomes | TagKey


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """How a session ended.

    Attributes:
        transcript: Everything that was said, an Abort included.
        alice_key: uint8 bits that Alice may use; None unless she has confirmed.
        bob_key: The same for Bob.
        abort: The first party's reason to end the session; None after a good end.
    """

    transcript: Transcript
    alice_key: NDArray[np.uint8] | None = field(repr=False)
    bob_key: NDArray[np.uint8] | None = field(repr=False)
    abort: ProtocolAbort | None


class _Table:
    """Both phases, the messages on their way, and the duties that are open."""

    def __init__(self, parameters: Parameters, *, alice_seed: bytes, bob_seed: bytes) -> None:
        self.transcript = Transcript()
        self.wire: deque[tuple[Party, bytes]] = deque()
        self.duties: deque[tuple[Party, Duty]] = deque()
        self.inputs: dict[Party, NDArray[np.uint8]] = {}
        self.keys: dict[Party, NDArray[np.uint8]] = {}
        bob_phase, _, _ = bob.start(parameters, seed=bob_seed)
        alice_phase, said, _ = alice.start(parameters, seed=alice_seed)
        self.alice_phase: alice.Phase = alice_phase
        self.bob_phase: bob.Phase = bob_phase
        self._post(Party.ALICE, said)

    def _post(self, sender: Party, said: list[messages.Message]) -> None:
        for message in said:
            data = messages.encode(message)
            self.transcript = self.transcript.add(sender, data)
            self.wire.append((sender, data))

    def tell(self, party: Party, event: Event) -> None:
        """One step of one party."""
        said: list[messages.Message]
        duties: list[Duty]
        if party is Party.ALICE:
            self.alice_phase, said, duties = alice.step(self.alice_phase, event)
        else:
            self.bob_phase, said, duties = bob.step(self.bob_phase, event)
        for duty in duties:
            if isinstance(duty, KeepKey):
                self.keys[party] = duty.bits
            else:
                self.duties.append((party, duty))
        self._post(party, said)

    def carry(self) -> None:
        """Deliver the oldest message on its way."""
        sender, data = self.wire.popleft()
        receiver = Party.BOB if sender is Party.ALICE else Party.ALICE
        try:
            self.tell(receiver, messages.decode(data))
        except ProtocolAbort as error:
            self.end(receiver, error)
            raise

    def end(self, party: Party, error: ProtocolAbort) -> None:
        """The party tells the other that it has erased its key."""
        self._post(party, [messages.Abort(error.reason)])


def converse(
    parameters: Parameters, *, alice_seed: bytes, bob_seed: bytes
) -> Generator[Wish, Answer, Ending]:
    """Run both parties to the end; yields wishes, returns the ending.

    Args:
        parameters: Both parties are started with the same ones.
        alice_seed: 32 secret bytes of Alice.
        bob_seed: 32 secret bytes of Bob, independent of hers.

    Raises:
        RemoteMisuse: One of the parties broke the protocol: in one process, a bug.
    """
    table = _Table(parameters, alice_seed=alice_seed, bob_seed=bob_seed)
    try:
        while table.wire or table.duties:
            if table.wire:
                table.carry()
                continue
            party, duty = table.duties.popleft()
            if isinstance(duty, UseLink):
                yield from _use_link(table, party, duty)
            elif isinstance(duty, TakeTagKey):
                taken = yield TagKeyWish(party, duty)
                if not isinstance(taken, TagKey):
                    raise InvariantBroken(f"a tag key was wished, not {taken!r}")
                try:
                    table.tell(party, taken)
                except ProtocolAbort as error:
                    table.end(party, error)
                    raise
    except ProtocolAbort as error:
        return Ending(table.transcript, None, None, error)
    return Ending(table.transcript, table.keys.get(Party.ALICE), table.keys.get(Party.BOB), None)


def _use_link(table: _Table, party: Party, duty: UseLink) -> Generator[Wish, Answer, None]:
    """Wait for both parties' inputs, then give each its own outcomes."""
    table.inputs[party] = duty.inputs
    if len(table.inputs) < len(Party):
        return
    wish = LinkUse(table.inputs[Party.ALICE], table.inputs[Party.BOB])
    outcomes = yield wish
    if not isinstance(outcomes, LinkOutcomes):
        raise InvariantBroken(f"the link was wished, not {outcomes!r}")
    table.tell(Party.ALICE, Measured(outcomes.alice_bits))
    table.tell(Party.BOB, Measured(outcomes.bob_bits))
