"""A lottery whose winner nobody can choose: drawn from the chain's beacon of quantum randomness.

enter, enter, ...   until the height `closes`
close               names a round of the beacon that nobody knows yet
draw                anyone, once that round is on the chain
claim               the winner takes the prize
refund              everybody, if the beacon stays away
"""

from qlq.contract import (
    Address,
    Asset,
    Contract,
    Enum,
    Map,
    Quality,
    beacon,
    block,
    event,
    external,
    ledger,
    msg,
    u64,
    view,
)

DELAY: u64 = 2
PATIENCE: u64 = 1000


class Phase(Enum):
    """Where the lottery stands."""

    OPEN = 0
    CLOSED = 1
    DRAWN = 2
    PAID = 3
    REFUNDING = 4


class Lottery(Contract):
    """One lottery, with as many tickets as are bought."""

    asset: Asset
    price: u64
    closes: u64
    expires: u64
    least: Quality
    phase: Phase
    round: u64
    tickets: Map[u64, Address]
    bought: Map[Address, u64]
    count: u64
    winner: Address

    @event
    def Entered(self, player: Address, ticket: u64) -> None: ...

    @event
    def Closed(self, tickets: u64, deciding: u64) -> None: ...

    @event
    def Drawn(self, ticket: u64, winner: Address) -> None: ...

    @event
    def Paid(self, winner: Address, prize: u64) -> None: ...

    @event
    def Refunded(self, player: Address, amount: u64) -> None: ...

    def init(self, asset: Asset, price: u64, closes: u64, least: Quality) -> None:
        """A lottery.

        `least` is the worst randomness that may decide: VENDOR asks for quantum hardware, NONE
        takes a simulator and is for trying things out.
        """
        assert price > 0, "a ticket costs something"
        assert closes > block.height, "it would be closed already"
        self.asset = asset
        self.price = price
        self.closes = closes
        self.expires = closes + PATIENCE
        self.least = least

    @external
    def enter(self) -> u64:
        """Buy a ticket; returns its number. Anyone may buy several."""
        assert block.height < self.closes, "entries are closed"
        assert msg.asset == self.asset and msg.value == self.price, "not the price of a ticket"
        number: u64 = self.count
        self.tickets[number] = msg.sender
        self.bought[msg.sender] += 1
        self.count = number + 1
        self.Entered(msg.sender, number)
        return number

    @external
    def close(self) -> None:
        """Name the round that decides; anyone may call, once no more tickets are sold."""
        assert self.phase == Phase.OPEN, "closed already"
        assert block.height >= self.closes, "tickets are still sold"
        assert self.count > 0, "nobody entered"
        self.phase = Phase.CLOSED
        # two rounds ahead: the next pulse may be known to whoever makes it
        self.round = beacon.next_round(DELAY)
        self.expires = block.height + PATIENCE
        self.Closed(self.count, self.round)

    @external
    def draw(self) -> None:
        """Draw the winner; anyone may call, and whoever calls changes nothing."""
        assert self.phase == Phase.CLOSED, "not closed, or drawn already"
        assert beacon.quality(self.round) >= self.least, "the randomness is not good enough"
        ticket: u64 = beacon.uniform(self.round, self.count, b"winner")
        self.winner = self.tickets[ticket]
        self.phase = Phase.DRAWN
        self.Drawn(ticket, self.winner)

    @external
    def claim(self) -> None:
        """The winner takes the prize, whenever it likes."""
        assert self.phase == Phase.DRAWN, "not drawn, or paid already"
        assert msg.sender == self.winner, "only the winner"
        self.phase = Phase.PAID
        prize: u64 = self.price * self.count
        ledger.transfer(self.winner, self.asset, prize)
        self.Paid(self.winner, prize)

    @external
    def refund(self) -> None:
        """The caller's tickets are paid back if nothing was drawn for long.

        Whoever would win can draw as soon as the round is there, so that waiting for this is no
        second try for those who would lose.
        """
        assert self.phase != Phase.DRAWN and self.phase != Phase.PAID, "it was drawn"
        assert block.height >= self.expires, "wait for the draw"
        amount: u64 = self.price * self.bought[msg.sender]
        assert amount > 0, "nothing to pay back"
        # one refund ends the lottery: the whole prize is not there any more
        self.phase = Phase.REFUNDING
        self.bought[msg.sender] = 0
        ledger.transfer(msg.sender, self.asset, amount)
        self.Refunded(msg.sender, amount)

    @view
    def prize(self) -> u64:
        """What the winner gets."""
        return self.price * self.count

    @view
    def deciding_round(self) -> u64:
        """The beacon's round that decides; 0 before closing."""
        return self.round

    @view
    def drawn_winner(self) -> Address:
        """Who won; the zero address before the draw."""
        return self.winner

    @view
    def tickets_of(self, player: Address) -> u64:
        """How many tickets an account has."""
        return self.bought[player]
