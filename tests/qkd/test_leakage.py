"""What reconciliation reveals is counted from the bytes, and never passes what was committed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from qlq.errors import LeakageExceeded, RemoteMisuse
from qlq.qkd import messages, record
from qlq.qkd.duties import Party, Transcript
from qlq.qkd.parameters import Parameters, Protocol, Reconciliation, Wanted, commit
from qlq.qkd.reconciliation import Answerer, Asker

SEED = bytes(range(8))


def agreed(**wanted) -> Parameters:
    values = {"protocol": Protocol.BB84, "pulses": 40_000, "qber_max": 0.02} | wanted
    return commit(Wanted(**values))


def parity_bits(transcript: Transcript) -> dict[Party, int]:
    """Parities in the transcript, read as plain MessagePack without the code under test.

    A message is a version byte and an array that starts with its name. A request holds 2 bytes
    for the pass, 4 for the start and 4 for the stop of each range.
    """
    found = {Party.ALICE: 0, Party.BOB: 0}
    asked = 0
    for sender, data in transcript.entries:
        name, *fields = msgspec.msgpack.decode(data[1:])
        if name == "ParityRequest":
            passes, starts, stops, parities = fields
            asked = len(passes) // 2
            assert (len(starts), len(stops)) == (4 * asked, 4 * asked)
            assert len(parities) == math.ceil(asked / 8)
            found[sender] += asked
        elif name == "ParityReply":
            assert len(fields[0]) == math.ceil(asked / 8)
            found[sender] += asked
    return found


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("reconciliation", list(Reconciliation))
@pytest.mark.parametrize("flip", [0.0, 0.004, 0.01])
def test_leaked_bits_are_those_in_the_transcript(
    lab, protocol: Protocol, reconciliation: Reconciliation, flip: float
) -> None:
    parameters = agreed(protocol=protocol, reconciliation=reconciliation)
    ending = lab.converse(parameters, flip=flip)
    assert ending.abort is None
    counted = parity_bits(ending.transcript)
    leakage = record.read(parameters, ending.transcript).leakage
    assert (leakage.alice_bits, leakage.bob_bits) == (counted[Party.ALICE], counted[Party.BOB])
    assert leakage.leak_ec_bits == counted[Party.ALICE] + counted[Party.BOB]
    assert 0 < leakage.leak_ec_bits <= parameters.leak_max_bits


def test_the_efficiency_is_alices_bits_by_shannons_limit(lab) -> None:
    parameters = agreed(pulses=60_000)
    ending = lab.converse(parameters, flip=0.01)
    leakage = record.read(parameters, ending.transcript).leakage
    n = parameters.key_rounds
    q = leakage.corrected_bits / n
    assert abs(q - 0.01) < 5 * math.sqrt(0.01 * 0.99 / n)  # false alarm 6e-7
    shannon = n * (-q * math.log2(q) - (1 - q) * math.log2(1 - q))
    alice_bits = parity_bits(ending.transcript)[Party.ALICE]
    assert leakage.efficiency(n) == pytest.approx(alice_bits / shannon, rel=1e-12)
    assert leakage.efficiency(n) > 1.0


def test_a_run_without_errors_has_no_efficiency(lab) -> None:
    parameters = agreed()
    ending = lab.converse(parameters)
    leakage = record.read(parameters, ending.transcript).leakage
    assert leakage.corrected_bits == 0
    assert leakage.efficiency(parameters.key_rounds) is None


def test_the_limit_may_be_reached_but_not_passed_by_one_bit(lab) -> None:
    parameters = agreed()
    full = sum(parity_bits(lab.converse(parameters, flip=0.01).transcript).values())
    for missing, passes in ((0, True), (1, False), (2, False), (full // 2, False), (full, False)):
        tight = msgspec.structs.replace(parameters, leak_max_bits=full - missing)
        ending = lab.converse(tight, flip=0.01)
        assert (ending.abort is None) is passes
        assert sum(parity_bits(ending.transcript).values()) <= full - missing
        if not passes:
            assert isinstance(ending.abort, LeakageExceeded)
            assert ending.alice_key is None
            assert ending.bob_key is None
            public = record.read(tight, ending.transcript)
            assert public.abort_reason == "leakage"
            assert public.aborted_by is Party.BOB  # he asks nothing that she may not answer


def ranges(count: int, *, number: int = 0, width: int = 1) -> messages.ParityRequest:
    """A request for `count` neighbouring ranges of one pass."""
    starts = np.arange(count) * width
    return messages.ParityRequest(
        passes=np.full(count, number, dtype="<u2").tobytes(),
        starts=starts.astype("<u4").tobytes(),
        stops=(starts + width).astype("<u4").tobytes(),
        parities=messages.pack(np.zeros(count, dtype=np.uint8)),
    )


def test_alice_answers_nothing_beyond_the_limit_whatever_bob_asks() -> None:
    key = np.random.default_rng(3).integers(0, 2, 4000, dtype=np.uint8)
    parameters = msgspec.structs.replace(agreed(), leak_max_bits=1001)
    answerer = Answerer.start(parameters, key, seed=SEED, qber=0.01)
    with pytest.raises(LeakageExceeded, match="1002 bits, 1001 committed"):
        answerer.answer(ranges(501, width=2))


GOOD = ranges(8, width=500)


@pytest.mark.parametrize(
    "changed",
    [
        {"starts": GOOD.starts[:-1]},
        {"starts": GOOD.starts + bytes(4)},
        {"stops": GOOD.stops[:-4]},
        {"passes": GOOD.passes[:-1]},
        {"passes": GOOD.passes + b"\x00"},
        {"parities": b""},
        {"parities": GOOD.parities + b"\x00"},
        {"passes": b"", "starts": b"", "stops": b"", "parities": b"\x80"},
        {"passes": (9999).to_bytes(2, "little") * 8},
        {"stops": GOOD.starts},
        {"stops": (4001).to_bytes(4, "little") * 8},
        {"starts": b"\xff" * 32},
        {"starts": GOOD.stops, "stops": GOOD.starts},
    ],
)
def test_a_request_that_cannot_be_is_refused(changed: dict) -> None:
    key = np.zeros(4000, dtype=np.uint8)
    answerer = Answerer.start(agreed(), key, seed=SEED, qber=0.01)
    with pytest.raises(RemoteMisuse):
        answerer.answer(msgspec.structs.replace(GOOD, **changed))


def test_padding_of_the_parities_must_be_zero() -> None:
    answerer = Answerer.start(agreed(), np.zeros(4000, dtype=np.uint8), seed=SEED, qber=0.01)
    asked = msgspec.structs.replace(ranges(3), parities=b"\x01")
    with pytest.raises(RemoteMisuse, match="padding"):
        answerer.answer(asked)


@pytest.mark.parametrize("parities", [b"", b"\x00" * 1000, None])
def test_an_answer_of_another_length_is_refused(parities: bytes | None) -> None:
    asker = Asker.start(agreed(), np.zeros(4000, dtype=np.uint8), seed=SEED, qber=0.01)
    with pytest.raises(RemoteMisuse, match="nobody asked"):
        asker.absorb(messages.ParityReply(b""))
    asker, request = asker.ask()
    asked = len(request.passes) // 2
    if parities is None:
        assert asked % 8  # so that there is padding
        parities = b"\x00" * (asked // 8) + b"\x01"
    with pytest.raises(RemoteMisuse):
        asker.absorb(messages.ParityReply(parities))


@pytest.mark.parametrize("seed", [b"", SEED[:-1], SEED + b"\x00"])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(RemoteMisuse, match="seed"):
        Asker.start(agreed(), np.zeros(4000, dtype=np.uint8), seed=seed, qber=0.01)
