"""What vendors ask for their machines: frozen tables with the source and the date of each price.

Prices change without notice and depend on contracts; an estimate is good for consent and for
comparing devices, the vendor's bill alone is binding. A device or plan that is not in the tables
has no price: nothing is guessed. All amounts are `Decimal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

CURRENCY = "USD"
_AWS = "Amazon Braket pricing page, on-demand"
_IBM = "IBM Quantum pricing page"


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """The price of a device that is paid by the task and the shot.

    Attributes:
        task: For each task, whatever it holds; a program set is one task.
        shot: For each shot.
        currency: ISO 4217 code.
        source: Who asks this price, and where.
        date: ISO date on which the price was seen.
    """

    task: Decimal
    shot: Decimal
    currency: str
    source: str
    date: str

    def amount(self, *, tasks: int, shots: int) -> Decimal:
        """What so many tasks with so many shots in all cost; raises ValueError below 0."""
        if tasks < 0 or shots < 0:
            raise ValueError(f"tasks and shots must not be negative: {tasks}, {shots}")
        return self.task * tasks + self.shot * shots


@dataclass(frozen=True, slots=True)
class TimePrice:
    """The price of a machine that is paid by time.

    Attributes:
        second: For each second of use.
        minimum_s: Seconds that are charged at least for each task.
        currency: ISO 4217 code.
        source: Who asks this price, and where.
        date: ISO date on which the price was seen.
    """

    second: Decimal
    minimum_s: Decimal
    currency: str
    source: str
    date: str

    def amount(self, *, seconds: Decimal) -> Decimal:
        """What so many seconds in one task cost; raises ValueError below 0."""
        if seconds < 0:
            raise ValueError(f"seconds must not be negative: {seconds}")
        return self.second * max(seconds, self.minimum_s)


_TASK = Decimal("0.30")
"""Amazon Braket asks the same for a task on every QPU."""

_SHOTS = {
    "aqt/ibex-q1": ("0.0235", "2026-06-30"),
    "ionq/aria-1": ("0.03", "2025-05-31"),
    "ionq/aria-2": ("0.03", "2025-05-31"),
    "ionq/forte-1": ("0.08", "2026-06-30"),
    "ionq/forte-enterprise-1": ("0.08", "2026-06-30"),
    "iqm/emerald": ("0.0016", "2026-06-30"),
    "iqm/garnet": ("0.00145", "2026-06-30"),
    "quera/aquila": ("0.01", "2026-06-30"),
    "rigetti/ankaa-3": ("0.0009", "2025-05-31"),
    "rigetti/cepheus-1-108q": ("0.000425", "2026-06-30"),
}
"""Dollars a shot by provider and device, and the end of the month in which the price was seen."""

_MINUTES = {"sv1": "0.075", "dm1": "0.075", "tn1": "0.275"}
"""Dollars a minute of Amazon's simulators, three seconds a task at least."""
_SIMULATOR_DATE = "2025-05-31"
_SIMULATOR_MINIMUM_S = Decimal(3)

_PLANS = {
    "open": "0",
    "pay-as-you-go": "1.60",
    "flex": "1.20",
    "premium": "0.80",
}
"""Dollars a QPU second: 0, 96, 72 and 48 a minute; flex and premium are bought in advance."""
_PLANS_DATE = "2026-05-25"


def braket_qpu_price(arn: str) -> TaskPrice | None:
    """The on-demand price of a QPU on Amazon Braket; None if it is not known.

    Args:
        arn: The device's ARN, for example `arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet`.

    Source:
        Amazon Braket pricing page, as others have quoted it by the date of the price.
    """
    known = _SHOTS.get(_after(arn, "device/qpu/"))
    if known is None:
        return None
    shot, date = known
    return TaskPrice(_TASK, Decimal(shot), CURRENCY, _AWS, date)


def braket_simulator_price(arn: str) -> TimePrice | None:
    """The price of one of Amazon's own simulators (SV1, DM1, TN1); None if it is not known.

    Source:
        Amazon Braket pricing page, as others have quoted it by the date of the price.
    """
    minute = _MINUTES.get(_after(arn, "device/quantum-simulator/amazon/"))
    if minute is None:
        return None
    second = Decimal(minute) / 60
    return TimePrice(second, _SIMULATOR_MINIMUM_S, CURRENCY, _AWS, _SIMULATOR_DATE)


def ibm_price(plan_name: str) -> TimePrice | None:
    """The price of a second on an IBM QPU under a plan; None if the plan is not known.

    Args:
        plan_name: As IBM names it, in any case and with blanks, underscores or hyphens: `open`,
            `pay-as-you-go` (also `payg`), `flex`, `premium`, with or without the word `plan`.

    Source:
        IBM Quantum pricing page and plan overview, as others have quoted them by the date of the
        price.
    """
    words = plan_name.lower().replace("_", " ").replace("-", " ").split()
    name = "-".join(word for word in words if word != "plan")
    second = _PLANS.get("pay-as-you-go" if name in {"payg", "paygo"} else name)
    if second is None:
        return None
    return TimePrice(Decimal(second), Decimal(0), CURRENCY, _IBM, _PLANS_DATE)


def _after(arn: str, marker: str) -> str:
    """What follows the marker in an ARN, in lower case; empty if it does not hold the marker."""
    if not arn.startswith("arn:aws:braket:"):
        return ""
    return arn.partition(marker)[2].lower()
