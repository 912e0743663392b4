"""Pilots on a device that costs something: one paid job on record, whatever goes wrong."""

from __future__ import annotations

import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import beta

from qlq.backends import registry
from qlq.backends.port import Handle
from qlq.config import Settings
from qlq.errors import (
    BackendError,
    BackendUnavailable,
    BudgetRefused,
    CircuitRejected,
    ConfigError,
    JobFailed,
    JobPending,
    QLQError,
)
from qlq.node import jobs, jobs_desk, jobs_ending, orders, pilots, planning
from qlq.node.consent import Caps, Consent
from qlq.node.jobs import Purpose, State
from qlq.qkd.parameters import Protocol

pytestmark = pytest.mark.usefixtures("no_pauses")

SHOTS = 2000
ENOUGH = Consent(Caps(cost=Decimal(100)))


def fly(settings: Settings, **changes: Any) -> dict[str, Any]:
    wish = {"protocol": "bb84", "backend": "rented", "pulses": 60_000, "consent": ENOUGH, **changes}
    order = orders.Order(**wish)
    return planning.estimate_with_pilot(order, settings, shots=SHOTS, tell=lambda _text: None)


def resume(settings: Settings, job_id: str, **changes: Any) -> jobs_desk.Resumed:
    asked = {"deadline_s": 60.0, "archive": None, "tell": lambda _text: None, **changes}
    return jobs_desk.resume(settings, job_id, **asked)


def only(settings: Settings) -> jobs.Record:
    (record,) = jobs.read_all(settings.home).records
    return record


def counted(job_id: str, protocol: Protocol) -> tuple[int, int]:
    """Errors by basis in what the rented device gives for a job, told row by row."""
    plan, _ = pilots.plan_pilot(protocol, shots=SHOTS)
    device = registry.open_backend("rented")
    bits = device.fetch(Handle("rented", job_id, plan.digest), plan).bits
    if protocol is Protocol.BB84:
        wrong = [int((bits[row, :, 0] != sent).sum()) for row, sent in enumerate((0, 1, 0, 1))]
        return wrong[0] + wrong[1], wrong[2] + wrong[3]
    return tuple(int((bits[row, :, 0] != bits[row, :, 1]).sum()) for row in (0, 1))  # type: ignore[return-value]


