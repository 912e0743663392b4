"""Every construct of the contract language, each in a method of its own."""

# ruff: noqa: B011, B020, C901, PLR0911, PT015, RET505 - constructs that are odd in Python are shown too

from qlq.contract import (
    NATIVE,
    U64_MAX,
    Address,
    Asset,
    Bytes,
    Bytes32,
    Contract,
    Enum,
    Interface,
    Map,
    Quality,
    Struct,
    at,
    beacon,
    block,
    chain_id,
    event,
    external,
    ledger,
    msg,
    mul_div,
    pack,
    sha3_256,
    sha256,
    this,
    u64,
    u128,
    upgradable,
    verify_ed25519,
    verify_mldsa65,
    view,
)

DAY: u64 = 24 * 60 * 60
PAGE: u64 = 3
WIDE: u128 = 1 << 100
GREETING: Bytes[8] = b"hi\x00\n"
SOMEBODY: Address = Address("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")


class Phase(Enum):
    """Stages of something."""

    OPEN = 0
    CLOSED = 1
    PAID = 2


class Point(Struct):
    """Two numbers."""

    x: u64
    y: u128


class Bid(Struct):
    """A struct within a struct."""

    bidder: Address
    point: Point
    phase: Phase
    note: Bytes[5]
    is_first: bool


class Other(Interface):
    """Another contract."""

    def double(self, value: u64) -> u64: ...

    def shape(self, point: Point, phase: Phase) -> Bid: ...

    def poke(self) -> None: ...


