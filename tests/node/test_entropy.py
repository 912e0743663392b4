"""Random bytes from backends: failover, consent, health, claims, full entropy."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from qlq.backends.chain import Fallback
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    ConfigError,
    HealthTestFailed,
    JobFailed,
    JobPending,
    MinEntropyTooLow,
)
from qlq.node import entropy
from qlq.node.consent import Caps, Consent, say_yes
from qlq.node.entropy import EntropyOrder, Sampling
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


def test_a_paid_job_that_is_left_is_cancelled_and_told(lab: Any) -> None:
    lab.script("pending")
    with pytest.raises(JobPending) as caught:
        draw(order("lab:paid", "lab", deadline_s=0.5, consent=Consent(Caps(cost=Decimal(100)))))
    assert f"job {caught.value.job_id} was cancelled" in caught.value.__notes__[0]
    assert lab.cancelled() == [caught.value.job_id]
    assert lab.submits() == 1


def test_a_job_that_is_interrupted_is_cancelled_and_told(lab: Any) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("accepted as"):
            raise KeyboardInterrupt

    wish = order("lab:paid", consent=Consent(Caps(cost=Decimal(100))))
    pool, _ = entropy.open_pool(wish, interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        pool.draw(32)
    (job,) = lab.cancelled()
    assert f"job {job} was cancelled" in caught.value.__notes__[0]


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


def test_nothing_is_sent_without_consent(lab: Any) -> None:
    with pytest.raises(BudgetRefused, match="random bytes from lab:paid"):
        draw(order("lab:paid"))
    low = Consent(Caps(cost=Decimal(1)), say_yes)
    with pytest.raises(BudgetRefused, match="exceed --max-cost 1"):
        draw(order("lab:paid", consent=low))
    assert lab.submits() == 0
    draw(order("lab:paid", consent=Consent(Caps(cost=Decimal(100)))))
    assert lab.submits() == 1


def test_a_cap_holds_for_all_seeds_together(lab: Any) -> None:
    # 4,096 bits in shots of 4 at a cent: 10.24 for each seed
    pool, _ = entropy.open_pool(
        order("lab:paid", reseed_bytes=32, consent=Consent(Caps(cost=Decimal(25)))), silent
    )
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
