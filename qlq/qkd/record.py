"""What a transcript says to anyone who reads it: counts, error rates, leakage.

The parties, the result of a session and the check of an archive all take their public figures
from here, so that they cannot differ.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TypeVar

from qlq.crypto import digest
from qlq.errors import RemoteMisuse
from qlq.numerics.entropy import binary_entropy
from qlq.qkd import authentication, bob, estimation, messages, sifting
from qlq.qkd.duties import Party, Transcript
from qlq.qkd.parameters import Parameters

KEY_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:qlq:key")


@dataclass(frozen=True, slots=True, eq=False)
class Leakage:
    """What reconciliation revealed, counted message by message.

    Attributes:
        alice_bits: Parities that Alice sent.
        bob_bits: Parities that Bob sent.
        messages: Messages of both parties in this phase.
        corrected_bits: Errors that Bob corrected; None before the end.
    """

    alice_bits: int
    bob_bits: int
    messages: int
    corrected_bits: int | None

    @property
    def leak_ec_bits(self) -> int:
        """All revealed bits: what the key length is charged with."""
        return self.alice_bits + self.bob_bits

    def efficiency(self, key_bits: int) -> float | None:
        """Alice's bits by n h(Q), as published tables count; None without errors."""
        if not self.corrected_bits:
            return None
        return self.alice_bits / (key_bits * binary_entropy(self.corrected_bits / key_bits))


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """The public figures of a session, as far as it came.

    Attributes:
        sifted_bits: Rounds with equal settings that could make or test a key.
        disclosed: Settings, roles and disclosed bits; None if it did not come so far.
        estimate: Error rates and CHSH value; None likewise.
        leakage: Counted from the parity messages.
        tags: Number of transcript tags sent.
        eps_auth: Sum of the tags' epsilons.
        abort_reason: Reason in the Abort message; None after a good end.
        aborted_by: Who sent it.
    """

    sifted_bits: int
    disclosed: estimation.Disclosed | None
    estimate: estimation.Estimate | None
    leakage: Leakage
    tags: int
    eps_auth: float
    abort_reason: str | None
    aborted_by: Party | None


def read(parameters: Parameters, transcript: Transcript) -> Record:
    """Public figures of a transcript; raises RemoteMisuse where a message cannot be read."""
    said = [(sender, messages.decode(data)) for sender, data in transcript.entries]
    disclosed, sifted_bits = _disclosed(parameters, said)
    tagged = [m for _, m in said if isinstance(m, messages.TranscriptTag)]
    aborted = [(sender, m) for sender, m in said if isinstance(m, messages.Abort)]
    return Record(
        sifted_bits=sifted_bits,
        disclosed=disclosed,
        estimate=None if disclosed is None else estimation.estimate(parameters, disclosed),
        leakage=_leakage(said),
        tags=len(tagged),
        eps_auth=len(tagged) * authentication.eps_auth(len(authentication.framed(transcript))),
        abort_reason=aborted[0][1].reason if aborted else None,
        aborted_by=aborted[0][0] if aborted else None,
    )


def key_id(transcript: Transcript) -> str:
    """The id that both parties give their key: a UUID made from their common transcript."""
    framed = authentication.framed(transcript)
    return str(uuid.uuid5(KEY_NAMESPACE, digest.sha256(framed).hex()))


Said = list[tuple[Party, messages.Message]]
M = TypeVar("M")


def _only(said: Said, kind: type[M]) -> M | None:
    found = [m for _, m in said if isinstance(m, kind)]
    if len(found) > 1:
        raise RemoteMisuse(f"{len(found)} messages {kind.__name__}")
    return found[0] if found else None


def _disclosed(parameters: Parameters, said: Said) -> tuple[estimation.Disclosed | None, int]:
    bases, chosen = _only(said, messages.Bases), _only(said, messages.Selection)
    shown_by_bob = _only(said, messages.Disclosure)
    if bases is None or chosen is None:
        return None, 0
    count = parameters.pulses
    b = messages.unpack_settings(
        bases.settings, count=count, settings_count=len(parameters.bob_thresholds)
    )
    a = messages.unpack_settings(
        chosen.settings, count=count, settings_count=len(parameters.alice_thresholds)
    )
    roles = bob.unpack_roles(parameters, a, b, chosen)
    matched = sifting.match(parameters, a, b)
    sifted_bits = matched.count
    if shown_by_bob is None:
        return None, sifted_bits
    shown = int(sifting.is_disclosed(roles).sum())
    disclosed = estimation.Disclosed(
        alice=a,
        bob=b,
        roles=roles,
        alice_bits=messages.unpack(chosen.bits, count=shown),
        bob_bits=messages.unpack(shown_by_bob.bits, count=shown),
    )
    return disclosed, sifted_bits


def _leakage(said: Said) -> Leakage:
    alice_bits = bob_bits = count = asked = 0
    corrected: int | None = None
    for _, message in said:
        match message:
            case messages.ParityRequest():
                asked = len(message.starts) // 4
                bob_bits += asked
            case messages.ParityReply():
                alice_bits += asked
            case messages.ReconciliationDone(corrected_bits):
                corrected = corrected_bits
            case messages.ReconciliationStart():
                pass
            case _:
                continue
        count += 1
    return Leakage(alice_bits, bob_bits, count, corrected)
