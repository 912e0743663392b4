"""An account of the IBM Quantum Platform: its devices, its plan, what its seconds cost."""

from __future__ import annotations

import math
import time
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from qlq.backends import answers, ibm_errors, prices, registry
from qlq.backends.port import Cost, Doing, TransientError
from qlq.backends.prices import CURRENCY
from qlq.errors import BackendUnavailable

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

LEAST_BUSY = "least_busy"
ALLOWANCE_S = 60.0
"""How long an account that had QPU time left counts as having some."""
VENDOR_URL = "https://cloud.ibm.com"
"""The only address from which the client derives IBM's own endpoints."""

_NO_TIME_LEFT = r"(This instance has met its usage limit|There is currently no more time available)"


class Account:
    """One account with one instance; opened with `open_account`.

    Args:
        service: The client's object of the account.
    """

    def __init__(self, service: QiskitRuntimeService) -> None:
        """Read the plan; nothing is sent."""
        self.service = service
        active = service.active_account() or {}
        self.is_vendors = str(active.get("url", "")).rstrip("/") == VENDOR_URL
        """Whether the endpoint is IBM's own; anything else may be a simulator."""
        self._allowed_s = -math.inf

    def device(self, name: str) -> Any:
        """The client's object of a device, or of the one with the shortest queue.

        Raises:
            BackendUnavailable: There is none of this name, or it cannot be asked.
            TransientError: The account's devices are not to be seen now.
        """
        from qiskit.providers.exceptions import QiskitBackendNotFoundError

        what = f"device {name}"
        with (
            answers.decoded(what, doing=Doing.OPEN),
            ibm_errors.translated(what, doing=Doing.OPEN),
        ):
            if name == LEAST_BUSY:
                return self._least_busy()
            try:
                return self.service.backend(name)
            except QiskitBackendNotFoundError as error:
                known = [str(device.name) for device in self.service.backends()]
                if not known:
                    self._least_busy()  # says why, where the list of devices hides it
                if not known or name in known:
                    raise TransientError(f"IBM did not show {name!r} when it was asked") from error
                raise BackendUnavailable(
                    f"no device {name!r} for this account; {registry.nearest(name, known)}"
                ) from error

    def _least_busy(self) -> Any:
        """The device with the shortest queue.

        Where a request for devices fails the client sees none, and says no more.

        Raises:
            TransientError: The client sees no device.
        """
        from qiskit.providers.exceptions import QiskitBackendNotFoundError

        try:
            return self.service.least_busy()
        except QiskitBackendNotFoundError as error:
            raise TransientError(
                "IBM shows no device that this account could use now: they may be offline, or the "
                "account's requests throttled"
            ) from error

    def require_allowance(self) -> None:
        """Raise BackendUnavailable if the instance has no QPU time left.

        The client only warns, and the job would wait until time is made available. An answer holds
        for a minute: it costs a request.
        """
        now_s = time.monotonic()
        if now_s - self._allowed_s < ALLOWANCE_S:
            return
        usage = self.service.usage()
        if usage.get("usage_limit_reached"):
            left = usage.get("usage_remaining_seconds", 0)
            raise BackendUnavailable(
                f"this instance's plan has no QPU time left ({left} s): a job would wait until "
                "there is some; choose another instance or backend"
            )
        self._allowed_s = now_s

    def cost(self, qpu_s: float) -> Cost:
        """What seconds of QPU time cost on this instance's plan.

        Args:
            qpu_s: Seconds, at least 0.
        """
        plan, pricing = self._plan()
        if pricing == "free":
            return Cost(qpu_s, Decimal(0), CURRENCY, f"IBM plan {plan!r}, free of charge", None)
        price = prices.ibm_price(plan)
        if price is None:
            return Cost(qpu_s, None, CURRENCY, f"IBM plan {plan!r}: price not known", None)
        amount = price.amount(seconds=Decimal(str(qpu_s)))
        return Cost(qpu_s, amount, price.currency, f"{price.source}, plan {plan!r}", price.date)

    def _plan(self) -> tuple[str, str]:
        """Name and pricing of the active instance's plan, as the catalogue words them."""
        active = self.service.active_instance()
        for instance in self.service.instances():
            if instance["crn"] == active:
                return str(instance["plan"]), str(instance["pricing_type"])
        return "unknown", "unknown"


def open_account(instance: str | None) -> Account:
    """The account that the client finds in its environment or in its file.

    Args:
        instance: Name of an instance; None for the account's own choice.

    Raises:
        BackendUnavailable: There is no account, or IBM does not take it, or cannot be reached.
    """
    from qiskit_ibm_runtime import QiskitRuntimeService

    ibm_errors.SECRECY.keep(())
    # `require_allowance` says it without the resource name that this warning holds
    warnings.filterwarnings("ignore", message=_NO_TIME_LEFT, category=UserWarning)
    what = "IBM Quantum account"
    with answers.decoded(what, doing=Doing.OPEN), ibm_errors.translated(what, doing=Doing.OPEN):
        service = QiskitRuntimeService(instance=instance)
        ibm_errors.SECRECY.keep([(service.active_account() or {}).get("token")])
        return Account(service)