@upgradable(admin="owner", delay=DAY)
class Constructs(Contract):
    """One method for each construct."""

    owner: Address
    total: u64
    wide: u128
    flag: bool
    phase: Phase
    best: Bid
    text: Bytes[40]
    round: u64
    balances: Map[Address, u64]
    nested: Map[Address, Map[u64, u128]]
    bids: Map[u64, Bid]
    ordered: Map[u64, u64]
    labels: Map[Bytes[4], Phase]

    @event
    def Seen(self, who: Address, point: Point, phase: Phase, text: Bytes[40]) -> None: ...

    def init(self, owner: Address) -> None:
        self.owner = owner

    def migrate(self) -> None:
        self.total = 0

    @view
    def arithmetic(self, a: u64, b: u64, which: u64) -> u64:
        if which == 0:
            return a + b
        elif which == 1:
            return a - b
        elif which == 2:
            return a * b
        elif which == 3:
            return a // b
        elif which == 4:
            return a % b
        elif which == 5:
            return a & b
        elif which == 6:
            return a | b
        elif which == 7:
            return a ^ b
        elif which == 8:
            return a << b
        elif which == 9:
            return a >> b
        else:
            return mul_div(a, b, which)

    @view
    def arithmetic_wide(self, a: u128, b: u128, which: u64) -> u128:
        if which == 0:
            return a + b
        elif which == 1:
            return a - b
        elif which == 2:
            return a * b
        elif which == 3:
            return a // b
        elif which == 4:
            return a % b
        elif which == 5:
            return a & b
        elif which == 6:
            return a | b
        elif which == 7:
            return a ^ b
        elif which == 8:
            return a << b
        elif which == 9:
            return a >> b
        else:
            return mul_div(a, b, u128(which))

    @view
    def compare(self, a: u64, b: u64) -> u64:
        found: u64 = 0
        found |= u64(a == b) | u64(a != b) << 1 | u64(a < b) << 2
        found |= u64(a <= b) << 3 | u64(a > b) << 4 | u64(a >= b) << 5
        return found

    @view
    def compare_wide(self, a: u128, b: u128) -> u64:
        found: u64 = 0
        found |= u64(a == b) | u64(a != b) << 1 | u64(a < b) << 2
        found |= u64(a <= b) << 3 | u64(a > b) << 4 | u64(a >= b) << 5
        return found

    @view
    def logic(self, a: bool, b: bool, c: u64) -> bool:
        return (a and 10 // c > 1) or (not b and 20 // c == 4) or (a == b and c != 7)

    @view
    def choose(self, a: bool, b: u64, c: u64) -> u64:
        return (b // c if a else b - c) if b != 5 else b + c

    @view
    def convert(self, a: u128, b: u64, c: bool) -> Bid:
        phase: Phase = Phase(b)
        return Bid(msg.sender, Point(u64(a), y=u128(b) + u128(c) + u128(phase)), phase, b"", c)

    @view
    def widths(self, a: Bytes[40], b: Address) -> Bytes[72]:
        head: Bytes[72] = a
        if b == SOMEBODY:
            head = Bytes[72](Bytes32(b))
        elif b == Address():
            head = Bytes[72](Asset(Bytes32(a)))
        return head

    @view
    def bytes_of(self, a: Bytes[40], i: u64, j: u64, which: u64) -> Bytes[80]:
        if which == 0:
            return a[i:j]
        elif which == 1:
            return a + a[i:j]
        elif which == 2:
            return pack(i, a[j] + len(a))
        elif which == 3 and a == GREETING:
            return GREETING + b"!"
        return Bytes[3](a)

    @view
    def hashes(self, a: Bytes[40], b: Point) -> Bytes32:
        return sha256(pack(sha256(a), sha3_256(b), sha3_256(a), b))

    @view
    def loops(self, a: u64, b: u64) -> u64:
        found: u64 = 0
        for i in range(a, b):
            if i == 3:
                continue
            if i > 40:
                break
            for i in range(i):
                i += 2
                found += i
            found += i
        while found > 100:
            found -= 7
            if found % 5 == 0:
                break
        return found

    @view
    def environment(self) -> Bytes[200]:
        return pack(msg.sender, this, chain_id, block.height, block.time, NATIVE)

    @external
    def pay(self, back: u64) -> u64:
        assert msg.asset == NATIVE, "wrong asset"
        ledger.transfer(msg.sender, msg.asset, back)
        self.total += msg.value
        return ledger.balance(this, NATIVE)

    @external
    def scalars(self, a: u64, b: u128, c: bool) -> u64:
        self.total = a
        self.total += self._set(a)
        self.wide = b
        self.wide -= 1
        self.flag = c and not self.flag
        self.phase = Phase.PAID if self.flag else Phase.OPEN
        self.text = GREETING
        assert self.wide != 7, "seven"
        return self.total

    def _set(self, a: u64) -> u64:
        self.total = 1000
        return a

    @external
    def structs(self, a: u64, who: Address) -> Bid:
        bid: Bid = self.best
        copy: Bid = bid
        copy.point.x = a
        copy.point.y += u128(a)
        self.best.point.x += a + copy.point.x
        self.best.note = b"abc"
        self.bids[a] = copy
        self.bids[a].bidder = who
        self.bids[self._set(a)].point.y += 3
        bid.is_first = copy.bidder == who
        self.Seen(who, bid.point, copy.phase, self.text)
        return bid

    @external
    def maps(self, who: Address, a: u64, b: u128) -> u128:
        self.balances[who] += a
        self.balances[msg.sender] = self.balances[who] * 2
        self.nested[who][a] = b
        self.nested[msg.sender][a + 1] += self.nested[who][a] // 3
        self.labels[b"ab"] = Phase.CLOSED
        del self.labels[b"zz"]
        if a == 5:
            del self.nested[who][a]
        return self.nested[msg.sender][a + 1] + self.nested[who][a]

    @external
    def fill(self, count: u64, step: u64) -> None:
        for i in range(count):
            self.ordered[i * step % 1009] = i

    @external
    def pages(self, start: u64, who: Address) -> u64:
        found: u64 = 0
        for key, value in self.ordered.items(start, PAGE):
            found = found * 31 + key
            if value == 4:
                continue
            del self.ordered[key]
        for key, amount in self.nested[who].items(0, 2):
            found += key + u64(amount & 255)
        return found & 65535

    @external
    def aliases(self, a: Address, b: Address) -> Address:
        first: Address = a
        second: Address = first
        first = b
        self.balances[first] = 1
        self.balances[second] += 2
        return second if self.balances[a] == 2 else first

    @external
    def calls(self, other: Address, a: u64) -> u64:
        bid: Bid = at(Other, other).shape(Point(a, 1), Phase.CLOSED)
        at(Other, other).poke()
        return at(Other, other).double(a) + bid.point.x

    @view
    def double(self, value: u64) -> u64:
        return value * 2

    @view
    def shape(self, point: Point, phase: Phase) -> Bid:
        return Bid(msg.sender, point, phase, b"\xff\x00", is_first=True)

    @external
    def poke(self) -> None:
        assert msg.sender != Address()
        self.total += 1

    @external
    def close(self) -> u64:
        assert msg.sender == self.owner, "not the owner"
        self.round = beacon.next_round(2)
        return self.round

    @external
    def draw(self, below: u64) -> u64:
        if beacon.quality(self.round) < Quality.VENDOR:
            return U64_MAX
        self.best.bidder = Address(beacon.value(self.round))
        return beacon.uniform(self.round, below, b"first") + beacon.uniform(
            self.round, below, pack(below)
        )

    @view
    def signed(self, key: Bytes32, message: Bytes[10], signature: Bytes[64]) -> bool:
        return verify_ed25519(key, message, signature)

    @view
    def signed_later(self, key: Bytes[1952], message: Bytes[10], signature: Bytes[3309]) -> bool:
        return verify_mldsa65(key, message, signature)

    @view
    def stop(self, a: u64) -> u64:
        if a > WIDE_ENOUGH:
            return a
        assert False, "never"


WIDE_ENOUGH: u64 = 5
