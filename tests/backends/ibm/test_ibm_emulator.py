"""The emulator as IBM's own client sees it, without an adapter of ours in between."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import jwt
import numpy as np
import pytest
from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.exceptions import RuntimeJobFailureError, RuntimeJobNotFound
from qiskit_ibm_runtime.executor_sampler import Sampler

from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.ibm import IBMEmulator
from qlq.backends.emulator.server import Server

SIZE = 156


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(IBMEmulator())
    yield server
    server.close()


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[QiskitRuntimeService]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield QiskitRuntimeService()


def run(service: QiskitRuntimeService, circuit: QuantumCircuit, **options: Any) -> Any:
    """The job of one circuit on the emulated Fez."""
    sampler = Sampler(mode=service.backend("ibm_fez"))
    for name, value in options.items():
        setattr(sampler.options, name, value)
    return sampler.run([circuit], shots=2000)


def bell() -> QuantumCircuit:
    """A pair on coupled qubits, and a lone flipped qubit far away, in native gates."""
    circuit = QuantumCircuit(SIZE, 3)
    for qubit in (96, 103):
        circuit.rz(np.pi / 2, qubit)
        circuit.sx(qubit)
        circuit.rz(np.pi / 2, qubit)
    circuit.cz(96, 103)
    circuit.rz(np.pi / 2, 103)
    circuit.sx(103)
    circuit.rz(np.pi / 2, 103)
    circuit.x(4)
    circuit.barrier()
    circuit.measure([4, 103, 96], [1, 2, 0])
    return circuit


def post(server: Server, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(server.url + path, data=body, headers=headers, method="POST")  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def signed_in(server: Server) -> dict[str, str]:
    _, token = post(server, "/identity/token", b"apikey=anything")
    crn = server.environment["QISKIT_IBM_INSTANCE"]
    return {"Authorization": f"Bearer {token['access_token']}", "Service-CRN": crn}


def test_the_client_needs_no_arguments_and_lists_the_devices(
    service: QiskitRuntimeService,
) -> None:
    names = {device.name: device.num_qubits for device in service.backends()}
    # sizes of Heron r1, Heron r2 and Eagle chips
    assert names["ibm_torino"] == 133
    assert names["ibm_fez"] == names["ibm_kingston"] == names["ibm_marrakesh"] == 156
    assert names["ibm_brisbane"] == 127
    assert service.least_busy().name in names
    assert [one["plan"] for one in service.instances()] == ["open"]
    assert service.usage()["usage_limit_reached"] is False


def test_the_token_is_a_json_web_token(server: Server) -> None:
    _, answer = post(server, "/identity/token", b"grant_type=x&apikey=k")
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


def test_a_pair_and_a_lone_qubit_keep_their_places_and_correlations(
    service: QiskitRuntimeService,
) -> None:
    job = run(service, bell())
    bits = job.result(poll_interval=0.1)[0].data.c.to_bool_array(order="little")
    assert bits.shape == (2000, 3)
    assert bits[:, 1].mean() > 0.98
    assert (bits[:, 0] == bits[:, 2]).mean() > 0.96
    assert 0.4 < bits[:, 0].mean() < 0.6
    QuantumProgramResultModel.model_validate_json(
        service._active_api_client.job_results(job.job_id())
    )


def test_parameters_bind_by_name_in_the_clients_order(service: QiskitRuntimeService) -> None:
    first, second = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(SIZE, 2)
    for qubit, angle in ((4, second), (96, first)):
        circuit.sx(qubit)
        circuit.rz(angle, qubit)
        circuit.sx(qubit)
    circuit.measure([4, 96], [0, 1])
    sampler = Sampler(mode=service.backend("ibm_fez"))
    job = sampler.run([(circuit, np.array([[np.pi, 0.0], [0.0, np.pi]]))], shots=500)
    bits = job.result(poll_interval=0.1)[0].data.c.to_bool_array(order="little")
    # sx rz(0) sx flips, sx rz(pi) sx does not
    assert np.allclose(bits.mean(axis=1), [[1, 0], [0, 1]], atol=0.05)


def test_a_gate_that_the_device_has_not_fails_the_job_with_ibms_code(
    service: QiskitRuntimeService,
) -> None:
    circuit = QuantumCircuit(SIZE, 1)
    circuit.h(4)
    circuit.measure(4, 0)
    with pytest.raises(RuntimeJobFailureError, match="1517"):
        run(service, circuit).result(poll_interval=0.1)


def test_a_twirled_job_is_refused_loudly(service: QiskitRuntimeService) -> None:
    sampler = Sampler(mode=service.backend("ibm_fez"))
    sampler.options.twirling.enable_measure = True
    with pytest.raises(Exception, match="samplex items"):
        sampler.run([bell()], shots=100)


def test_jobs_are_found_by_tag_and_survive_the_client(
    service: QiskitRuntimeService,
) -> None:
    sampler = Sampler(mode=service.backend("ibm_fez"))
    sampler.options.environment.job_tags = ["one-of-a-kind"]
    job = sampler.run([bell()], shots=100)
    counts = job.result(poll_interval=0.1)[0].data.c.get_counts()
    again = QiskitRuntimeService()
    (found,) = again.jobs(job_tags=["one-of-a-kind"])
    assert found.job_id() == job.job_id()
    assert found.result(poll_interval=0.1)[0].data.c.get_counts() == counts
    assert again.jobs(job_tags=["another"]) == []
    assert found.metrics()["usage"]["status"] == "complete"
    again.delete_job(job.job_id())
    with pytest.raises(RuntimeJobNotFound):
        again.job(job.job_id())


def test_cancelled_jobs_end_and_the_next_one_runs(service: QiskitRuntimeService) -> None:
    slow = QuantumCircuit(SIZE, 1)
    slow.x(4)
    slow.measure(4, 0)
    first = Sampler(mode=service.backend("ibm_fez")).run([slow] * 3, shots=4_000_000)
    second = run(service, bell())
    assert second.status() == "QUEUED"
    assert service.backend("ibm_fez").status().pending_jobs == 2
    second.cancel()
    assert first.status() == "RUNNING"
    first.cancel()
    third = run(service, bell())
    assert third.result(poll_interval=0.1)[0].data.c.num_shots == 2000
    found = {job.job_id(): job.status() for job in service.jobs(limit=3)}
    assert found == {
        first.job_id(): "CANCELLED",
        second.job_id(): "CANCELLED",
        third.job_id(): "DONE",
    }


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b"\x00\xff", 400, "not JSON"),
        (b"[]", 404, "executor"),
        (b'{"program_id": "sampler"}', 404, "executor"),
        (b'{"program_id": "executor", "backend": "ibm_nowhere"}', 404, "no backend"),
        (b'{"program_id": "executor", "backend": "ibm_fez"}', 400, "do not fit the schema"),
        (
            b'{"program_id": "executor", "backend": "ibm_fez", "params": {"schema_version": "v9"}}',
            400,
            "schema_version",
        ),
    ],
)
def test_a_payload_outside_ibms_schema_is_refused(
    server: Server, body: bytes, status: int, words: str
) -> None:
    found, answer = post(server, "/experimental/jobs", body, **signed_in(server))
    assert found == status
    assert words in answer["errors"][0]["message"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "x"}])
def test_nobody_comes_in_without_a_token_of_this_server(
    server: Server, headers: dict[str, str]
) -> None:
    crn = server.environment["QISKIT_IBM_INSTANCE"]
    assert post(server, "/experimental/jobs", b"{}", **headers, **{"Service-CRN": crn})[0] == 401


def test_an_answer_from_a_fault_script_has_ibms_form() -> None:
    fault = Fault("POST /experimental/jobs", Action.ANSWER, status=409, code=1218, message="no")
    response = IBMEmulator().refusal(fault)
    assert response.status == 409
    (error,) = json.loads(response.body)["errors"]
    assert (error["code"], error["message"]) == (1218, "no")
