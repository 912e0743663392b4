"""A certificate on a device that costs something: agreed to before, two jobs, and no third."""

from __future__ import annotations

import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stamina

from qlq.archive import bundle
from qlq.backends import driver
from qlq.config import Settings, load
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    CircuitRejected,
    ConfigError,
    HealthTestFailed,
    JobFailed,
    JobPending,
)
from qlq.node import certifying, jobs
from qlq.node.certifying import CertifyOrder
from qlq.node.consent import Caps, Consent
from qlq.node.jobs import State

SHOTS = 20_000
PRICE = Decimal("0.00001")
ENOUGH = Consent(Caps(cost=Decimal(1)))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(driver, "LOOK_PAUSE_S", 0.001)
    with stamina.set_testing(True, attempts=driver.ATTEMPTS_MAX):
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        flags={"home": str(tmp_path / "home"), "backend": "rented"},
        environ={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")},
        profile=None,
    )


def certify(settings: Settings, folder: Path, *backends: str, **changes: Any) -> dict[str, Any]:
    wish = {"shots": SHOTS, "bundle": folder / "bundle", "consent": ENOUGH, **changes}
    order = CertifyOrder(backends=backends or ("rented",), **wish)
    return certifying.certify(order, settings, lambda _text: None)


def test_a_device_that_passes_is_certified_and_anybody_can_check_it(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    signed = certify(settings, tmp_path, "rented:qpu")
    result = signed["certificate"]["result"]
    assert (result["tier"], result["claim_bits"]) == ("T3", 8 * result["output"]["bytes"])
    assert result["output"]["bytes"] > 500
    verdict = bundle.check(tmp_path / "bundle", signer=None)
    assert (verdict.findings, verdict.certificate_id) == ((), signed["id"])
    assert verdict.signer == certifying.own_fingerprint(settings)
    commitment = signed["certificate"]["inputs"]["commitment"]
    calibration, data = vendor.jobs()
    assert data["tags"] == [f"qlq-{commitment['digest'][:32]}"]
    assert calibration["tags"] != data["tags"]


def test_a_simulator_claims_nothing(settings: Settings, tmp_path: Path, vendor: Any) -> None:
    result = certify(settings, tmp_path)["certificate"]["result"]
    assert (result["tier"], result["claim_bits"]) == ("T0", 0)
    assert len(vendor.paid()) == 2


def test_signed_keys_are_for_their_owner_and_the_fingerprint_needs_no_passphrase(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    del vendor
    assert certifying.own_fingerprint(settings) is None
    certify(settings, tmp_path)
    for path in (settings.home / "rng").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(certifying.own_fingerprint(settings) or "") == 64


def test_nothing_is_sent_without_consent(settings: Settings, tmp_path: Path, vendor: Any) -> None:
    both = PRICE * SHOTS
    for caps in (Caps(), Caps(cost=both), Caps(qpu_s=1.0)):  # surplus shots cost a little more
        with pytest.raises(BudgetRefused):
            certify(settings, tmp_path, consent=Consent(caps))
    assert vendor.jobs() == []
    assert not (tmp_path / "bundle").exists()


def test_a_backend_that_cannot_be_used_is_left_and_named(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    signed = certify(settings, tmp_path, "rented:closed", "rented")
    (attempt,) = signed["certificate"]["inputs"]["attempts"]
    assert (attempt["backend"], attempt["error"]) == ("rented:closed", "BackendUnavailable")
    assert len(vendor.paid()) == 2
    assert bundle.check(tmp_path / "bundle", signer=None).is_valid


def test_after_a_paid_calibration_no_other_backend_is_tried(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    vendor.script(submit=["ok", "unavailable", "..."])
    with pytest.raises(JobFailed, match="calibration job"):
        certify(settings, tmp_path, "rented", "aer")
    assert len(vendor.paid()) == 1
    assert not (tmp_path / "bundle").exists()


def test_a_lost_answer_makes_no_second_job(settings: Settings, tmp_path: Path, vendor: Any) -> None:
    vendor.script(submit=["drop-after", "drop-before", "transient"])
    certify(settings, tmp_path)
    assert len(vendor.paid()) == 2


@pytest.mark.parametrize("paid", [1, 2])
@pytest.mark.parametrize("leaving", ["deadline", "answer"])
def test_a_paid_job_that_is_left_behind_is_cancelled_and_told(
    settings: Settings, tmp_path: Path, vendor: Any, paid: int, leaving: str
) -> None:
    """Its shots are of use to nobody: the next certificate draws other settings."""
    earlier = ["done"] * (paid - 1)
    if leaving == "deadline":
        vendor.script(status=[*earlier, "queued", "..."])
    else:
        submit = ["ok"] * (paid - 1) + ["drop-after"]
        vendor.script(submit=submit, find=["transient"] * driver.ATTEMPTS_MAX)
    with pytest.raises(JobPending) as caught:
        certify(settings, tmp_path, deadline_s=1.5)
    left = vendor.jobs()[-1]
    assert (len(vendor.jobs()), left["cancelled"]) == (paid, True)
    assert f"cancelled: {left['id']}" in caught.value.__notes__[0]
    records = jobs.read_all(settings.home).records
    states = sorted(record.state for record in records)
    assert states == [State.CANCELLED] + [State.DONE] * (paid - 1)
    assert len(vendor.paid()) == paid - 1


def test_a_job_that_cannot_be_cancelled_is_named(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    vendor.script(status=["queued", "..."], cancel=["unavailable", "..."])
    with pytest.raises(JobPending) as caught:
        certify(settings, tmp_path, deadline_s=1.0)
    (job,) = vendor.paid()
    assert f"job {job} could not be cancelled" in caught.value.__notes__[0]
    assert "withdrawn" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"submit": ["reject"]}, CircuitRejected),
        ({"fetch": ["failed"]}, JobFailed),
        ({"status": ["failed"], "fetch": ["failed"]}, JobFailed),
        ({"submit": ["unavailable", "..."]}, BackendUnavailable),
    ],
)
def test_no_shots_make_no_bundle(
    settings: Settings, tmp_path: Path, vendor: Any, words: Any, error: type[Exception]
) -> None:
    vendor.script(**words)
    with pytest.raises(error):
        certify(settings, tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_a_stuck_device_is_discarded_at_its_calibration(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    with pytest.raises(HealthTestFailed, match="constant"):
        certify(settings, tmp_path, "rented:stuck")
    assert len(vendor.paid()) == 1
    assert not (tmp_path / "bundle").exists()


def test_noise_beyond_the_classical_bound_certifies_nothing(
    settings: Settings, tmp_path: Path, vendor: Any
) -> None:
    del vendor
    result = certify(settings, tmp_path, "rented:qpu?qber=0.2")["certificate"]["result"]
    assert result["s"] < 2
    assert (result["certified_bits"], result["output"]["bytes"]) == (0, 0)
    assert (result["tier"], result["claim_bits"]) == ("T2", 0)
    assert bundle.check(tmp_path / "bundle", signer=None).is_valid


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"shots": 10_239}, "10239"),
        ({"shots": 10**7 + 1}, "10000001"),
        ({"epsilon_log2": 0}, "epsilon"),
        ({"epsilon_log2": -257}, "-257"),
        ({"deadline_s": 0.0}, "deadline"),
        ({"deadline_s": float("nan")}, "deadline"),
        ({"backends": ("rented", "classical")}, "classical"),
        ({"backends": ("nowhere",)}, "nowhere"),
        ({"backends": ("rented", "rented")}, "twice"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_opened(
    settings: Settings, tmp_path: Path, vendor: Any, changes: dict[str, Any], word: str
) -> None:
    order = CertifyOrder(
        **{"backends": ("rented",), "shots": SHOTS, "bundle": tmp_path / "bundle", **changes}
    )
    with pytest.raises(ConfigError, match=word):
        certifying.certify(order, settings, lambda _text: None)
    assert not (vendor.folder / "calls.log").exists()


def test_the_smallest_certificate_is_one(settings: Settings, tmp_path: Path, vendor: Any) -> None:
    certify(settings, tmp_path, shots=certifying.SHOTS_MIN)
    assert len(vendor.paid()) == 2
    assert bundle.check(tmp_path / "bundle", signer=None).is_valid


def test_a_plan_says_what_it_takes_and_sends_nothing(tmp_path: Path, vendor: Any) -> None:
    planned = certifying.plan(CertifyOrder(("rented",), SHOTS, tmp_path / "bundle"))
    executions = sum(planned["shots"])
    assert SHOTS <= executions <= 1.1 * SHOTS
    assert Decimal(planned["cost"]["amount"]) == PRICE * executions
    assert planned["qpu_s"] == pytest.approx(executions / 4000)
    assert vendor.jobs() == []
