"""Programs and plans: what is to run, free of any vendor's types.

A program is OpenQASM 3 text in the QLQ profile, which every supported loader accepts:

    OPENQASM 3.0;                   these two lines, byte for byte
    include "stdgates.inc";
    input float[64] NAME;           any number of parameters
    qubit[N] q;                     one quantum and one classical register
    bit[M] c;
    GATE q[i];  GATE(ANGLE) q[i];  GATE q[i], q[j];
    barrier q;  reset q[i];  c[k] = measure q[i];

One statement a line; a line may be blank or a `//` comment. ANGLE is a number, `pi`, `pi/N` or a
parameter, with an optional factor and sign (`-x`, `2*x`). Every parameter is used, every classical
bit is measured exactly once. No control flow, no gate definitions, no physical qubits.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from qlq.errors import CircuitRejected

HEADER = ("OPENQASM 3.0;", 'include "stdgates.inc";')
FIXED_GATES = {"x": 1, "y": 1, "z": 1, "h": 1, "s": 1, "sdg": 1, "t": 1, "tdg": 1}
ROTATIONS = {"rx": 1, "ry": 1, "rz": 1}
PAIR_GATES = {"cx": 2, "cz": 2, "swap": 2}

SOURCE_BYTES_MAX = 1 << 20
REGISTER_SIZE_MAX = 1024
SEED_MAX = (1 << 63) - 1

_ANGLE = (
    r"(?P<sign>-?)(?:(?P<factor>\d+(?:\.\d+)?)\*)?"
    r"(?:(?P<number>\d+(?:\.\d+)?)|pi(?:/(?P<divisor>[1-9]\d*))?|(?P<param>[a-z][a-z0-9_]*))"
)
_INPUT = re.compile(r"input float\[64\] ([a-z][a-z0-9_]*);")
_REGISTER = re.compile(r"(qubit|bit)\[([1-9]\d{0,4})\] (q|c);")
_GATE = re.compile(
    rf"(?P<gate>[a-z]+)(?:\((?P<angle>{_ANGLE})\))? q\[(?P<a>\d{{1,5}})\]"
    r"(?:, q\[(?P<b>\d{1,5})\])?;"
)
_RESET = re.compile(r"reset q\[(\d{1,5})\];")
_MEASURE = re.compile(r"c\[(\d{1,5})\] = measure q\[(\d{1,5})\];")
_PLACE = re.compile(r"\b([qc])\[(\d+)\]")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_ANGLE_ALONE = re.compile(_ANGLE)
_RESERVED = frozenset(
    {
        "q",
        "c",
        "pi",
        "tau",
        "euler",
        "gate",
        "input",
        "output",
        "qubit",
        "bit",
        "measure",
        "reset",
    }
    | {
        "barrier",
        "if",
        "for",
        "while",
        "def",
        "let",
        "const",
        "float",
        "int",
        "angle",
        "u",
        "id",
    }
    | {
        "p",
        "v",
        "vi",
        "si",
        "ti",
        "ii",
        "cnot",
        "gphase",
        "in",
        "pow",
        "inv",
        "ctrl",
        "box",
        "end",
    }
    | FIXED_GATES.keys()
    | ROTATIONS.keys()
    | PAIR_GATES.keys()
)


@dataclass(frozen=True, slots=True)
class Program:
    """A circuit in the QLQ profile; made by `parse` and `load`, which check it.

    Attributes:
        source: The OpenQASM 3 text.
        params: Names of the parameters in the order of their declaration, which is the order of
            the columns of a plan's bindings.
        n_qubits: Size of the quantum register.
        n_bits: Size of the classical register, the last axis of the shots.
        name: A short name for people.
    """

    source: str
    params: tuple[str, ...]
    n_qubits: int
    n_bits: int
    name: str

    @property
    def digest(self) -> str:
        """SHA-256 of the source's bytes, in hex."""
        return hashlib.sha256(self.source.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle in radians: `factor` times the parameter, or `factor` alone without one."""

    factor: float
    param: str | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a program after its declarations.

    Attributes:
        op: A gate's name, `barrier`, `reset` or `measure`.
        qubits: Indices it acts on; empty for a barrier, which spans the register.
        angle: The angle of a rotation, else None.
        bit: The classical bit of a measurement, else None.
        text: The source line, stripped.
    """

    op: str
    qubits: tuple[int, ...]
    angle: Angle | None
    bit: int | None
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One job: a program, its parameter values row by row, and equal shots for each row.

    Attributes:
        program: What runs.
        bindings: float64, shape (rows, parameters), finite, in radians; copied and read-only.
        shots: Shots of each row, at least 1.
        qubits: Physical qubits for the program's qubits in order; None lets the backend choose.
        seed: Seed for simulators, in [0, 2**63); a QPU refuses it.
        tags: Words to find the job by; they do not enter the digest.
        qpu_s_max: Seconds of quantum hardware that the job may take, 0 or more; a vendor that can
            end a job by itself is told. It does not enter the digest. None for no cap.

    Raises:
        ValueError: A field is outside its range; the message names the value.
    """

    program: Program
    bindings: NDArray[np.float64]
    shots: int
    qubits: tuple[int, ...] | None = None
    seed: int | None = None
    tags: tuple[str, ...] = ()
    qpu_s_max: float | None = None

    def __post_init__(self) -> None:
        """Check every field and freeze a copy of the bindings."""
        if self.qpu_s_max is not None and not 0 <= self.qpu_s_max < float("inf"):
            raise ValueError(f"qpu_s_max must be 0 or more: {self.qpu_s_max}")
        bindings = np.array(self.bindings, dtype=np.float64, order="C")
        if bindings.ndim != 2 or bindings.shape[1] != len(self.program.params):  # noqa: PLR2004
            raise ValueError(
                f"bindings of {self.program.name} must have shape (rows, "
                f"{len(self.program.params)}), not {bindings.shape}"
            )
        if bindings.shape[0] < 1 or not np.isfinite(bindings).all():
            raise ValueError(f"bindings need at least one row of finite values, not {bindings!r}")
        _check_count(self.shots, "shots", low=1, high=1 << 40)
        if self.seed is not None:
            _check_count(self.seed, "seed", low=0, high=SEED_MAX)
        if self.qubits is not None:
            _check_qubits(self.qubits, self.program)
        bindings.setflags(write=False)
        object.__setattr__(self, "bindings", bindings)

    @property
    def executions(self) -> int:
        """Shots of all rows together."""
        return int(self.bindings.shape[0]) * self.shots

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of program, bindings, shots, qubits and seed; tags and cap do not count."""
        head = [self.program.digest, str(self.bindings.shape), str(self.shots)]
        head += [str(self.qubits), str(self.seed)]
        content = "\n".join(head).encode() + b"\n" + self.bindings.astype("<f8").tobytes()
        return hashlib.sha256(content).hexdigest()


def _check_count(value: int, word: str, *, low: int, high: int) -> None:
    """Refuse anything but an integer in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{word} must be an integer in [{low}, {high}], not {value!r}")


def _check_qubits(qubits: tuple[int, ...], program: Program) -> None:
    """Refuse a wrong number of physical qubits, a repeated one, or a negative one."""
    for qubit in qubits:
        _check_count(qubit, "a physical qubit", low=0, high=1 << 20)
    if len(qubits) != program.n_qubits or len(set(qubits)) != len(qubits):
        raise ValueError(
            f"program {program.name} needs {program.n_qubits} different qubits, not {qubits}"
        )


def parse(source: str, *, name: str) -> Program:
    """The program that a text in the QLQ profile describes.

    Args:
        source: The whole text; every line ends with a line feed.
        name: A short name for people and messages.

    Raises:
        CircuitRejected: The text is outside the profile; the message names the line.
    """
    return _Parser(source, name).program()


def load(name: str) -> Program:
    """The packaged program `name`, for example `bb84`.

    Raises:
        ValueError: There is no such packaged program.
    """
    folder = files("qlq") / "circuits"
    if not folder.is_dir():  # an editable install keeps the folder beside the package
        root = files("qlq")
        folder = root.parent / "circuits"  # type: ignore[attr-defined]
    known = sorted(
        entry.name.removesuffix(".qasm")
        for entry in folder.iterdir()
        if entry.name.endswith(".qasm")
    )
    if name not in known:
        raise ValueError(f"no packaged circuit {name!r}; there are {', '.join(known)}")
    return parse((folder / f"{name}.qasm").read_bytes().decode(), name=name)


@lru_cache(maxsize=64)
def statements(program: Program) -> tuple[Statement, ...]:
    """The statements of a program in order, declarations left out."""
    return _Parser(program.source, program.name).statements()


def components(program: Program) -> tuple[tuple[int, ...], ...]:
    """Groups of qubits that pair gates connect, directly or through others.

    Each group is in ascending order, and the groups are in the order of their first qubit; a
    qubit without a pair gate is a group of its own. Only qubits of one group must be coupled.
    """
    group = list(range(program.n_qubits))
    for statement in statements(program):
        if statement.op in PAIR_GATES:
            a, b = (group[qubit] for qubit in statement.qubits)
            group = [min(a, b) if label in {a, b} else label for label in group]
    return tuple(
        tuple(qubit for qubit in range(program.n_qubits) if group[qubit] == label)
        for label in sorted(set(group))
    )


def tile(program: Program, *, lanes: int) -> Program:
    """Several copies of a program side by side, each with parameters of its own.

    Copy `i` has qubits and classical bits from `i` times the program's, and the parameters
    `NAME_i`, after all of copy `i - 1`. A barrier spans all copies.

    Raises:
        ValueError: `lanes` is below 1.
        CircuitRejected: The copies do not fit the registers of the profile.
    """
    _check_count(lanes, "lanes", low=1, high=REGISTER_SIZE_MAX)
    if lanes == 1:
        return program
    lines = [*HEADER]
    lines += [f"input float[64] {name}_{i};" for i in range(lanes) for name in program.params]
    lines += [f"qubit[{lanes * program.n_qubits}] q;", f"bit[{lanes * program.n_bits}] c;"]
    for statement in statements(program):
        if statement.op == "barrier":
            lines.append(statement.text)
        else:
            lines += [_in_lane(statement.text, program, lane=lane) for lane in range(lanes)]
    return parse("\n".join(lines) + "\n", name=f"{program.name} x {lanes}")


def _in_lane(text: str, program: Program, *, lane: int) -> str:
    """A statement's text with the qubits, bits and parameters of one copy."""
    sizes = {"q": program.n_qubits, "c": program.n_bits}
    moved = _PLACE.sub(lambda m: f"{m[1]}[{int(m[2]) + lane * sizes[m[1]]}]", text)
    return _WORD.sub(lambda m: f"{m[0]}_{lane}" if m[0] in program.params else m[0], moved)


class _Parser:
    """Reads one text line by line; every refusal names its line."""

    def __init__(self, source: str, name: str) -> None:
        self._source = source
        self._name = name
        self._number = 0
        self._params: list[str] = []
        self._sizes: dict[str, int] = {}
        self._statements: list[Statement] = []
        self._read()

    def program(self) -> Program:
        """What was read."""
        sizes = self._sizes
        return Program(self._source, tuple(self._params), sizes["q"], sizes["c"], self._name)

    def statements(self) -> tuple[Statement, ...]:
        """What was read after the declarations."""
        return tuple(self._statements)

    def _read(self) -> None:
        """Read all lines, then check what only the whole text can show."""
        if len(self._source) > SOURCE_BYTES_MAX or not self._source.isascii():
            raise self._refusal(f"text must be ASCII and at most {SOURCE_BYTES_MAX} bytes")
        lines = self._source.split("\n")
        for self._number, line in enumerate(lines, start=1):
            if self._number <= len(HEADER):
                if line != HEADER[self._number - 1]:
                    raise self._refusal(f"must read {HEADER[self._number - 1]!r}, not {line!r}")
                continue
            text = line.strip(" \t")
            if text and not text.startswith("//"):
                self._line(text)
        self._check_whole()

    def _line(self, text: str) -> None:
        """Read one declaration or statement."""
        if match := _INPUT.fullmatch(text):
            self._declare_param(match[1], text)
        elif match := _REGISTER.fullmatch(text):
            self._declare_register(match[1], int(match[2]), match[3])
        elif len(self._sizes) < len(("q", "c")):
            raise self._refusal(f"expected 'qubit[N] q;' and 'bit[M] c;' before {text!r}")
        else:
            self._statements.append(self._statement(text))

    def _declare_param(self, name: str, text: str) -> None:
        if self._sizes:
            raise self._refusal(f"inputs come before the registers: {text!r}")
        if name in _RESERVED or name in self._params:
            raise self._refusal(f"parameter name {name!r} is reserved or declared twice")
        self._params.append(name)

    def _declare_register(self, kind: str, size: int, name: str) -> None:
        expected = ("qubit", "q") if not self._sizes else ("bit", "c")
        if (kind, name) != expected or name in self._sizes or size > REGISTER_SIZE_MAX:
            raise self._refusal(
                "exactly one 'qubit[N] q;' and then one 'bit[M] c;', "
                f"each of at most {REGISTER_SIZE_MAX}, are allowed"
            )
        self._sizes[name] = size

    def _statement(self, text: str) -> Statement:
        if text == "barrier q;":
            return Statement("barrier", (), None, None, text)
        if match := _RESET.fullmatch(text):
            return Statement("reset", (self._index(match[1], "q"),), None, None, text)
        if match := _MEASURE.fullmatch(text):
            bit, qubit = self._index(match[1], "c"), self._index(match[2], "q")
            return Statement("measure", (qubit,), None, bit, text)
        if match := _GATE.fullmatch(text):
            return self._gate(match, text)
        raise self._refusal(f"not in the QLQ profile: {text!r}")

    def _gate(self, match: re.Match[str], text: str) -> Statement:
        gate = match["gate"]
        arity = (FIXED_GATES | ROTATIONS | PAIR_GATES).get(gate)
        if arity is None:
            raise self._refusal(f"gate {gate!r} is not in the QLQ profile")
        qubits = tuple(self._index(text, "q") for text in (match["a"], match["b"]) if text)
        if len(qubits) != arity or len(set(qubits)) != arity:
            raise self._refusal(f"{gate} acts on {arity} different qubit(s): {text!r}")
        if (match["angle"] is not None) != (gate in ROTATIONS):
            raise self._refusal(f"rx, ry and rz take an angle, the others none: {text!r}")
        angle = self._angle(match["angle"]) if match["angle"] is not None else None
        return Statement(gate, qubits, angle, None, text)

    def _angle(self, text: str) -> Angle:
        match = _ANGLE_ALONE.fullmatch(text)
        if match is None:
            raise self._refusal(f"not an angle: {text!r}")
        factor = float(match["factor"] or 1) * (-1.0 if match["sign"] else 1.0)
        if match["number"]:
            return Angle(factor * float(match["number"]), None)
        if match["param"] in (None, "pi"):
            return Angle(factor * np.pi / int(match["divisor"] or 1), None)
        if match["param"] not in self._params:
            raise self._refusal(f"unknown parameter {match['param']!r}")
        return Angle(factor, match["param"])

    def _index(self, digits: str, register: str) -> int:
        if int(digits) >= self._sizes[register]:
            raise self._refusal(f"{register}[{digits}] is outside {self._sizes[register]}")
        return int(digits)

    def _check_whole(self) -> None:
        """Refuse missing registers, unused parameters, and bits not measured exactly once."""
        if len(self._sizes) < len(("q", "c")):
            raise self._refusal("'qubit[N] q;' and 'bit[M] c;' are missing")
        used = {statement.angle.param for statement in self._statements if statement.angle}
        if unused := [name for name in self._params if name not in used]:
            raise self._refusal(f"parameter {unused[0]!r} is never used")
        measured = [statement.bit for statement in self._statements if statement.bit is not None]
        if sorted(measured) != list(range(self._sizes["c"])):
            raise self._refusal("every classical bit must be measured exactly once")

    def _refusal(self, reason: str) -> CircuitRejected:
        return CircuitRejected(f"circuit {self._name}, line {self._number}: {reason}")
