"""A row of contracts, each of which calls the next one."""

from qlq.contract import Address, Contract, Interface, at, event, external, msg, u64, upgradable


class Link(Interface):
    def walk(self, steps: u64) -> u64: ...


@upgradable(admin="owner", delay=10)
class Chain(Contract):
    following: Address
    walked: u64
    owner: Address

    @event
    def Walked(self, steps: u64) -> None: ...

    def init(self, following: Address) -> None:
        self.following = following
        self.owner = msg.sender

    @external
    def lead_to(self, following: Address) -> None:
        self.following = following

    @external
    def walk(self, steps: u64) -> u64:
        self.walked += 1
        self.Walked(steps)
        assert steps != 1000, "a thousand"
        if steps == 0:
            return 1
        return at(Link, self.following).walk(steps - 1) + 1

    def migrate(self) -> None:
        assert self.owner == msg.sender, "only the owner"
        self.walked = 77
