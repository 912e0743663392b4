"""The one loop: retries, lost answers, deadlines, interrupts and handles on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import stamina

from qlq import circuit
from qlq.backends import driver, patience, registry
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
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError, JobFailed, JobPending
from qlq.faults import JobFault
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
        finds: list[list[Handle] | Exception] | None = None,
        plan: Plan = PLAN,
    ) -> None:
        self.submits = submits if submits is not None else [HANDLE]
        self.statuses = statuses if statuses is not None else [Status.DONE]
        self.finds = finds if finds is not None else [known or []]
        self.plan = plan
        self.calls: list[str] = []

    def describe(self) -> DeviceInfo:
        return DeviceInfo("script", "tests", Kind.IDEAL, 5)

    def estimate(self, plan: Plan) -> Cost:
        assert plan is self.plan
        return FREE

    def submit(self, plan: Plan) -> Handle:
        assert plan is self.plan
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
        answer = self.finds.pop(0) if len(self.finds) > 1 else self.finds[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def spent(self, handle: Handle) -> Cost:
        self.calls.append(f"spent {handle.job_id}")
        return FREE

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


def test_other_errors_are_not_retried() -> None:
    backend = Scripted(submits=[BackendUnavailable("no credentials"), HANDLE])
    with pytest.raises(BackendUnavailable, match="no credentials"):
        driver.run(backend, PLAN, timeout_s=5)
    assert backend.calls == ["submit"]


@pytest.mark.parametrize(
    ("status", "reason", "fault"),
    [
        (Status.FAILED, "it broke", JobFault.FAILED),
        (Status.CANCELLED, "cancelled", JobFault.CANCELLED),
    ],
)
def test_a_job_that_ends_badly_says_why(status: Status, reason: str, fault: JobFault) -> None:
    with pytest.raises(JobFailed) as caught:
        driver.run(Scripted(statuses=[status]), PLAN, timeout_s=5)
    assert (caught.value.job_id, caught.value.reason) == ("job-1", reason)
    assert caught.value.fault is fault


class Hasty(patience.Clock):
    """A clock whose deadline passes between one question and the next."""

    def __init__(self, questions: int) -> None:
        super().__init__(60)
        self.questions = questions

    def remaining_s(self) -> float:
        self.questions -= 1
        return 60.0 if self.questions >= 0 else -1.0


@pytest.mark.parametrize("questions", range(12))
def test_the_deadline_is_the_reason_wherever_it_passes(questions: int) -> None:
    backend = Scripted(statuses=[Status.RUNNING])
    with pytest.raises(JobPending) as caught:
        driver._await(backend, HANDLE, PLAN, Hasty(questions), None)
    assert caught.value.reason == "deadline"


def test_the_deadline_leaves_the_job_for_resume() -> None:
    backend = Scripted(statuses=[Status.RUNNING])
    with pytest.raises(JobPending) as caught:
        driver.run(backend, PLAN, timeout_s=0.4)
    assert caught.value.reason == "deadline"
    assert caught.value.fault is JobFault.PENDING
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


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LOOK_PAUSE_S", 0.001)


def accepted(number: int) -> Handle:
    return Handle("script", f"job-{number}", PLAN.digest)


@pytest.mark.usefixtures("quick_looks")
def test_a_lost_answer_without_a_job_is_submitted_again_after_several_looks() -> None:
    backend = Scripted(submits=[AmbiguousSubmit("connection lost"), HANDLE])
    driver.run(backend, PLAN, timeout_s=5)
    assert backend.calls[:5] == ["submit", *["find tag-1"] * driver.LOOKS, "submit"]


@pytest.mark.usefixtures("quick_looks")
def test_a_job_that_the_list_shows_late_is_found_before_the_next_submit() -> None:
    backend = Scripted(
        submits=[AmbiguousSubmit("connection lost"), TransientError("429"), HANDLE],
        finds=[*[[]] * driver.LOOKS, [accepted(7)]],
    )
    shots = driver.run(backend, PLAN, timeout_s=5)
    assert shots.provenance.job_id == "job-7"
    assert backend.calls.count("submit") == 2


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize(
    "found", [TransientError("503"), BackendUnavailable("the key was withdrawn")]
)
def test_what_cannot_be_looked_up_is_not_submitted_again(
    found: Exception,
) -> None:
    backend = Scripted(submits=[AmbiguousSubmit("connection lost")], finds=[found])
    with pytest.raises(JobPending, match="a job may exist") as caught:
        driver.run(backend, PLAN, timeout_s=5)
    assert caught.value.job_id == ""
    assert backend.calls.count("submit") == 1


@pytest.mark.usefixtures("quick_looks")
def test_a_refusal_after_a_lost_answer_does_not_mean_that_there_is_no_job() -> None:
    """The calibration may have changed since the first submit, which may have been accepted."""
    submits = [AmbiguousSubmit("connection lost"), CircuitRejected("qubit 4 is faulty")]
    backend = Scripted(submits=submits, finds=[[]])
    with pytest.raises(JobPending, match=r"a job may exist.*qubit 4 is faulty"):
        driver.run(backend, PLAN, timeout_s=5)


def test_an_error_while_a_backend_is_closed_is_left_behind() -> None:
    def close() -> None:
        raise BackendUnavailable("the session cannot be closed")

    patience.part(close, what="closing")


def test_a_plan_without_a_tag_is_never_submitted_twice_after_a_lost_answer() -> None:
    bare = Plan(PLAN.program, PLAN.bindings, PLAN.shots)
    backend = Scripted(submits=[AmbiguousSubmit("connection lost"), HANDLE], plan=bare)
    with pytest.raises(JobPending, match="no tag"):
        driver.run(backend, bare, timeout_s=5)
    assert backend.calls == ["submit"]


class Slow(Scripted):
    """Its first submit is accepted at once or late, and answered late."""

    def __init__(self, *, accept_s: float, answer_s: float) -> None:
        super().__init__()
        self.accept_s, self.answer_s = accept_s, answer_s
        self.accepted: list[Handle] = []
        self.cancelled: list[Handle] = []
        self.answered = threading.Event()

    def submit(self, plan: Plan) -> Handle:  # noqa: ARG002 - the port's argument
        number = self.calls.count("submit") + 1
        self.calls.append("submit")
        handle = accepted(number)
        if number == 1:
            time.sleep(self.accept_s)
            self.accepted.append(handle)
            time.sleep(self.answer_s)
            self.answered.set()
            return handle
        self.accepted.append(handle)
        return handle

    def find(self, tag: str) -> list[Handle]:  # noqa: ARG002 - the port's argument
        return list(reversed(self.accepted))

    def cancel(self, handle: Handle) -> None:
        self.cancelled.append(handle)


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize(
    ("accept_s", "answer_s", "submits"),
    [
        (0.0, 0.6, 1),  # accepted at once: found by its tag
        (0.5, 0.0, 2),  # accepted after a second submit: the late one is cancelled
    ],
)
def test_a_submit_without_an_answer_leaves_one_job(
    monkeypatch: pytest.MonkeyPatch,
    accept_s: float,
    answer_s: float,
    submits: int,
) -> None:
    monkeypatch.setattr(driver, "SUBMIT_S_MAX", 0.1)
    backend = Slow(accept_s=accept_s, answer_s=answer_s)
    shots = driver.run(backend, PLAN, timeout_s=5)
    assert backend.answered.wait(5)
    time.sleep(0.1)
    assert len(backend.accepted) == submits
    left = [handle for handle in backend.accepted if handle not in backend.cancelled]
    assert [handle.job_id for handle in left] == [shots.provenance.job_id]


def test_of_two_jobs_with_the_tag_the_older_one_counts_and_the_other_is_cancelled() -> None:
    backend = Scripted(finds=[[accepted(2), accepted(1)]])
    shots = driver.recover(backend, PLAN, timeout_s=5)
    assert shots.provenance.job_id == "job-1"
    assert "cancel job-2" in backend.calls
    assert "submit" not in backend.calls


@pytest.mark.usefixtures("quick_looks")
def test_a_plan_of_an_earlier_process_is_looked_for_before_it_is_submitted() -> None:
    backend = Scripted(finds=[[accepted(3)]])
    assert driver.recover(backend, PLAN, timeout_s=5).provenance.job_id == "job-3"
    absent = Scripted()
    driver.recover(absent, PLAN, timeout_s=5)
    assert absent.calls[: driver.LOOKS + 1] == [*["find tag-1"] * driver.LOOKS, "submit"]


@pytest.mark.parametrize("error", [BackendUnavailable("token expired"), TransientError("503")])
def test_after_a_job_was_accepted_nothing_makes_the_backend_unavailable(error: Exception) -> None:
    kept: list[Handle] = []
    with pytest.raises(JobPending, match=str(error)) as caught:
        driver.run(Scripted(statuses=[error]), PLAN, timeout_s=5, on_handle=kept.append)
    assert caught.value.job_id == "job-1"
    assert kept == [HANDLE]


@pytest.mark.parametrize("step", ["submit", "status", "fetch", "find"])
def test_a_silent_server_holds_nobody_longer_than_the_deadline(step: str) -> None:
    silence = threading.Event()

    def silent(*_: object) -> None:
        silence.wait(30)

    backend = Scripted(submits=[AmbiguousSubmit("lost")] if step == "find" else None)
    setattr(backend, step, silent)
    started = time.monotonic()
    with pytest.raises(JobPending):
        driver.run(backend, PLAN, timeout_s=0.3)
    assert time.monotonic() - started < 1.5
    silence.set()
