"""Runs one call to a contract: what the ledger was and the call in, the outcome out.

The same ledger, block and call give the same outcome on every back-end and machine, but for its
message. Nothing is written: the outcome says what is to be written. A call that fails has no
events, writes or moves; what it costs is

    refused      nothing: no code ran
    reverted     the gas that it used
    out of gas   all of its gas

Contracts that wait for a call cannot be called by it, and a failed call fails the whole
transaction: there is nothing to re-enter, and no half of anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qlq.contracts import gas
from qlq.contracts.compiled import Code, Method
from qlq.contracts.host import DEPTH_MAX, Host, Transaction
from qlq.contracts.journal import AMOUNT_MAX, Journal, Ledger
from qlq.contracts.outcome import Call, Env, Failure, Outcome, Reason, Status
from qlq.contracts.program import METHOD_ID_BYTES

GAS_MAX = (1 << 63) - 1
ID_BYTES = 32
_U64_MAX = (1 << 64) - 1


class CodeLedger(Ledger, Protocol):
    """A ledger that also knows contracts."""

    def code(self, contract: bytes) -> Code | None:
        """What runs at this address; None: it is no contract."""


class Runner(Protocol):
    """A back-end."""

    def run(self, code: Code, function: int, host: Host, arguments: bytes) -> bytes:
        """The encoded result of a function.

        Args:
            code: The contract.
            function: Its number in the program.
            host: Its gas is what is left, also after a failure.
            arguments: Encoded, of the types of the function.

        Raises:
            Failure: The contract failed; with the place where it did.
        """


class Engine:
    """Runs calls on one back-end; one call at a time."""

    def __init__(self, runner: Runner) -> None:
        """Run on this back-end."""
        self._runner = runner

    def apply(self, ledger: CodeLedger, env: Env, call: Call) -> Outcome:
        """What a call does.

        Raises:
            ValueError: Gas, value or time outside their ranges, or an id of another length.
        """
        running = _Running(self._runner, ledger, env, call)
        return _outcome(running, call, running.apply)

    def deploy(self, ledger: CodeLedger, env: Env, call: Call, code: Code) -> Outcome:
        """What comes of a new contract: its `init` runs, if it has one.

        Args:
            ledger: Does not know the contract.
            env: The block.
            call: `contract` is the new address; the data are the arguments of `init` alone.
            code: The new contract.

        Raises:
            ValueError: As in `apply`.
        """
        running = _Running(self._runner, ledger, env, call)
        return _outcome(running, call, lambda: running.deploy(code))

    def migrate(self, ledger: CodeLedger, env: Env, call: Call, code: Code) -> Outcome:
        """What comes of new code for a contract: its `migrate` runs, if it has one.

        Args:
            ledger: Knows the contract with its code so far.
            env: The block.
            call: The data are the arguments of `migrate` alone.
            code: The new code, which `upgrade.check` has let pass.

        Raises:
            ValueError: As in `apply`.
        """
        running = _Running(self._runner, ledger, env, call)
        return _outcome(running, call, lambda: running.migrate(code))


class _Running:
    """One transaction on its way.

    Attributes:
        host: Of the outermost call.
        journal: What has been done.
        started: Whether code has begun to run, and gas is used.
    """

    __slots__ = ("_call", "_ledger", "_runner", "_transaction", "host", "journal", "started")

    def __init__(self, runner: Runner, ledger: CodeLedger, env: Env, call: Call) -> None:
        _check(env, call)
        self._runner = runner
        self._ledger = ledger
        self._call = call
        self.journal = Journal(ledger)
        self.started = False
        self._transaction = Transaction(env, self.journal, self._called)
        self.host = Host(
            self._transaction,
            contract=call.contract,
            sender=call.sender,
            gas_limit=call.gas,
            asset=call.asset,
            value=call.value,
        )

    def apply(self) -> bytes:
        """Run a method."""
        data = self._call.data
        code, method = self._find(self.host.contract, data)
        self._start(method, data[METHOD_ID_BYTES:], gas.CALL + len(data) * gas.CALL_BYTE)
        return self._run(self.host, code, method, data[METHOD_ID_BYTES:])

    def deploy(self, code: Code) -> bytes:
        """Run `init`."""
        if self._ledger.code(self.host.contract) is not None:
            raise Failure(
                Reason.ALREADY_DEPLOYED, f"there is a contract at {self.host.contract.hex()}"
            )
        return self._install(code, code.init)

    def migrate(self, code: Code) -> bytes:
        """Run `migrate`."""
        if self._ledger.code(self.host.contract) is None:
            raise _unknown(self.host.contract)
        return self._install(code, code.migrate)

    def _install(self, code: Code, method: Method | None) -> bytes:
        arguments = self._call.data
        self._start(method or _NOTHING, arguments, gas.DEPLOY + code.source_bytes * gas.DEPLOY_BYTE)
        return b"" if method is None else self._run(self.host, code, method, arguments)

    def _called(self, host: Host, data: bytes) -> bytes:
        """Run a method that a contract calls; it has paid."""
        stack = self._transaction.stack
        if host.contract in stack:
            raise Failure(
                Reason.ALREADY_CALLED, f"{host.contract.hex()} waits for this call: no way back in"
            )
        if len(stack) >= DEPTH_MAX:
            raise Failure(Reason.TOO_DEEP, f"more than {DEPTH_MAX} contracts in one another")
        code, method = self._find(host.contract, data)
        method.check(data[METHOD_ID_BYTES:])
        return self._run(host, code, method, data[METHOD_ID_BYTES:])

    def _find(self, contract: bytes, data: bytes) -> tuple[Code, Method]:
        code = self._ledger.code(contract)
        if code is None:
            raise _unknown(contract)
        method = code.methods.get(data[:METHOD_ID_BYTES])
        if method is None:
            raise Failure(
                Reason.UNKNOWN_METHOD,
                f"{code.name} has no method with the id {data[:METHOD_ID_BYTES].hex()}",
            )
        return code, method

    def _start(self, method: Method, arguments: bytes, units: int) -> None:
        """What is refused is refused here, before any gas is used."""
        call = self._call
        if call.value and not method.takes_value:
            raise Failure(Reason.VALUE_NOT_TAKEN, f"it takes no value, {call.value} units came")
        method.check(arguments)
        if call.value:
            self.journal.move(call.sender, call.contract, call.asset, call.value)
        self.started = True
        self.host.charge(units)

    def _run(self, host: Host, code: Code, method: Method, arguments: bytes) -> bytes:
        host.event_names = code.event_names
        stack = self._transaction.stack
        stack.append(host.contract)
        try:
            result = self._runner.run(code, method.function, host, arguments)
        except Failure as failure:
            _explain(failure, host, code)
            raise
        stack.pop()
        return result


_NOTHING = Method(function=0, takes_value=False, arguments=(), size=0, all_bytes_fit=True)
"""Stands for an `init` or `migrate` that there is not: no value, no arguments."""


def _check(env: Env, call: Call) -> None:
    if not 0 <= call.gas <= GAS_MAX:
        raise ValueError(f"gas outside [0, 2^63): {call.gas}")
    if not 0 <= call.value <= AMOUNT_MAX:
        raise ValueError(f"value outside [0, 2^63): {call.value}")
    if not (0 <= env.height <= _U64_MAX and 0 <= env.time_s <= _U64_MAX):
        raise ValueError(f"height or time outside [0, 2^64): {env.height}, {env.time_s}")
    for identity in (call.contract, call.sender, call.asset, env.chain):
        if len(identity) != ID_BYTES:
            raise ValueError(f"an address, asset or chain has {ID_BYTES} bytes: {identity.hex()}")


def _unknown(contract: bytes) -> Failure:
    return Failure(Reason.UNKNOWN_CONTRACT, f"there is no contract at {contract.hex()}")


def _explain(failure: Failure, host: Host, code: Code) -> None:
    """Say where it happened, and in the contract's own words why, if nobody has."""
    if not failure.contract:
        failure.contract = host.contract
    if failure.reason is Reason.ASSERTION and failure.contract == host.contract:
        failure.message = code.assertions[failure.code]


def _outcome(running: _Running, call: Call, work: Callable[[], bytes]) -> Outcome:
    try:
        result = work()
    except Failure as failure:
        return _failed(running, call, failure)
    journal = running.journal
    return Outcome(
        status=Status.OK,
        result=result,
        gas_used=call.gas - running.host.gas,
        events=tuple(journal.events),
        writes=journal.writes(),
        moves=tuple(journal.moves),
    )


def _failed(running: _Running, call: Call, failure: Failure) -> Outcome:
    out_of_gas = failure.reason is Reason.OUT_OF_GAS
    if not running.started:
        status, used = Status.REFUSED, 0
    elif out_of_gas:
        status, used = Status.OUT_OF_GAS, call.gas
    else:
        status, used = Status.REVERTED, call.gas - running.host.gas
    return Outcome(
        status=status,
        reason=failure.reason,
        code=failure.code,
        contract=failure.contract or call.contract,
        line=0 if out_of_gas else failure.line,
        message=failure.message or failure.reason.text,
        gas_used=used,
    )
