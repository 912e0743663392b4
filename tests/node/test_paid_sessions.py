"""Sessions on a device that costs something: one paid job for each plan, whatever goes wrong."""

from __future__ import annotations

import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qlq.backends.chain import Fallback
from qlq.config import Settings
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    CircuitRejected,
    ConfigError,
    JobFailed,
    JobPending,
    KeyStoreDamaged,
    KeyTooShort,
    QLQError,
)
from qlq.kme.store import KeyStore
from qlq.node import jobs, jobs_desk, jobs_ending, orders, parties
from qlq.node.consent import Caps, Consent
from qlq.node.jobs import State
from qlq.node.sessions import Session
from qlq.qkd.duties import Party

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_pauses")]

PULSES = 60_000
ENOUGH = Consent(Caps(cost=Decimal(100)))
EVE = "intercept-resend:0.1"


def order(settings: Settings, **changes: Any) -> Session:
    wish = {"protocol": "bb84", "backend": "rented", "pulses": PULSES, "consent": ENOUGH, **changes}
    return orders.fulfil(orders.Order(**wish), settings, lambda _text: None)


def resume(settings: Settings, job_id: str, **changes: Any) -> jobs_desk.Resumed:
    asked = {"deadline_s": 60.0, "archive": None, "tell": lambda _text: None, **changes}
    return jobs_desk.resume(settings, job_id, **asked)


def only(settings: Settings) -> jobs.Record:
    (record,) = jobs.read_all(settings.home).records
    return record


def stored(settings: Settings) -> dict[Party, tuple[str, ...]]:
    """Ids of the keys in both parties' stores."""
    key = orders.obtain_master(settings)
    found = {}
    for party in Party:
        with KeyStore(parties.party_folder(settings.home, party), key) as store:
            found[party] = tuple(row.description.key_id for row in store.list())
    return found


def test_a_paid_session_keeps_its_key_and_leaves_a_record_of_its_cost(
    vendor: Any, settings: Settings
) -> None:
    document = order(settings).document
    record = only(settings)
    assert document["secret_bits"] > 0
    assert document["provenance"]["job_ids"] == vendor.paid() == [record.submissions[0].job_id]
    assert (record.state, record.key_id) == (State.DONE, document["key_id"])
    assert record.result is not None
    assert record.result["secret_bits"] == document["secret_bits"]
    assert jobs_ending.cost_document(record)["amount"] == "0.25"  # what the invoice says
    assert stored(settings) == dict.fromkeys(Party, (document["key_id"],))


