"""The service level of a QKD link: who is paid for what, and how disputes end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts

PRICE, PENALTY, EPOCHS = 100, 40, 3
LENGTH, GRACE, WINDOW, ARBITRATION = 20, 5, 10, 1000
BITS_MIN, QBER_MAX_PPM = 10_000, 50_000
KEY_ID = hashlib.sha256(b"the id of a key").digest()
LINK = hashlib.sha256(b"the link").digest()


@dataclass(frozen=True)
class Figures:
    """What an end reports."""

    key_id_hash: bytes = KEY_ID
    bits: int = 12_000
    qber_ppm: int = 31_000


GOOD = Figures()


@dataclass
class Agreement:
    """A contract and everybody around it; carol is the customer, paul provides."""

    contract: Contract
    chain: Chain
    carol: Account
    paul: Account
    alice: Account
    bob: Account
    arbiters: list[Account]

    def to_end_of(self, epoch: int, later: int = 0) -> None:
        """Go on to so many heights after the end of an epoch."""
        self.chain.mine_to(self.contract.end_of(epoch) + later)

    def report(self, epoch: int, end: Account, told: Figures = GOOD) -> None:
        """One end's report."""
        self.contract.report(epoch, told.key_id_hash, told.bits, told.qber_ppm, sender=end)

    def held(self) -> tuple[int, int, int]:
        """Gold of customer, provider and contract."""
        return (
            self.chain.balance(self.carol, "GOLD"),
            self.chain.balance(self.paul, "GOLD"),
            self.chain.balance(self.contract, "GOLD"),
        )


def offered(chain: Chain) -> Agreement:
    """Not bonded yet; customer and provider have what they need, and not more."""
    carol, paul = chain.account("carol"), chain.account("paul")
    alice, bob = chain.account("alice"), chain.account("bob")
    chain.give(carol, PRICE * EPOCHS, "GOLD")
    chain.give(paul, PENALTY * EPOCHS, "GOLD")
    contract = chain.deploy("contract.py", terms(chain), sender=paul)
    arbiters = [chain.account(f"arbiter {number}") for number in range(3)]
    for arbiter in arbiters:
        contract.name_arbiter(arbiter, sender=paul)
    return Agreement(contract, chain, carol, paul, alice, bob, arbiters)


def terms(chain: Chain, **others: object) -> dict[str, object]:
    """The usual terms."""
    usual: dict[str, object] = {
        "customer": chain.account("carol"),
        "alice": chain.account("alice"),
        "bob": chain.account("bob"),
        "link": LINK,
        "asset": chain.asset("GOLD"),
        "price": PRICE,
        "penalty": PENALTY,
        "bits_min": BITS_MIN,
        "qber_max_ppm": QBER_MAX_PPM,
        "start": chain.height + 10,
        "epochs": EPOCHS,
        "length": LENGTH,
        "grace": GRACE,
        "window": WINDOW,
        "arbiters_needed": 2,
    }
    return usual | others


@pytest.fixture
def running(chain: Chain) -> Agreement:
    """Bonded and paid."""
    made = offered(chain)
    made.contract.bond(sender=made.paul, value=PENALTY * EPOCHS, asset="GOLD")
    made.contract.fund(sender=made.carol, value=PRICE * EPOCHS, asset="GOLD")
    return made


def test_reports_that_match_are_paid(running: Agreement) -> None:
    running.to_end_of(0)
    for end in (running.alice, running.bob):
        running.report(0, end)
    running.to_end_of(0, GRACE + WINDOW)
    running.contract.settle(0, sender=running.alice)
    assert running.held() == (0, PRICE + PENALTY, 2 * (PRICE + PENALTY))
    assert running.contract.epoch(0).verdict.name == "MET"
    assert running.contract.report_of(0, running.bob).bits == GOOD.bits


@pytest.mark.parametrize(
    "told",
    [
        replace(GOOD, bits=BITS_MIN - 1),
        replace(GOOD, qber_ppm=QBER_MAX_PPM + 1),
    ],
)
def test_too_little_or_too_noisy_key_costs_price_and_penalty(
    running: Agreement, told: Figures
) -> None:
    running.to_end_of(0)
    for end in (running.alice, running.bob):
        running.report(0, end, told)
    running.to_end_of(0, GRACE + WINDOW)
    running.contract.settle(0, sender=running.paul)
    assert running.held() == (PRICE + PENALTY, 0, 2 * (PRICE + PENALTY))


def test_figures_at_the_bound_keep_the_promise(running: Agreement) -> None:
    running.to_end_of(0)
    for end in (running.alice, running.bob):
        running.report(0, end, replace(GOOD, bits=BITS_MIN, qber_ppm=QBER_MAX_PPM))
    running.to_end_of(0, GRACE + WINDOW)
    running.contract.settle(0, sender=running.paul)
    assert running.contract.epoch(0).verdict.name == "MET"


