"""Bob as a state machine: `step(phase, event) -> (phase, messages, duties)`.

    Waiting --Commitment--> Receiving [UseLink] --Measured--> Announced --Selection--> Disclosed
    Disclosed --ReconciliationStart--> Correcting --ParityReply--> Correcting
    Correcting --Verification--> Agreed --Amplification--> Tagging [TakeTagKey]
    Tagging --TagKey--> Pending --TranscriptTag--> Checking [TakeTagKey]
    Checking --TagKey--> Confirmed [KeepKey]

An Abort of the peer ends every phase with PeerAborted; any other pair raises OutOfTurn. Bob's key
may be used in Confirmed only: he has then verified Alice's tag, which she makes after she has
verified his. Should her tag be lost, his key stays unusable.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qlq.errors import OutOfTurn, PeerAborted, require
from qlq.qkd import amplification, authentication, estimation, messages, sifting, verification
from qlq.qkd.duties import (
    Duty,
    Event,
    KeepKey,
    Measured,
    Party,
    TagKey,
    TakeTagKey,
    Transcript,
    UseLink,
)
from qlq.qkd.messages import (
    Abort,
    Acceptance,
    Amplification,
    Bases,
    Commitment,
    Disclosure,
    Message,
    ParityReply,
    ReconciliationDone,
    ReconciliationStart,
    Selection,
    TranscriptTag,
    Verification,
    Verified,
)
from qlq.qkd.parameters import Parameters, commitment_digest
from qlq.qkd.reconciliation import Asker
from qlq.qkd.settings import draw_settings


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Bob knows the parameters he is willing to use."""

    parameters: Parameters
    seed: bytes = field(repr=False)
    transcript: Transcript


@dataclass(frozen=True, slots=True, eq=False)
class Receiving(Waiting):
    """The link has his settings."""

    settings: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Announced(Receiving):
    """All pulses are measured and his settings are out."""

    bits: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Disclosed(Waiting):
    """His bits of the disclosed rounds are out."""

    found: estimation.Estimate
    key: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Correcting(Waiting):
    """He looks for errors in his key. `asker` has no question left when he says so."""

    asker: Asker = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Agreed(Waiting):
    """Both keys have the same hash."""

    key: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Tagging(Waiting):
    """His secret key exists; the key for his tag is being taken from the pool."""

    secret: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Pending(Waiting):
    """His tag is out; he waits for Alice's."""

    secret: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Checking(Waiting):
    """Alice's tag is here; the key to check it is being taken from the pool."""

    secret: NDArray[np.uint8] = field(repr=False)
    tag: TranscriptTag


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed(Waiting):
    """Alice has accepted; the key has been handed over."""


Phase = (
    Waiting
    | Receiving
    | Announced
    | Disclosed
    | Correcting
    | Agreed
    | Tagging
    | Pending
    | Checking
    | Confirmed
)
Step = tuple[Phase, list[Message], list[Duty]]


def start(parameters: Parameters, *, seed: bytes) -> Step:
    """The first phase: waiting for a proposal that equals these parameters."""
    return Waiting(parameters, seed, Transcript()), [], []


def step(phase: Phase, event: Event) -> Step:
    """The next phase, messages for Alice, and duties for his own side.

    Raises:
        ProtocolAbort: The key must die; tell Alice and drop the phase.
        RemoteMisuse: Alice sent what she must not send.
    """
    if not isinstance(event, Measured | TagKey):
        if isinstance(event, Abort):
            raise PeerAborted(f"Alice ended the session: {event.reason}")
        heard = phase.transcript.add(Party.ALICE, messages.encode(event))
        phase = replace(phase, transcript=heard)
    match phase, event:
        case Announced(), Selection():
            return _disclose(phase, event)
        case Receiving(), Measured(bits) if not isinstance(phase, Announced):
            return _announce(phase, bits)
        case Disclosed(), ReconciliationStart(seed):
            return _start_correction(phase, seed)
        case Correcting(), ParityReply():
            phase.asker.absorb(event)
            return _ask(phase)
        case Correcting(), Verification():
            return _verify(phase, event)
        case Agreed(), Amplification(seed):
            return _amplify(phase, seed)
        case Tagging(), TagKey(offset_bits, key):
            tag = authentication.tag(phase.transcript, key=key)
            pending = Pending(*_base(phase), phase.secret)
            return _say(pending, TranscriptTag(offset_bits=offset_bits, tag=tag))
        case Pending(), TranscriptTag():
            wanted = TakeTagKey(Party.ALICE, event.offset_bits)
            return Checking(*_base(phase), phase.secret, event), [], [wanted]
        case Checking(), TagKey():
            return _confirm(phase, event)
        case Waiting(), Commitment(proposal) if type(phase) is Waiting:
            require(proposal == phase.parameters, "Alice proposes other parameters")
            return _receive(phase)
        case _:
            raise OutOfTurn(f"{type(event).__name__} while {type(phase).__name__}")


