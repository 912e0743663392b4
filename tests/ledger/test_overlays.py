"""Pages of changed states, against a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qlq.ledger import records
from qlq.ledger.state import Overlay, State, View

PREFIX = records.STORAGE + b"contract"
KEYS = st.integers(0, 12).map(lambda number: PREFIX + bytes([number]))
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.binary(min_size=1, max_size=2)), max_size=12)


def change(overlay: Overlay, model: dict[bytes, bytes | None], key: bytes, value: object) -> None:
    if isinstance(value, bytes):
        overlay.put(key, value)
        model[key] = value
    else:
        overlay.remove(key)
        model[key] = None


def alive(view: View, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """As the journal of contracts reads: batch after batch, removed ones passed over."""
    found: list[tuple[bytes, bytes]] = []
    while True:
        page = view.page(PREFIX, start, count)
        assert len(page) <= count
        assert [key for key, _ in page] == sorted({key for key, _ in page})
        found += [(key, value) for key, value in page if value is not None]
        if len(page) < count:
            return found
        start = page[-1][0] + b"\0"


@given(
    st.dictionaries(KEYS, st.binary(min_size=1, max_size=2)),
    CHANGES, CHANGES, CHANGES, KEYS, st.integers(1, 5),
)  # fmt: skip
def test_pages_of_a_block_and_a_transaction(
    entries: dict[bytes, bytes],
    block: list[tuple[bytes, bytes | None]],
    early: list[tuple[bytes, bytes | None]],
    late: list[tuple[bytes, bytes | None]],
    start: bytes,
    count: int,
) -> None:
    other = {records.STORAGE + b"other" + bytes([number]): b"x" for number in range(3)}
    state = State({**entries, **other, records.ACCOUNT + b"a": b"y"})
    below = Overlay(state)
    model: dict[bytes, bytes | None] = dict(entries)
    for key, value in block:
        change(below, model, key, value)
    overlay = Overlay(below)
    for changes in (early, late):  # the second time the sorted list is there already
        for key, value in changes:
            change(overlay, model, key, value)
        expected = sorted((k, v) for k, v in model.items() if v is not None and k >= start)
        assert alive(overlay, start, count) == expected
    below.page(PREFIX, start, count)
    below.absorb(overlay.differences())
    assert alive(below, start, count) == expected


def test_what_a_block_removed_counts_to_a_page() -> None:
    """So that no page costs more than what is asked for, whatever was removed."""
    keys = [PREFIX + number.to_bytes(2, "big") for number in range(500)]
    overlay = Overlay(State(dict.fromkeys(keys, b"v")))
    for key in keys[:400]:
        overlay.remove(key)
    assert overlay.page(PREFIX, PREFIX, 3) == [(key, None) for key in keys[:3]]
    assert overlay.page(PREFIX, keys[399], 2) == [(keys[399], None), (keys[400], b"v")]
