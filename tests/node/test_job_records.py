"""Records that are damaged, half done or over: what a list, a resume and a cancel say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qlq.config import Settings
from qlq.errors import ConfigError, JobFailed, JobPending
from qlq.kme.store import KeyStore
from qlq.node import jobs, jobs_desk, orders, parties
from qlq.node.consent import Caps, Consent
from qlq.node.jobs import State
from qlq.node.sessions import Session
from qlq.qkd.duties import Party

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_pauses")]

ENOUGH = Consent(Caps(cost=Decimal(100)))


def order(settings: Settings) -> Session:
    wish = orders.Order(protocol="bb84", backend="rented", pulses=60_000, consent=ENOUGH)
    return orders.fulfil(wish, settings, lambda _text: None)


def resume(settings: Settings, job_id: str) -> jobs_desk.Resumed:
    return jobs_desk.resume(
        settings, job_id, deadline_s=60.0, archive=None, tell=lambda _text: None
    )


def cancel(settings: Settings, job_id: str) -> jobs.Record:
    return jobs_desk.cancel(settings, job_id, deadline_s=10)


def only(settings: Settings) -> jobs.Record:
    (record,) = jobs.read_all(settings.home).records
    return record


def path_of(settings: Settings, record: jobs.Record) -> Path:
    return settings.home / "jobs" / record.id / "record.json"


def holders(settings: Settings, key_id: str) -> list[Party]:
    """Parties whose store has the key."""
    key = orders.obtain_master(settings)
    found = []
    for party in Party:
        with KeyStore(parties.party_folder(settings.home, party), key) as store:
            if key_id in [row.description.key_id for row in store.list()]:
                found.append(party)
    return found


def stopped_while_keeping(settings: Settings) -> jobs.Record:
    """A session as if its process had ended between the key's first write and the record's last."""
    order(settings)
    with jobs.take(settings.home, only(settings).id) as job:
        job.update(state=State.KEEPING, result=None)
    return only(settings)


def forget(settings: Settings, *names: Party) -> None:
    """As if the process had ended before these parties stored anything."""
    for party in names:
        shutil.rmtree(parties.party_folder(settings.home, party))


BROKEN = {
    "empty": (b"", "not a job record"),
    "no form": (b"{}", "not a job record"),
    "a list": (b"[]", "not a job record"),
    "no text": (b"\xff", "not a job record"),
    "nested without end": (b"[" * 100_000, "not a job record"),
    "a later form": (
        b'{"schema": "qlq.job.record/9", "new": 1}',
        "has the form 'qlq.job.record/9'",
    ),
}


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_record_that_cannot_be_read_is_a_line_with_its_reason_and_hides_no_other(
    settings: Settings, content: bytes, reason: str
) -> None:
    order(settings)
    damaged = only(settings)
    job_id = order(settings).document["provenance"]["job_ids"][0]
    path_of(settings, damaged).write_bytes(content)
    good, bad = jobs_desk.describe_all(settings.home)
    assert (good["status"], good["job_ids"], good["detail"]) == ("done", [job_id], None)
    assert (bad["id"], bad["status"], bad["cost"]) == (damaged.id, "damaged", None)
    assert reason in bad["detail"]
    assert jobs.find(settings.home, f"rented:{job_id}").id == good["id"]
    with pytest.raises(ConfigError, match=r"1 records cannot be read"):
        jobs.find(settings.home, "rented:another")
    with pytest.raises(ConfigError, match=r"record\.json"):
        jobs.read(settings.home, damaged.id)


@pytest.mark.usefixtures("vendor")
def test_a_record_that_others_may_read_is_told_and_folders_of_other_names_are_none(
    settings: Settings,
) -> None:
    order(settings)
    path = path_of(settings, only(settings))
    shutil.copytree(path.parent, path.parent.with_name("copy"))
    path.chmod(0o644)
    (line,) = jobs_desk.describe_all(settings.home)
    assert line["status"] == "damaged"
    assert "chmod 600" in line["detail"]


@pytest.mark.usefixtures("vendor")
def test_a_cancel_never_loses_a_key_that_both_stores_have(settings: Settings) -> None:
    record = stopped_while_keeping(settings)
    assert record.key_id is not None
    with pytest.raises(ConfigError, match=f"over already: done.*{record.key_id}"):
        cancel(settings, record.id)
    assert (only(settings).state, only(settings).key_id) == (State.DONE, record.key_id)
    assert holders(settings, record.key_id) == list(Party)


@pytest.mark.usefixtures("vendor")
def test_a_cancel_of_a_session_whose_key_is_in_no_store_ends_it(settings: Settings) -> None:
    record = stopped_while_keeping(settings)
    forget(settings, *Party)
    assert cancel(settings, record.id).state is State.CANCELLED


@pytest.mark.usefixtures("vendor")
def test_a_cancel_while_another_process_stores_the_key_is_refused(settings: Settings) -> None:
    record = stopped_while_keeping(settings)
    with (
        jobs.take(settings.home, record.id),
        pytest.raises(ConfigError, match="another process"),
    ):
        cancel(settings, record.id)
    assert only(settings).state is State.KEEPING


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize("act", [resume, cancel])
def test_a_key_that_only_one_party_has_ends_the_session_as_failed(
    settings: Settings, act: Callable[[Settings, str], object]
) -> None:
    record = stopped_while_keeping(settings)
    forget(settings, Party.BOB)
    with pytest.raises(JobFailed, match="only alice had stored"):
        act(settings, record.id)
    assert only(settings).state is State.FAILED
    with pytest.raises(JobFailed, match="only alice had stored"):
        resume(settings, record.id)


def test_a_job_that_was_cancelled_is_no_fault_of_the_command_line(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(status=["queued", "unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    record = cancel(settings, only(settings).id)
    with pytest.raises(JobFailed, match="cancelled by the operator") as caught:
        resume(settings, record.id)
    assert caught.value.job_id == record.submissions[0].job_id


def test_a_job_that_is_not_found_is_looked_for_again_and_its_tag_is_told(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(submit=["drop-before"], find=["unavailable", "..."])
    with pytest.raises(JobPending):
        order(settings)
    vendor.script()
    record = cancel(settings, only(settings).id)
    assert vendor.calls("find") > 1
    assert record.state is State.CANCELLED
    assert f"no job with the tag {record.submissions[0].tag} was found" in record.detail
