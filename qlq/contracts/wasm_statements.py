"""Statements as WebAssembly: one function of a contract, with its locals in their places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qlq.contracts import program as source
from qlq.contracts import values, wasm_frame
from qlq.contracts.outcome import Reason
from qlq.contracts.program import Function, Program, Statement
from qlq.contracts.values import Plain, StructType, Type
from qlq.contracts.wasm_binary import Op, Signature, Value
from qlq.contracts.wasm_expressions import Expressions
from qlq.contracts.wasm_frame import Body
from qlq.contracts.wasm_writer import Place
from qlq.errors import InvariantBroken

_I32, _I64 = Value.I32, Value.I64


def signature(function: Function) -> Signature:
    """Of the WebAssembly function that stands for a contract's."""
    parameters = function.locals[: function.parameters]
    result = () if function.result is None else (wasm_frame.value_of(function.result),)
    return Signature(tuple(wasm_frame.value_of(local.type) for local in parameters), result)


class Statements:
    """Writes one function.

    Blocks of WebAssembly are counted while they are open, so that a jump out of a loop knows how
    many it leaves.
    """

    def __init__(self, body: Body, program: Program, function: Function, *, loops: int) -> None:
        """Write into this body.

        Args:
            body: The function's, empty.
            program: What the function belongs to.
            function: What to write.
            loops: How many loops over pages the functions before have.
        """
        self.loops = loops
        self._body = body
        self._code = body.code
        self._function = function
        self._places: dict[int, Place] = {}
        self._write = Expressions(body, program, self._places)
        self._program = program
        self._depth = 0
        self._breaks: list[int] = []
        self._continues: list[int] = []
        self._writers: dict[type, Callable[[Any], None]] = {
            source.Charge: lambda charge: body.charge(charge.units),
            source.Assign: self._assign,
            source.Store: self._store,
            source.Emit: self._emit,
            source.If: self._if,
            source.While: self._while,
            source.ForRange: self._for_range,
            source.ForItems: self._for_items,
            source.Break: lambda _: self._code.branch(self._depth - self._breaks[-1]),
            source.Continue: lambda _: self._code.branch(self._depth - self._continues[-1]),
            source.Assert: self._assert,
            source.Return: self._return,
            source.Evaluate: self._evaluate,
        }

    def write(self) -> None:
        """Write all of it."""
        assigned = _assigned(self._function.body)
        for index, local in enumerate(self._function.locals):
            self._places[index] = self._place(index, local.type, assigned)
        self._block(self._function.body)
        if self._function.result is not None:
            self._code.op(Op.UNREACHABLE)

    def _place(self, index: int, kind: Type, assigned: frozenset[int]) -> Place:
        """A parameter in memory that is never assigned stays where the caller has it."""
        is_parameter = index < self._function.parameters
        if wasm_frame.is_scalar(kind):
            local = index if is_parameter else self._code.local(wasm_frame.value_of(kind))
            return Place(local=local)
        if is_parameter and index not in assigned:
            return Place(local=index)
        address = self._body.frame.variable(values.size(kind))
        if is_parameter:
            self._code.i32(address)
            self._code.get(index)
            self._body.store(kind)
        return Place(address=address)

    def _block(self, statements: tuple[Statement, ...]) -> None:
        for statement in statements:
            self._body.frame.new_statement()
            self._writers[type(statement)](statement)

    def _open(self, op: Op) -> int:
        self._code.block(op)
        self._depth += 1
        return self._depth

    def _close(self) -> None:
        self._code.op(Op.END)
        self._depth -= 1

    def _assign(self, assign: source.Assign) -> None:
        place, kind = self._places[assign.local], self._function.locals[assign.local].type
        if place.local is not None:
            self._write.push(assign.value)
            self._code.set(place.local)
            return
        address = place.address
        for index in assign.path:
            if not isinstance(kind, StructType):
                raise InvariantBroken(f"a part of {kind}")
            address += wasm_frame.part_offset(kind, index)
            kind = kind.fields[index][1]
        self._write.put(address, assign.value, kind)

    def _store(self, store: source.Store) -> None:
        kind = self._program.fields[store.field].value
        size = values.size(kind)
        if wasm_frame.is_scalar(kind):
            address = self._body.frame.temporary(size)
            self._write.put(address, store.value, kind)
            key, key_size = self._write.key(store.field, store.keys)
            self._write.words(key, key_size, address, size)
        else:
            with self._body.spare(_I32) as value:
                self._write.push(store.value)
                self._code.set(value)
                key, key_size = self._write.key(store.field, store.keys)
                self._write.words(key, key_size)
                self._code.get(value)
                self._code.i32(size)
        self._body.call("put", store.line)

    def _emit(self, emit: source.Emit) -> None:
        kinds = [local.type for local in self._program.events[emit.event].parameters]
        size = sum(values.size(kind) for kind in kinds)
        address = place = self._body.frame.temporary(size)
        for argument, kind in zip(emit.arguments, kinds, strict=True):
            self._write.put(place, argument, kind)
            place += values.size(kind)
        self._write.words(emit.event, address, size)
        self._body.call("emit", emit.line)

    def _if(self, branch: source.If) -> None:
        self._write.push(branch.condition)
        self._open(Op.IF)
        self._block(branch.then)
        if branch.otherwise:
            self._code.op(Op.ELSE)
            self._block(branch.otherwise)
        self._close()

    def _while(self, loop: source.While) -> None:
        self._breaks.append(self._open(Op.BLOCK))
        self._continues.append(self._open(Op.LOOP))
        self._body.charge(loop.units)
        self._write.push(loop.condition)
        self._code.op(Op.I32_EQZ)
        self._code.branch_if(1)
        self._block(loop.body)
        self._code.branch(0)
        self._close_loop()

    def _close_loop(self) -> None:
        self._close()
        self._close()
        self._breaks.pop()
        self._continues.pop()

    def _turn(self, body: tuple[Statement, ...]) -> None:
        """The block of a loop whose head is not where `continue` goes."""
        self._continues.append(self._open(Op.BLOCK))
        self._block(body)
        self._close()
        self._code.branch(0)
        self._close_loop()

    def _for_range(self, loop: source.ForRange) -> None:
        counter, stop = self._code.local(_I64), self._code.local(_I64)
        self._write.push(loop.start)
        self._code.set(counter)
        self._write.push(loop.stop)
        self._code.set(stop)
        self._breaks.append(self._open(Op.BLOCK))
        self._open(Op.LOOP)
        self._body.charge(loop.units)
        self._code.get(counter)
        self._code.get(stop)
        self._code.op(Op.I64_GE_U)
        self._code.branch_if(1)
        self._code.get(counter)
        self._set(loop.local)
        self._code.get(counter)
        self._code.i64(1)
        self._code.op(Op.I64_ADD)
        self._code.set(counter)
        self._turn(loop.body)

    def _set(self, local: int) -> None:
        """Pop into a local that is a number, a bool or an enum."""
        place = self._places[local]
        if place.local is None:
            raise InvariantBroken(f"the local {local} is in memory")
        self._code.set(place.local)

    def _for_items(self, loop: source.ForItems) -> None:
        field = self._program.fields[loop.field]
        key_size, value_size = values.size(field.keys[-1]), values.size(field.value)
        key_room = self._body.frame.variable(key_size)
        value_room = self._body.frame.variable(value_size)
        number, self.loops = self.loops, self.loops + 1
        prefix, size = self._write.key(loop.field, loop.keys)
        start = self._body.frame.temporary(key_size)
        self._write.put_key(start, loop.start)
        self._write.words(number, prefix, size, start, key_size, key_size + value_size)
        self._code.i64(loop.count)
        self._body.call("open_page", loop.line)
        self._breaks.append(self._open(Op.BLOCK))
        self._open(Op.LOOP)
        self._body.charge(loop.units)
        self._write.words(number, key_room, key_size, value_room, value_size)
        self._body.call("next_entry", loop.line)
        self._code.op(Op.I64_EQZ)
        self._code.branch_if(1)
        self._take_key(loop.key_local, field.keys[-1], key_room)
        self._take(loop.value_local, field.value, value_room)
        self._turn(loop.body)

    def _take_key(self, local: int, kind: Type, room: int) -> None:
        """A key from its encoding: numbers are big-endian there."""
        place = self._places[local]
        if kind is Plain.U64:
            self._code.i32(room)
            self._body.load(kind)
            self._body.call("swap")
            self._set(local)
        elif kind is Plain.U128:
            with self._body.spare(_I32) as number:
                self._code.i32(room)
                self._code.set(number)
                self._write.swap_wide(place.address, number)
        else:
            self._take(local, kind, room)

    def _take(self, local: int, kind: Type, room: int) -> None:
        if wasm_frame.is_scalar(kind):
            self._code.i32(room)
            self._body.load(kind)
            self._set(local)
        else:
            self._write.words(self._places[local].address, room)
            self._body.store(kind)

    def _assert(self, statement: source.Assert) -> None:
        self._write.push(statement.condition)
        self._code.op(Op.I32_EQZ)
        self._code.block(Op.IF)
        self._body.fail(Reason.ASSERTION, statement.code, statement.line)
        self._code.op(Op.END)

    def _return(self, statement: source.Return) -> None:
        if statement.value is not None:
            self._write.push(statement.value)
        self._code.op(Op.RETURN)

    def _evaluate(self, statement: source.Evaluate) -> None:
        self._write.push(statement.call)
        if statement.call.type is not None:
            self._code.op(Op.DROP)


def _assigned(statements: tuple[Statement, ...]) -> frozenset[int]:
    """The locals that are assigned somewhere."""
    found: set[int] = set()
    for statement in statements:
        match statement:
            case source.Assign(local=local):
                found.add(local)
            case source.If(then=then, otherwise=otherwise):
                found |= _assigned(then) | _assigned(otherwise)
            case source.ForRange(local=local, body=body):
                found |= {local} | _assigned(body)
            case source.ForItems(key_local=key, value_local=value, body=body):
                found |= {key, value} | _assigned(body)
            case source.While(body=body):
                found |= _assigned(body)
    return frozenset(found)
