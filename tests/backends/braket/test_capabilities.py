"""Reading a device's document: calibration, ranges, and whose endpoint it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import numpy as np
import pytest

from qlq import circuit
from qlq.backends import braket_calibration, braket_session, registry
from qlq.backends.braket_aws import BraketBackend, Choices
from qlq.backends.emulator.braket_devices import devices
from qlq.backends.emulator.server import Server
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, ConfigError
from qlq.provenance import Claim, Kind, Tier

GARNET = "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
CEPHEUS = "arn:aws:braket:us-west-1::device/qpu/rigetti/Cepheus-1-108Q"
FORTE = "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
Start = Callable[..., Server]


def document(arn: str) -> dict[str, Any]:
    return copy.deepcopy(dict(devices()[arn].capabilities))


@pytest.mark.parametrize("arn", [GARNET, CEPHEUS])
def test_errors_are_those_of_the_tables_and_qubits_keep_their_numbers(arn: str) -> None:
    errors = devices()[arn].errors
    assert errors is not None
    read = braket_calibration.read(document(arn), device="d")
    calibration = read.calibration
    assert calibration is not None
    assert read.has_choice
    assert calibration.qubits.keys() == errors.readout.keys()
    for qubit, one in calibration.qubits.items():
        assert one.readout_error == pytest.approx(errors.readout[qubit], abs=2e-6)
        assert one.pulse_error == pytest.approx(errors.pulse[qubit], abs=2e-6)
        assert one.t1_s == pytest.approx(4e-5)
    assert calibration.pair_errors == pytest.approx(dict(errors.pair), abs=2e-6)
    assert calibration.date.startswith("2026-11-01")


def test_means_predict_and_choose_nothing() -> None:
    read = braket_calibration.read(document(FORTE), device="d")
    assert read.calibration is not None
    assert not read.has_choice
    assert read.calibration.qubits[35].readout_error == pytest.approx(0.005)
    assert read.calibration.pair_error(0, 35) == pytest.approx(0.006)
    assert (read.ranges.shots_min, read.ranges.shots_max, read.ranges.takes_sets) == (
        10, 5000, False,
    )  # fmt: skip


def test_means_are_also_read_from_the_newer_standard() -> None:
    """AQT and newer IonQ documents: version 3 of the standardized properties."""
    newer = document(FORTE)
    del newer["provider"]
    one = [{"fidelity": 0.99, "unit": "fraction"}]
    newer["standardized"] = {
        "oneQubitProperties": {},
        "singleQubitFidelity": [{"fidelity": 0.9995, "unit": "fraction"}],
        "readoutFidelity": one,
        "twoQubitGateFidelity": [{"fidelity": 0.98, "unit": "fraction"}],
    }
    calibration = braket_calibration.read(newer, device="d").calibration
    assert calibration is not None
    assert calibration.qubits[0].readout_error == pytest.approx(0.01)
    assert calibration.qubits[0].pulse_error == pytest.approx(0.0005)
    assert calibration.pair_error(1, 2) == pytest.approx(0.02)


def test_a_simulator_has_no_calibration() -> None:
    read = braket_calibration.read(document(SV1), device="d")
    assert read.calibration is None
    assert (read.size, read.ranges.shots_min) == (34, 1)


def test_qubits_without_a_readout_or_as_good_as_a_coin_are_left_out() -> None:
    tables = document(GARNET)
    one = tables["standardized"]["oneQubitProperties"]
    one["3"]["oneQubitFidelity"] = one["3"]["oneQubitFidelity"][:1]
    one["4"]["oneQubitFidelity"][1]["fidelity"] = 0.5
    calibration = braket_calibration.read(tables, device="d").calibration
    assert calibration is not None
    assert not {3, 4} & calibration.qubits.keys()
    assert not [pair for pair in calibration.pair_errors if {3, 4} & set(pair)]


@pytest.mark.parametrize("missing", ["action", "paradigm", "service"])
def test_a_document_that_cannot_be_read_makes_the_device_unavailable(missing: str) -> None:
    broken = document(GARNET)
    del broken[missing]
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        braket_calibration.read(broken, device="d")


def test_a_device_without_circuits_is_unavailable() -> None:
    analog = document(GARNET)
    analog["action"] = {"braket.ir.ahs.program": {}}
    with pytest.raises(BackendUnavailable, match="gate-based"):
        braket_calibration.read(analog, device="d")


@pytest.mark.parametrize("region", ["eu-north-1", "us-west-1"])
def test_the_clients_own_endpoints_are_the_vendors(region: str) -> None:
    api, bucket = (boto3.client(name, region_name=region) for name in ("braket", "s3"))
    assert braket_session.are_vendors(api=api.meta.endpoint_url, bucket=bucket.meta.endpoint_url)


@pytest.mark.parametrize(
    "api",
    [
        "http://braket.eu-north-1.amazonaws.com",
        "https://braket.eu-north-1.amazonaws.com.example.org",
        "https://braket.example.org/?amazonaws.com",
        "https://evilbraket.eu-north-1.amazonaws.com",
        "http://127.0.0.1:8000",
    ],
)
def test_any_other_endpoint_is_not(api: str) -> None:
    bucket = "https://s3.eu-north-1.amazonaws.com"
    assert braket_session.are_vendors(api="https://braket.eu-north-1.amazonaws.com", bucket=bucket)
    assert not braket_session.are_vendors(api=api, bucket=bucket)
    assert not braket_session.are_vendors(
        api="https://braket.eu-north-1.amazonaws.com", bucket="http://127.0.0.1:9"
    )


@pytest.mark.parametrize(("arn", "is_qpu"), [(GARNET, True), (SV1, False)])
def test_only_a_qpu_behind_the_vendors_endpoints_is_one(
    start: Start, arn: str, is_qpu: bool
) -> None:
    """The account is told that its endpoints are the vendor's; the device's type still counts."""
    start()
    account = replace(braket_session.open_account(arn), is_vendors=True)
    backend = BraketBackend(account, Choices())
    plan = Plan(circuit.load("qrng"), np.zeros((1, 0)), 20, tags=("v",))
    handle = backend.submit(plan)
    while not backend.status(handle).is_final:
        pass
    origin = backend.fetch(handle, plan).provenance
    assert (origin.tier is Tier.QPU, origin.claim is Claim.SAME_CHIP) == (is_qpu, is_qpu)
    assert origin.kind is (Kind.QPU if is_qpu else Kind.IDEAL)
    assert (origin.entropy_cap_bits is None) == is_qpu


@pytest.mark.parametrize(
    "uri",
    [
        "braket:arn:aws:braket:eu-north-1::device/qpu/iqm",
        "braket:arn:aws:iam::0:user/me",
        "braket:nothing",
        f"braket:{GARNET}?shots=5",
    ],
)
def test_a_uri_that_names_no_device_is_a_usage_error(uri: str) -> None:
    with pytest.raises(ConfigError):
        registry.open_backend(uri)
