"""A sealed auction: commit to a bid with a deposit, reveal it later, the highest one wins.

    commit     below `reveals`: a hash of the bid, and a deposit of which the bid is a part
    reveal     from `reveals` on, below `ends`: the bid and its salt
    settle     from `ends` on: the seller gets the highest bid
    withdraw   from `ends` on: everybody takes the rest

The deposit hides the bid as far as it is larger. A bid that is never revealed costs its forfeit:
else a bidder could commit to many and reveal the one that suits.
"""

from qlq.contract import (
    Address,
    Asset,
    Bytes32,
    Contract,
    Map,
    Struct,
    block,
    event,
    external,
    ledger,
    msg,
    mul_div,
    pack,
    sha256,
    this,
    u64,
    view,
)

FORFEIT_PERCENT: u64 = 10


class Commitment(Struct):
    """What somebody has put in."""

    digest: Bytes32
    deposit: u64
    revealed: bool


class SealedAuction(Contract):
    """One lot, paid in one asset."""

    seller: Address
    asset: Asset
    reserve: u64
    reveals: u64
    ends: u64
    commitments: Map[Address, Commitment]
    highest: u64
    bidder: Address
    settled: bool

    @event
    def Committed(self, bidder: Address, deposit: u64) -> None: ...

    @event
    def Revealed(self, bidder: Address, amount: u64) -> None: ...

    @event
    def Settled(self, winner: Address, amount: u64) -> None: ...

    @event
    def Withdrawn(self, bidder: Address, amount: u64, forfeited: u64) -> None: ...

    def init(self, asset: Asset, reserve: u64, reveals: u64, ends: u64) -> None:
        """The deployer sells; heights tell when bids are shown and when it is over."""
        assert reserve > 0, "a reserve of 0 sells for nothing"
        assert reveals > block.height, "nobody could commit"
        assert ends > reveals, "nobody could reveal"
        self.seller = msg.sender
        self.asset = asset
        self.reserve = reserve
        self.reveals = reveals
        self.ends = ends

    @external
    def commit(self, digest: Bytes32) -> None:
        """Commit to a bid; `digest_of` says what to. The value is the deposit."""
        assert block.height < self.reveals, "commitments are closed"
        assert msg.asset == self.asset, "bids are in another asset"
        assert msg.value >= self.reserve, "the deposit is below the reserve"
        assert self.commitments[msg.sender].deposit == 0, "committed already"
        self.commitments[msg.sender] = Commitment(digest, msg.value, revealed=False)
        self.Committed(msg.sender, msg.value)

    @external
    def reveal(self, amount: u64, salt: Bytes32) -> None:
        """Show the bid; it counts if it is the one that was committed to."""
        assert block.height >= self.reveals, "too early: others could still answer"
        assert block.height < self.ends, "too late"
        mine: Commitment = self.commitments[msg.sender]
        assert mine.deposit > 0, "nothing committed"
        assert not mine.revealed, "revealed already"
        assert self.digest_of(msg.sender, amount, salt) == mine.digest, "another bid or salt"
        assert amount <= mine.deposit, "the deposit does not cover the bid"
        assert amount >= self.reserve, "below the reserve"
        mine.revealed = True
        self.commitments[msg.sender] = mine
        # of two equal bids the one that was revealed first stays ahead
        if amount > self.highest:
            self.highest = amount
            self.bidder = msg.sender
        self.Revealed(msg.sender, amount)

    @external
    def settle(self) -> None:
        """The seller gets the highest bid; anyone may call."""
        assert block.height >= self.ends, "bids are still revealed"
        assert not self.settled, "settled already"
        assert self.highest > 0, "no bid was revealed"
        self.settled = True
        ledger.transfer(self.seller, self.asset, self.highest)
        self.Settled(self.bidder, self.highest)

    @external
    def withdraw(self) -> u64:
        """Take the deposit back, less the bid of the winner, or the forfeit of a hidden bid."""
        assert block.height >= self.ends, "bids are still revealed"
        mine: Commitment = self.commitments[msg.sender]
        assert mine.deposit > 0, "nothing to take back"
        self.commitments[msg.sender] = Commitment(Bytes32(), 0, revealed=False)
        rest: u64 = mine.deposit
        forfeited: u64 = 0
        if msg.sender == self.bidder:
            rest -= self.highest
        elif not mine.revealed:
            forfeited = mul_div(mine.deposit, FORFEIT_PERCENT, 100)
            rest -= forfeited
        if forfeited > 0:
            ledger.transfer(self.seller, self.asset, forfeited)
        if rest > 0:
            ledger.transfer(msg.sender, self.asset, rest)
        self.Withdrawn(msg.sender, rest, forfeited)
        return rest

    @view
    def digest_of(self, bidder: Address, amount: u64, salt: Bytes32) -> Bytes32:
        """What to commit to.

        Compute it at home: a node that is asked learns the bid. It names the auction and the
        bidder, so that nobody can commit to a copy of somebody else's digest.
        """
        return sha256(pack(this, bidder, amount, salt))

    @view
    def highest_bid(self) -> u64:
        """The highest revealed bid; 0 without one."""
        return self.highest

    @view
    def winner(self) -> Address:
        """Whose the highest bid is; the zero address without one."""
        return self.bidder
