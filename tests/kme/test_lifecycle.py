"""All pairs of state and event, against the table of the design."""

from __future__ import annotations

import itertools

import pytest

from qlq.errors import KeyAlreadyDelivered, LocalMisuse
from qlq.kme import lifecycle
from qlq.kme.lifecycle import Event, State

LEGAL = {
    (State.READY, Event.RESERVE): State.RESERVED,
    (State.RESERVED, Event.DELIVER): State.DELIVERED,
    (State.READY, Event.ERASE): State.ERASED,
    (State.RESERVED, Event.ERASE): State.ERASED,
    (State.DELIVERED, Event.ERASE): State.ERASED,
}
GONE = set(itertools.product((State.DELIVERED, State.ERASED), (Event.RESERVE, Event.DELIVER)))


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_of_state_and_event(state: State, event: Event) -> None:
    if (state, event) in LEGAL:
        assert lifecycle.step(state, event) is LEGAL[state, event]
        return
    with pytest.raises(KeyAlreadyDelivered if (state, event) in GONE else LocalMisuse):
        lifecycle.step(state, event)


def test_no_path_delivers_twice() -> None:
    """All event sequences up to length five from READY."""
    for events in itertools.product(Event, repeat=5):
        state, delivered = State.READY, 0
        for event in events:
            try:
                state = lifecycle.step(state, event)
            except (KeyAlreadyDelivered, LocalMisuse):
                continue
            delivered += event is Event.DELIVER
        assert delivered <= 1