def test_seeds_and_plan_are_private_while_a_job_waits_and_gone_when_it_is_done(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    record = only(settings)
    folder = settings.home / "jobs" / record.id
    names = {path.name for path in folder.iterdir()}
    assert names == {"record.json", "plan-0.json", "seeds.bin", "turn.lock"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    with jobs.take(settings.home, record.id) as job:
        seeds = job.seeds(orders.obtain_master(settings))
        assert job.plan(0).digest == record.submissions[0].plan_digest
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in (seeds.alice, seeds.bob):
        for form in (secret, secret.hex().encode(), repr(secret).encode()):
            assert form not in content
    vendor.script()
    resume(settings, record.id)
    assert {path.name for path in folder.iterdir()} == {"record.json", "turn.lock"}


FAULTS = {
    "503 twice on submit": {"submit": ["transient", "transient"]},
    "answer lost, job accepted": {"submit": ["drop-after"]},
    "answer lost, job not accepted": {"submit": ["drop-before"]},
    "answer lost twice": {"submit": ["drop-before", "drop-after"]},
    "answer lost, then 503": {"submit": ["drop-after", "transient"], "find": ["transient"]},
    "503 while it runs": {"status": ["queued", "transient", "running", "transient"]},
    "503 on fetch": {"fetch": ["transient", "transient"]},
    "no word on the cost": {"spent": ["transient"]},
    "503 on estimate": {"estimate": ["transient"]},
}


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("eve", [None, EVE])
def test_faults_that_pass_leave_one_paid_job_for_each_plan(
    vendor: Any, settings: Settings, script: dict[str, list[str]], eve: str | None
) -> None:
    vendor.script(**script)
    tolerance = {} if eve is None else {"qber_max": 0.08}  # which leaves no key, but shows Eve
    document = order(settings, eve=eve, **tolerance).document
    assert document["provenance"]["job_ids"] == vendor.paid()
    assert len(vendor.jobs()) == (1 if eve is None else 2)


LASTING = {
    "503 on every status": ({"status": ["transient", "..."]}, 1),
    "503 on every fetch": ({"fetch": ["transient", "..."]}, 1),
    "the job is unknown for a while": ({"status": ["queued", "unknown", "..."]}, 1),
    "credentials withdrawn while it runs": ({"status": ["queued", "unavailable", "..."]}, 1),
    "answer lost, and no look is answered": (
        {"submit": ["drop-after"], "find": ["transient", "..."]},
        1,
    ),
    "answer lost, credentials withdrawn": (
        {"submit": ["drop-after"], "find": ["unavailable", "..."]},
        1,
    ),
    "answer lost, no job, no look is answered": (
        {"submit": ["drop-before"], "find": ["transient", "..."]},
        0,
    ),
}


@pytest.mark.parametrize(("script", "accepted"), LASTING.values(), ids=LASTING)
def test_faults_that_last_leave_a_job_that_is_resumed_and_no_second_one(
    vendor: Any, settings: Settings, script: dict[str, list[str]], accepted: int
) -> None:
    vendor.script(**script)
    with pytest.raises(JobPending) as caught:
        order(settings, then=("aer", "classical"))
    record = only(settings)
    assert f"qlq job resume {record.id}" in str(caught.value)
    assert record.state is State.WAITING
    assert len(vendor.jobs()) == accepted
    assert stored(settings) == dict.fromkeys(Party, ())
    vendor.script()
    done = resume(settings, record.id)
    assert done.is_new
    assert done.document is not None
    assert done.document["provenance"]["job_ids"] == vendor.paid()
    assert len(vendor.jobs()) == 1
    assert stored(settings) == dict.fromkeys(Party, (done.record.key_id,))


@pytest.mark.parametrize(
    ("script", "error", "state"),
    [
        ({"status": ["failed"], "fetch": ["failed"]}, JobFailed, State.FAILED),
        ({"status": ["running", "cancelled"]}, JobFailed, State.CANCELLED),
    ],
)
def test_a_job_that_ends_without_shots_ends_its_record_and_no_other_backend_is_tried(
    vendor: Any,
    settings: Settings,
    script: dict[str, list[str]],
    error: type[QLQError],
    state: State,
) -> None:
    vendor.script(**script)
    with pytest.raises(error):
        order(settings, then=("aer",))
    record = only(settings)
    assert record.state is state
    assert jobs_ending.cost_document(record)["amount"] == "0.25"
    assert not (settings.home / "jobs" / record.id / "seeds.bin").exists()
    with pytest.raises(JobFailed, match=state.value):
        resume(settings, record.id)
    assert len(vendor.jobs()) == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ({"submit": ["reject"]}, CircuitRejected),
        ({"submit": ["unavailable"]}, BackendUnavailable),
        ({"submit": ["transient", "..."]}, BackendUnavailable),
        ({"describe": ["unavailable"]}, BackendUnavailable),
    ],
)
def test_what_was_never_accepted_leaves_no_record(
    vendor: Any, settings: Settings, script: dict[str, list[str]], error: type[QLQError]
) -> None:
    vendor.script(**script)
    with pytest.raises(error):
        order(settings)
    assert jobs.read_all(settings.home).records == []
    assert vendor.jobs() == []


