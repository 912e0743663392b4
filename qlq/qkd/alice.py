"""Alice as a state machine: `step(phase, event) -> (phase, messages, duties)`.

    Proposed --Acceptance--> Preparing [UseLink] --Measured--> Sent --Bases--> Sifted
    Sifted --Disclosure--> Answering --ParityRequest--> Answering
    Answering --ReconciliationDone--> Verifying --Verified--> Amplified
    Amplified --TranscriptTag--> Checking [TakeTagKey] --TagKey--> Tagging [TakeTagKey]
    Tagging --TagKey--> Confirmed [KeepKey]

An Abort of the peer ends every phase with PeerAborted; any other pair raises OutOfTurn. Her key
may be used in Confirmed only: she has then verified Bob's tag, which he makes after he has his
key, so that he has accepted. A phase is a value: the caller drops it after an error, and with it
the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qlq.crypto import stream
from qlq.errors import KeyTooShort, OutOfTurn, PeerAborted, require
from qlq.qkd import (
    amplification,
    authentication,
    bb84,
    estimation,
    messages,
    sifting,
    verification,
)
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
    ParityRequest,
    ReconciliationDone,
    ReconciliationStart,
    Selection,
    TranscriptTag,
    Verification,
    Verified,
)
from qlq.qkd.parameters import Parameters, Protocol, commitment_digest
from qlq.qkd.reconciliation import Answerer
from qlq.qkd.settings import draw_bits, draw_seed_bits, draw_settings

CASCADE_SEED_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """The parameters are on their way to Bob."""

    parameters: Parameters
    seed: bytes = field(repr=False)
    transcript: Transcript


@dataclass(frozen=True, slots=True, eq=False)
class Preparing(Proposed):
    """The link has her inputs. `bits` are the ones she prepared (BB84)."""

    settings: NDArray[np.uint8] = field(repr=False)
    bits: NDArray[np.uint8] | None = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Sent(Proposed):
    """All pulses are through; she has a raw key."""

    settings: NDArray[np.uint8] = field(repr=False)
    bits: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Sifted(Sent):
    """The rounds are chosen and her disclosed bits are out."""

    bob_settings: NDArray[np.uint8]
    roles: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answering(Proposed):
    """Bob asks for parities of her sifted key."""

    answerer: Answerer = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Verifying(Proposed):
    """Bob compares the hash of the keys."""

    key: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Amplified(Proposed):
    """Her secret key exists; nothing may use it yet."""

    secret: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Checking(Amplified):
    """Bob's tag is here; the key to check it is being taken from the pool."""

    tag: TranscriptTag


@dataclass(frozen=True, slots=True, eq=False)
class Tagging(Amplified):
    """Bob's tag fits; the key for her own is being taken from the pool."""


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed(Proposed):
    """Bob has accepted; the key has been handed over."""


Phase = (
    Proposed
    | Preparing
    | Sent
    | Sifted
    | Answering
    | Verifying
    | Amplified
    | Checking
    | Tagging
    | Confirmed
)
Step = tuple[Phase, list[Message], list[Duty]]


def start(parameters: Parameters, *, seed: bytes) -> Step:
    """The first phase, and the proposal for Bob."""
    proposal = Commitment(parameters)
    return _say(Proposed(parameters, seed, Transcript()), proposal)


def step(phase: Phase, event: Event) -> Step:
    """The next phase, messages for Bob, and duties for her own side.

    Raises:
        ProtocolAbort: The key must die; tell Bob and drop the phase.
        RemoteMisuse: Bob sent what he must not send.
    """
    if not isinstance(event, Measured | TagKey):
        if isinstance(event, Abort):
            raise PeerAborted(f"Bob ended the session: {event.reason}")
        heard = phase.transcript.add(Party.BOB, messages.encode(event))
        phase = replace(phase, transcript=heard)
    match phase, event:
        case Preparing(), Measured(bits):
            return _sent(phase, bits), [], []
        case Sifted(), Disclosure(bits):
            return _start_reconciliation(phase, bits)
        case Sent(), Bases(settings) if not isinstance(phase, Sifted):
            return _choose_rounds(phase, settings)
        case Answering(), ParityRequest():
            return _say(phase, phase.answerer.answer(event))
        case Answering(), ReconciliationDone(count):
            require(0 <= count <= phase.answerer.key.size, f"{count} corrected bits")
            return _verify(phase)
        case Verifying(), Verified():
            return _amplify(phase)
        case Checking(), TagKey():
            return _check_tag(phase, event)
        case Tagging(), TagKey():
            return _confirm(phase, event)
        case Amplified(), TranscriptTag() if type(phase) is Amplified:
            wanted = TakeTagKey(Party.BOB, event.offset_bits)
            checking = Checking(*_base(phase), phase.secret, event)
            return checking, [], [wanted]
        case Proposed(), Acceptance(agreed) if type(phase) is Proposed:
            require(agreed == commitment_digest(phase.parameters), "Bob has other parameters")
            return _prepare(phase)
        case _:
            raise OutOfTurn(f"{type(event).__name__} while {type(phase).__name__}")


