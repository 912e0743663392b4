"""Token transfers on other machines, beside ours in one run: pyrevm, and titanoboa where it is.

Each peer runs the same token, `contract_sources/token.vy`, compiled by Vyper. A transfer is a call
from Python with its arguments encoded by eth_abi, and its event read from the result; the state
stays for the next one. What a peer does not do, ours does: it gives out the set of writes and a
receipt, and takes the writes over in a ledger of dictionaries. Runs alternate, the best of each
counts.

A part of contracts.py. The peers are installed by `uv sync --group peers`, without titanoboa: its
licence is not that of an open-source project for everybody who may run this.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring

SOURCE = Path(__file__).parent / "contract_sources" / "token.vy"
CAP, MINTED, ROUNDS = 1 << 60, 1 << 50, 5
PYREVM_MARK, TITANOBOA_MARK = 2, 40
TITANOBOA_SHARE = 20
"""It is so slow that one transfer in so many tells its speed."""

Transfers = Callable[[int], None]
"""Makes so many transfers to and fro."""


def _missing(*modules: str) -> str | None:
    """Why a peer cannot be measured here; None if it can."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return f"not installed: {', '.join(absent)}; uv sync --group peers has pyrevm and Vyper"


def _pyrevm() -> Transfers:
    """The token on revm, called as pyrevm's users do."""
    import pyrevm
    from eth_abi import encode
    from eth_utils import keccak
    from vyper import compile_code

    owner, other = "0x" + "03" * 20, "0x" + "04" * 20
    made = compile_code(SOURCE.read_text(), output_formats=["bytecode"])["bytecode"]
    machine = pyrevm.EVM()
    code = bytes.fromhex(made.removeprefix("0x"))
    token = machine.deploy(owner, code + encode(["uint64"], [CAP]))
    types = ["address", "uint64"]
    mint, transfer = (
        keccak(f"{name}(address,uint64)".encode())[:4] for name in ("mint", "transfer")
    )
    machine.message_call(owner, token, mint + encode(types, [owner, MINTED]))

    def run(count: int) -> None:
        for amount in range(1, count + 1):
            machine.message_call(owner, token, transfer + encode(types, [other, amount]))
            (log,) = machine.result.logs
            if not log.topics:
                raise RuntimeError("a transfer without its event")

    before = keccak(b"balance_of(address)")[:4] + encode(["address"], [other])
    run(3)
    if int.from_bytes(machine.message_call(owner, token, before), "big") != 1 + 2 + 3:
        raise RuntimeError("the peer's token does not add up")
    return run


def _titanoboa() -> Transfers:
    """The token in titanoboa's environment for tests."""
    import boa

    token = boa.load(str(SOURCE), CAP)
    owner, other = boa.env.eoa, "0x" + "04" * 20
    token.mint(owner, MINTED)

    def run(count: int) -> None:
        for amount in range(1, max(1, count // TITANOBOA_SHARE) + 1):
            token.transfer(other, amount)
            if not token.get_logs():
                raise RuntimeError("a transfer without its event")

    run(1)
    return run


def _rate(transfers: Transfers, count: int, made: int) -> float:
    start = time.perf_counter()
    transfers(count)
    return made / (time.perf_counter() - start)


def measurements(ours: Transfers, count: int) -> list[dict[str, Any]]:
    """Ours beside each peer that is here, and why one is not."""
    found = []
    for name, mark, modules, begin, share in (
        ("pyrevm", PYREVM_MARK, ("pyrevm", "eth_abi", "vyper"), _pyrevm, 1),
        ("titanoboa", TITANOBOA_MARK, ("boa",), _titanoboa, TITANOBOA_SHARE),
    ):
        title = f"token_transfers_beside_{name}"
        reason = _missing(*modules)
        if reason is not None:
            found.append(
                measuring.measurement(title, _rate(ours, count, count), "1/s", reason=reason)
            )
            continue
        peer = begin()
        rates = [
            (_rate(ours, count, count), _rate(peer, count, max(1, count // share)))
            for _ in range(ROUNDS)
        ]
        mine, theirs = max(one for one, _ in rates), max(other for _, other in rates)
        found += [
            measuring.measurement(title, mine, "1/s", reference=name, reference_value=theirs),
            measuring.measurement(
                f"times_{name}", mine / theirs, "times", reference="mark", reference_value=mark
            ),
        ]
    return found
