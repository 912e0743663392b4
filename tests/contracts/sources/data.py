"""Values in memory: bytes, structs, what is copied and what is not."""

from qlq.contract import (
    Address,
    Asset,
    Bytes,
    Bytes32,
    Contract,
    Enum,
    Map,
    Struct,
    block,
    chain_id,
    event,
    external,
    msg,
    pack,
    sha3_256,
    sha256,
    this,
    u64,
    u128,
    view,
)


class Side(Enum):
    NEITHER = 0
    LEFT = 1
    RIGHT = 2


class Point(Struct):
    x: u64
    wide: u128
    side: Side


class Record(Struct):
    owner: Address
    point: Point
    text: Bytes[20]
    done: bool


class Data(Contract):
    record: Record
    records: Map[u64, Record]
    texts: Map[Bytes[8], Bytes[40]]
    ranked: Map[u128, Map[Side, Address]]
    flags: Map[bool, Map[Bytes32, bool]]
    last: Bytes32

    @event
    def Changed(self, number: u64, record: Record, who: Address) -> None: ...

    @external
    def keep(self, number: u64, record: Record) -> Record:
        old: Record = self.records[number]
        self.records[number] = record
        self.record = old
        record.point.x += 1
        record.done = not record.done
        self.Changed(number, record, msg.sender)
        return record

    @external
    def bend(self, number: u64, point: Point, text: Bytes[20]) -> Record:
        found: Record = self.records[number]
        copy: Record = found
        found.point = point
        found.text = text
        found.point.wide = found.point.wide + copy.point.wide
        assert copy.owner == found.owner, "a copy has the same owner"
        self.records[number] = found
        if found.point.side == copy.point.side:
            return copy
        return found

    @view
    def same(self, a: Address, b: Address) -> bool:
        first: Address = a
        second: Address = b
        kept: Address = first
        first = second
        return first == second and kept == a

    @view
    def alias(self, a: Bytes32, b: Bytes32) -> Bytes32:
        first: Bytes32 = a
        second: Bytes32 = first
        first = b
        third: Bytes32 = self._other(first, second)
        return sha256(pack(first, second, third, self._other(a, b), self._other(b, a)))

    @view
    def twins(self, a: Bytes32, b: Bytes32) -> bool:
        return self._other(a, b) == self._other(b, a)

    @view
    def both(self, a: Bytes[8], b: Bytes[8]) -> Bytes[18]:
        return self._longer(a) + self._longer(b)

    def _longer(self, text: Bytes[8]) -> Bytes[9]:
        text = Bytes[8](text[0 : len(text) // 2])
        return text + Bytes[1](b".")

    def _other(self, a: Bytes32, b: Bytes32) -> Bytes32:
        a = sha256(a)
        return a if a != b else b

    @external
    def write(self, key: Bytes[8], text: Bytes[40]) -> Bytes[40]:
        before: Bytes[40] = self.texts[key]
        self.texts[key] = text
        return before

    @view
    def cut(self, text: Bytes[40], start: u64, stop: u64) -> Bytes[40]:
        return text[start:stop]

    @view
    def byte(self, text: Bytes[40], index: u64) -> u64:
        return text[index] + len(text)

    @view
    def join(self, a: Bytes[8], b: Bytes[40]) -> Bytes[48]:
        return a + b

    @view
    def shrink(self, text: Bytes[40]) -> Bytes[8]:
        return Bytes[8](text)

    @view
    def grow(self, text: Bytes[8]) -> Bytes[40]:
        return Bytes[40](text)

    @view
    def as_hash(self, text: Bytes[40]) -> Bytes32:
        return Bytes32(text)

    @view
    def as_text(self, value: Bytes32) -> Bytes[40]:
        return Bytes[40](value)

    @external
    def rank(self, number: u128, side: Side, who: Address) -> Address:
        old: Address = self.ranked[number][side]
        self.ranked[number][side] = who
        return old

    @external
    def flag(self, first: bool, key: Bytes32, second: bool) -> bool:
        old: bool = self.flags[first][key]
        self.flags[first][key] = second or (first and old)
        return old != self.flags[first][key]

    @external
    def digest(self, text: Bytes[40], number: u64) -> Bytes32:
        self.last = sha3_256(pack(self.last, text, number, msg.sender, this))
        return sha256(pack(self.last, chain_id, block.height, block.time, msg.value, msg.asset))

    @view
    def addresses(self, a: Bytes32) -> Asset:
        return Asset(Address(a))

    @view
    def place(self, a: u64, b: u128, side: Side) -> Point:
        point: Point = Point(a, b, side)
        return Point(x=point.x + 1, wide=point.wide, side=point.side) if a < 10 else point
