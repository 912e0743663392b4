"""What a party holds, as it may be shown."""

from __future__ import annotations

import time
from typing import Any

from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.kme import master
from qlq.kme.database import FILE
from qlq.kme.store import KeyStore
from qlq.node.parties import party_folder
from qlq.qkd.duties import Party


def describe_keys(settings: Settings, party: str) -> list[dict[str, Any]]:
    """A party's keys without their bytes; empty where there is no store yet.

    Raises:
        ConfigError: No such party, or the store cannot be opened.
        KeyStoreDamaged: It was changed.
    """
    if party not in set(Party):
        raise ConfigError(f"unknown party {party!r}; known: {', '.join(Party)}")
    if settings.home.exists() and not settings.home.is_dir():
        raise ConfigError(f"the home {settings.home} is no folder: name another one with --home")
    folder = party_folder(settings.home, Party(party))
    if not (folder / FILE).exists():
        return []
    key = master.obtain(
        passphrase=settings.passphrase,
        data_folder=settings.home,
        settings_folder=settings.settings_folder,
    )
    now_s = int(time.time())
    with KeyStore(folder, key) as store:
        return [
            {
                "key_id": row.description.key_id,
                "peer": row.description.peer,
                "bits": row.description.length_bits,
                "state": row.state.value,
                "claim": row.description.worth.claim.label,
                "entropy_cap_bits": row.description.worth.entropy_cap_bits,
                "age_s": now_s - row.description.added_s,
            }
            for row in store.list()
        ]
