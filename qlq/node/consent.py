"""Whether money may be spent: the operator's caps, or the operator's answer.

Nothing is sent before `Consent.allow` has returned. A cap is never overridden; `--yes` only
answers the prompt. What costs nothing needs no consent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from qlq.backends.port import Cost
from qlq.errors import BudgetRefused

Ask = Callable[[str], bool]
"""Puts a question to the operator and returns the answer."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a session may cost.

    Attributes:
        cost: Money in the currency of the price; None for no cap.
        qpu_s: Seconds of quantum hardware; None for no cap.
    """

    cost: Decimal | None = None
    qpu_s: float | None = None

    def changed_by(self, other: Caps) -> Caps:
        """These caps, with those of `other` in place of what it gives."""
        return Caps(
            self.cost if other.cost is None else other.cost,
            self.qpu_s if other.qpu_s is None else other.qpu_s,
        )

    def __post_init__(self) -> None:
        """Refuse a cap that is no amount, naming it."""
        if self.cost is not None and not (self.cost.is_finite() and self.cost >= 0):
            raise ValueError(f"--max-cost must be 0 or more: {self.cost}")
        if self.qpu_s is not None and not 0 <= self.qpu_s < float("inf"):
            raise ValueError(f"--max-qpu-seconds must be 0 or more: {self.qpu_s}")


@dataclass(frozen=True, slots=True)
class Consent:
    """What an operator allows.

    Attributes:
        caps: Upper limits of the whole session.
        ask: Puts a question to the operator; None where nobody can be asked.
    """

    caps: Caps = Caps()
    ask: Ask | None = None

    def allow(self, cost: Cost, *, what: str) -> None:
        """Return if a session of this cost may start.

        Args:
            cost: Of the whole session, what was spent before included.
            what: Names it in the question and in the refusal.

        Raises:
            BudgetRefused: A cap is exceeded, the price is unknown under `--max-cost`, the
                operator said no, or there is neither a cap nor anybody to ask.
        """
        if is_free(cost):
            return
        self._refuse_beyond_caps(cost, what=what, way_out="send fewer pulses")
        if not self._is_capped(cost):
            self._answer(cost, what=what)

    def allow_rest(self, cost: Cost, *, agreed: Cost, planned: Cost, what: str) -> None:
        """Return if a session whose first job was paid for may go on with its next one.

        A cap is about money and seconds: it holds for what has been spent. A question was
        answered about an estimate, and the answer covers the rest as long as the estimates stay
        within it, whatever the jobs before have really cost.

        Args:
            cost: What the jobs before have cost, and the estimate of the next one.
            agreed: The estimate of the whole session that was agreed to.
            planned: The estimates of the jobs before, as agreed to, and of the next one.
            what: Names the session.

        Raises:
            BudgetRefused: As for `allow`; nothing more was sent.
        """
        what = f"{what}, with the jobs that it has paid for,"
        self._refuse_beyond_caps(cost, what=what, way_out="leave the session as it is")
        if not self._is_capped(cost) and not is_within(planned, agreed):
            self._answer(cost, what=what)

    def _refuse_beyond_caps(self, cost: Cost, *, what: str, way_out: str) -> None:
        caps = self.caps
        if caps.cost is not None and cost.amount is None:
            other = "cap the time with --max-qpu-seconds" if cost.qpu_s else "agree with --yes"
            raise BudgetRefused(
                f"{what}: the price is unknown ({cost.source}), so --max-cost {caps.cost} cannot "
                f"be kept: leave it out, and {other}"
            )
        if caps.cost is not None and cost.amount is not None and cost.amount > caps.cost:
            raise BudgetRefused(
                f"{what}: {cost.amount} {cost.currency} exceed --max-cost {caps.cost}: raise it, "
                f"or {way_out}"
            )
        if caps.qpu_s is not None and cost.qpu_s > caps.qpu_s:
            raise BudgetRefused(
                f"{what}: {cost.qpu_s:g} QPU seconds exceed --max-qpu-seconds {caps.qpu_s:g}: "
                f"raise it, or {way_out}"
            )

    def _is_capped(self, cost: Cost) -> bool:
        """Whether a given cap bounds what is charged: seconds do so only if there are any."""
        return self.caps.cost is not None or (self.caps.qpu_s is not None and cost.qpu_s > 0)

    def _answer(self, cost: Cost, *, what: str) -> None:
        if self.ask is None:
            caps = [
                *(["--max-cost AMOUNT"] if cost.amount is not None else []),
                *(["--max-qpu-seconds S"] if cost.qpu_s > 0 else []),
            ]
            raise BudgetRefused(
                f"{what} would cost {describe(cost)}: give {' or '.join([*caps, '--yes'])}, or "
                "answer the question on a terminal"
            )
        if not self.ask(f"{what} costs {describe(cost)}. Go on?"):
            raise BudgetRefused(f"{what}: refused; nothing was sent")


def seconds_left(caps: Caps, job: Cost, *, beside: Cost) -> float | None:
    """Seconds of quantum hardware that caps leave for one job of a session; None if none bounds it.

    A job whose estimate has seconds and a price is charged by the second, so that a cap on money
    bounds its seconds too.

    Args:
        caps: Of the whole session.
        job: The job's estimate.
        beside: What the session's other jobs have cost, or are expected to.
    """
    bounds = [] if caps.qpu_s is None else [caps.qpu_s - beside.qpu_s]
    amounts = (caps.cost, job.amount, beside.amount)
    if job.qpu_s > 0 and job.amount and None not in amounts:
        left = (caps.cost or Decimal(0)) - (beside.amount or Decimal(0))
        bounds.append(float(left * Decimal(str(job.qpu_s)) / job.amount))
    return max(0.0, min(bounds)) if bounds else None


def say_yes(_question: str) -> bool:
    """The answer of `--yes`."""
    return True


def is_free(cost: Cost) -> bool:
    """Whether nothing is charged; an unknown price is a charge."""
    return cost.qpu_s == 0 and cost.amount is not None and cost.amount == 0


def is_within(cost: Cost, limit: Cost) -> bool:
    """Whether neither seconds nor money are above those of another cost, as far as it has a price.

    Money of an unknown price, or in another currency, is above any that is known.
    """
    if cost.qpu_s > limit.qpu_s:
        return False
    if limit.amount is None or cost.amount == 0:
        return True
    is_comparable = cost.amount is not None and cost.currency == limit.currency
    return is_comparable and (cost.amount or Decimal(0)) <= limit.amount


def add(first: Cost, second: Cost) -> Cost:
    """Both together; unknown if one of them is, or if their currencies differ."""
    if is_free(first):
        return second
    if is_free(second):
        return first
    amount = None
    if None not in {first.amount, second.amount} and first.currency == second.currency:
        amount = (first.amount or Decimal(0)) + (second.amount or Decimal(0))
    return replace(first, qpu_s=first.qpu_s + second.qpu_s, amount=amount)


def rest(whole: Cost, part: Cost) -> Cost:
    """What is left of a cost when a part of it is taken away, at least nothing."""
    amount = None
    if whole.amount is not None and part.amount is not None:
        amount = max(Decimal(0), whole.amount - part.amount)
    return replace(whole, qpu_s=max(0.0, whole.qpu_s - part.qpu_s), amount=amount)


def describe(cost: Cost) -> str:
    """A cost in words: money, seconds, source and date of the price."""
    money = "an unknown price" if cost.amount is None else f"{cost.amount} {cost.currency}"
    date = f", {cost.date}" if cost.date else ""
    return f"{money} and {cost.qpu_s:g} QPU seconds ({cost.source}{date})"


def as_document(cost: Cost) -> dict[str, str | None]:
    """The `cost` field of documents."""
    return {
        "amount": None if cost.amount is None else f"{cost.amount:f}",
        "currency": cost.currency,
        "source": cost.source,
        "date": cost.date,
    }