@pytest.mark.parametrize("ends", [0, 1])
def test_no_report_in_time_counts_as_no_key(running: Agreement, ends: int) -> None:
    running.to_end_of(1)
    for end in [running.alice, running.bob][:ends]:
        running.report(1, end)
    running.to_end_of(1, GRACE)
    with reverts("too late"):
        running.report(1, running.bob)
    running.to_end_of(1, GRACE + WINDOW)
    running.contract.settle(1, sender=running.carol)
    assert running.contract.epoch(1).verdict.name == "MISSED"
    assert running.held()[0] == PRICE + PENALTY


@pytest.mark.parametrize(
    "told",
    [
        replace(GOOD, key_id_hash=LINK),
        replace(GOOD, bits=12_001),
        replace(GOOD, qber_ppm=31_001),
    ],
)
def test_reports_that_contradict_each_other_go_to_the_arbiters(
    running: Agreement, told: Figures
) -> None:
    running.to_end_of(0)
    running.report(0, running.alice)
    running.report(0, running.bob, told)
    running.to_end_of(0, GRACE + WINDOW)
    with reverts("arbiters decide"):
        running.contract.settle(0, sender=running.paul)
    first, second, _ = running.arbiters
    running.contract.decide(0, True, sender=first)
    assert running.contract.epoch(0).verdict.name == "OPEN"
    running.contract.decide(0, True, sender=second)
    assert running.held() == (0, PRICE + PENALTY, 2 * (PRICE + PENALTY))


def test_what_arbiters_have_decided_is_not_disputed(running: Agreement) -> None:
    running.to_end_of(0)
    running.report(0, running.alice)
    running.report(0, running.bob, replace(GOOD, bits=1))
    running.to_end_of(0, GRACE)
    for arbiter in running.arbiters[:2]:
        running.contract.decide(0, False, sender=arbiter)
    with reverts("settled already"):
        running.contract.dispute(0, sender=running.paul)


def test_a_disputed_epoch_is_decided_by_two_of_three(running: Agreement) -> None:
    running.to_end_of(0)
    for end in (running.alice, running.bob):
        running.report(0, end)
    running.to_end_of(0, GRACE)
    running.contract.dispute(0, sender=running.carol)
    with reverts("disputed already"):
        running.contract.dispute(0, sender=running.paul)
    first, second, third = running.arbiters
    running.contract.decide(0, True, sender=first)
    running.contract.decide(0, False, sender=second)
    with reverts("voted already"):
        running.contract.decide(0, True, sender=first)
    running.contract.decide(0, False, sender=third)
    assert running.held() == (PRICE + PENALTY, 0, 2 * (PRICE + PENALTY))
    with reverts("settled already"):
        running.contract.decide(0, True, sender=first)
    running.to_end_of(0, GRACE + WINDOW)
    with reverts("settled already"):
        running.contract.settle(0, sender=running.paul)


def test_what_arbiters_leave_undecided_goes_back(running: Agreement) -> None:
    running.to_end_of(0, GRACE)
    running.contract.dispute(0, sender=running.paul)
    running.to_end_of(0, GRACE + WINDOW + ARBITRATION - 1)
    with reverts("arbiters decide"):
        running.contract.settle(0, sender=running.paul)
    running.chain.mine()
    running.contract.settle(0, sender=running.paul)
    assert running.held() == (PRICE, PENALTY, 2 * (PRICE + PENALTY))
    assert running.contract.epoch(0).verdict.name == "LAPSED"


def test_disputes_have_a_window_and_two_sides(running: Agreement) -> None:
    running.to_end_of(0, GRACE - 1)
    with reverts("reports may still come"):
        running.contract.dispute(0, sender=running.carol)
    running.chain.mine()
    with reverts("only the two sides"):
        running.contract.dispute(0, sender=running.alice)
    running.to_end_of(0, GRACE + WINDOW)
    with reverts("too late"):
        running.contract.dispute(0, sender=running.carol)
    running.contract.settle(0, sender=running.alice)


def test_arbiters_decide_disputes_alone(running: Agreement) -> None:
    first = running.arbiters[0]
    running.to_end_of(0)
    with reverts("reports may still come"):
        running.contract.decide(0, True, sender=first)
    running.chain.mine(GRACE)
    with reverts("no dispute"):
        running.contract.decide(0, True, sender=first)
    running.contract.dispute(0, sender=running.carol)
    for stranger in (running.carol, running.paul, running.alice):
        with reverts("only arbiters"):
            running.contract.decide(0, True, sender=stranger)


