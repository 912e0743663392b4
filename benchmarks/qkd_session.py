"""Pulses per second of a whole session, beside the bare sampler on the same rows.

    python benchmarks/qkd_session.py [--json] [--small]

`bare` is Qiskit Aer's own sampler on the very plan that the session submitted, `textbook` is one
circuit for each pulse through `transpile` and `run`, the way most tutorials do it. All are
measured in one run; the ratio is the figure to quote.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2

from qlq.backends import registry
from qlq.circuit import Plan
from qlq.node import parties, planning, sessions
from qlq.qkd import parameters
from qlq.qkd.parameters import Parameters, Protocol, Wanted

REPEATS = 3
TEXTBOOK_PULSES = 20


def committed(protocol: Protocol, pulses: int, backend: Any) -> Parameters:
    tolerance = sessions.default_qber_max(backend.describe(), protocol)
    return parameters.commit(Wanted(protocol=protocol, pulses=pulses, qber_max=tolerance))


def session_s(numbers: Parameters, backend: Any, folder: Path) -> tuple[float, float]:
    """Seconds from settings to archived key, and of these the backend's own."""
    pair = parties.passing_pair(os.urandom(32))
    started = time.perf_counter()
    done = sessions.run(numbers, backend, pair, seeds=sessions.Seeds.from_system(), archive=folder)
    if done.document["aborted"]:
        raise SystemExit(f"the session aborted: {done.document['aborted']}")
    return time.perf_counter() - started, done.document["timing"]["backend_s"]


def bare_s(plan: Plan) -> float:
    """Seconds of the bare parametrised sampler on these rows."""
    loaded = qasm3.loads(plan.program.source)
    order = [[p.name for p in loaded.parameters].index(name) for name in plan.program.params]
    values = np.empty_like(plan.bindings)
    values[:, order] = plan.bindings
    sampler = SamplerV2()
    started = time.perf_counter()
    sampler.run([(loaded, values)], shots=plan.shots).result()
    return time.perf_counter() - started


def textbook_pulses_per_s(protocol: Protocol) -> float:
    """One circuit for each pulse, transpiled and run with one shot."""
    simulator = AerSimulator()
    started = time.perf_counter()
    for pulse in range(TEXTBOOK_PULSES):
        pair = protocol is Protocol.E91
        circuit = QuantumCircuit(2 if pair else 1, 2 if pair else 1)
        if pair:
            circuit.h(0)
            circuit.cx(0, 1)
            circuit.ry(-0.5 * (pulse % 2), 0)
            circuit.measure([0, 1], [0, 1])
        else:
            circuit.rx(np.pi * (pulse % 2), 0)
            circuit.ry(0.5, 0)
            circuit.measure(0, 0)
        simulator.run(transpile(circuit, simulator), shots=1, memory=True).result().get_memory()
    return TEXTBOOK_PULSES / (time.perf_counter() - started)


def measure(protocol: Protocol, pulses: int) -> list[dict[str, Any]]:
    backend = registry.open_backend("aer")
    numbers = committed(protocol, pulses, backend)
    plan = planning.typical_plan(numbers)
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        session_s(committed(protocol, min(pulses, 100_000), backend), backend, Path(folder, "warm"))
        bare_s(Plan(plan.program, plan.bindings[:4], 10))
        for repeat in range(REPEATS):
            ours.append(session_s(numbers, backend, Path(folder, str(repeat)))[0])
            bare.append(bare_s(plan))
    backend.close()
    ratio = statistics.median(b / o for o, b in zip(ours, bare, strict=True))
    textbook = textbook_pulses_per_s(protocol)
    speed = pulses / statistics.median(ours)
    name = f"{protocol.value}_session_pulses_per_s"
    return [
        measuring.measurement(
            name,
            speed,
            "1/s",
            reference="bare Aer sampler, same rows",
            reference_value=pulses / statistics.median(bare),
            ratio=ratio,
        ),
        measuring.measurement(
            f"{name}_to_textbook",
            speed,
            "1/s",
            reference="a circuit each",
            reference_value=textbook,
        ),
    ]


def noisy_post_processing(pulses: int) -> dict[str, Any]:
    """Post-processing time of a session with errors, beside the backend's own time."""
    backend = registry.open_backend("aer:fez")
    numbers = committed(Protocol.BB84, pulses, backend)
    ratios, posts, shots = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            wall, backend_s = session_s(numbers, backend, Path(folder, str(repeat)))
            posts.append(wall - backend_s)
            shots.append(backend_s)
            ratios.append((wall - backend_s) / backend_s)
    backend.close()
    return measuring.measurement(
        "fez_post_processing_s",
        statistics.median(posts),
        "s",
        reference="the backend's shots",
        reference_value=statistics.median(shots),
        ratio=statistics.median(ratios),
    )


def main() -> None:
    asked = measuring.options(__doc__, small="100,000 pulses: a smoke test")
    pulses = 100_000 if asked.small else 1_000_000
    figures = [figure for protocol in Protocol for figure in measure(protocol, pulses)]
    figures.append(noisy_post_processing(pulses))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(
        measuring.measurement(
            "peak_resident_memory", peak_mb, "MB", reference="limit", reference_value=600.0
        )
    )
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()
