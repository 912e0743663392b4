"""The life of a stored key: a key is delivered once.

    READY --reserve--> RESERVED --deliver--> DELIVERED --erase--> ERASED
    READY, RESERVED --erase--> ERASED

The bytes of a key exist in READY and RESERVED only. There is no way back: a reservation that
comes to nothing ends in erasure, because the peer may have used its copy.
"""

from __future__ import annotations

from enum import StrEnum

from qlq.errors import KeyAlreadyDelivered, LocalMisuse


class State(StrEnum):
    """Where a key stands."""

    READY = "ready"
    RESERVED = "reserved"
    DELIVERED = "delivered"
    ERASED = "erased"

    @property
    def has_bytes(self) -> bool:
        """Whether the key's bytes still exist."""
        return self in {State.READY, State.RESERVED}


class Event(StrEnum):
    """What may happen to a key."""

    RESERVE = "reserve"
    DELIVER = "deliver"
    ERASE = "erase"


def step(state: State, event: Event) -> State:
    """The state after the event.

    Raises:
        KeyAlreadyDelivered: To reserve or deliver a key whose bytes are gone.
        LocalMisuse: For an event out of its order.
    """
    match state, event:
        case State.READY, Event.RESERVE:
            return State.RESERVED
        case State.RESERVED, Event.DELIVER:
            return State.DELIVERED
        case ((State.READY | State.RESERVED | State.DELIVERED), Event.ERASE):
            return State.ERASED
        case ((State.DELIVERED | State.ERASED), (Event.RESERVE | Event.DELIVER)):
            raise KeyAlreadyDelivered(
                f"the key is {state.value}: a key leaves the store once; take another one"
            )
        case _:
            raise LocalMisuse(f"cannot {event.value} a key that is {state.value}")