def test_before_a_job_is_accepted_the_next_backend_takes_over_and_says_why(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(submit=["unavailable"])
    document = order(settings, backend="rented:closed", then=("rented", "aer")).document
    assert document["backend"] == "aer"
    assert [(tried["backend"], tried["error"]) for tried in document["provenance"]["attempts"]] == [
        ("rented:closed", "BackendUnavailable"),
        ("rented", "BackendUnavailable"),
    ]
    assert "offline until Monday" in document["provenance"]["attempts"][0]["detail"]
    assert len(document["provenance"]["job_ids"]) == 1
    assert jobs.read_all(settings.home).records == []


def test_after_eve_s_first_job_nothing_leads_to_another_backend(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(submit=["ok", "unavailable"])
    with pytest.raises(JobPending, match="resume"):
        order(settings, eve=EVE, qber_max=0.08, then=("aer",))
    record = only(settings)
    first = vendor.paid()
    vendor.script()
    done = resume(settings, record.id)
    assert done.document is not None
    assert done.document["provenance"]["job_ids"] == vendor.paid()
    assert vendor.paid()[:1] == first
    assert len(vendor.jobs()) == 2


def test_the_last_resort_is_marked_and_follows_no_abort(vendor: Any, settings: Settings) -> None:
    vendor.script(submit=["unavailable"])
    document = order(settings, then=("classical",)).document
    assert document["provenance"]["claim"] == "classical (computational)"
    assert [tried["backend"] for tried in document["provenance"]["attempts"]] == ["rented"]
    vendor.script()
    aborted = order(settings, eve="intercept-resend:1", then=("aer",)).document
    assert aborted["aborted"]["reason"] == "qber"
    assert aborted["backend"] == "rented"
    assert jobs.read_all(settings.home).records[0].state is State.ABORTED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"then": ("classical",), "fallback": Fallback.FORBIDDEN}, "--strict"),
        ({"then": ("classical",), "seed": 1}, "--seed and --eve"),
        ({"then": ("classical",), "eve": EVE}, "--seed and --eve"),
        ({"deadline_s": 0.0}, "deadline"),
        ({"deadline_s": float("nan")}, "deadline"),
        ({"seed": 1}, "--seed works with simulators"),
    ],
)
def test_an_order_that_means_nothing_submits_nothing(
    vendor: Any, settings: Settings, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        order(settings, **changes)
    assert vendor.jobs() == []


@pytest.mark.parametrize(
    "given",
    [
        Consent(),
        Consent(Caps(cost=Decimal("0.1"))),
        Consent(Caps(qpu_s=1.0)),
        Consent(ask=lambda _: False),
    ],
)
def test_without_consent_nothing_is_sent_and_no_other_backend_is_tried(
    vendor: Any, settings: Settings, given: Consent
) -> None:
    with pytest.raises(BudgetRefused):
        order(settings, consent=given, then=("aer", "classical"))
    assert vendor.calls("submit") == 0
    assert jobs.read_all(settings.home).records == []


def test_eve_s_second_job_is_asked_for_once_with_the_first(vendor: Any, settings: Settings) -> None:
    questions: list[str] = []

    def ask(question: str) -> bool:
        questions.append(question)
        return True

    alone, both = Consent(ask=ask), Consent(ask=ask)
    order(settings, consent=alone)
    order(settings, consent=both, eve=EVE, qber_max=0.08)
    assert len(questions) == 2
    amounts = [Decimal(question.split("costs ")[1].split()[0]) for question in questions]
    assert 2.0 <= amounts[1] / amounts[0] < 2.3  # each with its surplus of shots
    assert len(vendor.jobs()) == 3


@pytest.mark.parametrize("given", [ENOUGH, Consent(ask=lambda _question: True)])
def test_pulses_that_cannot_give_a_key_are_not_paid_for(
    vendor: Any, settings: Settings, given: Consent
) -> None:
    with pytest.raises(KeyTooShort, match=r"5000 pulses.*nothing was sent.*estimate"):
        order(settings, pulses=5_000, consent=given, then=("aer",))
    assert vendor.calls("submit") == 0
    assert jobs.read_all(settings.home).records == []


@pytest.mark.parametrize(
    "given", [Consent(Caps(cost=Decimal(2))), Consent(ask=lambda _question: True)]
)
def test_a_price_that_rises_between_eve_s_two_jobs_is_not_paid(
    vendor: Any, settings: Settings, given: Consent
) -> None:
    vendor.script(estimate=["ok", "ok", "dear"])  # of both jobs before, of the second one again
    with pytest.raises(BudgetRefused) as caught:
        order(settings, eve=EVE, qber_max=0.08, consent=given, then=("aer",))
    assert vendor.calls("submit") == 1
    assert f"qlq job resume {only(settings).id}" in "".join(caught.value.__notes__)
    vendor.script()
    assert resume(settings, only(settings).id).is_new
    assert len(vendor.jobs()) == 2


@pytest.mark.parametrize("given", [ENOUGH, Consent(ask=lambda _question: True)])
def test_a_resume_that_must_submit_again_does_not_do_so_at_a_price_that_nobody_agreed_to(
    vendor: Any, settings: Settings, given: Consent
) -> None:
    vendor.script(submit=["drop-before"], find=["transient", "..."])
    with pytest.raises(JobPending):
        order(settings, consent=given)
    record = only(settings)
    vendor.script(estimate=["dear", "..."])
    with pytest.raises(BudgetRefused) as caught:
        resume(settings, record.id)
    assert f"qlq job resume {record.id}" in "".join(caught.value.__notes__)
    assert vendor.jobs() == []
    agreed = Consent(Caps(cost=Decimal(1000)))
    assert resume(settings, record.id, allowed=agreed).is_new
    assert len(vendor.jobs()) == 1


def test_a_second_resume_says_that_it_is_done_and_pays_nothing(
    vendor: Any, settings: Settings
) -> None:
    document = order(settings).document
    again = resume(settings, only(settings).id)
    assert not again.is_new
    assert again.document is not None
    assert again.document["key_id"] == document["key_id"]
    assert len(vendor.jobs()) == 1
    assert stored(settings) == dict.fromkeys(Party, (document["key_id"],))


def test_a_resumed_session_archives_what_verifies(
    vendor: Any, settings: Settings, tmp_path: Path
) -> None:
    from qlq.archive import verify

    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings, archive=tmp_path / "kept", then=("aer",))
    vendor.script()
    done = resume(settings, only(settings).id)
    assert verify.check(tmp_path / "kept").findings == ()
    manifest = json.loads((tmp_path / "kept" / "session.json").read_bytes())
    assert manifest["result"]["provenance"]["attempts"] == []
    assert done.document is not None
    assert done.document["archive"] == str(tmp_path / "kept")