@pytest.mark.parametrize("protocol", Protocol)
def test_a_pilot_leaves_a_record_of_its_figures_and_of_what_it_cost(
    vendor: Any, settings: Settings, protocol: Protocol
) -> None:
    found = fly(settings, protocol=protocol.value)["pilot"]
    record = only(settings)
    (job_id,) = vendor.paid()
    assert (record.purpose, record.state, record.pilot_shots) == (Purpose.PILOT, State.DONE, SHOTS)
    assert record.submissions[0].tag.startswith("qlq-pilot-")
    assert record.submissions[0].tag in vendor.jobs()[0]["tags"]
    assert (found["errors_key"], found["errors_test"]) == counted(job_id, protocol)
    worse = max(found["errors_key"], found["errors_test"])
    # Clopper and Pearson (1934): quantile of a beta distribution.
    upper = beta.ppf(0.975, worse + 1, SHOTS // 2 - worse)
    assert found["qber_upper"] == pytest.approx(upper, rel=1e-9)
    assert found["cost"]["amount"] == "0.25"  # what the invoice says
    assert record.result is not None
    assert {name: record.result[name] for name in found} == found
    (line,) = jobs_desk.describe_all(settings.home)
    assert (line["purpose"], line["status"], line["key_id"]) == ("pilot", "done", None)
    assert (line["cost"]["amount"], line["cost"]["estimated"]) == ("0.25", False)
    shown = jobs_desk.describe(settings, record.id, deadline_s=10)
    assert (shown["pulses"], shown["pilot_shots"]) == (None, SHOTS)


def test_plan_tag_and_purpose_are_on_disk_before_anything_is_sent(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(submit=["drop-before"], find=["transient", "..."])
    with pytest.raises(JobPending):
        fly(settings)
    assert vendor.jobs() == []
    record = only(settings)
    folder = settings.home / "jobs" / record.id
    assert {path.name for path in folder.iterdir()} == {"record.json", "plan-0.json", "turn.lock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert (record.purpose, record.state) == (Purpose.PILOT, State.WAITING)
    plan, _ = pilots.plan_pilot(Protocol.BB84, shots=SHOTS)
    with jobs.take(settings.home, record.id) as job:
        assert job.plan(0).digest == plan.digest
        assert job.plan(0).tags == (record.submissions[0].tag,)


def test_a_record_without_a_submission_is_resumed_with_the_shots_that_were_ordered(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["unavailable", "..."])
    with pytest.raises(JobPending):
        fly(settings)
    with jobs.take(settings.home, only(settings).id) as job:
        job.update(submissions=())  # as if the process had ended right there
    vendor.script()
    done = resume(settings, only(settings).id)
    assert done.document is not None
    assert done.document["shots"] == SHOTS


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(
    "script",
    [
        {"status": ["queued", "unavailable", "..."]},
        {"fetch": ["transient", "..."]},
        {"submit": ["drop-after"], "find": ["transient", "..."]},
        {"submit": ["drop-after"], "find": ["unavailable", "..."]},
    ],
)
def test_a_pilot_that_was_lost_is_resumed_and_not_paid_twice(
    vendor: Any, settings: Settings, script: dict[str, list[str]], protocol: Protocol
) -> None:
    vendor.script(**script)
    with pytest.raises(JobPending) as caught:
        fly(settings, protocol=protocol.value, then=("aer",))
    record = only(settings)
    assert f"qlq job resume {record.id}" in str(caught.value)
    assert jobs_desk.describe_all(settings.home)[0]["cost"]["estimated"]
    (job_id,) = vendor.paid()
    vendor.script()
    done = resume(settings, record.id)
    assert done.is_new
    assert done.document is not None
    assert vendor.calls("submit") == 0
    assert vendor.paid() == [job_id]
    errors = (done.document["errors_key"], done.document["errors_test"])
    assert errors == counted(job_id, protocol)
    assert done.document["qber"] == sum(errors) / SHOTS
    assert done.document["cost"]["amount"] == "0.25"
    again = resume(settings, record.id)
    assert (again.is_new, again.document) == (False, done.document)
    assert len(vendor.jobs()) == 1


def test_an_answer_that_is_lost_is_looked_up_before_another_submit(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(submit=["drop-after"])
    fly(settings)
    assert vendor.calls("submit") == 1
    assert len(vendor.jobs()) == 1


def test_cancelling_ends_the_pilot_at_the_vendor_and_its_record(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        fly(settings)
    record = jobs_desk.cancel(settings, only(settings).id, deadline_s=10)
    assert (record.state, vendor.paid()) == (State.CANCELLED, [])
    assert jobs_ending.cost_document(record)["amount"] == "0.25"
    with pytest.raises(JobFailed, match="cancelled"):
        resume(settings, record.id)


def test_a_pilot_that_failed_says_so_and_no_other_backend_is_tried(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["failed"], fetch=["failed"])
    with pytest.raises(JobFailed):
        fly(settings, then=("aer",))
    assert only(settings).state is State.FAILED
    assert jobs_ending.cost_document(only(settings))["amount"] == "0.25"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ({"submit": ["reject"]}, CircuitRejected),
        ({"submit": ["transient", "..."]}, BackendUnavailable),
    ],
)
def test_a_pilot_that_was_never_accepted_leaves_no_record(
    vendor: Any, settings: Settings, script: dict[str, list[str]], error: type[QLQError]
) -> None:
    vendor.script(**script)
    with pytest.raises(error):
        fly(settings)
    assert jobs.read_all(settings.home).records == []


def test_without_consent_there_is_no_record(vendor: Any, settings: Settings) -> None:
    with pytest.raises(BudgetRefused, match="the pilot on rented"):
        fly(settings, consent=Consent())
    assert jobs.read_all(settings.home).records == []
    assert vendor.calls("submit") == 0


def test_pulses_that_give_no_key_do_not_forbid_a_pilot(vendor: Any, settings: Settings) -> None:
    assert fly(settings, pulses=5_000)["secret_bits"] == 0
    assert len(vendor.paid()) == 1


def test_a_simulator_of_this_machine_keeps_no_record(settings: Settings) -> None:
    found = fly(settings, backend="aer", consent=Consent())
    assert Decimal(found["pilot"]["cost"]["amount"]) == 0
    assert jobs.read_all(settings.home).records == []


def test_what_fails_after_the_pilot_says_where_its_figures_are_and_takes_no_other(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(describe=["ok", "unavailable", "..."])
    with pytest.raises(BackendError) as caught:
        fly(settings, then=("rented:qpu",))
    assert not isinstance(caught.value, BackendUnavailable)
    assert f"qlq job resume {only(settings).id}" in str(caught.value)
    assert len(vendor.jobs()) == 1


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("rented", "qlq backend estimate rented --protocol bb84 --qber-max "),
        ("rented?qber=0.3", "choose other qubits or another device"),
    ],
)
@pytest.mark.usefixtures("vendor")
def test_the_figures_come_with_words_on_their_use(
    settings: Settings, backend: str, words: str
) -> None:
    fly(settings, backend=backend)
    assert words in pilots.advice(only(settings))


def test_a_pilot_has_no_archive_and_is_no_session(
    vendor: Any, settings: Settings, tmp_path: Path
) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        fly(settings)
    with pytest.raises(ConfigError, match="--archive"):
        resume(settings, only(settings).id, archive=tmp_path / "kept")
    (job_id,) = vendor.paid()
    with pytest.raises(ConfigError, match=f"pilot: qlq job resume {only(settings).id}"):
        jobs.find(settings.home, f"rented:{job_id}")


@pytest.mark.usefixtures("vendor")
def test_a_record_from_before_there_were_pilots_is_a_session_s(settings: Settings) -> None:
    fly(settings)
    path = settings.home / "jobs" / only(settings).id / "record.json"
    fields = json.loads(path.read_bytes())
    path.write_text(json.dumps({k: v for k, v in fields.items() if k not in NEW_FIELDS}))
    assert (only(settings).purpose, only(settings).pilot_shots) == (Purpose.SESSION, None)


NEW_FIELDS = {"purpose", "pilot_shots"}
