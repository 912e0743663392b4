"""A purse of several owners: what it pays, and who owns it, is approved by a number of them.

Owners approve by sending a transaction: the ledger has checked their signatures, so that none is
parsed here.
"""

from qlq.contract import (
    Address,
    Asset,
    Contract,
    Enum,
    Map,
    Struct,
    event,
    external,
    ledger,
    msg,
    u64,
    view,
)

OWNERS_MAX: u64 = 32


class Kind(Enum):
    """What a proposal does."""

    NONE = 0
    PAY = 1
    ADD_OWNER = 2
    REMOVE_OWNER = 3
    SET_THRESHOLD = 4


class Proposal(Struct):
    """Something that owners may approve.

    `amount` is units to pay, or the new threshold. A proposal is of one era: it lapses when
    owners or threshold change.
    """

    kind: Kind
    target: Address
    asset: Asset
    amount: u64
    approvals: u64
    era: u64
    done: bool


class Multisig(Contract):
    """Assets of the contract's account move with enough approvals, and in no other way."""

    owners: Map[Address, bool]
    count: u64
    threshold: u64
    era: u64
    proposals: Map[u64, Proposal]
    proposed: u64
    approved: Map[u64, Map[Address, bool]]

    @event
    def Received(self, sender: Address, asset: Asset, amount: u64) -> None: ...

    @event
    def Proposed(self, proposal: u64, owner: Address, kind: Kind) -> None: ...

    @event
    def Approved(self, proposal: u64, owner: Address, approvals: u64) -> None: ...

    @event
    def Revoked(self, proposal: u64, owner: Address, approvals: u64) -> None: ...

    @event
    def Executed(self, proposal: u64) -> None: ...

    def init(self) -> None:
        """The deployer is the only owner, and adds the others."""
        self.owners[msg.sender] = True
        self.count = 1
        self.threshold = 1

    @external
    def receive(self) -> None:
        """Take what comes with the call."""
        assert msg.value > 0, "nothing came"
        self.Received(msg.sender, msg.asset, msg.value)

    @external
    def propose_payment(self, target: Address, asset: Asset, amount: u64) -> u64:
        """Propose to pay; returns the number of the proposal."""
        assert amount > 0, "a payment of nothing"
        assert target != Address(), "nobody would get it"
        return self._propose(Kind.PAY, target, asset, amount)

    @external
    def propose_owner(self, owner: Address) -> u64:
        """Propose one more owner."""
        assert owner != Address(), "nobody has this address"
        return self._propose(Kind.ADD_OWNER, owner, Asset(), 0)

    @external
    def propose_removal(self, owner: Address) -> u64:
        """Propose one owner less."""
        return self._propose(Kind.REMOVE_OWNER, owner, Asset(), 0)

    @external
    def propose_threshold(self, threshold: u64) -> u64:
        """Propose how many owners must approve from then on."""
        return self._propose(Kind.SET_THRESHOLD, Address(), Asset(), threshold)

    @external
    def approve(self, number: u64) -> bool:
        """Approve a proposal, which is carried out with the last approval that it needs.

        Returns whether it was.
        """
        self._only_owners()
        item: Proposal = self.proposals[number]
        self._open(item)
        assert not self.approved[number][msg.sender], "approved already"
        self.approved[number][msg.sender] = True
        item.approvals += 1
        self.Approved(number, msg.sender, item.approvals)
        if item.approvals >= self.threshold:
            item.done = True
        self.proposals[number] = item
        if item.done:
            self._execute(number, item)
        return item.done

    @external
    def revoke(self, number: u64) -> None:
        """Take an approval back, as long as nothing was done."""
        self._only_owners()
        item: Proposal = self.proposals[number]
        self._open(item)
        assert self.approved[number][msg.sender], "not approved"
        self.approved[number][msg.sender] = False
        item.approvals -= 1
        self.proposals[number] = item
        self.Revoked(number, msg.sender, item.approvals)

    @view
    def proposal(self, number: u64) -> Proposal:
        """A proposal; one of kind NONE where there is none."""
        return self.proposals[number]

    @view
    def is_owner(self, holder: Address) -> bool:
        """Whether an account is an owner."""
        return self.owners[holder]

    @view
    def needed(self) -> u64:
        """How many owners must approve."""
        return self.threshold

    def _only_owners(self) -> None:
        assert self.owners[msg.sender], "only owners"

    def _open(self, item: Proposal) -> None:
        assert item.kind != Kind.NONE, "no such proposal"
        assert not item.done, "carried out already"
        # an owner that was removed has no say in what is decided after it
        assert item.era == self.era, "owners or threshold have changed: propose it again"

    def _propose(self, kind: Kind, target: Address, asset: Asset, amount: u64) -> u64:
        self._only_owners()
        self.proposed += 1
        number: u64 = self.proposed
        self.proposals[number] = Proposal(kind, target, asset, amount, 0, self.era, done=False)
        self.Proposed(number, msg.sender, kind)
        return number

    def _execute(self, number: u64, item: Proposal) -> None:
        if item.kind == Kind.PAY:
            ledger.transfer(item.target, item.asset, item.amount)
        elif item.kind == Kind.ADD_OWNER:
            assert not self.owners[item.target], "an owner already"
            assert self.count < OWNERS_MAX, "too many owners"
            self.owners[item.target] = True
            self.count += 1
            self.era += 1
        elif item.kind == Kind.REMOVE_OWNER:
            assert self.owners[item.target], "no owner"
            assert self.count > self.threshold, "fewer owners than must approve"
            self.owners[item.target] = False
            self.count -= 1
            self.era += 1
        else:
            assert item.amount > 0 and item.amount <= self.count, "no such number of owners"
            self.threshold = item.amount
            self.era += 1
        self.Executed(number)
