"""An English auction: the highest bid wins, everybody else takes back what they bid."""

from qlq.contract import (
    Address,
    Asset,
    Contract,
    Map,
    block,
    event,
    external,
    ledger,
    msg,
    mul_div,
    u64,
    view,
)

STEP_PERCENT: u64 = 5
EXTENSION: u64 = 10


class Auction(Contract):
    """One lot, paid in one asset."""

    seller: Address
    asset: Asset
    reserve: u64
    ends: u64
    highest: u64
    bidder: Address
    settled: bool
    refunds: Map[Address, u64]

    @event
    def Bid(self, bidder: Address, amount: u64, ends: u64) -> None: ...

    @event
    def Withdrawn(self, bidder: Address, amount: u64) -> None: ...

    @event
    def Settled(self, winner: Address, amount: u64) -> None: ...

    def init(self, asset: Asset, reserve: u64, ends: u64) -> None:
        """The deployer sells; bids below the reserve are not taken."""
        assert reserve > 0, "a reserve of 0 sells for nothing"
        assert ends > block.height, "it would be over already"
        self.seller = msg.sender
        self.asset = asset
        self.reserve = reserve
        self.ends = ends

    @external
    def bid(self) -> None:
        """Bid the value that comes with the call."""
        assert block.height < self.ends, "the auction is over"
        assert msg.asset == self.asset, "bids are in another asset"
        assert msg.value >= self.next_bid(), "the bid is too low"
        # the one before takes its bid back itself: a bidder that cannot be paid stops nobody
        self.refunds[self.bidder] += self.highest
        self.highest = msg.value
        self.bidder = msg.sender
        # a bid at the last moment leaves the others time to answer
        if self.ends - block.height < EXTENSION:
            self.ends = block.height + EXTENSION
        self.Bid(msg.sender, msg.value, self.ends)

    @external
    def withdraw(self) -> u64:
        """Take back all bids of the caller's that others have topped; returns how much."""
        amount: u64 = self.refunds[msg.sender]
        assert amount > 0, "nothing to take back"
        self.refunds[msg.sender] = 0
        ledger.transfer(msg.sender, self.asset, amount)
        self.Withdrawn(msg.sender, amount)
        return amount

    @external
    def settle(self) -> None:
        """The seller gets the highest bid, once the auction is over; anyone may call."""
        assert block.height >= self.ends, "bids are still taken"
        assert not self.settled, "settled already"
        assert self.highest > 0, "nobody bid"
        self.settled = True
        ledger.transfer(self.seller, self.asset, self.highest)
        self.Settled(self.bidder, self.highest)

    @view
    def next_bid(self) -> u64:
        """The least that is taken now."""
        if self.highest == 0:
            return self.reserve
        # at least one unit more, whatever the percentage is rounded to
        return self.highest + 1 + mul_div(self.highest, STEP_PERCENT, 100)

    @view
    def highest_bid(self) -> u64:
        """The highest bid so far; 0 without one."""
        return self.highest

    @view
    def winner(self) -> Address:
        """Whose the highest bid is; the zero address without one."""
        return self.bidder

    @view
    def end(self) -> u64:
        """The first height at which no bid is taken."""
        return self.ends

    @view
    def refund_of(self, holder: Address) -> u64:
        """What an account can take back."""
        return self.refunds[holder]
