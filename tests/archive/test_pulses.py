"""A file of pulses has the documented bytes; a torn tail is told from damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from qlq.archive import pulses
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.errors import ArchiveInvalid, ConfigError, InvalidPulse, InvariantBroken
from qlq.node import pulsing
from qlq.node.pulsing import Tail
from qlq.qrng import beacon

VECTORS = Path(__file__).parents[1] / "vectors" / "beacon"
GOLDEN = json.loads((VECTORS / "pulses_v1.json").read_text())
KEY = VerifyingKey.from_bytes(bytes.fromhex(GOLDEN["key"]))
RECORDS = [bytes.fromhex(data) for data in GOLDEN["pulses"]]
HEAD = 9 + 4 + 1953


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three pulses."""
    path = tmp_path / "pulses.qlq"
    pulses.create(path, KEY)
    for record in RECORDS[:3]:
        pulses.append(path, beacon.decode(record), after=pulses.read(path))
    return path


def test_the_file_has_the_documented_bytes(file: Path) -> None:
    expected = b"QLQPULSE\x01" + (1953).to_bytes(4, "big") + KEY.to_bytes()
    for record in RECORDS[:3]:
        length = len(record).to_bytes(4, "big")
        expected += length + hashlib.sha256(b"qlq pulse length 1" + length).digest()[:4] + record
    assert file.read_bytes() == expected


def test_what_was_written_is_read_back(file: Path) -> None:
    found = pulses.read(file)
    assert found.key == KEY
    assert list(found.records) == RECORDS[:3]
    assert (found.sound_bytes, found.torn_bytes) == (len(file.read_bytes()), 0)


def test_every_tail_of_an_unwritten_pulse_is_torn_and_no_damage(file: Path) -> None:
    data = file.read_bytes()
    sound = len(data) - 8 - len(RECORDS[2])
    for size in (*range(sound + 1, sound + 20), *range(sound + 20, len(data), 97)):
        file.write_bytes(data[:size])
        found = pulses.read(file)
        assert list(found.records) == RECORDS[:2]
        assert (found.sound_bytes, found.torn_bytes) == (sound, size - sound)
        checked = pulsing.check(file, signer=None, against=None, tail=Tail.GROWING)
        assert (checked.fault, checked.torn_bytes) == (None, size - sound)
        fault = pulsing.check(file, signer=None, against=None).fault
        assert fault is not None
        assert (fault.reason.value, fault.index) == ("torn", 2)


def test_an_append_replaces_a_torn_tail(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-7])
    pulses.append(file, beacon.decode(RECORDS[2]), after=pulses.read(file))
    assert file.read_bytes() == data


def test_a_torn_tail_that_is_longer_than_the_next_pulse_goes_too(file: Path) -> None:
    data = file.read_bytes()
    length = (60_000).to_bytes(4, "big")
    check = hashlib.sha256(b"qlq pulse length 1" + length).digest()[:4]
    file.write_bytes(data + length + check + bytes(50_000))
    found = pulses.read(file)
    assert found.torn_bytes == 50_008
    pulses.append(file, beacon.decode(RECORDS[3]), after=found)
    assert list(pulses.read(file).records) == RECORDS[:4]
    assert pulses.read(file).torn_bytes == 0


def refused(file: Path) -> bool:
    try:
        return pulsing.check(file, signer=None, against=None).fault is not None
    except (ArchiveInvalid, ConfigError):
        return True


def test_every_changed_byte_is_refused(file: Path) -> None:
    """All of the head and the prefixes, every 23rd byte elsewhere."""
    data = file.read_bytes()
    starts = [HEAD]
    for record in RECORDS[:2]:
        starts.append(starts[-1] + 8 + len(record))
    prefixes = {start + place for start in starts for place in range(12)}
    for place in sorted({*range(20), *range(0, len(data), 23), *prefixes}):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert refused(file), place


