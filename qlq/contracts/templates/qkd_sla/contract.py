"""A service level agreement about the keys of a QKD link, with the provider's bond behind it.

    init, name_arbiter, bond    the provider says what it promises, who arbitrates, and pays a bond
    fund                        the customer agrees to all of it by paying for all epochs
    report                      after each epoch both ends say what they got: hashes and figures,
                                never key material
    settle                      reports that match and keep the promise: payment; reports of too
                                little or too noisy key, or none in time: price and share of the
                                bond go to the customer
    dispute, decide             within the window one side may object; arbiters decide, and also
                                where the two reports contradict each other

Heights of epoch n, from its end on: reports until `grace`, then objections until `window`, then
settlement; what arbiters leave undecided for `ARBITRATION` more goes back to where it came from.
"""

from qlq.contract import (
    U64_MAX,
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
    u64,
    view,
)

ARBITRATION: u64 = 1000
MILLION: u64 = 1000000


class Phase(Enum):
    """Where the agreement stands."""

    OFFERED = 0
    BONDED = 1
    RUNNING = 2
    CANCELLED = 3


class Verdict(Enum):
    """What came of an epoch."""

    OPEN = 0
    MET = 1
    MISSED = 2
    CONTRADICTED = 3
    LAPSED = 4


class Terms(Struct):
    """What is promised for each epoch.

    `alice` and `bob` are the accounts of the two ends. `price` is paid for a good epoch, `penalty`
    is the share of the bond for a bad one. Error rates are in parts per million, all durations in
    heights.
    """

    customer: Address
    alice: Address
    bob: Address
    link: Bytes32
    asset: Asset
    price: u64
    penalty: u64
    bits_min: u64
    qber_max_ppm: u64
    start: u64
    epochs: u64
    length: u64
    grace: u64
    window: u64
    arbiters_needed: u64


class Report(Struct):
    """What one end got in one epoch; the hash is of the id of the key, not of the key."""

    key_id_hash: Bytes32
    bits: u64
    qber_ppm: u64
    given: bool


class Epoch(Struct):
    """How far an epoch is settled, and the arbiters' votes."""

    verdict: Verdict
    disputed: bool
    for_provider: u64
    for_customer: u64


