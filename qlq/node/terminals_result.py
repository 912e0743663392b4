"""What a party puts away at the end of a session, and what it tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qlq.archive import document, session
from qlq.errors import InvariantBroken, RemoteMisuse
from qlq.keys import SecretKey
from qlq.node.terminals_pairing import Belongings
from qlq.node.terminals_talk import Talk
from qlq.provenance import Provenance
from qlq.qkd import record, worth
from qlq.qkd.authentication import TAG_KEY_BITS


@dataclass(frozen=True, slots=True)
class Facts:
    """What a party knows of its session beside the messages.

    Attributes:
        backend: The link's backend, as the link names it.
        jobs: Provenance of the link's jobs; empty before there were any.
        order_seed: Seed of the public shuffle of rows.
        bootstrap_bits: Tag-key bits from outside that the session spent.
    """

    backend: str
    jobs: tuple[Provenance, ...]
    order_seed: int
    bootstrap_bits: int


def finish(
    talk: Talk, facts: Facts, belongings: Belongings, *, archive: Path | None
) -> dict[str, Any]:
    """Store the party's key, if there is one, and return its document without `timing`.

    Raises:
        ConfigError: The store or the archive cannot be written; no key was stored.
        KeyStoreError: The store refuses the key.
    """
    schema = f"qlq.qkd.{talk.party.value}/1"
    common = {"party": talk.party.value, "pairing": belongings.pairing_id}
    found = _read(talk)
    if not facts.jobs or found is None:
        return {"schema": schema, **common, **_short(talk, facts), "archive": None}
    pair = belongings.pair
    tags = 0 if talk.key is None else pair.top_up_tags(talk.parameters.secret_bits)
    outcome = document.Outcome(
        provenances=facts.jobs,
        order_seed=facts.order_seed,
        eps_earlier=pair.eps_earlier,
        bootstrap_bits=facts.bootstrap_bits,
        reserved_bits=2 * tags * TAG_KEY_BITS,
        key_id=None if talk.key is None else record.key_id(talk.transcript),
        reproducible=False,
        abort=talk.abort,
        eve=None,
        attempts=[],
    )
    result = document.build(talk.parameters, found, outcome)
    if archive is not None:
        session.write(
            archive,
            parameters=talk.parameters,
            result=result,
            outcome=outcome,
            transcript=talk.transcript,
            found=found,
            secrets=None,
        )
    if talk.key is not None:
        _put_away(talk, outcome, result, belongings, tags=tags)
    del result["eve"]  # a party does not know who is in the link
    where = None if archive is None else str(archive)
    return {**result, "schema": schema, **common, "archive": where}


def _read(talk: Talk) -> record.Record | None:
    """The public figures, as far as the messages can be read."""
    try:
        return record.read(talk.parameters, talk.transcript)
    except RemoteMisuse:
        if talk.abort is None:
            raise InvariantBroken("a good end with messages that cannot be read") from None
        return None


def _short(talk: Talk, facts: Facts) -> dict[str, Any]:
    """A session that ended before there was anything to say of it."""
    return {
        "protocol": talk.parameters.protocol.value,
        "backend": facts.backend,
        "provenance": None,
        "pulses": talk.parameters.pulses,
        "qber_max": talk.parameters.qber_max,
        "secret_bits": 0,
        "net_bits": 0,
        "key_id": None,
        "aborted": talk.abort,
    }


def _put_away(
    talk: Talk,
    outcome: document.Outcome,
    result: Mapping[str, Any],
    belongings: Belongings,
    *,
    tags: int,
) -> None:
    """Store the key, and fill the pool from its front, as the other party does."""
    bits, front = talk.key, 2 * tags * TAG_KEY_BITS
    if bits is None or outcome.key_id is None:
        raise InvariantBroken("a good end without a key")
    eps = result["finite_key"]
    key = SecretKey(
        material=np.packbits(bits[front:]).tobytes(),
        length_bits=bits.size - front,
        key_id=outcome.key_id,
        eps_sec=eps["eps_sec"],
        eps_cor=eps["eps_cor"],
        eps_auth=eps["eps_auth"] + eps["eps_earlier"],
        provenance=outcome.provenances[0],
        worth=worth.value(talk.parameters, outcome.provenances, reproducible=False),
    )
    belongings.pair.keep({talk.party: key})
    belongings.pair.top_up(
        np.packbits(bits[:front]).tobytes(),
        tags=tags,
        eps=eps["eps_total"],
        source=outcome.key_id,
    )
