"""A token: balances, allowances, and new units by the owner up to a cap."""

from qlq.contract import Address, Contract, Map, event, external, msg, u64, view


class Token(Contract):
    """Units that accounts hold within this contract."""

    owner: Address
    supply: u64
    cap: u64
    balances: Map[Address, u64]
    allowances: Map[Address, Map[Address, u64]]

    @event
    def Transfer(self, source: Address, target: Address, amount: u64) -> None: ...

    @event
    def Approval(self, holder: Address, spender: Address, amount: u64) -> None: ...

    @event
    def Ownership(self, former: Address, present: Address) -> None: ...

    def init(self, cap: u64) -> None:
        """The deployer owns the token; there are no units yet."""
        assert cap > 0, "a cap of 0 allows no units"
        self.owner = msg.sender
        self.cap = cap

    @external
    def mint(self, target: Address, amount: u64) -> None:
        """New units, by the owner."""
        assert msg.sender == self.owner, "only the owner mints"
        assert target != Address(), "nobody would hold them"
        assert amount <= self.cap - self.supply, "above the cap"
        self.supply += amount
        self.balances[target] += amount
        self.Transfer(Address(), target, amount)

    @external
    def burn(self, amount: u64) -> None:
        """Units of the caller's cease to exist."""
        assert self.balances[msg.sender] >= amount, "insufficient balance"
        self.balances[msg.sender] -= amount
        self.supply -= amount
        self.Transfer(msg.sender, Address(), amount)

    @external
    def transfer(self, target: Address, amount: u64) -> None:
        """Units of the caller's go to another account."""
        self._move(msg.sender, target, amount)

    @external
    def approve(self, spender: Address, expected: u64, amount: u64) -> None:
        """Another account may move so many of the caller's units.

        The caller says what it believes the allowance to be: a spender who is faster with the
        old allowance makes this fail, and does not get both.
        """
        assert self.allowances[msg.sender][spender] == expected, "the allowance is another by now"
        self.allowances[msg.sender][spender] = amount
        self.Approval(msg.sender, spender, amount)

    @external
    def transfer_from(self, holder: Address, target: Address, amount: u64) -> None:
        """Units that somebody else holds and has approved."""
        allowed: u64 = self.allowances[holder][msg.sender]
        assert allowed >= amount, "insufficient allowance"
        self.allowances[holder][msg.sender] = allowed - amount
        self._move(holder, target, amount)

    @external
    def give_ownership(self, present: Address) -> None:
        """Another owner; the zero address ends minting for ever."""
        assert msg.sender == self.owner, "only the owner gives it away"
        self.owner = present
        self.Ownership(msg.sender, present)

    @view
    def balance_of(self, holder: Address) -> u64:
        """What an account holds."""
        return self.balances[holder]

    @view
    def allowance(self, holder: Address, spender: Address) -> u64:
        """What somebody may still move for a holder."""
        return self.allowances[holder][spender]

    @view
    def total_supply(self) -> u64:
        """All units that there are."""
        return self.supply

    def _move(self, source: Address, target: Address, amount: u64) -> None:
        # units sent to the zero address would look burned and still count as supply
        assert target != Address(), "nobody would hold them: burn says so"
        assert self.balances[source] >= amount, "insufficient balance"
        self.balances[source] -= amount
        self.balances[target] += amount
        self.Transfer(source, target, amount)