class ServiceLevel(Contract):
    """One agreement between one provider and one customer."""

    provider: Address
    terms: Terms
    phase: Phase
    arbiters: Map[Address, bool]
    arbiter_count: u64
    reports: Map[u64, Map[Address, Report]]
    epochs: Map[u64, Epoch]
    voted: Map[u64, Map[Address, bool]]

    @event
    def Bonded(self, amount: u64) -> None: ...

    @event
    def Funded(self, amount: u64) -> None: ...

    @event
    def Cancelled(self) -> None: ...

    @event
    def Reported(self, link: Bytes32, epoch: u64, end: Address, bits: u64) -> None: ...

    @event
    def Disputed(self, epoch: u64, side: Address) -> None: ...

    @event
    def Settled(self, epoch: u64, verdict: Verdict) -> None: ...

    def init(self, terms: Terms) -> None:
        """The deployer provides the link."""
        assert terms.price > 0 and terms.penalty > 0, "a price and a penalty are needed"
        assert terms.epochs > 0 and terms.length > 0 and terms.grace > 0, "no time to keep it in"
        assert terms.start > block.height, "it would have begun already"
        assert terms.qber_max_ppm < MILLION, "an error rate is below a million ppm"
        assert terms.alice != terms.bob, "a link has two ends"
        assert terms.customer != msg.sender, "an agreement has two sides"
        assert terms.arbiters_needed > 0, "somebody must decide disputes"
        # sums that are too large fail here, and not when money waits
        last: u64 = terms.start + terms.epochs * terms.length + terms.grace + terms.window
        assert last <= U64_MAX - ARBITRATION, "it would never end"
        self.provider = msg.sender
        self.terms = terms

    @external
    def name_arbiter(self, arbiter: Address) -> None:
        """One more arbiter, before the customer agrees."""
        assert msg.sender == self.provider, "only the provider"
        assert self.phase == Phase.OFFERED, "the customer looks at it already"
        assert arbiter != self.provider and arbiter != self.terms.customer, "a side is no arbiter"
        assert not self.arbiters[arbiter], "named already"
        self.arbiters[arbiter] = True
        self.arbiter_count += 1

    @external
    def bond(self) -> None:
        """The provider pays the penalties of all epochs in advance."""
        terms: Terms = self.terms
        assert msg.sender == self.provider, "only the provider"
        assert self.phase == Phase.OFFERED, "bonded already"
        assert self.arbiter_count >= terms.arbiters_needed, "too few arbiters"
        self._paid(terms.penalty * terms.epochs)
        self.phase = Phase.BONDED
        self.Bonded(msg.value)

    @external
    def fund(self) -> None:
        """The customer pays all epochs in advance, and so agrees."""
        terms: Terms = self.terms
        assert msg.sender == terms.customer, "only the customer"
        assert self.phase == Phase.BONDED, "not bonded, or funded already"
        assert block.height < terms.start, "too late: it would have begun"
        self._paid(terms.price * terms.epochs)
        self.phase = Phase.RUNNING
        self.Funded(msg.value)

    @external
    def cancel(self) -> None:
        """The provider takes its bond back if the customer has not agreed in time."""
        terms: Terms = self.terms
        assert msg.sender == self.provider, "only the provider"
        assert self.phase == Phase.BONDED, "nothing to take back"
        assert block.height >= terms.start, "the customer may still agree"
        self.phase = Phase.CANCELLED
        ledger.transfer(self.provider, terms.asset, terms.penalty * terms.epochs)
        self.Cancelled()

    @external
    def report(self, number: u64, key_id_hash: Bytes32, bits: u64, qber_ppm: u64) -> None:
        """What one end got in an epoch that is over; the ledger has checked who signs."""
        terms: Terms = self.terms
        self._running(number)
        assert msg.sender == terms.alice or msg.sender == terms.bob, "only an end of the link"
        assert block.height >= self.end_of(number), "the epoch is not over"
        assert block.height < self.end_of(number) + terms.grace, "too late"
        assert qber_ppm <= MILLION, "an error rate is at most a million ppm"
        # what is said is said: an end that could correct itself could bargain
        assert not self.reports[number][msg.sender].given, "reported already"
        self.reports[number][msg.sender] = Report(key_id_hash, bits, qber_ppm, given=True)
        self.Reported(terms.link, number, msg.sender, bits)

    @external
    def dispute(self, number: u64) -> None:
        """Object to what the reports would lead to."""
        terms: Terms = self.terms
        self._running(number)
        assert msg.sender == self.provider or msg.sender == terms.customer, "only the two sides"
        reported: u64 = self.end_of(number) + terms.grace
        assert block.height >= reported, "reports may still come"
        assert block.height < reported + terms.window, "too late"
        item: Epoch = self.epochs[number]
        assert item.verdict == Verdict.OPEN, "settled already"
        assert not item.disputed, "disputed already"
        item.disputed = True
        self.epochs[number] = item
        self.Disputed(number, msg.sender)

    @external
    def decide(self, number: u64, met: bool) -> None:
        """An arbiter's vote on a disputed or contradicted epoch; enough of one kind settle it."""
        terms: Terms = self.terms
        self._running(number)
        assert self.arbiters[msg.sender], "only arbiters"
        assert block.height >= self.end_of(number) + terms.grace, "reports may still come"
        item: Epoch = self.epochs[number]
        assert item.verdict == Verdict.OPEN, "settled already"
        assert item.disputed or self._reported(number) == Verdict.CONTRADICTED, "no dispute"
        assert not self.voted[number][msg.sender], "voted already"
        self.voted[number][msg.sender] = True
        if met:
            item.for_provider += 1
        else:
            item.for_customer += 1
        self.epochs[number] = item
        if item.for_provider >= terms.arbiters_needed:
            self._settle(number, Verdict.MET)
        elif item.for_customer >= terms.arbiters_needed:
            self._settle(number, Verdict.MISSED)

    @external
    def settle(self, number: u64) -> None:
        """Do what the reports say, once nobody can object any more; anyone may call."""
        terms: Terms = self.terms
        self._running(number)
        item: Epoch = self.epochs[number]
        assert item.verdict == Verdict.OPEN, "settled already"
        due: u64 = self.end_of(number) + terms.grace + terms.window
        assert block.height >= due, "too early"
        verdict: Verdict = self._reported(number)
        if item.disputed or verdict == Verdict.CONTRADICTED:
            assert block.height >= due + ARBITRATION, "arbiters decide"
            verdict = Verdict.LAPSED
        self._settle(number, verdict)

    @view
    def end_of(self, number: u64) -> u64:
        """The first height after an epoch."""
        return self.terms.start + (number + 1) * self.terms.length

    @view
    def epoch(self, number: u64) -> Epoch:
        """How far an epoch is settled."""
        return self.epochs[number]

    @view
    def report_of(self, number: u64, end: Address) -> Report:
        """What an end has reported."""
        return self.reports[number][end]

    @view
    def agreed(self) -> Terms:
        """The terms."""
        return self.terms

    def _running(self, number: u64) -> None:
        assert self.phase == Phase.RUNNING, "the agreement is not running"
        assert number < self.terms.epochs, "there is no such epoch"

    def _paid(self, amount: u64) -> None:
        assert msg.asset == self.terms.asset, "paid in another asset"
        assert msg.value == amount, "not the amount that is due"

    def _reported(self, number: u64) -> Verdict:
        alice: Report = self.reports[number][self.terms.alice]
        bob: Report = self.reports[number][self.terms.bob]
        if not alice.given or not bob.given:
            return Verdict.MISSED
        if (
            alice.key_id_hash != bob.key_id_hash
            or alice.bits != bob.bits
            or alice.qber_ppm != bob.qber_ppm
        ):
            return Verdict.CONTRADICTED
        if alice.bits < self.terms.bits_min or alice.qber_ppm > self.terms.qber_max_ppm:
            return Verdict.MISSED
        return Verdict.MET

    def _settle(self, number: u64, verdict: Verdict) -> None:
        terms: Terms = self.terms
        item: Epoch = self.epochs[number]
        item.verdict = verdict
        self.epochs[number] = item
        if verdict == Verdict.MET:
            ledger.transfer(self.provider, terms.asset, terms.price + terms.penalty)
        elif verdict == Verdict.MISSED:
            ledger.transfer(terms.customer, terms.asset, terms.price + terms.penalty)
        else:
            ledger.transfer(terms.customer, terms.asset, terms.price)
            ledger.transfer(self.provider, terms.asset, terms.penalty)
        self.Settled(number, verdict)
