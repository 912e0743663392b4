"""A token: balances, and an owner who makes new units."""

from qlq.contract import Address, Contract, Map, event, external, msg, u64, view


class Token(Contract):
    owner: Address
    supply: u64
    balances: Map[Address, u64]

    @event
    def Transfer(self, sender: Address, to: Address, amount: u64) -> None: ...

    def init(self, supply: u64) -> None:
        self.owner = msg.sender
        self.supply = supply
        self.balances[msg.sender] = supply

    @external
    def transfer(self, to: Address, amount: u64) -> bool:
        self._move(msg.sender, to, amount)
        return True

    @external
    def mint(self, to: Address, amount: u64) -> None:
        assert msg.sender == self.owner, "not the owner"
        self.supply += amount
        self.balances[to] += amount

    @view
    def balance_of(self, who: Address) -> u64:
        return self.balances[who]

    def _move(self, source: Address, to: Address, amount: u64) -> None:
        assert self.balances[source] >= amount, "insufficient balance"
        self.balances[source] -= amount
        self.balances[to] += amount
        self.Transfer(source, to, amount)
