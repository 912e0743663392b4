"""The border between a contract's WebAssembly and its host.

Host calls take their arguments from the contract's memory, ask the host, and write the answer
back, see `wasm_memory`. A host call never raises into the machine, which would lose the exception:
it is kept, the guest stops, and whoever started the guest raises it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from qlq.contracts import wasm_memory
from qlq.contracts.host import Host
from qlq.contracts.machine import NO_TRAP, Ending, HostCall, Instance
from qlq.contracts.outcome import Failure, Reason
from qlq.errors import InvariantBroken

_ADDRESS = 32

_read = wasm_memory.CALL_IN.unpack_from
_read_four = wasm_memory.CALL_IN_FOUR.unpack_from
_write = wasm_memory.CALL_OUT.pack_into
_write_state = wasm_memory.STATE_OUT.pack_into
_write_wide = wasm_memory.WIDE_OUT.pack_into
_DONE, _WIDE = wasm_memory.DONE, wasm_memory.WIDE


_NOTHING: tuple[memoryview, Host] = ()  # type: ignore[assignment]
"""What runs outside of all calls: a host call then is a failure like any other."""

Step = Callable[[memoryview, Host], None]
"""A host call, given the memory and the host of the running contract."""


class Border:
    """Host calls of whichever contract is running, and what they raised.

    One for each machine: a contract runs until it returns or calls another one, so there is one
    running contract at a time.
    """

    __slots__ = ("_raised", "_running")

    def __init__(self) -> None:
        """Nothing runs."""
        self._running: tuple[memoryview, Host] = _NOTHING
        self._raised: BaseException | None = None

    def host_calls(self) -> Mapping[str, HostCall]:
        """What a contract may import, by name."""
        steps: dict[str, Step] = {
            "get": _get,
            "put": _put,
            "open_page": _open_page,
            "next_entry": _next_entry,
            "emit": _emit,
            "balance": _balance,
            "transfer": _transfer,
            "sha256": _sha256,
            "sha3_256": _sha3_256,
            "verify_ed25519": _verify_ed25519,
            "verify_mldsa65": _verify_mldsa65,
            "beacon_next_round": _beacon_next_round,
            "beacon_value": _beacon_value,
            "beacon_uniform": _beacon_uniform,
            "beacon_quality": _beacon_quality,
        }
        kept = {name: self._kept(step) for name, step in steps.items()}
        return {**kept, "call": self._call_contract}

    def _kept(self, step: Step) -> HostCall:
        """The step as a host call; it may not be under way twice."""
        answers = self._answers(step)
        next(answers)
        return answers.__next__

    def _answers(self, step: Step) -> Iterator[int]:
        """One answer for each call.

        A function could be interrupted, by Ctrl-C for example, on its way into its `try`; the
        exception would be lost, and the machine would take for an answer what happens to stand in
        its memory. A generator goes on within its `try`; so do turns of the inner loop.
        """
        while True:
            try:
                while True:
                    yield NO_TRAP
                    memory, host = self._running
                    step(memory, host)
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001 - raised again by `run`
                self._stop(error)

    def _stop(self, error: BaseException) -> None:
        """The guest stops, even if the step had just been done."""
        self._raised = error
        if self._running:
            _write_state(self._running[0], wasm_memory.STATE, wasm_memory.PENDING)

    def _call_contract(self) -> int:
        """The host call of "call", which may be under way once for each contract on the stack."""
        try:
            memory, host = self._running
            _call(memory, host)
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._stop(error)
        return NO_TRAP

    def run(self, instance: Instance, host: Host, method: int, arguments: bytes) -> bytes:
        """The encoded result of a method of the contract in this instance.

        Args:
            instance: Not to be used again after a failure.
            host: Its gas is what is left, also after a failure.
            method: The number of the method.
            arguments: Encoded, and checked to be of the types of the method.

        Raises:
            Failure: The contract failed.
        """
        memory = instance.memory
        wasm_memory.START.pack_into(memory, 0, host.gas, _DONE, method, 0, 0, 0, 0)
        env = host.env
        wasm_memory.ENVIRONMENT.pack_into(
            memory, wasm_memory.SENDER, host.sender, host.contract, env.chain,
            host.asset, host.value, env.height, env.time_s,
        )  # fmt: skip
        memory[wasm_memory.ARGUMENTS : wasm_memory.ARGUMENTS + len(arguments)] = arguments
        around, self._running = self._running, (memory, host)
        try:
            ending = instance.run(wasm_memory.EXPORT)
        finally:
            self._running = around
        return self._result(ending, host, memory)

    def _result(self, ending: Ending, host: Host, memory: memoryview) -> bytes:
        gas, state, line, result, size, reason, code = wasm_memory.ENDING.unpack_from(memory, 0)
        if self._raised is not None:
            raised, self._raised = self._raised, None
            if isinstance(raised, Failure) and not raised.contract:
                raised.line, raised.contract = line, host.contract
            raise raised
        if ending is Ending.RETURNED and state == _DONE:
            host.gas = gas
            return bytes(memory[result : result + size])
        if not reason:
            raise InvariantBroken(f"the contract {host.contract.hex()} stopped without a reason")
        host.gas = 0 if reason == Reason.OUT_OF_GAS else gas
        failure = Failure(Reason(reason), code=code, line=line)
        failure.contract = host.contract
        raise failure


def _get(memory: memoryview, host: Host) -> None:
    host.gas, key, key_size, to, size = _read_four(memory, 0)
    memory[to : to + size] = host.get(memory[key : key + key_size].tobytes(), size)
    _write(memory, 0, host.gas, _DONE)


def _put(memory: memoryview, host: Host) -> None:
    host.gas, key, key_size, value, size = _read_four(memory, 0)
    host.put(memory[key : key + key_size].tobytes(), memory[value : value + size].tobytes())
    _write(memory, 0, host.gas, _DONE)


def _open_page(memory: memoryview, host: Host) -> None:
    host.gas, number, prefix, prefix_size, start, start_size, size, count, _ = _read(memory, 0)
    prefix_bytes = _at(memory, prefix, prefix_size)
    first = prefix_bytes + _at(memory, start, start_size)
    host.pages[number] = iter(host.page(prefix_bytes, first, count, size))
    _write(memory, 0, host.gas, _DONE)


def _next_entry(memory: memoryview, host: Host) -> None:
    host.gas, number, key_to, key_size, value_to, value_size, _, _, _ = _read(memory, 0)
    entry = next(host.pages[number], None)
    if entry is not None:
        memory[key_to : key_to + key_size], memory[value_to : value_to + value_size] = entry
    _write_wide(memory, _WIDE, int(entry is not None))
    _write(memory, 0, host.gas, _DONE)


def _emit(memory: memoryview, host: Host) -> None:
    host.gas, event, data, size, _ = _read_four(memory, 0)
    host.emit(host.event_names[event], memory[data : data + size].tobytes())
    _write(memory, 0, host.gas, _DONE)


def _balance(memory: memoryview, host: Host) -> None:
    host.gas, address, asset, _, _ = _read_four(memory, 0)
    held = host.balance(_at(memory, address, _ADDRESS), _at(memory, asset, _ADDRESS))
    _write_wide(memory, _WIDE, held)
    _write(memory, 0, host.gas, _DONE)


def _transfer(memory: memoryview, host: Host) -> None:
    host.gas, to, asset, _, _, _, _, amount, _ = _read(memory, 0)
    host.transfer(_at(memory, to, _ADDRESS), _at(memory, asset, _ADDRESS), amount)
    _write(memory, 0, host.gas, _DONE)


def _call(memory: memoryview, host: Host) -> None:
    host.gas, contract, data, data_size, to, size, _, _, _ = _read(memory, 0)
    result = host.call(_at(memory, contract, _ADDRESS), _at(memory, data, data_size))
    if len(result) != size:
        raise Failure(
            Reason.RESULT_MISMATCH,
            f"the called contract returned {len(result)} bytes, not {size}",
        )
    memory[to : to + size] = result
    _write(memory, 0, host.gas, _DONE)


def _sha256(memory: memoryview, host: Host) -> None:
    host.gas, data, size, to, _ = _read_four(memory, 0)
    memory[to : to + _ADDRESS] = host.sha256(_at(memory, data, size))
    _write(memory, 0, host.gas, _DONE)


def _sha3_256(memory: memoryview, host: Host) -> None:
    host.gas, data, size, to, _ = _read_four(memory, 0)
    memory[to : to + _ADDRESS] = host.sha3_256(_at(memory, data, size))
    _write(memory, 0, host.gas, _DONE)


def _verify_ed25519(memory: memoryview, host: Host) -> None:
    host.gas, key, message, size, signature, signature_size, _, _, _ = _read(memory, 0)
    fits = host.verify_ed25519(
        _at(memory, key, _ADDRESS),
        _at(memory, message, size),
        _at(memory, signature, signature_size),
    )
    _write_wide(memory, _WIDE, int(fits))
    _write(memory, 0, host.gas, _DONE)


def _verify_mldsa65(memory: memoryview, host: Host) -> None:
    host.gas, key, key_size, message, size, signature, signature_size, _, _ = _read(memory, 0)
    fits = host.verify_mldsa65(
        _at(memory, key, key_size),
        _at(memory, message, size),
        _at(memory, signature, signature_size),
    )
    _write_wide(memory, _WIDE, int(fits))
    _write(memory, 0, host.gas, _DONE)


def _beacon_next_round(memory: memoryview, host: Host) -> None:
    host.gas, _, _, _, _, _, _, delay, _ = _read(memory, 0)
    _write_wide(memory, _WIDE, host.beacon_next_round(delay))
    _write(memory, 0, host.gas, _DONE)


def _beacon_value(memory: memoryview, host: Host) -> None:
    host.gas, to, _, _, _, _, _, round_number, _ = _read(memory, 0)
    memory[to : to + _ADDRESS] = host.beacon_value(round_number)
    _write(memory, 0, host.gas, _DONE)


def _beacon_uniform(memory: memoryview, host: Host) -> None:
    host.gas, tag, size, _, _, _, _, round_number, below = _read(memory, 0)
    drawn = host.beacon_uniform(round_number, below, _at(memory, tag, size))
    _write_wide(memory, _WIDE, drawn)
    _write(memory, 0, host.gas, _DONE)


def _beacon_quality(memory: memoryview, host: Host) -> None:
    host.gas, _, _, _, _, _, _, round_number, _ = _read(memory, 0)
    _write_wide(memory, _WIDE, host.beacon_quality(round_number))
    _write(memory, 0, host.gas, _DONE)


def _at(memory: memoryview, address: int, size: int) -> bytes:
    return memory[address : address + size].tobytes()
