"""The one loop: retries, lost answers, deadlines, interrupts and handles on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import stamina

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.port import (
    FREE,
    AmbiguousSubmit,
    Cost,
    DeviceInfo,
    Handle,
    Limits,
    Status,
    TransientError,
)
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, ConfigError, JobFailed
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.shots import Shots

PLAN = Plan(circuit.load("bb84"), np.zeros((2, 3)), 5, tags=("tag-1",))
HANDLE = Handle("script", "job-1", PLAN.digest)


class Scripted:
    """A backend that answers from a script; an exception in it is raised."""

    name = "script"
    limits = Limits(100, 100, 100, 5, 0.002)

    def __init__(
        self,
        *,
        submits: list[Handle | Exception] | None = None,
        statuses: list[Status | BaseException] | None = None,
        known: list[Handle] | None = None,
    ) -> None:
        self.submits = submits if submits is not None else [HANDLE]
        self.statuses = statuses if statuses is not None else [Status.DONE]
        self.known = known or []
        self.calls: list[str] = []

    def describe(self) -> DeviceInfo:
        return DeviceInfo("script", "tests", Kind.IDEAL, 5)

    def estimate(self, plan: Plan) -> Cost:
        assert plan is PLAN
        return FREE

    def submit(self, plan: Plan) -> Handle:
        assert plan is PLAN
        self.calls.append("submit")
        answer = self.submits.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def status(self, handle: Handle) -> Status:
        self.calls.append(f"status {handle.job_id}")
        answer = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        self.calls.append(f"fetch {handle.job_id}")
        if self.statuses[0] is Status.FAILED:
            raise JobFailed("it broke", job_id=handle.job_id, reason="it broke")
        origin = Provenance(
            Tier.SIMULATOR,
            Claim.SIMULATION,
            backend=self.name,
            provider="tests",
            device="script",
            kind=Kind.IDEAL,
            job_id=handle.job_id,
            program_digest=plan.program.digest,
            sdk={},
        )
        return Shots(np.zeros((2, 5, 1), dtype=np.uint8), origin)

    def cancel(self, handle: Handle) -> None:
        self.calls.append(f"cancel {handle.job_id}")

    def find(self, tag: str) -> list[Handle]:
        self.calls.append(f"find {tag}")
        return self.known

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retry at once, as often as in earnest."""
    with stamina.set_testing(True, attempts=driver.ATTEMPTS_MAX):
        yield


def test_transient_errors_are_retried_at_every_step() -> None:
    lost = TransientError("503")
    backend = Scripted(
        submits=[lost, lost, HANDLE], statuses=[lost, Status.QUEUED, lost, Status.DONE]
    )
    seen: list[Status] = []
    shots = driver.run(backend, PLAN, timeout_s=5, progress=lambda s, _: seen.append(s))
    assert shots.provenance.job_id == "job-1"
    assert seen == [Status.QUEUED, Status.DONE]
    assert backend.calls.count("submit") == 3


def test_transient_errors_without_end_make_the_backend_unavailable() -> None:
    backend = Scripted(submits=[TransientError("429")] * 50)
    with pytest.raises(BackendUnavailable, match="429"):
        driver.run(backend, PLAN, timeout_s=5)
    assert len(backend.calls) == driver.ATTEMPTS_MAX


def test_a_lost_answer_leads_to_the_job_that_exists() -> None:
    other = Handle("script", "other", "0" * 64)
    found = Handle("script", "found", PLAN.digest)
    backend = Scripted(submits=[AmbiguousSubmit("connection lost")], known=[other, found])
    kept: list[Handle] = []
    driver.run(backend, PLAN, timeout_s=5, on_handle=kept.append)
    assert kept == [found]
    assert backend.calls == ["submit", "find tag-1", "status found", "fetch found"]


def test_a_lost_answer_without_a_job_is_submitted_again() -> None:
    backend = Scripted(submits=[AmbiguousSubmit("connection lost"), HANDLE])
    driver.run(backend, PLAN, timeout_s=5)
    assert backend.calls[:3] == ["submit", "find tag-1", "submit"]


def test_other_errors_are_not_retried() -> None:
    backend = Scripted(submits=[BackendUnavailable("no credentials"), HANDLE])
    with pytest.raises(BackendUnavailable, match="no credentials"):
        driver.run(backend, PLAN, timeout_s=5)
    assert backend.calls == ["submit"]


@pytest.mark.parametrize(
    ("status", "reason"), [(Status.FAILED, "it broke"), (Status.CANCELLED, "cancelled")]
)
def test_a_job_that_ends_badly_says_why(status: Status, reason: str) -> None:
    with pytest.raises(JobFailed) as caught:
        driver.run(Scripted(statuses=[status]), PLAN, timeout_s=5)
    assert (caught.value.job_id, caught.value.reason) == ("job-1", reason)


def test_the_deadline_leaves_the_job_for_resume() -> None:
    backend = Scripted(statuses=[Status.RUNNING])
    with pytest.raises(JobFailed) as caught:
        driver.run(backend, PLAN, timeout_s=0.05)
    assert caught.value.reason == "deadline"
    assert "cancel job-1" not in backend.calls
    backend.statuses = [Status.DONE]
    assert driver.resume(backend, HANDLE, PLAN, timeout_s=5).bits.shape == (2, 5, 1)


def test_an_interrupt_leaves_the_job_and_its_handle(tmp_path: Path) -> None:
    backend = Scripted(statuses=[Status.RUNNING, KeyboardInterrupt(), Status.DONE])
    path = tmp_path / "handle.json"
    with pytest.raises(KeyboardInterrupt):
        driver.run(backend, PLAN, timeout_s=5, on_handle=lambda h: driver.write_handle(h, path))
    assert not any(call.startswith(("cancel", "fetch")) for call in backend.calls)
    handle = driver.read_handle(path)
    assert driver.resume(backend, handle, PLAN, timeout_s=5).provenance.job_id == "job-1"


def test_resume_refuses_another_plan_or_backend() -> None:
    other = Plan(circuit.load("bb84"), np.ones((2, 3)), 5)
    with pytest.raises(ValueError, match=other.digest):
        driver.resume(Scripted(), HANDLE, other, timeout_s=5)
    with pytest.raises(ValueError, match="elsewhere"):
        driver.resume(Scripted(), Handle("elsewhere", "job-1", PLAN.digest), PLAN, timeout_s=5)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_deadline_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        driver.run(Scripted(), PLAN, timeout_s=timeout_s)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"schema": "qlq.handle/1", "backend": 3}']
)
def test_a_file_that_is_no_handle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "handle.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="handle"):
        driver.read_handle(path)


def test_a_handle_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        driver.write_handle(HANDLE, tmp_path / "missing" / "handle.json")
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        driver.read_handle(tmp_path / "nothing.json")


def test_a_simulators_job_is_resumed_from_its_handle_on_disk(tmp_path: Path) -> None:
    backend = registry.open_backend("aer")
    path = tmp_path / "handle.json"
    plan = Plan(PLAN.program, PLAN.bindings, 100)
    first = driver.run(
        backend, plan, timeout_s=60, on_handle=lambda h: driver.write_handle(h, path)
    )
    again = driver.resume(backend, driver.read_handle(path), plan, timeout_s=60)
    backend.close()
    assert np.array_equal(first.bits, again.bits)