def _base(phase: Waiting) -> tuple[Parameters, bytes, Transcript]:
    return phase.parameters, phase.seed, phase.transcript


def _say(phase: Phase, message: Message, *duties: Duty) -> Step:
    """The phase with the message in its transcript, the message, and the duties."""
    said = phase.transcript.add(Party.BOB, messages.encode(message))
    return replace(phase, transcript=said), [message], list(duties)


def _receive(phase: Waiting) -> Step:
    parameters = phase.parameters
    settings = draw_settings(
        phase.seed, thresholds=parameters.bob_thresholds, count=parameters.pulses
    )
    receiving = Receiving(*_base(phase), settings)
    return _say(receiving, Acceptance(commitment_digest(parameters)), UseLink(settings))


def _announce(phase: Receiving, bits: NDArray[np.uint8] | None) -> Step:
    if bits is None or bits.shape != phase.settings.shape:
        raise ValueError("the link must give Bob one outcome for each pulse")
    packed = messages.pack_settings(
        phase.settings, settings_count=len(phase.parameters.bob_thresholds)
    )
    return _say(Announced(*_base(phase), phase.settings, bits), Bases(packed))


def _disclose(phase: Announced, chosen: Selection) -> Step:
    parameters = phase.parameters
    alice = messages.unpack_settings(
        chosen.settings,
        count=parameters.pulses,
        settings_count=len(parameters.alice_thresholds),
    )
    roles = unpack_roles(parameters, alice, phase.settings, chosen)
    shown = sifting.is_disclosed(roles)
    own = phase.bits[shown]
    disclosed = estimation.Disclosed(
        alice=alice,
        bob=phase.settings,
        roles=roles,
        alice_bits=messages.unpack(chosen.bits, count=own.size),
        bob_bits=own,
    )
    found = estimation.estimate(parameters, disclosed)
    key = phase.bits[roles == sifting.Role.KEY]
    return _say(Disclosed(*_base(phase), found, key), Disclosure(messages.pack(own)))


def unpack_roles(
    parameters: Parameters,
    alice: NDArray[np.uint8],
    bob: NDArray[np.uint8],
    chosen: Selection,
) -> NDArray[np.uint8]:
    """The role of each round as Alice's message states it; raises RemoteMisuse if it may not."""
    matched = sifting.match(parameters, alice, bob)
    masks = sifting.Masks(
        key=messages.unpack(chosen.key_mask, count=matched.key.size).view(np.bool_),
        rate=messages.unpack(chosen.rate_mask, count=matched.key.size).view(np.bool_),
        test=messages.unpack(chosen.test_mask, count=matched.test.size).view(np.bool_),
    )
    return sifting.assign(parameters, alice, bob, masks)


def _start_correction(phase: Disclosed, seed: bytes) -> Step:
    estimation.judge(phase.parameters, phase.found)
    require(phase.parameters.secret_bits > 0, "reconciliation of a key that leaves no bit")
    qber = estimation.reconciliation_qber(phase.parameters, phase.found)
    asker = Asker.start(phase.parameters, phase.key, seed=seed, qber=qber)
    return _ask(Correcting(*_base(phase), asker))


def _ask(phase: Correcting) -> Step:
    asker, request = phase.asker.ask()
    message = request or ReconciliationDone(corrected_bits=asker.corrector.corrections)
    return _say(replace(phase, asker=asker), message)


def _verify(phase: Correcting, message: Verification) -> Step:
    require(phase.asker.open_count == 0, "verification before the end of reconciliation")
    key, tag_bits = phase.asker.corrector.corrected, phase.parameters.tag_bits
    count = verification.seed_length_bits(key_bits=key.size, tag_bits=tag_bits)
    verification.verify(
        key,
        seed=messages.unpack(message.seed, count=count),
        received=messages.unpack(message.tag, count=tag_bits),
    )
    return _say(Agreed(*_base(phase), key), Verified())


def _amplify(phase: Agreed, packed: bytes) -> Step:
    length = phase.parameters.secret_bits
    count = amplification.seed_length_bits(key_bits=phase.key.size, length_bits=length)
    seed = messages.unpack(packed, count=count)
    secret = amplification.amplify(phase.key, seed=seed, length_bits=length)
    return Tagging(*_base(phase), secret), [], [TakeTagKey(Party.BOB, None)]


def _confirm(phase: Checking, taken: TagKey) -> Step:
    require(taken.offset_bits == phase.tag.offset_bits, "a tag key from another offset")
    said = Transcript(phase.transcript.entries[:-1])
    authentication.verify(said, key=taken.key, tag=phase.tag.tag)
    return Confirmed(*_base(phase)), [], [KeepKey(phase.secret)]
