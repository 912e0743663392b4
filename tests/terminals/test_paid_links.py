"""A link whose device costs something: its jobs are on record, and none runs for nobody."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qlq.config import Settings, load
from qlq.errors import BackendError, BudgetRefused, ConfigError, JobFailed, JobPending
from qlq.node import jobs, jobs_desk, terminals_jobs
from qlq.node import terminals_messages as wire
from qlq.node.consent import Caps, Consent, say_yes
from qlq.node.jobs import Purpose, State
from qlq.qkd.duties import Party

pytestmark = pytest.mark.long

ENOUGH = Consent(Caps(cost=Decimal(100)))
PULSES = 60_000
EVE = "intercept-resend:1"


def run(stage: Any, *, consent: Consent = ENOUGH, **changes: Any) -> Any:
    """A session on the rented device."""
    link = {"backend": "rented", "consent": consent, **changes.pop("link_changes", {})}
    return stage.run(**{"pulses": PULSES, **changes}, link_changes=link)


def settings_of(stage: Any, folder: Path) -> Settings:
    return load(
        flags={"home": str(stage.link_home), "backend": None},
        environ={"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings")},
        profile=None,
    )


def only(stage: Any) -> jobs.Record:
    (record,) = jobs.read_all(stage.link_home).records
    return record


def test_a_paid_session_is_on_record_with_its_cost_and_its_end(vendor: Any, stage: Any) -> None:
    ran = run(stage)
    record = only(stage)
    assert ran.alice.document["key_id"] == ran.bob.document["key_id"] is not None
    assert (record.purpose, record.state) == (Purpose.LINK, State.DONE)
    assert [job.job_id for job in record.submissions] == vendor.paid()
    assert ran.link.document["provenance"]["job_ids"] == vendor.paid()
    (line,) = jobs_desk.describe_all(stage.link_home)
    assert (line["purpose"], line["status"], line["cost"]["amount"]) == ("link", "done", "0.25")
    assert record.result is not None
    assert record.result["schema"] == "qlq.qkd.link/1"
    folder = stage.link_home / "jobs" / record.id
    assert {path.name for path in folder.iterdir()} == {"record.json", "turn.lock"}


def test_an_abort_after_the_outcomes_closes_the_record_as_aborted(vendor: Any, stage: Any) -> None:
    ran = run(stage, eve=EVE)
    assert {each.reason for each in ran.all} == {"qber"}
    assert (only(stage).state, len(vendor.paid())) == (State.ABORTED, 2)


def test_nothing_is_left_of_a_session_on_a_simulator(stage: Any) -> None:
    assert stage.run().link.document["aborted"] is None
    assert jobs.read_all(stage.link_home).records == []


WAITING = {"status": ["queued", "..."]}


def leave_early(stage: Any, vendor: Any, **changes: Any) -> Any:
    """Bob gives up while the device has a queue."""
    vendor.script(**{**WAITING, **changes.pop("script", {})})
    return run(stage, changes={Party.BOB: {"timeout_s": 2.0}}, **changes)


def test_a_job_that_a_party_does_not_wait_for_is_cancelled_and_told(
    vendor: Any, stage: Any
) -> None:
    ran = leave_early(stage, vendor)
    record = only(stage)
    assert (len(vendor.jobs()), vendor.paid()) == (1, [])
    assert (record.state, record.submissions[0].spent is not None) == (State.CANCELLED, True)
    assert ran.link.reason == "peer"
    told = ran.link.document["aborted"]["detail"]
    assert "its jobs were cancelled; what they have cost stays spent: 0.25 USD" in told


def test_a_submit_whose_answer_was_lost_is_looked_for_and_cancelled(
    vendor: Any, stage: Any
) -> None:
    vendor.script(submit=["drop-after"], find=["unavailable", "ok"])
    ran = run(stage)
    assert isinstance(ran.link.error, JobPending)
    assert "qlq job resume" not in str(ran.link.error)
    for party in (ran.alice, ran.bob):
        assert isinstance(party.error, BackendError)
    assert (len(vendor.jobs()), vendor.paid()) == (1, [])
    assert only(stage).state is State.CANCELLED
    assert "its jobs were cancelled" in "".join(ran.link.error.__notes__)


def test_a_job_that_cannot_be_cancelled_stays_on_record_with_the_command_for_it(
    vendor: Any, stage: Any, tmp_path: Path
) -> None:
    ran = leave_early(stage, vendor, script={"cancel": ["unavailable", "..."]})
    record = only(stage)
    assert record.state is State.WAITING
    assert f"qlq job cancel {record.id}" in ran.link.document["aborted"]["detail"]
    vendor.script(**WAITING)
    settings = settings_of(stage, tmp_path)
    with pytest.raises(ConfigError, match=f"qlq job cancel {record.id}"):
        jobs_desk.resume(settings, record.id, deadline_s=5.0, archive=None, tell=print)
    with pytest.raises(ConfigError, match="was a link's"):
        jobs.find(stage.link_home, f"rented:{record.submissions[0].job_id}")
    assert jobs_desk.cancel(settings, record.id, deadline_s=10).state is State.CANCELLED
    assert vendor.paid() == []
    with pytest.raises(ConfigError, match=f"qlq job show {record.id}"):
        jobs_desk.resume(settings, record.id, deadline_s=5.0, archive=None, tell=print)


def test_a_vendor_that_is_silent_while_the_link_leaves_is_left_with_the_command(
    vendor: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminals_jobs, "LEAVE_S", 1.0)
    ran = leave_early(stage, vendor, script={"status": ["queued", "silent", "..."]})
    record = only(stage)
    assert record.state is State.WAITING
    assert f"qlq job cancel {record.id}" in ran.link.document["aborted"]["detail"]


def test_an_operator_who_cancels_the_job_ends_all_three(
    vendor: Any, stage: Any, tmp_path: Path
) -> None:
    vendor.script(**WAITING)
    settings = settings_of(stage, tmp_path)

    def cancel() -> None:
        while vendor.calls("status") < 2:
            time.sleep(0.02)
        jobs_desk.cancel(settings, only(stage).id, deadline_s=10)

    cancelling = threading.Thread(target=cancel, daemon=True)
    cancelling.start()
    ran = run(stage)
    cancelling.join(10)
    assert isinstance(ran.link.error, JobFailed)
    assert all(isinstance(each.error, BackendError) for each in (ran.alice, ran.bob))
    assert only(stage).state is State.CANCELLED


def test_a_device_that_takes_no_job_leaves_no_record(vendor: Any, stage: Any) -> None:
    vendor.script(submit=["unavailable"])
    assert isinstance(run(stage).link.error, BackendError)
    assert (jobs.read_all(stage.link_home).records, vendor.jobs()) == ([], [])


@pytest.mark.parametrize(
    ("cap", "jobs_paid"),
    [("0.5", 0), ("0.7", 0), ("1.2", 0), ("2", 2)],  # each job costs 0.6 and some surplus
)
def test_eve_s_second_job_is_agreed_to_before_the_first_one(
    vendor: Any, stage: Any, cap: str, jobs_paid: int
) -> None:
    ran = run(stage, eve=EVE, consent=Consent(Caps(cost=Decimal(cap))))
    assert len(vendor.jobs()) == jobs_paid
    if not jobs_paid:
        assert all(isinstance(each.error, BudgetRefused) for each in ran.all)


def test_a_second_job_that_is_refused_is_told_with_what_the_first_has_cost(
    vendor: Any, stage: Any
) -> None:
    vendor.script(estimate=["ok", "ok", "dear"])
    ran = run(stage, eve=EVE, consent=Consent(ask=say_yes))
    assert isinstance(ran.link.error, BudgetRefused)
    assert "0.25 USD" in "".join(ran.link.error.__notes__)
    assert only(stage).state is State.CANCELLED
    assert len(vendor.jobs()) == 1


def test_a_session_without_a_key_is_not_paid_for_and_all_three_say_so(
    vendor: Any, stage: Any
) -> None:
    ran = run(stage, pulses=1_000)
    assert {each.reason for each in ran.all} == {"key-too-short"}
    assert "nothing was sent" in ran.link.document["aborted"]["detail"]
    assert (jobs.read_all(stage.link_home).records, vendor.calls("submit")) == ([], 0)


def test_the_two_words_for_a_party_that_goes_no_further_are_told_apart() -> None:
    for message in (wire.Ended("peer"), wire.Refused("ConfigError", "other pulses")):
        assert wire.decode_to_link(wire.encode(message)) == message