def test_a_changed_length_is_damage_and_not_a_torn_tail(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[HEAD] = 0x7F
    file.write_bytes(data)
    with pytest.raises(ArchiveInvalid, match=f"byte {HEAD}"):
        pulses.read(file)


def test_pulses_that_are_missing_exchanged_or_doubled_are_named(file: Path) -> None:
    head, parts = file.read_bytes()[:HEAD], []
    start = HEAD
    for record in RECORDS[:3]:
        end = start + 8 + len(record)
        parts.append(file.read_bytes()[start:end])
        start = end
    first, second, third = parts
    for order, reason in (
        ((first, third), "gap"),
        ((second, third), "gap"),
        ((first, second, second), "fork"),
        ((first, third, second), "gap"),
        ((), "empty"),
    ):
        broken = file.with_name("broken")
        broken.write_bytes(head + b"".join(order))
        fault = pulsing.check(broken, signer=None, against=None).fault
        assert isinstance(fault, InvalidPulse)
        assert fault.reason.value == reason


def test_a_fork_is_found_by_comparing_two_copies(file: Path) -> None:
    key = SigningKey(Algorithm.ML_DSA_65, bytes(range(32)))
    other = file.with_name("other")
    pulses.create(other, KEY)
    chain = beacon.begin(KEY)
    for record in RECORDS[:2]:
        chain = beacon.extend(chain, beacon.decode(record))
        pulses.append(other, beacon.decode(record), after=pulses.read(other))
    assert pulsing.check(file, signer=None, against=other).fault is None
    body = beacon.decode(RECORDS[2]).body
    pulse = beacon.make(
        chain,
        key,
        local=beacon.LocalValue(
            body.local, beacon.EntropyTier.NONE, 0, degraded=False, origin="aer", certificate=b""
        ),
        next_local=bytes(64),
        time_s=body.time_s,
        period_s=60,
    )
    pulses.append(other, pulse, after=pulses.read(other))
    fault = pulsing.check(file, signer=None, against=other).fault
    assert fault is not None
    assert (fault.reason.value, fault.index) == ("fork", 2)


def test_a_copy_is_held_to_the_same_and_a_longer_one_shows_what_is_missing(file: Path) -> None:
    other, data = file.with_name("other"), file.read_bytes()
    other.write_bytes(data)
    file.write_bytes(data[: len(data) - 8 - len(RECORDS[2])])  # exactly one pulse is cut off
    found = pulsing.check(file, signer=None, against=other)
    assert (found.fault, found.chain.next_index, found.against_pulses) == (None, 2, 3)
    other.write_bytes(data[:-1])
    found = pulsing.check(file, signer=None, against=other)
    assert found.fault is not None
    assert "the other copy ends" in str(found.fault)
    found = pulsing.check(file, signer=None, against=other, tail=Tail.GROWING)
    assert (found.fault, found.against_pulses) == (None, 2)


def test_the_wanted_signer_is_insisted_on(file: Path) -> None:
    own = hashlib.sha512(KEY.to_bytes()).hexdigest()
    assert pulsing.check(file, signer=own, against=None).fault is None
    fault = pulsing.check(file, signer="00" * 64, against=None).fault
    assert fault is not None
    assert fault.reason.value == "signer"


@pytest.mark.parametrize("content", [b"", b"QLQ", b"QLQPULSE\x02" + bytes(2000), b"x" * 3000])
def test_what_is_no_file_of_pulses_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no file of pulses"):
        pulses.read(path)


@pytest.mark.parametrize("size", [9, 12, 13, 100, HEAD - 1])
def test_a_cut_head_is_damage(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ArchiveInvalid, match="cut off"):
        pulses.read(file)


def test_nothing_is_written_over(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists"):
        pulses.create(file, KEY)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pulses.qlq"]
    earlier = pulses.read(file)
    pulses.append(file, beacon.decode(RECORDS[3]), after=earlier)
    with pytest.raises(InvariantBroken):
        pulses.append(file, beacon.decode(RECORDS[3]), after=earlier)
    with pytest.raises(ConfigError, match="cannot read"):
        pulses.read(tmp_path / "absent")