def _base(phase: Proposed) -> tuple[Parameters, bytes, Transcript]:
    return phase.parameters, phase.seed, phase.transcript


def _say(phase: Phase, message: Message, *duties: Duty) -> Step:
    """The phase with the message in its transcript, the message, and the duties."""
    said = phase.transcript.add(Party.ALICE, messages.encode(message))
    return replace(phase, transcript=said), [message], list(duties)


def _prepare(phase: Proposed) -> Step:
    parameters = phase.parameters
    count = parameters.pulses
    settings = draw_settings(phase.seed, thresholds=parameters.alice_thresholds, count=count)
    if parameters.protocol is Protocol.E91:
        return Preparing(*_base(phase), settings, None), [], [UseLink(settings)]
    bits = draw_bits(phase.seed, count=count)
    inputs = bb84.alice_inputs(settings, bits)
    return Preparing(*_base(phase), settings, bits), [], [UseLink(inputs)]


def _sent(phase: Preparing, measured: NDArray[np.uint8] | None) -> Sent:
    bits = phase.bits if phase.bits is not None else measured
    if bits is None or bits.shape != phase.settings.shape:
        raise ValueError("the link must give Alice one outcome for each pair she measured")
    return Sent(*_base(phase), phase.settings, bits)


def _choose_rounds(phase: Sent, packed: bytes) -> Step:
    parameters = phase.parameters
    count = parameters.pulses
    bob = messages.unpack_settings(
        packed, count=count, settings_count=len(parameters.bob_thresholds)
    )
    matched = sifting.match(parameters, phase.settings, bob)
    masks = sifting.select(parameters, matched, seed=phase.seed)
    roles = sifting.assign(parameters, phase.settings, bob, masks)
    sifted = Sifted(*_base(phase), phase.settings, phase.bits, bob, roles)
    return _say(
        sifted,
        Selection(
            settings=messages.pack_settings(
                phase.settings, settings_count=len(parameters.alice_thresholds)
            ),
            key_mask=messages.pack(masks.key.view(np.uint8)),
            rate_mask=messages.pack(masks.rate.view(np.uint8)),
            test_mask=messages.pack(masks.test.view(np.uint8)),
            bits=messages.pack(phase.bits[sifting.is_disclosed(roles)]),
        ),
    )


def _start_reconciliation(phase: Sifted, packed: bytes) -> Step:
    parameters = phase.parameters
    shown = sifting.is_disclosed(phase.roles)
    disclosed = estimation.Disclosed(
        alice=phase.settings,
        bob=phase.bob_settings,
        roles=phase.roles,
        alice_bits=phase.bits[shown],
        bob_bits=messages.unpack(packed, count=int(shown.sum())),
    )
    found = estimation.estimate(parameters, disclosed)
    estimation.judge(parameters, found)
    if parameters.secret_bits < 1:
        raise KeyTooShort(
            f"{parameters.pulses} pulses leave no secret bit at a tolerated QBER of "
            f"{parameters.qber_max:.2%}: send more pulses, or lower the tolerance"
        )
    seed = stream.expand(phase.seed, label="cascade", length=CASCADE_SEED_BYTES)
    key = phase.bits[phase.roles == sifting.Role.KEY]
    qber = estimation.reconciliation_qber(parameters, found)
    answerer = Answerer.start(parameters, key, seed=seed, qber=qber)
    return _say(Answering(*_base(phase), answerer), ReconciliationStart(seed))


def _verify(phase: Answering) -> Step:
    parameters, key = phase.parameters, phase.answerer.key
    count = verification.seed_length_bits(key_bits=key.size, tag_bits=parameters.tag_bits)
    seed = draw_seed_bits(phase.seed, label="verification", count=count)
    tag = verification.tag(key, seed=seed, tag_bits=parameters.tag_bits)
    message = Verification(seed=messages.pack(seed), tag=messages.pack(tag))
    return _say(Verifying(*_base(phase), key), message)


def _amplify(phase: Verifying) -> Step:
    length = phase.parameters.secret_bits
    count = amplification.seed_length_bits(key_bits=phase.key.size, length_bits=length)
    seed = draw_seed_bits(phase.seed, label="amplification", count=count)
    secret = amplification.amplify(phase.key, seed=seed, length_bits=length)
    return _say(Amplified(*_base(phase), secret), Amplification(messages.pack(seed)))


def _check_tag(phase: Checking, taken: TagKey) -> Step:
    require(taken.offset_bits == phase.tag.offset_bits, "a tag key from another offset")
    said = Transcript(phase.transcript.entries[:-1])
    authentication.verify(said, key=taken.key, tag=phase.tag.tag)
    return Tagging(*_base(phase), phase.secret), [], [TakeTagKey(Party.ALICE, None)]


def _confirm(phase: Tagging, taken: TagKey) -> Step:
    tag = authentication.tag(phase.transcript, key=taken.key)
    message = TranscriptTag(offset_bits=taken.offset_bits, tag=tag)
    return _say(Confirmed(*_base(phase)), message, KeepKey(phase.secret))
