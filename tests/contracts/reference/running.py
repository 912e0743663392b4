"""Runs calls: docs/contracts-language.md, "Expressions", "Statements", "When it is charged"."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from reference import kinds, world
from reference.calls import Calls
from reference.kinds import BOOL, U64, Kind, Malformed, words
from reference.operators import COMPARISONS, changed, operate, part
from reference.prices import Prices
from reference.reading import File, Method
from reference.types_and_costs import LOOP_TURN, Fit, dotted
from reference.world import Chain, Failed, Transaction

CONTRACTS_DEEP = 8


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass
class Result:
    """What came of a call."""

    status: str
    reason: str = "NONE"
    code: int = 0
    result: bytes = b""
    gas: int = 0
    events: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    writes: list[tuple[bytes, bytes, bytes | None]] = field(default_factory=list)
    moves: list[tuple[bytes, bytes, bytes, int]] = field(default_factory=list)


@dataclass
class Message:
    """A call from outside."""

    contract: bytes
    sender: bytes
    data: bytes
    gas: int
    asset: bytes = world.NATIVE
    value: int = 0


def apply(chain: Chain, message: Message) -> Result:
    """A call of a method; the chain takes its effect if it is good."""
    return _run(chain, message, lambda done: _enter(chain, done, message))


def deploy(chain: Chain, message: Message, file: File) -> Result:
    """A new contract, whose `init` runs; the data are its arguments."""
    found = _run(chain, message, lambda done: _install(chain, done, message, file))
    if found.status == "OK":
        chain.files[message.contract] = file
    return found


class _Refused(Exception):
    def __init__(self, failure: Failed) -> None:
        super().__init__()
        self.failure = failure


def _run(chain: Chain, message: Message, work: Callable[[Transaction], bytes]) -> Result:
    done = Transaction(chain, message.gas)
    try:
        result = work(done)
    except _Refused as refused:
        return Result("REFUSED", refused.failure.reason)
    except Failed as failed:
        if failed.reason == "OUT_OF_GAS":
            return Result("OUT_OF_GAS", failed.reason, gas=message.gas)
        return Result("REVERTED", failed.reason, failed.code, gas=message.gas - done.gas)
    chain.entries, chain.balances = done.entries, done.balances
    writes = [(*place, done.written[place]) for place in sorted(done.written)]
    return Result(
        "OK",
        result=result,
        gas=message.gas - done.gas,
        events=done.events,
        writes=writes,
        moves=done.moves,
    )


def _enter(chain: Chain, done: Transaction, message: Message) -> bytes:
    try:
        file, method = _find(chain, message.contract, message.data)
        if message.value and not file.takes_value(method):
            raise Failed("VALUE_NOT_TAKEN")
        given = _arguments(method, message.data[4:])
        done.move(message.sender, message.contract, message.asset, message.value)
    except Failed as failure:
        raise _Refused(failure) from failure
    done.pay(world.CALL + world.CALL_BYTE * len(message.data))
    frame = _Frame(done, file, message.contract, message)
    return frame.start(method, given)


def _install(chain: Chain, done: Transaction, message: Message, file: File) -> bytes:
    method = file.methods.get("init")
    try:
        if message.contract in chain.files:
            raise Failed("ALREADY_DEPLOYED")
        if message.value and not (method and file.takes_value(method)):
            raise Failed("VALUE_NOT_TAKEN")
        given = _arguments(method, message.data) if method else []
        if method is None and message.data:
            raise Failed("ARGUMENTS_INVALID")
        done.move(message.sender, message.contract, message.asset, message.value)
    except Failed as failure:
        raise _Refused(failure) from failure
    done.pay(world.DEPLOY + world.DEPLOY_BYTE * file.size)
    if method is None:
        return b""
    return _Frame(done, file, message.contract, message).start(method, given)


def _find(chain: Chain, contract: bytes, data: bytes) -> tuple[File, Method]:
    file = chain.files.get(contract)
    if file is None:
        raise Failed("UNKNOWN_CONTRACT")
    for method in file.methods.values():
        if method.role in ("external", "view") and method.id == data[:4]:
            return file, method
    raise Failed("UNKNOWN_METHOD")


def _arguments(method: Method, data: bytes) -> list[Any]:
    given = []
    try:
        for _, kind in method.parameters:
            given.append(kinds.unpack(kind, data[: kinds.width(kind)]))
            data = data[kinds.width(kind) :]
    except Malformed as error:
        raise Failed("ARGUMENTS_INVALID") from error
    if data:
        raise Failed("ARGUMENTS_INVALID")
    return given


class _Frame:
    """One contract's part of a transaction."""

    def __init__(self, done: Transaction, file: File, contract: bytes, message: Message) -> None:
        self.done, self.file, self.contract, self.message = done, file, contract, message

    def start(self, method: Method, given: list[Any]) -> bytes:
        self.done.waiting.append(self.contract)
        value = _Walk(self, method, given).run()
        self.done.waiting.pop()
        return b"" if method.result is None else kinds.pack(method.result, value)

    def place(self, name: str, keys: list[Any]) -> bytes:
        of = self.file.fields[name][0]
        parts = (kinds.pack_key(kind, key) for kind, key in zip(of, keys, strict=False))
        return self.file.slots[name] + b"".join(parts)

    def load(self, name: str, keys: list[Any]) -> Any:
        kind = self.file.fields[name][1]
        stored = self.done.get(self.contract, self.place(name, keys), kinds.width(kind))
        return kinds.unpack(kind, stored)

    def store(self, name: str, keys: list[Any], value: Any) -> None:
        kind = self.file.fields[name][1]
        self.done.put(self.contract, self.place(name, keys), kinds.pack(kind, value))

    def call(self, address: bytes, method: Method, given: list[Any]) -> Any:
        parts = zip(method.parameters, given, strict=True)
        data = method.id + b"".join(kinds.pack(kind, one) for (_, kind), one in parts)
        self.done.pay(world.CALL + world.CALL_BYTE * len(data))
        if address in self.done.waiting:
            raise Failed("ALREADY_CALLED")
        if len(self.done.waiting) == CONTRACTS_DEEP:
            raise Failed("TOO_DEEP")
        file, called = _find(self.done.chain, address, data)
        message = Message(address, self.contract, data, 0)
        values = _arguments(called, data[4:])
        found = _Frame(self.done, file, address, message).start(called, values)
        if method.result is None:
            if found:
                raise Failed("RESULT_MISMATCH")
            return None
        try:
            return kinds.unpack(method.result, found)
        except Malformed as error:
            raise Failed("RESULT_MISMATCH") from error


