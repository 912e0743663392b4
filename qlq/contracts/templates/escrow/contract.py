"""Escrow with a hash lock and a timeout: a claim and a refund exclude each other."""

from qlq.contract import (
    Address,
    Asset,
    Bytes32,
    Contract,
    Enum,
    Map,
    Struct,
    block,
    event,
    external,
    ledger,
    msg,
    sha256,
    u64,
    view,
)


class State(Enum):
    """Where an escrow stands."""

    NONE = 0
    OPEN = 1
    CLAIMED = 2
    REFUNDED = 3


class Deal(Struct):
    """One escrow."""

    payer: Address
    receiver: Address
    asset: Asset
    amount: u64
    lock: Bytes32
    timeout: u64
    state: State


class Escrow(Contract):
    """Any number of escrows between any accounts."""

    deals: Map[u64, Deal]
    count: u64

    @event
    def Opened(self, deal: u64, payer: Address, receiver: Address, amount: u64) -> None: ...

    @event
    def Claimed(self, deal: u64, secret: Bytes32) -> None: ...

    @event
    def Refunded(self, deal: u64) -> None: ...

    @external
    def open(self, receiver: Address, lock: Bytes32, timeout: u64) -> u64:
        """Lock the value that comes with the call; returns the number of the escrow.

        The lock is the SHA-256 of a secret of 32 bytes. Whoever swaps across two chains lets the
        second escrow time out well before the first one.
        """
        assert msg.value > 0, "nothing to lock"
        assert receiver != Address(), "nobody could claim it"
        assert timeout > block.height, "the timeout has passed already"
        self.count += 1
        number: u64 = self.count
        self.deals[number] = Deal(
            msg.sender, receiver, msg.asset, msg.value, lock, timeout, State.OPEN
        )
        self.Opened(number, msg.sender, receiver, msg.value)
        return number

    @external
    def claim(self, number: u64, secret: Bytes32) -> None:
        """The receiver gets the value for the secret, below the timeout.

        Anyone may bring the secret: the value goes to the receiver whoever calls.
        """
        deal: Deal = self.deals[number]
        assert deal.state == State.OPEN, "not open"
        # from the timeout on only a refund is possible: no height allows both
        assert block.height < deal.timeout, "too late: refund it"
        assert sha256(secret) == deal.lock, "another secret"
        deal.state = State.CLAIMED
        self.deals[number] = deal
        ledger.transfer(deal.receiver, deal.asset, deal.amount)
        self.Claimed(number, secret)

    @external
    def refund(self, number: u64) -> None:
        """The payer gets the value back, from the timeout on; anyone may call."""
        deal: Deal = self.deals[number]
        assert deal.state == State.OPEN, "not open"
        assert block.height >= deal.timeout, "too early"
        deal.state = State.REFUNDED
        self.deals[number] = deal
        ledger.transfer(deal.payer, deal.asset, deal.amount)
        self.Refunded(number)

    @view
    def deal(self, number: u64) -> Deal:
        """An escrow; one of state NONE where there is none."""
        return self.deals[number]
