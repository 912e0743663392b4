"""Write a session into an archive, and check an archive from its own files.

Without `secrets/` the check is public: the transcript alone gives every count, error rate, CHSH
value, leakage and length. With it both parties run again from their seeds and the recorded
outcomes, and must say the same bytes.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from qlq.archive import document, folder
from qlq.circuit import load
from qlq.errors import InvariantBroken, require
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qkd import messages, record
from qlq.qkd.duties import Party, TagKey, Transcript
from qlq.qkd.parameters import Parameters

_TAG_KEY = struct.Struct("<Q32s")
PACKAGES = ("qlq", "numpy", "scipy", "numba", "qiskit", "qiskit-aer", "cryptography", "msgspec")


@dataclass(frozen=True, slots=True, eq=False)
class Secrets:
    """What both parties need to run again. `repr` shows none of it.

    Attributes:
        alice_seed: 32 bytes.
        bob_seed: 32 bytes.
        alice_bits: uint8 (pulses), her outcomes; None where she prepared.
        bob_bits: uint8 (pulses), his outcomes.
        tag_keys: The one-time keys of both tags, by their sender.
    """

    alice_seed: bytes = field(repr=False)
    bob_seed: bytes = field(repr=False)
    alice_bits: NDArray[np.uint8] | None = field(repr=False)
    bob_bits: NDArray[np.uint8] = field(repr=False)
    tag_keys: Mapping[Party, TagKey] = field(repr=False)

    def pack(self) -> dict[str, bytes]:
        """Contents by file name."""
        packed = {
            "alice_seed.bin": self.alice_seed,
            "bob_seed.bin": self.bob_seed,
            "bob_bits.bin": messages.pack(self.bob_bits),
            "tag_keys.bin": b"".join(
                _TAG_KEY.pack(self.tag_keys[p].offset_bits, self.tag_keys[p].key) for p in Party
            ),
        }
        if self.alice_bits is not None:
            packed["alice_bits.bin"] = messages.pack(self.alice_bits)
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, bytes], *, pulses: int) -> Secrets:
        """The secrets in these files; raises RemoteMisuse or KeyError for other contents."""
        alice_bits = packed.get("alice_bits.bin")
        size = len(packed["tag_keys.bin"])
        require(size == _TAG_KEY.size * len(Party), f"{size} bytes are not two tag keys")
        keys = list(_TAG_KEY.iter_unpack(packed["tag_keys.bin"]))
        return cls(
            alice_seed=packed["alice_seed.bin"],
            bob_seed=packed["bob_seed.bin"],
            alice_bits=None if alice_bits is None else messages.unpack(alice_bits, count=pulses),
            bob_bits=messages.unpack(packed["bob_bits.bin"], count=pulses),
            tag_keys={party: TagKey(*key) for party, key in zip(Party, keys, strict=True)},
        )


def write(
    path: Path,
    *,
    parameters: Parameters,
    result: Mapping[str, Any],
    outcome: document.Outcome,
    transcript: Transcript,
    found: record.Record,
    secrets: Secrets | None,
) -> None:
    """Write an archive; see `folder.write` for errors."""
    manifest = {
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "parameters": msgspec.to_builtins(parameters),
        "result": dict(result),
        "blocks": document.blocks(parameters, found),
        "jobs": [job_document(provenance) for provenance in outcome.provenances],
        "inputs": {
            "order_seed": outcome.order_seed,
            "eps_earlier": outcome.eps_earlier,
            "bootstrap_bits": outcome.bootstrap_bits,
            "reserved_bits": outcome.reserved_bits,
            "key_id": outcome.key_id,
            "reproducible": outcome.reproducible,
            "abort": outcome.abort,
            "eve": outcome.eve,
            **_attempts(outcome),
        },
        "mitigation": "none",
        "versions": _versions(),
    }
    folder.write(
        path,
        public={folder.TRANSCRIPT: folder.pack_transcript(transcript)},
        secret=secrets.pack() if secrets else {},
        manifest=manifest,
    )


def _attempts(outcome: document.Outcome) -> dict[str, Any]:
    if outcome.attempts is None:
        return {}
    return {"attempts": [dict(attempt) for attempt in outcome.attempts]}


def job_document(provenance: Provenance) -> dict[str, Any]:
    """The provenance of a job as JSON; `provenance_of` reads it back."""
    fields: dict[str, Any] = asdict(provenance)
    fields["claim"] = provenance.claim.name
    fields["sdk"] = dict(provenance.sdk)
    plain: dict[str, Any] = json.loads(json.dumps(fields, sort_keys=True))
    return plain


def provenance_of(job: Mapping[str, Any]) -> Provenance:
    """The provenance that `session.json` describes."""
    return Provenance(
        **{
            **job,
            "tier": Tier(job["tier"]),
            "claim": Claim[job["claim"]],
            "kind": Kind(job["kind"]),
            "qubits": tuple(job["qubits"]),
        }
    )


def known_program_digests() -> frozenset[str]:
    """Digests of the circuits that QKD sessions run."""
    return frozenset(load(name).digest for name in ("bb84", "e91"))


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise InvariantBroken(f"the package {package} is a dependency") from error
    return found
