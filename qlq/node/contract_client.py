"""What a bound client of a contract is made of: `qlq contract bind` writes the rest.

class Lottery(Client):
    def enter(self, *, value: str | None = None, ...) -> int: ...

lottery = Lottery.at("qlqcontract1...", sender="alice")
lottery.enter(value="5", asset="GOLD")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, Self

from qlq import config
from qlq.config import Settings
from qlq.errors import CallFailed, ConfigError
from qlq.node import contract_events, contracting
from qlq.node.contracting import Order
from qlq.node.wallets import Purse


@dataclass(frozen=True, slots=True)
class Done:
    """What a call has done on the chain.

    Attributes:
        tx_id: The transaction.
        height: Its block.
        gas_used: Units.
        events: As documents.
    """

    tx_id: str
    height: int
    gas_used: int
    events: tuple[Mapping[str, Any], ...]


class Client:
    """A contract on the ledger of a home, as one of its accounts sees it.

    Attributes:
        address: Of the contract.
        last: What the last call that changed something did; None before it.
    """

    def __init__(
        self,
        address: str,
        *,
        sender: str | None,
        settings: Settings,
        passphrase: Callable[[], str],
    ) -> None:
        """The contract at an address; `at` reads settings and passphrase from the environment."""
        self.address = address
        self.last: Done | None = None
        self._sender, self._settings, self._passphrase = sender, settings, passphrase

    @classmethod
    def at(cls, address: str, *, sender: str | None = None, home: str | None = None) -> Self:
        """The contract at an address, for an account of this home.

        Args:
            address: Of the contract.
            sender: Name of the account that calls; None can only look.
            home: Folder of wallet and ledger; None takes the usual one.

        Raises:
            ConfigError: Settings cannot be used.
        """
        flags = {} if home is None else {"home": home}
        settings = config.load(flags=flags, environ=config.environment(), profile=None)
        return cls(
            address,
            sender=sender,
            settings=settings,
            passphrase=lambda: _passphrase(settings),
        )

    def events(self, name: str | None = None, *, since: int = 1) -> list[Mapping[str, Any]]:
        """Events of the contract, of one name or all, the oldest first."""
        found: list[Mapping[str, Any]] = contract_events.events(
            self.address, name=name, since=since, settings=self._settings, tell=_quiet
        )["events"]
        return found

    def _call(
        self,
        method: str,
        *arguments: Any,
        gas: int | None = None,
        value: str | None = None,
        asset: str = "QLQ",
    ) -> Any:
        """The result of a method as a document has it.

        Raises:
            CallFailed: The contract or the ledger refused.
        """
        order = Order(json.dumps([_plain(one) for one in arguments]), gas, value, asset)
        purse = None if self._sender is None else Purse(self._sender, self._passphrase)
        told = contracting.call(
            purse, self.address, method, order, settings=self._settings, tell=_quiet
        )
        if told["status"] != "ok":
            raise _failed(told)
        if told["tx_id"] is not None:
            self.last = Done(told["tx_id"], told["height"], told["gas_used"], tuple(told["events"]))
        return told["return"]


def _failed(told: Mapping[str, Any]) -> CallFailed:
    why = told["failure"]
    return CallFailed(
        why["message"],
        status=told["status"],
        reason=why["reason"],
        contract=why["contract"] or "the ledger",
        line=why["line"] or 0,
    )


def _plain(value: Any) -> Any:
    """A value of a client's types for JSON."""
    match value:
        case bytes():
            return value.hex()
        case IntEnum():
            return value.name
        case bool():
            return value
        case int():
            return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value


def _passphrase(settings: Settings) -> str:
    if settings.passphrase is None:
        raise ConfigError("a client signs with the wallet's passphrase: set QLQ_PASSPHRASE")
    return settings.passphrase


def _quiet(_: str) -> None:
    """A client is code of somebody who reads results."""
