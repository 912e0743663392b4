"""What texts mean on a home's ledger: accounts, contracts and assets by names, symbols or texts."""

from __future__ import annotations

from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.ledger import address, genesis, holdings, records
from qlq.ledger.address import Kind
from qlq.ledger.operations import NATIVE
from qlq.ledger.state import State
from qlq.node import wallets

ID_BYTES = 32


class HomeNames:
    """Names of one home and its ledger; a `contract_values.Names`."""

    def __init__(self, settings: Settings, state: State) -> None:
        """Look names up in this home's wallet and in this state."""
        self._settings, self._state = settings, state

    def address(self, text: str) -> bytes:
        """The address of an account of this home, or that a text names; raises ConfigError."""
        if text.lower().startswith(f"{Kind.CONTRACT.value}1"):
            return address.from_text(text, Kind.CONTRACT)
        return wallets.resolve(text, self._settings)

    def asset(self, text: str) -> bytes:
        """The asset of a symbol or of a text; raises ConfigError."""
        if text.lower().startswith(f"{Kind.ASSET.value}1"):
            return address.from_text(text, Kind.ASSET)
        return wallets.find_asset(self._state, text).id

    def show_address(self, account: bytes) -> str:
        """The text of a contract or an account."""
        is_contract = self._state.get(records.contract_key(account)) is not None
        return address.to_text(account, Kind.CONTRACT if is_contract else Kind.ACCOUNT)

    def show_asset(self, asset: bytes) -> str:
        """The symbol of an asset; the text of one that this ledger does not have."""
        if asset == NATIVE:
            return genesis.NATIVE_SYMBOL
        if self._state.get(records.asset_key(asset)) is None:
            return address.to_text(asset, Kind.ASSET)
        return holdings.find_asset(self._state, asset).symbol


def contract_of(text: str) -> bytes:
    """The address of a contract; raises ConfigError for other texts."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) == ID_BYTES:
        return raw
    try:
        return address.from_text(text, Kind.CONTRACT)
    except ConfigError as error:
        raise ConfigError(f"{text!r} is no contract's address: {error}") from error


def text_of(contract: bytes) -> str:
    """The text of a contract's address."""
    return address.to_text(contract, Kind.CONTRACT)
