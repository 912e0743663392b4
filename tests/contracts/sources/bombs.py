"""Methods that would never end, or take all there is."""

from qlq.contract import (
    U64_MAX,
    Address,
    Bytes,
    Bytes32,
    Contract,
    Interface,
    Map,
    at,
    event,
    external,
    sha256,
    u64,
)


class Other(Interface):
    def storm(self, onward: Address) -> None: ...


class Bombs(Contract):
    numbers: Map[u64, Bytes[1000]]
    flags: Map[u64, u64]
    sum: u64

    @event
    def Noise(self, text: Bytes[1000]) -> None: ...

    @external
    def forever(self) -> None:
        while True:
            self.sum = self.sum

    @external
    def spin(self) -> None:
        while True:
            pass

    @external
    def count(self) -> None:
        for i in range(U64_MAX):
            for j in range(U64_MAX):
                pass

    @external
    def flood(self) -> None:
        for i in range(U64_MAX):
            self.numbers[i] = Bytes[1000](b"x")

    @external
    def flood_small(self) -> None:
        for i in range(U64_MAX):
            self.flags[i] = 1

    @external
    def churn(self) -> None:
        for i in range(U64_MAX):
            self.flags[i % 7] = 1
            del self.flags[i % 7]

    @external
    def noise(self) -> None:
        while True:
            self.Noise(Bytes[1000](b"x"))

    @external
    def pages(self) -> None:
        for i in range(U64_MAX):
            self.flags[i] = 1
            for key, value in self.flags.items(0, 64):
                del self.flags[key]

    @external
    def skip(self) -> None:
        for i in range(400):
            self.flags[i] = 1
        for i in range(400):
            del self.flags[i]
        while True:
            for key, value in self.flags.items(0, 1):
                pass

    @external
    def grind(self) -> None:
        digest: Bytes32 = Bytes32()
        while True:
            digest = sha256(digest)

    @external
    def storm(self, onward: Address) -> None:
        while True:
            at(Other, onward).storm(onward)
