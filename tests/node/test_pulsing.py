"""A home's beacon goes on after a crash with the pulse that was promised, and with no other."""

from __future__ import annotations

import dataclasses
import itertools
import resource
import shutil
from pathlib import Path

import pytest

from qlq import config
from qlq.archive import pulses
from qlq.backends.chain import Fallback
from qlq.config import Settings
from qlq.errors import BackendUnavailable, ConfigError, KeyStoreDamaged
from qlq.node import pulsing
from qlq.node.entropy import EntropyOrder
from qlq.node.pulsing import Made
from qlq.qrng import beacon

ORDER = EntropyOrder(("aer",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.load(
        flags={"home": str(tmp_path / "home"), "backend": None}, environ={}, profile=None
    )


def pulse(settings: Settings, told: list[str] | None = None, order: EntropyOrder = ORDER) -> Made:
    tell = (lambda _text: None) if told is None else told.append
    return pulsing.pulse(order, settings, period_s=0, tell=tell)


def valid(settings: Settings) -> int:
    """Pulses of a chain without fault."""
    checked = pulsing.check(pulsing.pulse_file(settings), signer=None, against=None)
    assert checked.fault is None
    return checked.chain.next_index


def test_pulses_follow_each_other_and_show_what_was_committed_to(settings: Settings) -> None:
    made = [pulse(settings) for _ in range(3)]
    assert [one.pulse.body.index for one in made] == [0, 1, 2]
    assert valid(settings) == 3
    chain = beacon.verify([one.pulse for one in made], key=pulses.read(made[0].path).key)
    assert chain.last == made[-1].pulse
    assert {one.pulse.body.tier for one in made} == {0}  # a simulator


def test_the_next_value_is_sealed_for_its_owner(settings: Settings) -> None:
    first, second = pulse(settings), pulse(settings)
    sealed = settings.home / "beacon" / "next.sealed"
    assert sealed.stat().st_mode & 0o777 == 0o600
    data = sealed.read_bytes()
    assert second.pulse.body.local not in data
    third = pulse(settings)
    assert third.pulse.body.local not in data
    assert first.path.read_bytes().count(third.pulse.body.local) == 1


@pytest.mark.parametrize("torn_bytes", [0, 5, 200])
@pytest.mark.parametrize("published", [0, 1])
def test_a_pulse_that_was_sealed_and_not_published_is_published_unchanged(
    settings: Settings, published: int, torn_bytes: int
) -> None:
    """A crash between the seal and the append, or within the append, of the first and second."""
    path = pulsing.pulse_file(settings)
    for _ in range(published):
        pulse(settings)
    before = path.stat().st_size if published else 9 + 4 + 1953  # magic, length, key
    promised = pulse(settings).pulse
    path.write_bytes(path.read_bytes()[: before + torn_bytes])
    told: list[str] = []
    after = pulse(settings, told).pulse
    assert after.body.index == published + 1
    assert any(f"pulse {published} was made and not published" in text for text in told)
    assert beacon.decode(pulses.read(path).records[published]) == promised
    assert valid(settings) == published + 2


def test_a_full_disk_at_the_append_leaves_the_promise_sealed(settings: Settings) -> None:
    """The file may grow by a hundred bytes only: the pulse after it is the promised one."""
    for _ in range(3):
        pulse(settings)
    path = pulsing.pulse_file(settings)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot write"):
            pulse(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told: list[str] = []
    assert pulse(settings, told).pulse.body.index == 4
    assert any("pulse 3 was made and not published" in text for text in told)
    assert valid(settings) == 5


def test_a_home_that_is_restored_from_an_old_copy_makes_no_second_pulse(
    settings: Settings, tmp_path: Path
) -> None:
    pulse(settings)
    folder = settings.home / "beacon"
    shutil.copy(folder / "next.sealed", tmp_path / "old")
    shutil.copy(folder / "pulses.qlq", tmp_path / "old-pulses")
    pulse(settings)
    pulse(settings)
    newest = (folder / "next.sealed").read_bytes()
    (folder / "next.sealed").write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(KeyStoreDamaged, match="committed to"):
        pulse(settings)
    (folder / "next.sealed").write_bytes(newest)
    (folder / "pulses.qlq").write_bytes((tmp_path / "old-pulses").read_bytes())
    with pytest.raises(KeyStoreDamaged, match="committed to"):
        pulse(settings)
    (folder / "next.sealed").write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(KeyStoreDamaged, match="has signed pulse 2"):
        pulse(settings)
    assert valid(settings) == 1


PARTS = ("beacon/next.sealed", "beacon/pulses.qlq", "rng/pulsed-*.sealed")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("moved", [*itertools.combinations(PARTS, 1), PARTS[:2]])
def test_a_key_that_has_pulsed_begins_no_second_chain(
    settings: Settings, moved: tuple[str, ...], count: int
) -> None:
    """Whatever is moved away: no pulse of an index that was signed is ever signed again."""
    made = [pulse(settings).pulse for _ in range(count)]
    for pattern in moved:
        (path,) = settings.home.glob(pattern)
        path.rename(path.with_name("away"))
    if moved == PARTS[2:]:  # the chain itself is there, and says what was signed
        assert pulse(settings).pulse.body.index == count
        assert len(list(settings.home.glob(PARTS[2]))) == 1
        return
    for _ in range(2):  # a refusal leaves nothing behind that a second call takes for a beginning
        with pytest.raises(KeyStoreDamaged, match="another home"):
            pulse(settings)
    elsewhere = dataclasses.replace(settings, home=settings.home.with_name("other"))
    other = pulse(elsewhere).pulse
    assert other.body.signer != made[0].body.signer


def test_a_pulse_that_was_signed_and_not_published_begins_no_second_chain(
    settings: Settings,
) -> None:
    """A crash between the note and the first append; then the sealed pulse is moved away."""
    path = pulse(settings).path
    path.write_bytes(path.read_bytes()[: 9 + 4 + 1953])
    (settings.home / "beacon" / "next.sealed").unlink()
    with pytest.raises(KeyStoreDamaged, match="has signed pulse 0"):
        pulse(settings)


def test_a_crash_between_the_seal_and_the_note_loses_nothing(settings: Settings) -> None:
    first = pulse(settings)
    (note,) = settings.home.glob(PARTS[2])
    earlier = note.read_bytes()
    before = first.path.read_bytes()
    promised = pulse(settings).pulse
    note.write_bytes(earlier)
    first.path.write_bytes(before)
    second = pulse(settings)
    assert second.pulse.body.index == 2
    assert beacon.decode(pulses.read(first.path).records[1]) == promised
    assert valid(settings) == 3


def test_a_lost_or_changed_seal_is_said(settings: Settings) -> None:
    pulse(settings)
    sealed = settings.home / "beacon" / "next.sealed"
    data = sealed.read_bytes()
    sealed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(KeyStoreDamaged, match="has been changed"):
        pulse(settings)
    sealed.unlink()
    with pytest.raises(KeyStoreDamaged, match="committed to"):
        pulse(settings)
    assert valid(settings) == 1


def test_a_lost_file_is_said(settings: Settings) -> None:
    path = pulse(settings).path
    path.unlink()
    with pytest.raises(KeyStoreDamaged, match="is gone"):
        pulse(settings)
    assert not path.exists()


def test_a_clock_that_went_back_makes_no_pulse(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pulse(settings)
    earlier_s = made.pulse.body.time_s - 3600
    monkeypatch.setattr(pulsing.time, "time", lambda: float(earlier_s))
    with pytest.raises(ConfigError, match="3600 s behind"):
        pulse(settings)
    assert valid(settings) == 1


def test_a_dead_source_makes_no_pulse_and_breaks_nothing(settings: Settings) -> None:
    pulse(settings)
    with pytest.raises(BackendUnavailable):
        pulse(settings, order=EntropyOrder(("classical",)))
    assert valid(settings) == 1
    pulse(settings)
    assert valid(settings) == 2


def test_the_operating_system_stands_in_only_when_allowed_and_is_marked(
    settings: Settings,
) -> None:
    order = EntropyOrder(("classical",), fallback=Fallback.ALLOWED)
    pulse(settings, order=order)
    made = pulse(settings, order=order)
    assert made.next_degraded
    assert not pulse(settings).next_degraded
    body = made.pulse.body
    assert body.degraded
    assert (body.tier, body.claim_bits, body.origin) == (0, 0, "operating system")


def test_the_period_stays_the_same(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="-1"):
        pulsing.pulse(ORDER, settings, period_s=-1, tell=print)
