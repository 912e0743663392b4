"""One kind of work in a loop for each method: a unit of gas is measured on each of them."""

from qlq.contract import (
    Address,
    Asset,
    Bytes,
    Bytes32,
    Contract,
    Interface,
    Map,
    Struct,
    at,
    beacon,
    event,
    external,
    ledger,
    mul_div,
    pack,
    sha3_256,
    sha256,
    this,
    u64,
    u128,
    verify_ed25519,
    verify_mldsa65,
)


class Wide(Struct):
    who: Address
    amount: u64
    sum: u128
    text: Bytes[200]


class Other(Interface):
    def nothing(self) -> None: ...


class Work(Contract):
    numbers: Map[u64, u64]
    texts: Map[u64, Bytes[1000]]
    ranked: Map[Address, Map[u64, u64]]
    round: u64

    @event
    def Small(self, number: u64) -> None: ...

    @event
    def Large(self, text: Bytes[1000]) -> None: ...

    @external
    def empty(self, turns: u64) -> None:
        for i in range(turns):
            pass

    @external
    def sums(self, turns: u64) -> u64:
        a: u64 = 1
        for i in range(turns):
            a = a + i - a + 7 - i + a
            a = a & 255 | i ^ 3
        return a

    @external
    def products(self, turns: u64) -> u64:
        a: u64 = 3
        for i in range(turns):
            a = a * 31 % 1000003 * 17 % 65537
        return a

    @external
    def quotients(self, turns: u64) -> u64:
        a: u64 = 3
        for i in range(turns):
            a = a + 12345678901234567 // (i + 3) + 98765432109876543 % (i + 7)
            a = a % 1000003
        return a

    @external
    def scales(self, turns: u64) -> u64:
        a: u64 = 9223372036854775807
        for i in range(turns):
            a = mul_div(a, 18446744073709551557, 18446744073709551533)
        return a

    @external
    def sums_wide(self, turns: u64) -> u128:
        a: u128 = 1
        b: u128 = 36893488147419103232
        for i in range(turns):
            a = (a + b - a + b) & b | a
        return a

    @external
    def products_wide(self, turns: u64) -> u128:
        a: u128 = 3
        b: u128 = 18446744073709551629
        for i in range(turns):
            a = b * a
            a = 3
        return a

    @external
    def quotients_wide(self, turns: u64) -> u128:
        a: u128 = 3
        b: u128 = 340282366920938463463374607431768211455
        for i in range(turns):
            a = b // (a + 5)
            a = b % (a + 36893488147419103232)
        return a

    @external
    def scales_wide(self, turns: u64) -> u128:
        a: u128 = 170141183460469231731687303715884105727
        b: u128 = 340282366920938463463374607431768211297
        c: u128 = 340282366920938463463374607431768211283
        for i in range(turns):
            a = mul_div(a, b, c)
        return a

    @external
    def branches(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            if (i % 2 == 0 and a < 100) or i == 7:
                a += 1
            elif a != 3:
                a = 0 if a > 50 else a + 2
        return a

    @external
    def calls(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            a = self._called(a, i)
        return a

    def _called(self, a: u64, b: u64) -> u64:
        return a ^ b

    @external
    def passing(self, turns: u64, wide: Wide) -> Wide:
        for i in range(turns):
            wide = self._passed(wide)
        return wide

    def _passed(self, wide: Wide) -> Wide:
        wide.amount = wide.amount ^ 1
        return wide

    @external
    def copies(self, turns: u64, text: Bytes[1000]) -> u64:
        other: Bytes[1000] = text
        same: u64 = 0
        for i in range(turns):
            text = other
            if text == other:
                same += 1
        return same

    @external
    def hashes_32(self, turns: u64, a: Bytes32, b: Bytes32) -> u64:
        same: u64 = 0
        for i in range(turns):
            c: Bytes32 = a
            if c == b or c != a:
                same += 1
        return same

    @external
    def cuts(self, turns: u64, text: Bytes[1000]) -> u64:
        a: u64 = 0
        for i in range(turns):
            a += len(text[1:900]) + text[i % 100]
        return a

    @external
    def joins(self, turns: u64, text: Bytes[1000]) -> u64:
        a: u64 = 0
        for i in range(turns):
            a += len(text + text)
        return a

    @external
    def packs(self, turns: u64, who: Address) -> u64:
        a: u64 = 0
        for i in range(turns):
            a += len(pack(who, i, who, a, who))
        return a

    @external
    def reads(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            a ^= self.numbers[i]
        return a

    @external
    def long_reads(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            a += len(self.texts[i])
        return a

    @external
    def new_entries(self, turns: u64) -> None:
        for i in range(turns):
            self.numbers[i + 1000000] = i + 1

    @external
    def writes(self, turns: u64) -> None:
        for i in range(turns):
            self.numbers[i % 100] = i + 1

    @external
    def long_writes(self, turns: u64, text: Bytes[1000]) -> None:
        for i in range(turns):
            self.texts[i % 100] = text

    @external
    def removals(self, turns: u64) -> None:
        for i in range(turns):
            del self.numbers[i]

    @external
    def pages(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            for key, value in self.numbers.items(i, 64):
                a += value
        return a

    @external
    def short_pages(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            for key, value in self.numbers.items(i, 1):
                a += value
        return a

    @external
    def events(self, turns: u64) -> None:
        for i in range(turns):
            self.Small(i)

    @external
    def long_events(self, turns: u64, text: Bytes[1000]) -> None:
        for i in range(turns):
            self.Large(text)

    @external
    def balances(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            a ^= ledger.balance(this, Asset())
        return a

    @external
    def transfers(self, turns: u64, to: Address) -> None:
        for i in range(turns):
            ledger.transfer(to, Asset(), 1)

    @external
    def nothing(self) -> None:
        pass

    @external
    def visits(self, turns: u64, other: Address) -> None:
        for i in range(turns):
            at(Other, other).nothing()

    @external
    def digests(self, turns: u64) -> Bytes32:
        a: Bytes32 = Bytes32()
        for i in range(turns):
            a = sha256(a)
        return a

    @external
    def long_digests(self, turns: u64, text: Bytes[1000]) -> Bytes32:
        a: Bytes32 = Bytes32()
        for i in range(turns):
            a = sha256(text + text + text + text)
        return a

    @external
    def long_digests_3(self, turns: u64, text: Bytes[1000]) -> Bytes32:
        a: Bytes32 = Bytes32()
        for i in range(turns):
            a = sha3_256(text + text + text + text)
        return a

    @external
    def signatures(self, turns: u64, key: Bytes32, signature: Bytes[64]) -> u64:
        good: u64 = 0
        for i in range(turns):
            if verify_ed25519(key, Bytes[7](b"message"), signature):
                good += 1
        return good

    @external
    def later_signatures(self, turns: u64, key: Bytes[1952], signature: Bytes[3309]) -> u64:
        good: u64 = 0
        for i in range(turns):
            if verify_mldsa65(key, Bytes[7](b"message"), signature):
                good += 1
        return good

    @external
    def close(self) -> None:
        self.round = beacon.next_round(2)

    @external
    def rounds(self, turns: u64) -> None:
        for i in range(turns):
            self.round = beacon.next_round(2)

    @external
    def draws(self, turns: u64) -> u64:
        a: u64 = 0
        for i in range(turns):
            a ^= beacon.uniform(self.round, 9223372036854775809, pack(i))
        return a
