"""What is cancelled, what had ended, what is unknown: told, whatever a list shows when."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from qlq.backends import cancelling, driver
from qlq.backends.cancelling import Cancellation
from qlq.backends.patience import Clock
from qlq.backends.port import Handle, Status
from qlq.errors import BackendUnavailable, JobFailed
from qlq.faults import JobFault

TAG = "tag-1"


class Vendor:
    """Jobs by id, each shown in lists from one look on; `cancel` ends those that have not ended."""

    name = "vendor"

    def __init__(self, **shown_from: int) -> None:
        self.shown_from = shown_from
        self.states = dict.fromkeys(shown_from, Status.RUNNING)
        self.looks = 0
        self.cancels: list[str] = []

    def find(self, tag: str) -> list[Handle]:
        assert tag == TAG
        self.looks += 1
        shown = [job for job, look in self.shown_from.items() if self.looks >= look]
        return [Handle(self.name, job, "digest") for job in shown]

    def cancel(self, handle: Handle) -> None:
        self.cancels.append(handle.job_id)
        if self.status(handle) is Status.RUNNING:
            self.states[handle.job_id] = Status.CANCELLED

    def status(self, handle: Handle) -> Status:
        if handle.job_id not in self.states:
            raise JobFailed("?", job_id=handle.job_id, reason="?", fault=JobFault.UNKNOWN)
        return self.states[handle.job_id]


class Parts(Vendor):
    """A vendor whose jobs have parts, which lists show one by one."""

    def cancel_tagged(self, tag: str) -> Mapping[str, Status]:
        handles = self.find(tag)
        for handle in handles:
            self.cancel(handle)
        return {handle.job_id: self.status(handle) for handle in handles}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LOOK_PAUSE_S", 0.001)


def tagged(vendor: Vendor) -> Cancellation:
    return cancelling.tagged(vendor, TAG, clock=Clock(5))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Vendor, Parts])
def test_what_a_list_shows_late_is_cancelled_too(kind: type[Vendor]) -> None:
    vendor = kind(a=1, b=2, c=driver.LOOKS)
    assert tagged(vendor) == Cancellation(cancelled=("a", "b", "c"))
    assert set(vendor.states.values()) == {Status.CANCELLED}


@pytest.mark.parametrize("kind", [Vendor, Parts])
def test_what_had_ended_is_told_apart_from_what_was_cancelled(kind: type[Vendor]) -> None:
    vendor = kind(a=1, b=1, c=1)
    vendor.states.update(a=Status.DONE, c=Status.FAILED)
    found = tagged(vendor)
    assert found == Cancellation(cancelled=("b",), ended=("a", "c"))
    assert str(found) == "cancelled: b; had ended before: a, c"


@pytest.mark.parametrize("kind", [Vendor, Parts])
def test_nothing_at_all_is_said_after_all_looks(kind: type[Vendor]) -> None:
    vendor = kind()
    assert tagged(vendor).is_empty
    assert vendor.looks == driver.LOOKS


def test_a_job_is_cancelled_once_however_often_it_is_seen() -> None:
    vendor = Vendor(a=1)
    tagged(vendor)
    assert vendor.cancels == ["a"]


def test_a_job_that_the_vendor_does_not_know_is_named() -> None:
    handle = Handle("vendor", "head/x,y", "digest")
    found = cancelling.job(Vendor(), handle, clock=Clock(5))  # type: ignore[arg-type]
    assert found == Cancellation(unknown=("head/x", "head/y"))


def test_a_cancel_that_is_refused_is_no_cancel() -> None:
    class Closed(Vendor):
        def cancel(self, handle: Handle) -> None:
            raise BackendUnavailable(f"{handle.job_id}: the credentials were withdrawn")

    with pytest.raises(BackendUnavailable, match="withdrawn"):
        tagged(Closed(a=1))


def test_a_cancel_whose_job_cannot_be_seen_any_more_is_one() -> None:
    class Shy(Vendor):
        def status(self, handle: Handle) -> Status:
            if handle.job_id in self.cancels[:-1] or self.states[handle.job_id] is Status.CANCELLED:
                raise BackendUnavailable("not now")
            return super().status(handle)

    assert tagged(Shy(a=1)) == Cancellation(cancelled=("a",))
