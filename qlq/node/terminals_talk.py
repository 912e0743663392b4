"""One party's side of a conversation: its phase, its transcript, its open duties. No I/O here."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from qlq.errors import ProtocolAbort
from qlq.qkd import alice, bob, messages
from qlq.qkd.duties import Duty, Event, KeepKey, Party, Transcript
from qlq.qkd.parameters import Parameters


class Talk:
    """A party's state machine with what it has said and heard.

    Every method that makes the party speak returns the bytes for the other one, in order.

    Attributes:
        party: Which of them.
        parameters: What it commits to.
        transcript: All messages so far, sent and received.
        duties: What the party asks of its own side, oldest first; `KeepKey` is never among them.
        key: uint8 bits that the party may use; None before it has confirmed, and after an abort.
        abort: Why the session ended without a key: `{reason, detail}`; None otherwise.
    """

    def __init__(self, party: Party, parameters: Parameters, *, seed: bytes) -> None:
        """Start the party from 32 secret bytes; nothing is said yet."""
        self.party, self.parameters = party, parameters
        self.transcript = Transcript()
        self.duties: deque[Duty] = deque()
        self.key: NDArray[np.uint8] | None = None
        self.abort: dict[str, str] | None = None
        self._said: list[messages.Message] = []
        self._alice: alice.Phase | None = None
        self._bob: bob.Phase | None = None
        if party is Party.ALICE:
            self._alice, self._said, _ = alice.start(parameters, seed=seed)
        else:
            self._bob, self._said, _ = bob.start(parameters, seed=seed)

    @property
    def other(self) -> Party:
        """The other party."""
        return Party.BOB if self.party is Party.ALICE else Party.ALICE

    def open(self) -> list[bytes]:
        """What the party says first."""
        return self._speak(self._said)

    def hear(self, data: bytes) -> list[bytes]:
        """What the party answers to a message of the other one.

        Raises:
            ProtocolAbort: The key must die; `end` says so to the other one.
            RemoteMisuse: The other one sent what it must not send.
        """
        message = messages.decode(data)
        self.transcript = self.transcript.add(self.other, data)
        return self.tell(message)

    def tell(self, event: Event) -> list[bytes]:
        """What the party says when a duty is done; see `hear` for errors."""
        said: list[messages.Message]
        duties: list[Duty]
        if self._alice is not None:
            self._alice, said, duties = alice.step(self._alice, event)
        elif self._bob is not None:
            self._bob, said, duties = bob.step(self._bob, event)
        else:
            return []
        for duty in duties:
            if isinstance(duty, KeepKey):
                self.key = duty.bits
            else:
                self.duties.append(duty)
        return self._speak(said)

    def end(self, reason: str) -> bytes:
        """The message that tells the other one that this party has erased its key."""
        self.drop()
        return self._speak([messages.Abort(reason)])[0]

    def drop(self) -> None:
        """Give up the phase, and with it every secret of it; what was said remains."""
        self._alice = self._bob = self.key = None
        self.duties.clear()

    def _speak(self, said: list[messages.Message]) -> list[bytes]:
        spoken = []
        for message in said:
            data = messages.encode(message)
            self.transcript = self.transcript.add(self.party, data)
            spoken.append(data)
        return spoken


def reason_of(error: ProtocolAbort, heard: bytes | None) -> str:
    """The reason of an abort, the other party's own where it gave one.

    Args:
        error: What ended the session here.
        heard: The message at which it ended, None without one.
    """
    if heard is not None:
        message = messages.decode(heard)
        if isinstance(message, messages.Abort):
            return message.reason
    return error.reason