@pytest.mark.usefixtures("vendor")
def test_a_key_that_is_in_both_stores_is_not_made_again(settings: Settings) -> None:
    key_id = order(settings).document["key_id"]
    with jobs.take(settings.home, only(settings).id) as job:
        job.update(state=State.KEEPING, result=None)  # as if the process had ended right there
    done = resume(settings, only(settings).id)
    assert (done.is_new, done.record.state, done.record.key_id) == (False, State.DONE, key_id)
    assert stored(settings) == dict.fromkeys(Party, (key_id,))


def test_changed_seeds_are_found_out(vendor: Any, settings: Settings) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    path = settings.home / "jobs" / only(settings).id / "seeds.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(KeyStoreDamaged):
        resume(settings, only(settings).id)


def test_one_process_at_a_time_works_on_a_record(vendor: Any, settings: Settings) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    record = only(settings)
    with (
        jobs.take(settings.home, record.id),
        pytest.raises(ConfigError, match="another process"),
    ):
        resume(settings, record.id)


def test_cancelling_ends_the_job_at_the_vendor_and_its_record(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    record = jobs_desk.cancel(settings, only(settings).id, deadline_s=10)
    assert record.state is State.CANCELLED
    assert vendor.paid() == []
    assert jobs_ending.cost_document(record) == {
        "amount": "0.25",
        "currency": "USD",
        "source": "invoice of a test",
        "date": "2026-01-02",
        "qpu_s": 1.5,
        "estimated": False,
    }
    with pytest.raises(ConfigError, match="over already"):
        jobs_desk.cancel(settings, record.id, deadline_s=10)


def test_a_job_whose_id_was_lost_is_cancelled_by_its_tag(vendor: Any, settings: Settings) -> None:
    vendor.script(submit=["drop-after"], find=["unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    vendor.script()
    jobs_desk.cancel(settings, only(settings).id, deadline_s=10)
    assert len(vendor.jobs()) == 1
    assert vendor.paid() == []


def test_an_earlier_job_is_found_by_its_vendor_s_id_and_another_is_not(
    vendor: Any, settings: Settings
) -> None:
    order(settings)
    (job_id,) = vendor.paid()
    assert jobs.find(settings.home, f"rented:{job_id}") == only(settings)
    for text in ("rented:other", job_id, f"aer:{job_id}"):
        with pytest.raises(ConfigError, match="no record of job"):
            jobs.find(settings.home, text)


@pytest.mark.parametrize("job_id", ["", "..", "0" * 11, "0" * 12, "../../etc", "0123456789aG"])
def test_an_id_that_is_none_is_refused(settings: Settings, job_id: str) -> None:
    with pytest.raises(ConfigError, match="no job"):
        jobs.read(settings.home, job_id)
