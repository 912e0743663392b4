"""Random bytes from backends: failover, consent, health, claims, full entropy."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qlq.backends.chain import Fallback
from qlq.backends.port import Status
from qlq.config import Settings
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    ConfigError,
    HealthTestFailed,
    JobFailed,
    JobPending,
    MinEntropyTooLow,
)
from qlq.node import entropy, jobs, jobs_desk
from qlq.node.consent import Caps, Consent, say_yes
from qlq.node.entropy import EntropyOrder, Sampling
from qlq.node.jobs import Purpose, Record, State
from qlq.provenance import EntropyTier
from qlq.qrng.seed_record import SeedRecord


def silent(_text: str) -> None:
    pass


def order(*backends: str, **fields: Any) -> EntropyOrder:
    return EntropyOrder(backends, sampling=fields.pop("sampling", Sampling.SHORT), **fields)


def draw(wish: EntropyOrder, count: int = 32) -> Any:
    pool, _ = entropy.open_pool(wish, silent)
    return pool.draw(count)


def test_a_device_s_bytes_claim_what_its_seed_is_worth(lab: Any) -> None:
    got = draw(order("lab"))
    assert (got.tier, got.claim_bits, got.degraded) == (EntropyTier.DEVICE_MODELLED, 256.0, False)
    assert any("assessment is short" in reason for reason in got.reasons)
    assert lab.submits() == 1


def test_a_full_assessment_takes_a_million_bits_and_is_not_short(lab: Any) -> None:
    told: list[str] = []
    pool, _ = entropy.open_pool(order("lab", sampling=Sampling.FULL), told.append)
    got = pool.draw(48)
    assert got.claim_bits == 384.0
    assert not any("short" in reason for reason in got.reasons)
    assert pool.record is not None
    assert pool.record.jobs[0].raw_bits == 1_000_000
    # fair bits are assessed above the budget
    assert "0.8000 bit for each raw bit" in got.reasons[0]
    assert lab.submits() == 1


def test_a_simulator_claims_nothing_and_is_not_assessed(lab: Any) -> None:
    told: list[str] = []
    pool, _ = entropy.open_pool(order("lab:simulated", sampling=Sampling.FULL), told.append)
    got = pool.draw(32)
    assert (got.tier, got.claim_bits) == (EntropyTier.NONE, 0.0)
    assert not any("assessing" in text for text in told)
    assert lab.submits() == 1


def test_rows_of_a_narrow_device_make_one_batch(lab: Any) -> None:
    pool, _ = entropy.open_pool(order("lab:narrow"), silent)
    assert pool.draw(32).claim_bits == 256.0
    assert pool.record is not None
    assert pool.record.jobs[0].raw_bits == 4096
    assert lab.submits() == 1


@pytest.mark.parametrize(
    ("word", "tests"),
    [
        ("stuck", {"repetition count"}),
        ("biased", {"adaptive proportion", "repetition count"}),
        ("periodic", {"period of 3000 bits"}),
    ],
)
def test_a_sick_source_is_refused_and_stays_refused(lab: Any, word: str, tests: set[str]) -> None:
    lab.script(word, "ok")
    pool, _ = entropy.open_pool(order("lab", fallback=Fallback.ALLOWED), silent)
    for _ in range(2):
        with pytest.raises(HealthTestFailed) as caught:
            pool.draw(32)
    assert caught.value.test in tests
    assert lab.submits() == 1


@pytest.mark.parametrize(
    ("backend", "advice"), [("lab", "may be chance"), ("lab:simulated", "run the command again")]
)
def test_an_alarm_says_how_often_fair_bits_raise_it(lab: Any, backend: str, advice: str) -> None:
    lab.script("stuck")
    with pytest.raises(HealthTestFailed) as caught:
        draw(order(backend))
    (note,) = caught.value.__notes__
    assert "in 1 of 8,314 batches" in note  # 4 columns of 1,024 bits, and all 4,096
    assert advice in note


def test_a_replayed_job_is_caught_at_the_next_seed(lab: Any) -> None:
    lab.script("replay")
    pool, _ = entropy.open_pool(order("lab", reseed_bytes=32), silent)
    pool.draw(32)
    with pytest.raises(HealthTestFailed, match="replayed batch"):
        pool.draw(1)


def test_bits_without_calibration_claim_nothing(lab: Any) -> None:
    lab.script("uncalibrated")
    got = draw(order("lab"))
    assert (got.tier, got.claim_bits) == (EntropyTier.DEVICE_MODELLED, 0.0)
    assert "no complete calibration" in got.reasons[0]


def test_an_absent_backend_leads_to_the_next_and_is_recorded(lab: Any) -> None:
    pool, origin = entropy.open_pool(order("lab:down", "lab"), silent)
    pool.draw(32)
    assert [attempt.backend for attempt in origin.attempts] == ["lab:down"]
    assert "moved" in origin.attempts[0].detail
    assert pool.provenance[0].backend == "lab"
    assert lab.submits() == 1


def test_a_failed_job_leads_nowhere(lab: Any) -> None:
    lab.script("failed", "ok")
    with pytest.raises(JobFailed, match="laser"):
        draw(order("lab", "lab:narrow", fallback=Fallback.ALLOWED))
    assert lab.submits() == 1


def test_a_job_that_does_not_end_by_the_deadline_is_left_and_named(lab: Any) -> None:
    lab.script("pending")
    with pytest.raises(JobPending) as caught:
        draw(order("lab", "lab:narrow", deadline_s=0.5))
    assert caught.value.job_id
    assert caught.value.__notes__ == ["random bytes are measured anew the next time"]
    assert lab.submits() == 1


def on_record(home: Path) -> Record:
    """The one job of random bits that is on record."""
    (record,) = jobs.read_all(home).records
    assert record.purpose is Purpose.RANDOM
    return record


def test_a_paid_job_is_on_record_from_before_it_is_sent(lab: Any, tmp_path: Path) -> None:
    told: list[str] = []
    wish = order("lab:paid", consent=Consent(Caps(cost=Decimal(100))), home=tmp_path)
    pool, _ = entropy.open_pool(wish, told.append)
    pool.draw(32)
    record = on_record(tmp_path)
    assert (record.state, record.backend, record.parameters) == (State.DONE, "lab:paid", None)
    (job,) = record.submissions
    assert (job.status, job.tag.startswith("qlq-rng-")) == (Status.DONE, True)
    assert job.spent is not None
    assert lab.submits() == 1
    first = told.index(
        f"job {record.id} is on record; if this process ends: qlq job cancel {record.id}"
    )
    assert first < told.index(f"accepted as {job.job_id}")


def test_a_paid_job_that_is_left_is_cancelled_and_told(lab: Any, tmp_path: Path) -> None:
    lab.script("pending")
    consent = Consent(Caps(cost=Decimal(100)))
    with pytest.raises(JobPending) as caught:
        draw(order("lab:paid", "lab", deadline_s=0.5, consent=consent, home=tmp_path))
    assert f"cancelled: {caught.value.job_id}" in caught.value.__notes__[0]
    assert lab.cancelled() == [caught.value.job_id]
    assert lab.submits() == 1
    record = on_record(tmp_path)
    assert (record.state, record.detail) == (State.CANCELLED, f"cancelled: {caught.value.job_id}")


def test_a_job_that_is_interrupted_is_cancelled_and_told(lab: Any, tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("accepted as"):
            raise KeyboardInterrupt

    wish = order("lab:paid", consent=Consent(Caps(cost=Decimal(100))), home=tmp_path)
    pool, _ = entropy.open_pool(wish, interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        pool.draw(32)
    (job,) = lab.cancelled()
    assert f"cancelled: {job}" in caught.value.__notes__[0]
    assert on_record(tmp_path).state is State.CANCELLED


def test_what_was_not_accepted_leaves_no_record(lab: Any, tmp_path: Path) -> None:
    lab.script("unavailable")
    with pytest.raises(BackendUnavailable):
        draw(order("lab:paid", consent=Consent(Caps(cost=Decimal(100))), home=tmp_path))
    assert jobs.read_all(tmp_path).records == []


def test_a_job_of_a_process_that_died_is_listed_and_can_be_cancelled(
    lab: Any, tmp_path: Path
) -> None:
    class Died(BaseException):
        """What a process does not live to handle."""

    def die(text: str) -> None:
        if text.startswith("accepted as"):
            raise Died

    wish = order("lab:paid", consent=Consent(Caps(cost=Decimal(100))), home=tmp_path)
    pool, _ = entropy.open_pool(wish, die)
    with pytest.raises(Died):
        pool.draw(32)
    record = on_record(tmp_path)
    assert record.state is State.WAITING
    (line,) = jobs_desk.describe_all(tmp_path)
    assert (line["purpose"], line["status"], line["protocol"]) == ("random", "waiting", None)
    settings = Settings(tmp_path, tmp_path / "settings", "lab", None, {})
    with pytest.raises(ConfigError, match=f"qlq job cancel {record.id}"):
        jobs_desk.resume(settings, record.id, deadline_s=5, archive=None, tell=silent)
    cancelled = jobs_desk.cancel(settings, record.id, deadline_s=5)
    assert cancelled.state is State.CANCELLED
    assert lab.cancelled() == [record.submissions[0].job_id]


def test_no_backend_left_raises_unless_the_fallback_is_allowed(lab: Any) -> None:
    lab.script("unavailable")
    with pytest.raises(BackendUnavailable, match="lab:down"):
        draw(order("lab:down", "lab"))
    got = draw(order("lab:down", "lab", fallback=Fallback.ALLOWED))
    assert (got.degraded, got.tier, got.certificate_id) == (True, EntropyTier.NONE, None)
    assert "closed" in got.reasons[0]


def test_classical_is_the_fallback_by_name(lab: Any) -> None:
    with pytest.raises(BackendUnavailable, match="--allow-fallback"):
        draw(order("classical"))
    assert draw(order("classical", fallback=Fallback.ALLOWED)).degraded
    assert not draw(order("lab", "classical", fallback=Fallback.ALLOWED)).degraded
    assert lab.submits() == 1


def test_classical_needs_to_be_allowed_only_where_it_would_have_to_stand_in(lab: Any) -> None:
    assert not draw(order("lab", "classical")).degraded
    with pytest.raises(BackendUnavailable, match="moved") as caught:
        draw(order("lab:down", "classical"))
    assert "--allow-fallback" in caught.value.__notes__[0]
    assert lab.submits() == 1


def test_every_backend_that_was_left_is_recorded_where_the_fallback_stands_in(lab: Any) -> None:
    lab.script("unavailable")
    pool, origin = entropy.open_pool(order("lab:down", "lab", fallback=Fallback.ALLOWED), silent)
    assert pool.draw(32).degraded
    assert [(one.backend, one.error) for one in origin.attempts] == [
        ("lab:down", "BackendUnavailable"),
        ("lab", "BackendUnavailable"),
    ]
    assert "closed" in origin.attempts[1].detail


def test_a_backend_that_is_lost_in_mid_stream_is_recorded(lab: Any) -> None:
    lab.script("ok", "unavailable")
    wish = order("lab", fallback=Fallback.ALLOWED, reseed_bytes=32)
    pool, origin = entropy.open_pool(wish, silent)
    assert not pool.draw(32).degraded
    assert origin.attempts == ()
    assert pool.draw(32).degraded
    assert [one.backend for one in origin.attempts] == ["lab"]


def test_nothing_is_sent_without_consent(lab: Any, tmp_path: Path) -> None:
    with pytest.raises(BudgetRefused, match="random bytes from lab:paid"):
        draw(order("lab:paid", home=tmp_path))
    with pytest.raises(BudgetRefused, match="name a home"):
        draw(order("lab:paid", consent=Consent(Caps(cost=Decimal(100)))))
    low = Consent(Caps(cost=Decimal(1)), say_yes)
    with pytest.raises(BudgetRefused, match="exceed --max-cost 1"):
        draw(order("lab:paid", consent=low, home=tmp_path))
    assert lab.submits() == 0
    assert jobs.read_all(tmp_path).records == []
    draw(order("lab:paid", consent=Consent(Caps(cost=Decimal(100))), home=tmp_path))
    assert lab.submits() == 1


def test_a_cap_holds_for_all_seeds_together(lab: Any, tmp_path: Path) -> None:
    # 4,096 bits in shots of 4 at a cent: 10.24 for each seed
    consent = Consent(Caps(cost=Decimal(25)))
    wish = order("lab:paid", reseed_bytes=32, consent=consent, home=tmp_path)
    pool, _ = entropy.open_pool(wish, silent)
    pool.draw(64)
    with pytest.raises(BudgetRefused, match=r"30\.72"):
        pool.draw(1)
    assert lab.submits() == 2


def test_full_entropy_bytes_come_from_a_committed_seed(lab: Any) -> None:
    kept: list[SeedRecord] = []
    block, record = entropy.Source(order("lab"), silent, kept.append).full_entropy(32)
    assert kept == [record]
    assert block.certificate_id == record.certificate_id
    assert len(block.material) == 32
    assert (block.min_entropy_bits, block.tier) == (256.0, EntropyTier.DEVICE_MODELLED)
    assert "seed from operating-system" in block.reasons[-1]
    assert lab.submits() == 1


def test_more_full_entropy_than_there_is_is_refused(lab: Any) -> None:
    with pytest.raises(MinEntropyTooLow, match="simulator"):
        entropy.Source(order("lab:simulated"), silent).full_entropy(1)
    lab.script("uncalibrated")
    with pytest.raises(MinEntropyTooLow, match="calibration"):
        entropy.Source(order("lab"), silent).full_entropy(32)
    with pytest.raises(MinEntropyTooLow, match="at most"):
        entropy.Source(order("lab"), silent).full_entropy(1 << 24)


@pytest.mark.parametrize(
    "wish",
    [
        {"deadline_s": 0.0},
        {"deadline_s": float("nan")},
        {"reseed_bytes": 0},
    ],
)
def test_values_that_cannot_be_used_are_refused_before_anything_opens(
    lab: Any, wish: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        entropy.open_pool(order("lab", **wish), silent)
    with pytest.raises(ConfigError, match="twice"):
        entropy.open_pool(order("lab", "lab"), silent)
    with pytest.raises(ConfigError, match="last"):
        entropy.open_pool(order("classical", "lab"), silent)
    assert lab.submits() == 0


def test_provenance_is_fit_for_a_document(lab: Any) -> None:
    pool, _ = entropy.open_pool(order("lab"), silent)
    pool.draw(1)
    (job,) = json.loads(json.dumps(entropy.describe(pool.provenance)))
    assert (job["backend"], job["tier"], job["kind"]) == ("lab", "qpu", "qpu")
    assert job["job_id"]
    assert lab.submits() == 1
