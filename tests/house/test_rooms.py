"""The core is pure, settings are read in one place, and the command line starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CORE = (
    "qlq/errors.py",
    "qlq/faults.py",
    "qlq/provenance.py",
    "qlq/codec.py",
    "qlq/circuit.py",
    "qlq/shots.py",
    "qlq/keys.py",
    "qlq/numerics/",
    "qlq/crypto/",
    "qlq/qkd/",
    "qlq/consensus/",
    "qlq/kme/lifecycle.py",
    "qlq/kme/marks.py",
    "qlq/ledger/",
    "qlq/contracts/",
    "qlq/backends/dialects.py",
    "qlq/network/framing.py",
)
SHELL = ("qlq/ledger/store", "qlq/contracts/native_cache.py")
"""Files of core rooms that read and write."""
CONSENSUS = ("qlq/ledger/", "qlq/consensus/", "qlq/contracts/")
"""Where all nodes must come to the same bytes."""
IMPURE = {
    "asyncio", "datetime", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
LEGACY_RANDOMNESS = {"RandomState", "seed", "rand", "randn", "randint", "random", "shuffle"}
ENVIRONMENT = {"environ", "getenv", "environb", "getenvb", "putenv", "unsetenv"}
HEAVY = (
    "numpy", "scipy", "numba", "qiskit", "qiskit_aer", "qiskit_ibm_runtime", "cirq", "braket",
    "boto3", "cryptography", "msgspec", "matplotlib", "rich.table",
)  # fmt: skip


def is_core(path: Path) -> bool:
    is_shell = str(path).startswith(SHELL)
    return not is_shell and any(str(path) == place or str(path).startswith(place) for place in CORE)


def imported(tree: ast.Module) -> set[str]:
    """First names of all imported modules, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def varies(node: ast.AST) -> bool:
    """Whether something may differ between machines: a float, `hash`, the order of a set."""
    match node:
        case ast.Constant(float()) | ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
        case ast.Call(ast.Name("float" | "hash" | "id")):
            return True
        case ast.For(iter=ast.Set() | ast.SetComp() | ast.Call(ast.Name("set" | "frozenset"))):
            return True
        case _:
            return False


def test_consensus_critical_rooms_use_integers_and_bytes_only(
    modules: dict[Path, ast.Module],
) -> None:
    found = {
        f"{path}:{getattr(node, 'lineno', 0)}"
        for path, tree in modules.items()
        if str(path).startswith(CONSENSUS) and is_core(path)
        for node in ast.walk(tree)
        if varies(node)
    }
    assert not found


def test_every_place_of_the_core_exists(root: Path) -> None:
    assert not [place for place in CORE if not (root / place).exists()]


def test_the_core_has_no_clock_no_disk_and_no_randomness(
    modules: dict[Path, ast.Module],
) -> None:
    core = {path: tree for path, tree in modules.items() if is_core(path)}
    assert not {str(path): bad for path, tree in core.items() if (bad := imported(tree) & IMPURE)}


def test_the_core_seeds_no_generator_from_the_system(modules: dict[Path, ast.Module]) -> None:
    """`default_rng(seed)` is a pure function; `default_rng()` and the old global one are not."""
    unseeded = [
        f"{path}:{node.lineno}"
        for path, tree in modules.items()
        if is_core(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and draws_from_the_system(node)
    ]
    assert not unseeded


def draws_from_the_system(call: ast.Call) -> bool:
    name = ast.unparse(call.func).replace("numpy.random", "np.random")
    if name in {"np.random.default_rng", "np.random.SeedSequence", "np.random.PCG64"}:
        return not call.args and not call.keywords
    return name.startswith("np.random.") and name.rpartition(".")[2] in LEGACY_RANDOMNESS


def test_only_config_reads_the_environment(modules: dict[Path, ast.Module]) -> None:
    readers = {
        str(path)
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT)
        or (isinstance(node, ast.ImportFrom) and ENVIRONMENT & {name.name for name in node.names})
    }
    assert readers == {"qlq/config.py"}


CATCHES_EVERYTHING = {
    Path("qlq/cli/main.py"),
    # a thread hands whatever its work raised to whoever waits for it, who raises it again
    Path("qlq/backends/watchdog.py"),
    Path("qlq/node/terminals_link.py"),
    # so does a call out of compiled code, which cannot let an exception through
    Path("qlq/contracts/wasm_calls.py"),
}


def test_only_the_command_line_s_main_and_threads_catch_everything(
    modules: dict[Path, ast.Module],
) -> None:
    broad = {
        f"{path}:{node.lineno}"
        for path, tree in modules.items()
        if path not in CATCHES_EVERYTHING
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node) and not reraises(node)
    }
    assert not broad


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})


def reraises(handler: ast.ExceptHandler) -> bool:
    """Whether the handler only tidies up: a bare `raise` is its last statement."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_asserts_stay_in_tests(modules: dict[Path, ast.Module]) -> None:
    """`python -O` drops them; in the contract language they are the way to fail, and compiled."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules.items()
        if Path("qlq/contracts/templates") not in path.parents
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert not found


@pytest.mark.parametrize("words", [["--help"], ["qkd", "run", "--help"], ["--version"]])
def test_the_command_line_starts_without_numpy_or_any_sdk(words: list[str]) -> None:
    code = (
        "import sys; from qlq.cli import main\n"
        f"sys.argv = ['qlq', *{words}]\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "print('HEAVY', heavy, 'typer' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    has_typer = words != ["--version"]
    assert done.stdout.splitlines()[-1] == f"HEAVY [] {has_typer}"


def test_importing_the_tree_of_commands_loads_no_heavy_package() -> None:
    code = f"import sys, qlq.cli.app; print([n for n in {HEAVY} if n in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
