"""The emulator as any client of Braket sees it: the SDK's own objects, and bare HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from braket.aws import AwsDevice, AwsQuantumTask
from braket.circuits import Circuit
from braket.device_schema import DeviceActionType
from braket.schema_common import BraketSchemaBase

from qlq.backends.emulator.braket_devices import Device, devices
from qlq.backends.emulator.server import Server

GARNET = "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
CEPHEUS = "arn:aws:braket:us-west-1::device/qpu/rigetti/Cepheus-1-108Q"
FORTE = "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
Start = Callable[..., Server]


@pytest.mark.parametrize("device", devices().values(), ids=lambda device: device.name)
def test_capabilities_are_in_the_vendors_schemas(device: Device) -> None:
    parsed = BraketSchemaBase.parse_raw_schema(json.dumps(device.capabilities))
    assert tuple(parsed.service.shotsRange) == device.shots
    takes_sets = DeviceActionType.OPENQASM_PROGRAM_SET in parsed.action
    assert takes_sets == (device.arn in {GARNET, CEPHEUS})


def test_devices_are_found_in_all_regions(start: Start) -> None:
    start()
    found = {device.arn: device.status for device in AwsDevice.get_devices()}
    assert found == dict.fromkeys((GARNET, CEPHEUS, FORTE, SV1), "ONLINE")
    assert AwsDevice(GARNET).queue_depth().jobs == "0"


@pytest.mark.parametrize(("arn", "wrong"), [(GARNET, 0.08), (CEPHEUS, 0.16), (SV1, 0.0)])
def test_a_circuit_of_the_sdk_runs_and_its_task_can_be_resumed(
    start: Start, arn: str, wrong: float
) -> None:
    """A Bell pair: unequal bits come from noise alone, within 5 sigma of its bound."""
    start()
    task = AwsDevice(arn).run(Circuit().h(0).cnot(0, 1), shots=1000, poll_interval_seconds=0.05)
    first = task.result().measurements
    again = AwsQuantumTask(arn=task.id).result()
    assert again.measurements_copied_from_device
    assert np.array_equal(first, again.measurements)
    assert np.mean(first[:, 0] != first[:, 1]) <= wrong
    assert abs(first[:, 0].mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_a_task_is_cancelled_once(start: Start) -> None:
    start(queue_s=10)
    task = AwsDevice(GARNET).run(Circuit().h(0), shots=10)
    assert task.queue_position().queue_position == "1"
    task.cancel()
    assert task.state() == "CANCELLED"
    with pytest.raises(ClientError, match="ConflictException"):
        task.cancel()


def test_a_client_token_names_one_task_and_no_other(start: Start) -> None:
    server = start(queue_s=10)
    client = boto3.client("braket", region_name="eu-north-1", endpoint_url=server.url)
    action = json.dumps(
        {
            "braketSchemaHeader": {"name": "braket.ir.openqasm.program", "version": "1"},
            "source": "OPENQASM 3.0;\nqubit[1] q;\nbit[1] c;\nh q[0];\nc[0] = measure q[0];\n",
        }
    )
    create = {
        "clientToken": "t1",
        "deviceArn": GARNET,
        "shots": 10,
        "outputS3Bucket": "amazon-braket-b",
        "outputS3KeyPrefix": "k",
        "action": action,
    }
    first = client.create_quantum_task(**create)["quantumTaskArn"]
    assert client.create_quantum_task(**create)["quantumTaskArn"] == first
    with pytest.raises(ClientError, match="other parameters"):
        client.create_quantum_task(**{**create, "shots": 11})
    for token in ("u1", "u2"):
        client.create_quantum_task(**{**create, "clientToken": token})
    filters = [{"name": "deviceArn", "operator": "EQUAL", "values": [GARNET]}]
    page = client.search_quantum_tasks(filters=filters, maxResults=2)
    rest = client.search_quantum_tasks(filters=filters, nextToken=page["nextToken"])
    assert (len(page["quantumTasks"]), len(rest["quantumTasks"])) == (2, 1)
    assert rest["quantumTasks"][0]["quantumTaskArn"] == first


@pytest.mark.parametrize(
    ("line", "shots", "word"),
    [
        ("rx(0.1) q[0];", 0, "shots"),
        ("rx(0.1) q[0];", 20_001, "shots"),
        ("ecr q[0], q[1];", 10, "ecr"),
        ("h $0;", 10, "qubit 0"),
        ("cz $1, $20;", 10, "not connected"),
        ("nothing q[0];", 10, "OpenQASM"),
    ],
)
def test_what_a_device_cannot_run_is_a_validation_exception(
    start: Start, line: str, shots: int, word: str
) -> None:
    from braket.ir.openqasm import Program

    start()
    register = "" if "$" in line else "qubit[2] q;\n"
    measure = "measure $1;" if "$" in line else "c[0] = measure q[0];"
    source = f"OPENQASM 3.0;\n{register}bit[1] c;\n{line}\n{measure}\n"
    with pytest.raises(ClientError, match=word) as caught:
        AwsDevice(GARNET).run(Program(source=source), shots=shots)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_request_without_a_signature_is_refused(start: Start) -> None:
    server = start()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/device/{GARNET}", timeout=5)  # noqa: S310 - loopback
    caught.value.close()
    assert caught.value.code == 403


def test_a_device_is_not_in_another_region(start: Start) -> None:
    server = start()
    client = boto3.client("braket", region_name="us-east-1", endpoint_url=server.url)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_device(deviceArn=GARNET)
