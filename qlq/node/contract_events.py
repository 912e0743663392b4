"""What a contract has told, from all final blocks."""

from __future__ import annotations

from typing import Any

from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.node import chains, contract_documents, contract_names, wallets
from qlq.node.contract_desk import Desk, Tell


def events(
    contract: str, *, name: str | None, since: int, settings: Settings, tell: Tell
) -> dict[str, Any]:
    """Events of a contract, the oldest first; the document of `contract events`.

    Args:
        contract: Its address, or `last`.
        name: Of the events; None for all.
        since: First height that counts.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: No such contract, or no event of this name.
        LedgerDamaged: The file was changed.
    """
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        desk = Desk(validator, settings, tell)
        place = desk.contract(contract)
        compiled = desk.code(place)
        first = max(since, validator.store.base_height + 1)
        found = [
            {
                "height": stored.block.header.height,
                "tx_id": receipt.transaction.hex(),
                **contract_documents.event_document(compiled, event, desk.names),
            }
            for stored in validator.store.blocks(first)
            for receipt in stored.receipts
            for event in receipt.events
            if event.emitter == place and name in (None, event.name)
        ]
        declared = [event.name for event in compiled.program.events]
        if name is not None and not found and name not in declared:
            listed = ", ".join(declared) or "none"
            raise ConfigError(f"{compiled.program.name} has no event {name!r}; it has {listed}")
        return {"contract": contract_names.text_of(place), "events": found}
