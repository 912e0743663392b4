"""What a contract did line by line, told by the back-end that can: for replay and for failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qlq.contracts.engine import Engine
from qlq.contracts.outcome import Outcome
from qlq.contracts.program import Program
from qlq.contracts.python import PythonRunner
from qlq.contracts.values import Value
from qlq.node import contract_values
from qlq.node.contract_values import Names

Run = Callable[[Engine], Outcome]
STEPS_MAX = 100_000
"""Statements that are kept from the start on; the last one is kept besides."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement that begins.

    Attributes:
        contract: Address of the contract.
        function: In which of its functions.
        line: Of its source.
        values: Of its variables that have one.
        gas: What is left.
    """

    contract: bytes
    function: str
    line: int
    values: Mapping[str, Value]
    gas: int

    def shown(self, program: Program, names: Names) -> dict[str, Any]:
        """The values for a document."""
        function = next(one for one in program.functions if one.name == self.function)
        kinds = {local.name: local.type for local in function.locals}
        return {
            name: contract_values.shown(kinds[name], value, names)
            for name, value in self.values.items()
        }


@dataclass(frozen=True, slots=True)
class Traced:
    """A call and its way.

    Attributes:
        outcome: What came of it.
        steps: From the first statement on.
        left_out: Statements between them and the last one.
        last: The last statement; None if no code ran.
    """

    outcome: Outcome
    steps: tuple[Step, ...]
    left_out: int
    last: Step | None


class _Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.count = 0
        self.last: Step | None = None

    def __call__(
        self, contract: bytes, function: str, line: int, variables: Mapping[str, Value], gas: int
    ) -> None:
        """See `python_operations.Tracer`."""
        self.last = Step(contract, function, line, dict(variables), gas)
        self.count += 1
        if len(self.steps) < STEPS_MAX:
            self.steps.append(self.last)


def trace(run: Run) -> Traced:
    """What a call does on the CPython back-end, statement by statement.

    Args:
        run: Carries out one call on the engine that it is given.
    """
    recorder = _Recorder()
    outcome = run(Engine(PythonRunner(recorder)))
    left_out = recorder.count - len(recorder.steps)
    return Traced(outcome, tuple(recorder.steps), left_out, recorder.last)
