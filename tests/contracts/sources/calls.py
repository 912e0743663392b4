"""Calls of other contracts, assets, the beacon, signatures."""

from qlq.contract import (
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
    event,
    external,
    ledger,
    msg,
    pack,
    this,
    u64,
    u128,
    verify_ed25519,
    verify_mldsa65,
    view,
)


class Answer(Enum):
    NO = 0
    YES = 1


class Reply(Struct):
    answer: Answer
    text: Bytes[10]
    count: u128


class Other(Interface):
    def visit(self, depth: u64, onward: Address) -> u64: ...
    def reply(self, number: u64) -> Reply: ...
    def odd(self, number: u64) -> bool: ...
    def nothing(self, number: u64) -> None: ...
    def raw(self, number: u64) -> Bytes[12]: ...


class Calls(Contract):
    visits: Map[Address, u64]
    round: u64
    drawn: u64

    @event
    def Visited(self, depth: u64, who: Address) -> None: ...

    @external
    def visit(self, depth: u64, onward: Address) -> u64:
        self.visits[msg.sender] += 1
        self.Visited(depth, msg.sender)
        assert depth != 13, "thirteen"
        if depth == 0:
            return self.visits[msg.sender]
        return at(Other, onward).visit(depth - 1, this) + 1

    @view
    def reply(self, number: u64) -> Reply:
        return Reply(Answer.YES if number > 5 else Answer.NO, Bytes[10](b"text"), u128(number))

    @view
    def odd(self, number: u64) -> bool:
        return number % 2 == 1

    @external
    def nothing(self, number: u64) -> None:
        assert number < 100, "too large"
        self.drawn = number

    @external
    def ask(self, other: Address, number: u64) -> u128:
        answer: Reply = at(Other, other).reply(number)
        at(Other, other).nothing(number)
        assert answer.answer == Answer.YES or at(Other, other).odd(number), "no"
        return answer.count + u128(len(answer.text))

    @external
    def ask_odd(self, other: Address, number: u64) -> bool:
        return at(Other, other).odd(number)

    @external
    def ask_raw(self, other: Address, number: u64) -> Bytes[12]:
        return at(Other, other).raw(number)

    @external
    def deposit(self) -> u64:
        return msg.value + ledger.balance(this, msg.asset)

    @external
    def pay(self, to: Address, asset: Asset, amount: u64) -> u64:
        ledger.transfer(to, asset, amount)
        return ledger.balance(to, asset)

    @external
    def close(self, delay: u64) -> u64:
        self.round = beacon.next_round(delay)
        return self.round

    @view
    def draw(self, below: u64) -> u64:
        return beacon.uniform(self.round, below, pack(below))

    @view
    def lot(self) -> Bytes32:
        assert beacon.quality(self.round) >= Quality.DEVICE, "not good enough"
        return beacon.value(self.round)

    @view
    def signed(self, key: Bytes32, message: Bytes[20], signature: Bytes[64]) -> bool:
        return verify_ed25519(key, message, signature)

    @view
    def signed_later(self, key: Bytes[1952], message: Bytes[20], signature: Bytes[3309]) -> bool:
        return verify_mldsa65(key, message, signature)
