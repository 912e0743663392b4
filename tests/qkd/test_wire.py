"""An attacker on the wire: no message is lost, repeated, moved or changed and leaves a key.

Documented exception: when Alice's tag, the last message, does not arrive, Alice holds a confirmed
key (Bob has accepted before), and Bob holds none.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlq.errors import AuthenticationFailed, PeerAborted, QLQError
from qlq.qkd import messages
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters, Protocol, Wanted, commit

FLIP = 0.0003


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return commit(Wanted(protocol=Protocol.BB84, pulses=18_000, qber_max=0.008))


@pytest.fixture(scope="module")
def good(lab, parameters: Parameters):
    """A session that nobody disturbs."""
    pair = lab.talk(parameters, flip=FLIP)
    assert not pair.errors
    assert np.array_equal(pair.keys[Party.ALICE], pair.keys[Party.BOB])
    assert pair.keys[Party.ALICE].size == parameters.secret_bits
    assert len(pair.sent) > 20
    return pair


@pytest.fixture(scope="module")
def other(lab, parameters: Parameters):
    """Another good session of the same parties."""
    return lab.talk(parameters, flip=FLIP, seed=2)


def attacked(lab, parameters: Parameters, at: int, arriving):
    """The good session with message `at` replaced by these bytes."""
    return lab.talk(
        parameters,
        flip=FLIP,
        tamper=lambda number, _, data: list(arriving) if number == at else [data],
    )


def assert_no_key(pair, at: int, last: int) -> None:
    """Nobody has a key, but for Alice after her last word."""
    assert Party.BOB not in pair.keys
    assert (Party.ALICE in pair.keys) is (at == last)


def test_the_honest_messages_come_in_the_documented_order(good) -> None:
    names = [type(messages.decode(data)).__name__ for _, data in good.sent]
    cascade = {"ParityRequest", "ParityReply"}
    assert [n for n in names if n not in cascade] == [
        "Commitment",
        "Acceptance",
        "Bases",
        "Selection",
        "Disclosure",
        "ReconciliationStart",
        "ReconciliationDone",
        "Verification",
        "Verified",
        "Amplification",
        "TranscriptTag",
        "TranscriptTag",
    ]
    assert good.sent[-1][0] is Party.ALICE
    assert good.sent[-2][0] is Party.BOB


def test_each_message_lost_leaves_no_key(lab, parameters: Parameters, good) -> None:
    last = len(good.sent) - 1
    for at in range(len(good.sent)):
        pair = attacked(lab, parameters, at, [])
        assert_no_key(pair, at, last)
        assert not pair.errors


def test_each_message_twice_leaves_no_key(lab, parameters: Parameters, good) -> None:
    last = len(good.sent) - 1
    for at, (_, data) in enumerate(good.sent):
        pair = attacked(lab, parameters, at, [data, data])
        assert_no_key(pair, at, last)
        assert pair.errors


def test_each_message_replaced_by_an_earlier_one_leaves_no_key(
    lab, parameters: Parameters, good
) -> None:
    last = len(good.sent) - 1
    for at, (_, data) in enumerate(good.sent):
        for earlier in {at // 2, at - 2, at - 1} & set(range(at)):
            replay = good.sent[earlier][1]
            if replay != data:
                pair = attacked(lab, parameters, at, [replay])
                assert_no_key(pair, at, last)
                assert pair.errors


def test_each_message_after_a_stale_one_leaves_no_key(lab, parameters: Parameters, good) -> None:
    last = len(good.sent) - 1
    for at in range(1, len(good.sent)):
        pair = attacked(lab, parameters, at, [good.sent[at - 1][1], good.sent[at][1]])
        assert_no_key(pair, at, last)


def test_each_message_of_another_session_leaves_no_key(
    lab, parameters: Parameters, good, other
) -> None:
    """The commitment and the acceptance are the same in both: there it changes nothing."""
    last = len(good.sent) - 1
    for at, ((_, data), (_, foreign)) in enumerate(zip(good.sent[:-2], other.sent, strict=False)):
        pair = attacked(lab, parameters, at, [foreign])
        if foreign == data:
            assert set(pair.keys) == set(Party)
        else:
            assert_no_key(pair, at, last)


@pytest.mark.parametrize("who", list(Party))
def test_the_tag_of_another_session_does_not_fit(
    lab, parameters: Parameters, good, other, who: Party
) -> None:
    """Even under the same one-time key, which no pool gives twice."""
    at = len(good.sent) - (1 if who is Party.ALICE else 2)
    pair = attacked(lab, parameters, at, [other.sent[-1 if who is Party.ALICE else -2][1]])
    receiver = Party.BOB if who is Party.ALICE else Party.ALICE
    assert isinstance(pair.errors[receiver], AuthenticationFailed)
    assert receiver not in pair.keys
    assert Party.BOB not in pair.keys


def test_a_flipped_bit_anywhere_leaves_no_key(lab, parameters: Parameters, good) -> None:
    rng = np.random.default_rng(11)
    last = len(good.sent) - 1
    for at, (_, data) in enumerate(good.sent):
        count = 8 * len(data)
        for bit in {9, count - 1, int(rng.integers(0, count))}:
            changed = bytearray(data)
            changed[bit // 8] ^= 0x80 >> bit % 8
            pair = attacked(lab, parameters, at, [bytes(changed)])
            assert_no_key(pair, at, last)
            assert pair.errors


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x00" * 40, b"\x01\x90", b"\xff" * 1000])
def test_garbage_ends_the_session_of_its_receiver(
    lab, parameters: Parameters, good, garbage: bytes
) -> None:
    for at in (0, 3, 6, 9, len(good.sent) - 1):
        pair = attacked(lab, parameters, at, [garbage])
        assert_no_key(pair, at, len(good.sent) - 1)
        assert pair.errors


def test_an_abort_from_nowhere_ends_the_session_of_its_receiver(
    lab, parameters: Parameters, good
) -> None:
    last = len(good.sent) - 1
    forged = messages.encode(messages.Abort("qber"))
    for at, (sender, _) in enumerate(good.sent):
        pair = attacked(lab, parameters, at, [forged])
        assert_no_key(pair, at, last)
        receiver = Party.BOB if sender is Party.ALICE else Party.ALICE
        assert isinstance(pair.errors[receiver], PeerAborted)
        assert "qber" in str(pair.errors[receiver])


ACTIONS = st.dictionaries(
    st.integers(0, 40),
    st.tuples(st.sampled_from(["drop", "twice", "flip", "earlier"]), st.integers(0, 2**16)),
    max_size=3,
)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=ACTIONS)
def test_whoever_has_a_key_has_heard_what_the_other_said(
    lab, parameters: Parameters, good, actions: dict
) -> None:
    """The same for several attacks at once, and nothing but errors of ours is ever raised."""
    past: list[bytes] = []

    def tamper(number: int, _sender: Party, data: bytes) -> list[bytes]:
        past.append(data)
        action, choice = actions.get(number, ("pass", 0))
        match action:
            case "drop":
                return []
            case "twice":
                return [data, data]
            case "flip":
                changed = bytearray(data)
                changed[choice % len(data)] ^= 1 << choice % 8
                return [bytes(changed)]
            case "earlier":
                return [past[choice % len(past)]]
        return [data]

    pair = lab.talk(parameters, flip=FLIP, tamper=tamper)
    assert all(isinstance(error, QLQError) for error in pair.errors.values())
    for receiver, sender in ((Party.ALICE, Party.BOB), (Party.BOB, Party.ALICE)):
        if receiver in pair.keys:
            said = [data for who, data in pair.sent if who is sender]
            heard = [e for e in pair.heard[receiver] if isinstance(e, messages.Message)]
            assert [messages.encode(e) for e in heard] == said[: len(heard)]
            assert np.array_equal(pair.keys[receiver], good.keys[receiver])
    if Party.BOB in pair.keys:
        assert Party.ALICE in pair.keys
