"""Pulses keep their byte form, and a chain with anything wrong in it is refused by its name."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.errors import InvalidPulse
from qlq.faults import PulseFault
from qlq.provenance import EntropyTier
from qlq.qrng import beacon
from qlq.qrng.beacon import Chain, Contribution, External, LocalValue, Pulse, Status

VECTORS = Path(__file__).parents[2] / "vectors" / "beacon"
KEY = SigningKey(Algorithm.ML_DSA_65, bytes(range(32)))
OTHER = SigningKey(Algorithm.ML_DSA_65, bytes(range(1, 33)))
START_S = 1_900_000_000


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / "pulses_v1.json").read_text())
    return found


def local_bytes(index: int) -> bytes:
    return hashlib.sha512(b"test %d" % index).digest()


def local(index: int) -> LocalValue:
    return LocalValue(
        local_bytes(index), EntropyTier.NONE, 0, degraded=False, origin="aer", certificate=b""
    )


def grow(chain: Chain, *, count: int, period_s: int = 0) -> list[Pulse]:
    """So many pulses after this chain."""
    made = []
    for index in range(chain.next_index, chain.next_index + count):
        pulse = beacon.make(
            chain,
            KEY,
            local=local(index),
            next_local=local_bytes(index + 1),
            time_s=START_S + 60 * index,
            period_s=period_s,
        )
        chain = beacon.extend(chain, pulse)
        made.append(pulse)
    return made


@pytest.fixture(scope="module")
def pulses() -> list[Pulse]:
    """20 pulses: one more than the first step of the skip list."""
    return grow(beacon.begin(KEY.verifying_key), count=20, period_s=60)


def msgpack(value: Any) -> bytes:  # noqa: PLR0911 - one line for each type
    """MessagePack of what pulses hold, from the specification."""
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if value < 0x80:
            return bytes([value])
        for code, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
            if value < 1 << 8 * size:
                return bytes([code]) + value.to_bytes(size, "big")
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"\xc4" + bytes([len(value)]) + value
        return b"\xc5" + len(value).to_bytes(2, "big") + value
    if isinstance(value, str):
        raw = value.encode()
        head = bytes([0xA0 | len(raw)]) if len(raw) < 32 else b"\xd9" + bytes([len(raw)])
        return head + raw
    parts = b"".join(msgpack(part) for part in value)
    head = (
        bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + len(value).to_bytes(2, "big")
    )
    return head + parts


def prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def test_the_kept_chain_still_verifies(golden: dict[str, Any]) -> None:
    key = VerifyingKey.from_bytes(bytes.fromhex(golden["key"]))
    assert key == KEY.verifying_key
    chain = beacon.verify(
        [beacon.decode(bytes.fromhex(data)) for data in golden["pulses"]], key=key
    )
    assert chain.last is not None
    assert chain.last.digest.hex() == golden["last_digest"]
    assert chain.last.body.value.hex() == golden["last_value"]
    assert chain.next_index == 18


def test_the_byte_form_is_the_documented_one(golden: dict[str, Any]) -> None:
    """Version byte 1 and MessagePack arrays, fields in order; values by hashlib."""
    key = bytes.fromhex(golden["key"])
    digests: list[bytes] = []
    before, value = bytes(64), bytes(64)
    for index, data in enumerate(golden["pulses"]):
        own = hashlib.sha512(b"local %d" % index).digest()
        value = hashlib.sha512(prefixed(b"QLQ-B", value, own)).digest()
        tier, bits, degraded, origin, record = (
            (0, 0, False, "aer:fez", b""),
            (2, 384, False, "ibm:fez", hashlib.sha256(b"record %d" % index).digest()),
            (0, 0, True, "operating system", b""),
        )[index % 3]
        anchors = [16**level * ((index - 1) // 16**level) for level in (1, 2, 3, 4)]
        body = [
            index,
            1_800_000_000 + 60 * index + (180 if index > 9 else 0),
            60,
            1 if index == 0 else 2 if index == 10 else 0,
            hashlib.sha512(key).digest(),
            before,
            [digests[anchor] if index else bytes(64) for anchor in anchors],
            value,
            own,
            hashlib.sha512(hashlib.sha512(b"local %d" % (index + 1)).digest()).digest(),
            *(tier, bits, degraded, origin, record),
            ["", b""],
            [],
        ]
        pulse = bytes.fromhex(data)
        signature = beacon.decode(pulse).signature
        assert pulse == b"\x01" + msgpack([body, signature])
        before = hashlib.sha512(prefixed(b"qlq beacon pulse digest 1", pulse)).digest()
        digests.append(before)
    assert before.hex() == golden["last_digest"]


def test_a_value_does_not_depend_on_the_signature() -> None:
    one, other = (grow(beacon.begin(KEY.verifying_key), count=1)[0] for _ in range(2))
    assert one.signature != other.signature  # ML-DSA signs with fresh randomness
    assert one.body == other.body


def test_every_changed_byte_is_refused(pulses: list[Pulse]) -> None:
    """Every byte of the body, and each tenth of the signature."""
    chain = beacon.verify(pulses[:2], key=KEY.verifying_key)
    data = pulses[2].to_bytes()
    body = len(codec.encode(pulses[2].body))
    for place in (*range(body + 8), *range(body + 8, len(data), 10)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(InvalidPulse):
            beacon.extend(chain, beacon.decode(changed))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_pulse_or_malformed(data: bytes) -> None:
    for given_bytes in (data, b"\x01" + data):
        with pytest.raises(InvalidPulse) as refused:
            beacon.decode(given_bytes)
        assert refused.value.reason is PulseFault.MALFORMED


def test_a_pulse_of_any_size_is_not_read() -> None:
    with pytest.raises(InvalidPulse, match="malformed"):
        beacon.decode(b"\x01" * (beacon.PULSE_BYTES_MAX + 1))


def signed(pulse: Pulse, key: SigningKey = KEY, **changes: Any) -> Pulse:
    """The pulse with other fields, signed again: what a dishonest operator can make."""
    body = msgspec.structs.replace(pulse.body, **changes)
    return Pulse(body, key.sign(codec.encode(body), context=b"qlq beacon pulse 1"))


FAULTS = [
    (PulseFault.GAP, {"index": 6}),
    (PulseFault.FORK, {"index": 4}),
    (PulseFault.FORK, {"index": 0}),
    (PulseFault.SIGNER, {"signer": bytes(64)}),
    (PulseFault.PREVIOUS, {"previous": bytes(64)}),
    (PulseFault.SKIP_LIST, {"skips": (bytes(64),) * 4}),
    (PulseFault.SKIP_LIST, {"skips": ()}),
    (PulseFault.PRECOMMITMENT, {"local": local_bytes(99)}),
    (PulseFault.PRECOMMITMENT, {"precommitment": b""}),
    (PulseFault.PRECOMMITMENT, {"precommitment": bytes(32)}),
    (PulseFault.VALUE, {"value": bytes(64)}),
    (PulseFault.TIME, {"time_s": START_S + 60 * 4}),
    (PulseFault.TIME, {"time_s": START_S}),
    (PulseFault.TIME, {"time_s": -1}),
    (PulseFault.STATUS, {"status": Status.LATE}),
    (PulseFault.STATUS, {"status": Status.FIRST}),
    (PulseFault.STATUS, {"period_s": 30}),
    (PulseFault.CLAIM, {"tier": 0, "claim_bits": 1}),
    (PulseFault.CLAIM, {"tier": 2, "claim_bits": 513}),
    (PulseFault.CLAIM, {"tier": 2, "claim_bits": -1}),
    (PulseFault.CLAIM, {"tier": 5}),
    (PulseFault.CLAIM, {"tier": 2, "degraded": True}),
    (PulseFault.MALFORMED, {"certificate": b"short"}),
    (PulseFault.MALFORMED, {"origin": "x" * 513}),
    (PulseFault.RESERVED, {"external": External("drand", bytes(64))}),
    (PulseFault.RESERVED, {"contributions": (Contribution(b"a", b"b", b"c"),)}),
]


@pytest.mark.parametrize(("reason", "changes"), FAULTS)
def test_the_signer_cannot_break_the_rules_either(
    pulses: list[Pulse], reason: PulseFault, changes: dict[str, Any]
) -> None:
    chain = beacon.verify(pulses[:5], key=KEY.verifying_key)
    beacon.extend(chain, signed(pulses[5]))  # signing again alone changes nothing
    with pytest.raises(InvalidPulse) as refused:
        beacon.extend(chain, signed(pulses[5], **changes))
    assert refused.value.reason is reason
    assert refused.value.index == changes.get("index", 5)


def test_another_signer_is_refused(pulses: list[Pulse]) -> None:
    chain = beacon.verify(pulses[:5], key=KEY.verifying_key)
    with pytest.raises(InvalidPulse, match="signature"):
        beacon.extend(chain, signed(pulses[5], key=OTHER))
    with pytest.raises(InvalidPulse, match="signer"):
        beacon.verify(pulses, key=OTHER.verifying_key)


def test_a_pulse_signed_for_another_use_is_refused(pulses: list[Pulse]) -> None:
    chain = beacon.verify(pulses[:5], key=KEY.verifying_key)
    body = pulses[5].body
    forged = Pulse(body, KEY.sign(codec.encode(body), context=b"qlq randomness certificate 1"))
    with pytest.raises(InvalidPulse, match="signature"):
        beacon.extend(chain, forged)


def test_a_chain_needs_its_first_pulse_and_all_others(pulses: list[Pulse]) -> None:
    for broken in (pulses[1:], pulses[:3] + pulses[4:]):
        with pytest.raises(InvalidPulse, match="gap"):
            beacon.verify(broken, key=KEY.verifying_key)
    for broken in (pulses[:3] + pulses[2:], [pulses[0], *pulses]):
        with pytest.raises(InvalidPulse, match="fork"):
            beacon.verify(broken, key=KEY.verifying_key)
    with pytest.raises(InvalidPulse, match="gap"):
        beacon.verify([pulses[0], pulses[2], pulses[1]], key=KEY.verifying_key)
    with pytest.raises(InvalidPulse, match="empty"):
        beacon.verify([], key=KEY.verifying_key)


def test_two_chains_of_one_key_are_a_fork(pulses: list[Pulse]) -> None:
    chain = beacon.verify(pulses[:3], key=KEY.verifying_key)
    other = pulses[:3] + grow(chain, count=2, period_s=60)
    beacon.verify(other, key=KEY.verifying_key)
    with pytest.raises(InvalidPulse) as refused:
        beacon.refuse_fork(pulses, other)
    assert (refused.value.reason, refused.value.index) == (PulseFault.FORK, 3)
    beacon.refuse_fork(pulses, pulses[:7])  # a shorter copy is none


def test_a_late_pulse_says_so(pulses: list[Pulse]) -> None:
    chain = beacon.verify(pulses[:2], key=KEY.verifying_key)
    for wait_s, status in ((119, Status.NORMAL), (120, Status.LATE)):
        made = beacon.make(
            chain,
            KEY,
            local=local(2),
            next_local=local_bytes(3),
            time_s=START_S + 60 + wait_s,
            period_s=60,
        )
        assert made.body.status is status


@pytest.mark.parametrize("index", [0, 1, 15, 16, 17, 256, 257, 4097, 70_000])
def test_the_skip_list_names_the_latest_multiples_before(index: int) -> None:
    expected = tuple(
        max(at for at in range(index) if at % 16**level == 0) for level in (1, 2, 3, 4) if index
    )
    assert beacon.skipped(index) == expected


def test_the_skip_list_of_pulses_holds_their_digests(pulses: list[Pulse]) -> None:
    for index in range(1, 20):
        named = [pulses[at].digest for at in beacon.skipped(index)]
        assert list(pulses[index].body.skips) == named


@given(newer=st.integers(0, 10**6), back=st.integers(0, 10**6))
def test_a_way_back_is_short_and_named_step_by_step(newer: int, back: int) -> None:
    older = max(0, newer - back)
    path = beacon.skip_path(newer, older)
    assert path[0] == newer
    assert path[-1] == older
    for here, there in itertools.pairwise(path):
        assert there == here - 1 or there in beacon.skipped(here)
    assert len(path) <= 2 * 16 * 5 + 16


def test_an_old_pulse_is_proved_by_few(pulses: list[Pulse]) -> None:
    path = beacon.skip_path(19, 15)
    assert path == (19, 16, 15)
    found = beacon.verify_path([pulses[at] for at in path[1:]], newest=pulses[19])
    assert found == pulses[15]
    with pytest.raises(InvalidPulse, match="skip-list"):
        beacon.verify_path([pulses[15]], newest=pulses[19])
    with pytest.raises(InvalidPulse, match="skip-list"):
        beacon.verify_path([signed(pulses[16])], newest=pulses[19])
    with pytest.raises(ValueError, match="no way back"):
        beacon.skip_path(3, 4)


def test_no_pulse_is_made_that_would_not_verify(pulses: list[Pulse]) -> None:
    chain = beacon.verify(pulses[:2], key=KEY.verifying_key)
    good: dict[str, Any] = {
        "local": local(2), "next_local": local_bytes(3), "time_s": START_S + 999, "period_s": 60,
    }  # fmt: skip
    beacon.make(chain, KEY, **good)
    for changes, reason in (
        ({"local": local(3)}, "precommitment"),
        ({"time_s": START_S}, "time"),
        ({"period_s": 61}, "status"),
    ):
        with pytest.raises(InvalidPulse, match=reason):
            beacon.make(chain, KEY, **{**good, **changes})
    with pytest.raises(InvalidPulse, match="signer"):
        beacon.make(chain, OTHER, **good)
    with pytest.raises(ValueError, match="64 bytes"):
        beacon.make(chain, KEY, **{**good, "next_local": b"short"})


@pytest.mark.parametrize(
    ("tier", "bits", "degraded", "data"),
    [
        (EntropyTier.NONE, 1, False, bytes(64)),
        (EntropyTier.DEVICE_MODELLED, 513, False, bytes(64)),
        (EntropyTier.SELF_TESTED, 8, True, bytes(64)),
        (EntropyTier.NONE, 0, False, bytes(63)),
    ],
)
def test_a_local_value_claims_no_more_than_its_tier(
    tier: EntropyTier, bits: int, degraded: bool, data: bytes
) -> None:
    with pytest.raises(ValueError, match=r"64 bytes|T0"):
        LocalValue(data, tier, bits, degraded, "aer", b"")


def test_a_local_value_shows_no_byte() -> None:
    assert local_bytes(1).hex() not in repr(local(1))
    assert repr(local_bytes(1)) not in repr(local(1))


def test_a_chain_goes_on_from_any_of_its_pulses_alone() -> None:
    every = grow(beacon.begin(KEY.verifying_key), count=18)
    whole = beacon.begin(KEY.verifying_key)
    for before, after in itertools.pairwise(every):
        whole = beacon.extend(whole, before)
        assert beacon.resume(KEY.verifying_key, before) == whole
        assert beacon.adopt(KEY.verifying_key, before) == whole
        beacon.extend(beacon.resume(KEY.verifying_key, before), after)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("signer", bytes(64), PulseFault.SIGNER),
        ("skips", (), PulseFault.SKIP_LIST),
        ("value", bytes(63), PulseFault.MALFORMED),
        ("local", bytes(63), PulseFault.MALFORMED),
        ("time_s", START_S, PulseFault.SIGNATURE),
    ],
)
def test_a_first_pulse_is_adopted_only_if_it_holds_by_itself(
    pulses: list[Pulse], field: str, value: Any, reason: PulseFault
) -> None:
    pulse = pulses[7]
    changed = Pulse(msgspec.structs.replace(pulse.body, **{field: value}), pulse.signature)
    with pytest.raises(InvalidPulse) as caught:
        beacon.adopt(KEY.verifying_key, changed)
    assert caught.value.reason is reason