class _Walk:
    """One method that runs."""

    def __init__(self, frame: _Frame, method: Method, given: list[Any]) -> None:
        self.frame, self.method, self.done = frame, method, frame.done
        self.typing = Prices(frame.file, method)
        named = zip(method.parameters, given, strict=True)
        self.values = {name: kinds.copy(value) for (name, _), value in named}

    def run(self) -> Any:
        self._declare(self.method.body)
        try:
            self.block(self.method.body)
        except _Return as returned:
            return returned.value
        return None

    def _declare(self, body: list[ast.stmt]) -> None:
        """Types of variables are known from the source alone."""
        for node in (one for statement in body for one in ast.walk(statement)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.typing.variables[node.target.id] = self.frame.file.kind(node.annotation)
            elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                self.typing.variables[node.target.id] = U64
            elif isinstance(node, ast.For):
                name, _ = self.typing.page(node)
                of, kind = self.frame.file.fields[name]
                for target, its in zip(node.target.elts, (of[-1], kind), strict=True):  # type: ignore[attr-defined]
                    self.typing.variables[target.id] = its

    # --- blocks

    def block(self, body: list[ast.stmt]) -> None:
        """Each run of statements up to a branch is paid for at once, then done."""
        run: list[ast.stmt] = []
        for node in body:
            run.append(node)
            if isinstance(node, ast.If | ast.While | ast.For):
                self._pay_and_do(run)
                run = []
        self._pay_and_do(run)

    def _pay_and_do(self, run: list[ast.stmt]) -> None:
        self.done.pay(sum(self.typing.price(node) for node in run))
        for node in run:
            self.do(node)

    # --- statements

    def do(self, node: ast.stmt) -> None:
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                value = self.see(self.typing.fit(node.value, self.typing.declared(node)))
                self.values[node.target.id] = value  # type: ignore[union-attr]
        elif isinstance(node, ast.Assign):
            self._assign(node.targets[0], node.value)
        elif isinstance(node, ast.AugAssign):
            self._change(node)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                name, keys, _, kind = self.typing.target(target)
                self.frame.store(name, self._keys(name, keys), kinds.zero(kind))
        elif isinstance(node, ast.If):
            self.block(node.body if self.evaluate(node.test, BOOL) else node.orelse)
        elif isinstance(node, ast.While):
            self._while(node)
        elif isinstance(node, ast.For):
            self._for(node)
        elif isinstance(node, ast.Break):
            raise _Break
        elif isinstance(node, ast.Continue):
            raise _Continue
        elif isinstance(node, ast.Assert):
            if not self.evaluate(node.test, BOOL):
                raise Failed("ASSERTION", self.frame.file.asserts[node])
        elif isinstance(node, ast.Return):
            wanted = self.method.result
            raise _Return(self.see(self.typing.fit(node.value, wanted)) if node.value else None)  # type: ignore[arg-type]
        elif isinstance(node, ast.Expr):
            self._call_alone(node.value)

    def _call_alone(self, node: ast.expr) -> None:
        assert isinstance(node, ast.Call)
        name = dotted(node.func)
        event = name.removeprefix("self.")
        if name.startswith("self.") and event in self.frame.file.events:
            given = [self.see(fit) for fit in self.typing.arguments(node)]
            of = self.frame.file.events[event]
            data = b"".join(kinds.pack(kind, one) for kind, one in zip(of, given, strict=True))
            self.done.emit(self.frame.contract, event, data)
        else:
            self.evaluate(node, None)

    def _keys(self, name: str, nodes: list[ast.expr] | None) -> list[Any]:
        return [self.see(fit) for fit in self.typing.keys(name, nodes or [])]

    def _assign(self, target: ast.expr, node: ast.expr) -> None:
        name, keys, parts, kind = self.typing.target(target)
        value = self.see(self.typing.fit(node, kind))
        if keys is None:
            self.values[name] = self._with(self.values.get(name), name, parts, value)
            return
        at = self._keys(name, keys)
        if parts:
            whole = self.frame.load(name, at)
            value = changed(whole, self.frame.file.fields[name][1], parts, value)
        self.frame.store(name, at, value)

    def _with(self, whole: Any, name: str, parts: list[str], value: Any) -> Any:
        return changed(whole, self.typing.variables[name], parts, value) if parts else value

    def _change(self, node: ast.AugAssign) -> None:
        name, keys, parts, kind = self.typing.target(node.target)
        fit = self.typing.fit(node.value, kind)
        if keys is None:
            now = part(self.values[name], self.typing.variables[name], parts)
            value = operate(node.op, kind, now, self.see(fit))
            self.values[name] = self._with(self.values[name], name, parts, value)
            return
        at = self._keys(name, keys)
        whole, of = self.frame.load(name, at), self.frame.file.fields[name][1]
        value = operate(node.op, kind, part(whole, of, parts), self.see(fit))
        self.frame.store(name, at, changed(whole, of, parts, value) if parts else value)

    def _while(self, node: ast.While) -> None:
        units = LOOP_TURN + self.typing.cost(self.typing.fit(node.test, BOOL))
        while True:
            self.done.pay(units)
            if not self.evaluate(node.test, BOOL) or not self._turn(node.body):
                return

    def _turn(self, body: list[ast.stmt]) -> bool:
        """Whether the loop goes on."""
        try:
            self.block(body)
        except _Continue:
            return True
        except _Break:
            return False
        return True

    def _for(self, node: ast.For) -> None:
        units, turns = self._turns(node)
        for turn in turns:
            self.done.pay(units)
            self.values.update(turn)
            if not self._turn(node.body):
                return
        self.done.pay(units)

    def _turns(self, node: ast.For) -> tuple[int, Iterator[dict[str, Any]]]:
        assert isinstance(node.iter, ast.Call)
        if dotted(node.iter.func) == "range":
            bounds = [self.evaluate(one, U64) for one in node.iter.args]
            name = node.target.id  # type: ignore[attr-defined]
            return LOOP_TURN, ({name: number} for number in range(*bounds))
        name, keys = self.typing.page(node)
        of, kind = self.frame.file.fields[name]
        before = self._keys(name, keys)
        start = self.see(self.typing.fit(node.iter.args[0], of[-1]))
        count = self.frame.file.number(node.iter.args[1])
        found = self.done.page(
            self.frame.contract,
            self.frame.place(name, before),
            self.frame.place(name, [*before, start]),
            count,
            kinds.width(of[-1]) + kinds.width(kind),
        )
        key_name, value_name = (one.id for one in node.target.elts)  # type: ignore[attr-defined]
        turns = (
            {key_name: kinds.unpack_key(of[-1], key), value_name: kinds.unpack(kind, value)}
            for key, value in found
        )
        return LOOP_TURN + words(of[-1]) + words(kind), turns

    # --- expressions

    def see(self, fit: Fit) -> Any:
        return kinds.copy(self.evaluate(fit.node, fit.expected))

    def evaluate(self, node: ast.expr, expected: Kind | None) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        entry = self.typing.entry(node)
        if entry is not None:
            return self.frame.load(entry[0], self._keys(*entry))
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            return self._piece(node)
        if isinstance(node, ast.BinOp):
            left, right, kind = self.typing.operands(node, expected)
            first, second = self.see(left), self.see(right)
            return operate(node.op, kind, first, second)  # type: ignore[arg-type]
        if isinstance(node, ast.UnaryOp):
            return not self.evaluate(node.operand, BOOL)
        if isinstance(node, ast.BoolOp):
            return self._join(node)
        if isinstance(node, ast.IfExp):
            then, otherwise, _ = self.typing.pair(node.body, node.orelse, expected)
            chosen = then if self.evaluate(node.test, BOOL) else otherwise
            self.done.pay(self.typing.cost(chosen))
            return self.see(chosen)
        if isinstance(node, ast.Compare):
            left, right, _ = self.typing.pair(node.left, node.comparators[0], None)
            first, second = self.see(left), self.see(right)
            return COMPARISONS[type(node.ops[0])](first, second)
        assert isinstance(node, ast.Call)
        return Calls(self).call(node, expected)

    def _join(self, node: ast.BoolOp) -> bool:
        decided = isinstance(node.op, ast.Or)
        found = self.evaluate(node.values[0], BOOL)
        for following in node.values[1:]:
            if found == decided:
                return decided
            self.done.pay(self.typing.cost(self.typing.fit(following, BOOL)))
            found = self.evaluate(following, BOOL)
        return bool(found)

    def _named(self, node: ast.Name | ast.Attribute) -> Any:
        name, message, chain = dotted(node), self.frame.message, self.done.chain
        if name in self.values:
            return self.values[name]
        if name in self.frame.file.constants:
            return self.frame.file.constants[name][1]
        known = {
            "msg.sender": message.sender, "msg.value": message.value, "msg.asset": message.asset,
            "block.height": chain.height, "block.time": chain.time, "chain_id": chain.chain,
            "this": self.frame.contract,
        }  # fmt: skip
        if name in known:
            return known[name]
        assert isinstance(node, ast.Attribute)
        kind = self.frame.file.types.get(dotted(node.value))
        if kind is not None:
            return kind[2].index(node.attr)
        whole = self.typing.kind(node.value)
        return part(self.evaluate(node.value, None), whole, [node.attr])  # type: ignore[arg-type]

    def _piece(self, node: ast.Subscript) -> Any:
        whole = self.evaluate(node.value, None)
        if isinstance(node.slice, ast.Slice):
            start = self.evaluate(node.slice.lower, U64)  # type: ignore[arg-type]
            stop = self.evaluate(node.slice.upper, U64)  # type: ignore[arg-type]
            if start > stop or stop > len(whole):
                raise Failed("INDEX")
            return whole[start:stop]
        index = self.evaluate(node.slice, U64)
        if index >= len(whole):
            raise Failed("INDEX")
        return whole[index]
