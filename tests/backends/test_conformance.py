"""The suite that every backend passes, over every simulator URI."""

from __future__ import annotations

from qlq.backends.conformance import BackendConformance


class TestAer(BackendConformance):
    uri = "aer"


class TestAerFez(BackendConformance):
    uri = "aer:fez"
    noise_max = 0.03


class TestCirq(BackendConformance):
    uri = "cirq"


class TestCirqWillow(BackendConformance):
    uri = "cirq:willow_pink"
    noise_max = 0.06


class TestCirqRainbow(BackendConformance):
    uri = "cirq:rainbow"
    noise_max = 0.25


class TestBraketLocal(BackendConformance):
    uri = "braket:local"
