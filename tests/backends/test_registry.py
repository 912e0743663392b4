"""From URI to backend: what is refused, with which words, and what is listed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qlq.backends import registry
from qlq.errors import BackendUnavailable, ConfigError
from qlq.provenance import Kind


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "not a backend URI"),
        (":fez", "not a backend URI"),
        ("aer:fez?qubits", "'qubits'"),
        ("aer:fez?qubits=4&qubits=5", "'qubits=5'"),
        ("ear", "'ear'.*'aer'"),
        ("aer:fes", "'fes'.*'fez'"),
        ("aer:fez?qubit=4", "'qubit'.*'qubits'"),
        ("aer?qubits=4", "'qubits'"),
        ("aer:fez?qubits=4,x", "'4,x'"),
        ("aer:fez?qubits=4,4", "twice"),
        ("aer:fez?qubits=156", "156.*nearest usable one is 155"),
        ("cirq:willow", "'willow'.*'willow_pink'"),
        ("cirq:rainbow?qubits=23", "23.*22"),
        ("braket:lokal", "'lokal'.*'local'"),
        ("braket:local?qubits=1", "'qubits'"),
        ("classical", "no quantum backend"),
    ],
)
def test_a_wrong_uri_is_refused_with_the_value_and_a_hint(uri: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        registry.open_backend(uri)


@pytest.mark.parametrize("uri", ["aer:FEZ", "AER:Fez", "aer:fake_fez", "aer:FakeFez"])
def test_a_device_has_one_canonical_name(uri: str) -> None:
    backend = registry.open_backend(uri)
    backend.close()
    assert backend.name == "aer:fez"


def test_options_are_part_of_the_canonical_name() -> None:
    backend = registry.open_backend("aer:fez?qubits=96,103")
    info = backend.describe()
    backend.close()
    assert backend.name == "aer:fez?qubits=96,103"
    assert info.qubits_e91 == (96, 103)
    assert info.predicted_qber_bb84 is None


def test_a_missing_package_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cirq.contrib.qasm_import", None)
    monkeypatch.setitem(sys.modules, "braket.default_simulator", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'qlq\[cirq\]'"):
        registry.open_backend("cirq")
    with pytest.raises(BackendUnavailable, match=r"pip install 'qlq\[braket\]'"):
        registry.open_backend("braket:local")


def test_the_list_has_every_simulator_and_says_what_it_is() -> None:
    lines = {line.uri: line for line in registry.known_uris()}
    assert {"aer", "aer:fez", "aer:torino", "cirq", "braket:local"} <= lines.keys()
    assert {"cirq:willow_pink", "cirq:rainbow", "cirq:weber"} <= lines.keys()
    fez = lines["aer:fez"]
    assert (fez.device, fez.kind, fez.qubits, fez.available) == ("fake_fez", Kind.NOISY, 156, True)
    assert lines["cirq:weber"].qubits == 53


def test_what_answers_for_a_vendor_is_not_told_before_anything_has_answered() -> None:
    kinds = {line.uri: line.kind for line in registry.known_uris()}
    rented = [uri for uri in kinds if uri.startswith(("ibm:", "braket:arn:"))]
    assert "ibm:least_busy" in rented
    assert len(rented) > 3
    assert {kinds[uri] for uri in rented} == {None}
    assert all(kind is not None for uri, kind in kinds.items() if uri not in rented)


def test_listing_imports_no_sdk() -> None:
    code = (
        "import sys\nfrom qlq.backends import registry\nregistry.known_uris()\n"
        "sdks = {'qiskit', 'qiskit_aer', 'qiskit_ibm_runtime', 'cirq', 'braket'}\n"
        "print(sorted(sdks & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
