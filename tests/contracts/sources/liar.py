"""Methods that give something else than those who call them think."""

from qlq.contract import Bytes, Contract, Enum, Map, Struct, external, u64, u128, view


class Choice(Enum):
    A = 0
    B = 1
    C = 2


class Pair(Struct):
    first: u64
    second: Bytes[4]


class Long(Struct):
    answer: Choice
    text: Bytes[10]
    count: u128


class Liar(Contract):
    given: Map[u64, u64]

    @view
    def odd(self, number: u64) -> Choice:
        return Choice(number)

    @view
    def raw(self, number: u64) -> Pair:
        return Pair(number, Bytes[4](b""))

    @view
    def reply(self, number: u64) -> Long:
        return Long(Choice(number), Bytes[10](b"text"), 3)

    @external
    def nothing(self, number: u64) -> u64:
        return number