def test_only_the_ends_report_once_and_after_the_epoch(running: Agreement) -> None:
    with reverts("the epoch is not over"):
        running.report(0, running.alice)
    running.to_end_of(0)
    with reverts("only an end of the link"):
        running.report(0, running.carol)
    with reverts("at most a million ppm"):
        running.report(0, running.alice, replace(GOOD, qber_ppm=1_000_001))
    running.report(0, running.alice)
    with reverts("reported already"):
        running.report(0, running.alice, replace(GOOD, bits=99_999))
    with reverts("there is no such epoch"):
        running.report(EPOCHS, running.alice)
    with reverts("too early"):
        running.contract.settle(0, sender=running.paul)


def test_after_all_epochs_nothing_is_left(running: Agreement) -> None:
    for epoch in range(EPOCHS):
        running.to_end_of(epoch)
        if epoch != 1:
            for end in (running.alice, running.bob):
                running.report(epoch, end)
    running.to_end_of(EPOCHS - 1, GRACE + WINDOW)
    for epoch in range(EPOCHS):
        running.contract.settle(epoch, sender=running.bob)
    assert running.held() == (PRICE + PENALTY, 2 * (PRICE + PENALTY), 0)


def test_the_customer_agrees_by_paying_in_time(chain: Chain) -> None:
    made = offered(chain)
    contract, carol, paul = made.contract, made.carol, made.paul
    with reverts("not bonded, or funded already"):
        contract.fund(sender=carol, value=PRICE * EPOCHS, asset="GOLD")
    contract.bond(sender=paul, value=PENALTY * EPOCHS, asset="GOLD")
    with reverts("only the customer"):
        contract.fund(sender=paul)
    with reverts("not the amount that is due"):
        contract.fund(sender=carol, value=PRICE, asset="GOLD")
    with reverts("paid in another asset"):
        contract.fund(sender=carol, value=PRICE * EPOCHS, asset="QLQ")
    with reverts("the agreement is not running"):
        contract.settle(0, sender=carol)
    with reverts("the customer may still agree"):
        contract.cancel(sender=paul)
    chain.mine_to(contract.agreed().start)
    with reverts("too late"):
        contract.fund(sender=carol, value=PRICE * EPOCHS, asset="GOLD")
    with reverts("only the provider"):
        contract.cancel(sender=carol)
    contract.cancel(sender=paul)
    assert made.held() == (PRICE * EPOCHS, PENALTY * EPOCHS, 0)
    with reverts("nothing to take back"):
        contract.cancel(sender=paul)


def test_the_provider_bonds_once_with_its_arbiters_named(chain: Chain) -> None:
    paul = chain.account("paul")
    chain.give(paul, PENALTY * EPOCHS, "GOLD")
    contract = chain.deploy("contract.py", terms(chain), sender=paul)
    first = chain.account("arbiter")
    contract.name_arbiter(first, sender=paul)
    with reverts("named already"):
        contract.name_arbiter(first, sender=paul)
    with reverts("a side is no arbiter"):
        contract.name_arbiter(paul, sender=paul)
    with reverts("only the provider"):
        contract.name_arbiter(chain.account("another"), sender=first)
    with reverts("too few arbiters"):
        contract.bond(sender=paul, value=PENALTY * EPOCHS, asset="GOLD")
    contract.name_arbiter(chain.account("another"), sender=paul)
    with reverts("only the provider"):
        contract.bond(sender=first)
    contract.bond(sender=paul, value=PENALTY * EPOCHS, asset="GOLD")
    with reverts("bonded already"):
        contract.bond(sender=paul)
    with reverts("the customer looks at it already"):
        contract.name_arbiter(chain.account("a friend"), sender=paul)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"price": 0}, "a price and a penalty are needed"),
        ({"penalty": 0}, "a price and a penalty are needed"),
        ({"epochs": 0}, "no time to keep it in"),
        ({"length": 0}, "no time to keep it in"),
        ({"grace": 0}, "no time to keep it in"),
        ({"start": 1}, "it would have begun already"),
        ({"qber_max_ppm": 1_000_000}, "below a million ppm"),
        ({"bob": "alice"}, "a link has two ends"),
        ({"customer": "paul"}, "an agreement has two sides"),
        ({"arbiters_needed": 0}, "somebody must decide disputes"),
        ({"window": 2**64 - 1000}, "it would never end"),
        ({"length": 2**63}, "overflow"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(
    chain: Chain, others: dict[str, object], message: str
) -> None:
    paul = chain.account("paul")
    with reverts(message):
        chain.deploy("contract.py", terms(chain, **others), sender=paul)
