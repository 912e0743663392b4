"""Beacon pulses: one random value after the other, chained, signed, and committed to before.

    pulse e:    value    B_e = SHA-512("QLQ-B" | B_(e-1) | Q_e)         each part length-prefixed
                local    Q_e, and SHA-512(Q_(e+1)) as the commitment to the next one
                previous digest of pulse e-1, and digests of a few earlier ones (skip list)

Q_e was committed to in pulse e-1, so that whoever runs the beacon chooses nothing when pulse e
comes out, except to withhold it. The signature is no part of B_e: signing again changes nothing.

A chain verifies from public data alone: its pulses and the signer's public key.

Source: the fields follow NISTIR 8213 (draft, 2019), section 4; values are SHA-512, the signature
is ML-DSA-65 in place of RSA.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from qlq import codec
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.errors import BadSignature, InvalidPulse, RemoteMisuse
from qlq.faults import PulseFault
from qlq.provenance import EntropyTier

VALUE_BYTES = 64
NOTHING = bytes(VALUE_BYTES)
"""Stands for what a first pulse has no earlier pulse for."""

SIGNATURE_CONTEXT = b"qlq beacon pulse 1"
_DIGEST_NAME = b"qlq beacon pulse digest 1"
_VALUE_NAME = b"QLQ-B"

SKIP_BASE = 16
SKIP_LEVELS = 4
"""A pulse names the latest earlier ones whose index is a multiple of 16, 16^2, 16^3 and 16^4."""

PULSE_BYTES_MAX = 1 << 16
ORIGIN_CHARACTERS_MAX = 512
CERTIFICATE_BYTES = 32
LATE_PERIODS = 2


class Status(IntEnum):
    """What index and time make of a pulse."""

    NORMAL = 0
    FIRST = 1
    """Nobody had committed to its local value."""
    LATE = 2
    """Two periods or more after the one before."""


class External(msgspec.Struct, frozen=True, array_like=True):
    """A value of another source; empty in this version, and no part of a pulse's value."""

    source: str = ""
    value: bytes = b""


class Contribution(msgspec.Struct, frozen=True, array_like=True):
    """One node's part of a value of several nodes; there is none in this version."""

    node: bytes
    value: bytes
    proof: bytes


class Body(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a pulse says and signs.

    Attributes:
        index: From 0, without gaps.
        time_s: When it was made, seconds since 1970 (UTC); always later than the one before.
        period_s: Seconds from pulse to pulse that the beacon promises; 0 promises none.
        status: What index and time make of it.
        signer: SHA-512 of the chain's public key with its algorithm's byte.
        previous: Digest of the pulse before.
        skips: Digests of earlier pulses, see `skipped`.
        value: The random value of this pulse.
        local: Q_e, the beacon's own random value behind it.
        precommitment: SHA-512 of the next pulse's local value.
        tier: Tier of the local value, 0 to 4; see `provenance.EntropyTier`.
        claim_bits: Min-entropy claimed of the local value, 0 in tier 0, at most 512.
        degraded: Whether the operating system stood in for the source that was asked for.
        origin: Backend that the local value comes from.
        certificate: SHA-256 of the record that its claim rests on; empty without one.
        external: Empty in this version.
        contributions: Empty in this version.
    """

    index: int
    time_s: int
    period_s: int
    status: Status
    signer: bytes
    previous: bytes
    skips: tuple[bytes, ...]
    value: bytes
    local: bytes
    precommitment: bytes
    tier: int
    claim_bits: int
    degraded: bool
    origin: str
    certificate: bytes
    external: External
    contributions: tuple[Contribution, ...]


class Pulse(msgspec.Struct, frozen=True, array_like=True):
    """A body and its signature, the algorithm's byte first."""

    body: Body
    signature: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes, a version byte first."""
        return codec.encode(self)

    @property
    def digest(self) -> bytes:
        """SHA-512 of the canonical bytes under a name of its own: what later pulses refer to."""
        return hashlib.sha512(_prefixed(_DIGEST_NAME, self.to_bytes())).digest()


@dataclass(frozen=True, slots=True)
class LocalValue:
    """A beacon's own random value before its pulse comes out. `repr` shows none of it.

    Attributes:
        data: 64 bytes.
        tier: What its claim rests on.
        claim_bits: Min-entropy claimed, 0 to 512.
        degraded: Whether the operating system stood in.
        origin: Backend.
        certificate: SHA-256 of the record behind the claim; empty without one.
    """

    data: bytes
    tier: EntropyTier
    claim_bits: int
    degraded: bool
    origin: str
    certificate: bytes

    def __post_init__(self) -> None:
        """Refuse another length, or a claim that the tier does not allow."""
        if len(self.data) != VALUE_BYTES:
            raise ValueError(f"a local value has {VALUE_BYTES} bytes, not {len(self.data)}")
        fault = _claim_fault(int(self.tier), self.claim_bits, degraded=int(self.degraded))
        if fault:
            raise ValueError(fault)

    def __repr__(self) -> str:
        """Tier and claim alone."""
        return f"LocalValue({self.tier.label}, {self.claim_bits} bits claimed)"


@dataclass(frozen=True, slots=True)
class Chain:
    """Everything that the next pulse is held against.

    Attributes:
        key: The key that signs all pulses.
        last: The last pulse; None before the first.
        anchors: Digests that the next pulse's skip list must have.
    """

    key: VerifyingKey
    last: Pulse | None
    anchors: tuple[bytes, ...]

    @property
    def next_index(self) -> int:
        """Index of the next pulse."""
        return 0 if self.last is None else self.last.body.index + 1


def begin(key: VerifyingKey) -> Chain:
    """A chain without pulses."""
    return Chain(key, None, (NOTHING,) * SKIP_LEVELS)


def skipped(index: int) -> tuple[int, ...]:
    """Indices that the skip list of this pulse names, the nearest first; empty for pulse 0."""
    if index == 0:
        return ()
    steps = (SKIP_BASE**level for level in range(1, SKIP_LEVELS + 1))
    return tuple((index - 1) // step * step for step in steps)


def fingerprint(key: VerifyingKey) -> bytes:
    """SHA-512 of a public key with its algorithm's byte."""
    return hashlib.sha512(key.to_bytes()).digest()


def make(
    chain: Chain,
    key: SigningKey,
    *,
    local: LocalValue,
    next_local: bytes,
    time_s: int,
    period_s: int,
) -> Pulse:
    """The next pulse of a chain, signed.

    Args:
        chain: What came before.
        key: The chain's key.
        local: The value that the pulse before committed to; for the first pulse any.
        next_local: 64 random bytes that the next pulse will show; kept secret until then.
        time_s: Now, in seconds since 1970.
        period_s: Promised seconds from pulse to pulse, 0 for none; the same in a whole chain.

    Raises:
        ValueError: `next_local` is not 64 bytes long.
        InvalidPulse: The pulse would not verify: another key, another local value than the one
            committed to, a clock that went backwards.
    """
    if len(next_local) != VALUE_BYTES:
        raise ValueError(f"a local value has {VALUE_BYTES} bytes, not {len(next_local)}")
    before = chain.last
    body = Body(
        index=chain.next_index,
        time_s=time_s,
        period_s=period_s,
        status=_status(before, time_s=time_s, period_s=period_s),
        signer=fingerprint(key.verifying_key),
        previous=NOTHING if before is None else before.digest,
        skips=chain.anchors,
        value=value(NOTHING if before is None else before.body.value, local.data),
        local=local.data,
        precommitment=hashlib.sha512(next_local).digest(),
        tier=int(local.tier),
        claim_bits=local.claim_bits,
        degraded=local.degraded,
        origin=local.origin,
        certificate=local.certificate,
        external=External(),
        contributions=(),
    )
    pulse = Pulse(body, key.sign(codec.encode(body), context=SIGNATURE_CONTEXT))
    extend(chain, pulse)
    return pulse


def value(previous: bytes, local: bytes) -> bytes:
    """The value of a pulse: SHA-512 of the value before and the local value, 64 bytes each."""
    return hashlib.sha512(_prefixed(_VALUE_NAME, previous, local)).digest()


def _prefixed(*parts: bytes) -> bytes:
    """Each part after its length in four bytes, big-endian."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _status(before: Pulse | None, *, time_s: int, period_s: int) -> Status:
    if before is None:
        return Status.FIRST
    waited_s = time_s - before.body.time_s
    is_late = period_s > 0 and waited_s >= LATE_PERIODS * period_s
    return Status.LATE if is_late else Status.NORMAL


def decode(data: bytes) -> Pulse:
    """The pulse in these bytes; raises InvalidPulse (malformed) for anything else."""
    if len(data) > PULSE_BYTES_MAX:
        raise InvalidPulse(PulseFault.MALFORMED, index=None, detail=f"{len(data)} bytes")
    try:
        return codec.decode(data, Pulse)
    except RemoteMisuse as error:
        raise InvalidPulse(PulseFault.MALFORMED, index=None, detail=str(error)) from error


def extend(chain: Chain, pulse: Pulse) -> Chain:
    """The chain with one more pulse; raises InvalidPulse, naming the reason, if it does not fit."""
    body = pulse.body
    _check_place(chain, body)
    _check_fields(chain, body)
    _check_signature(chain.key, pulse)
    return Chain(chain.key, pulse, _next_anchors(chain.anchors, pulse))


def resume(key: VerifyingKey, last: Pulse) -> Chain:
    """The chain that goes on after a pulse which was verified before; nothing is checked."""
    return Chain(key, last, _next_anchors(last.body.skips, last))


def adopt(key: VerifyingKey, pulse: Pulse) -> Chain:
    """The chain that goes on after a pulse whose past is not looked at.

    Raises:
        InvalidPulse: Another key's, or a field or the signature does not hold by itself.
    """
    body = pulse.body
    if body.signer != fingerprint(key):
        raise _fault(PulseFault.SIGNER, body, "it names another key than the chain's")
    if len(body.skips) != SKIP_LEVELS:
        raise _fault(PulseFault.SKIP_LIST, body, f"{len(body.skips)} digests")
    _check_own_fields(body)
    _check_signature(key, pulse)
    return resume(key, pulse)


def _check_place(chain: Chain, body: Body) -> None:
    """Index, signer, links, commitment and time against the pulses before."""
    wanted = chain.next_index
    if body.index < wanted:
        raise _fault(PulseFault.FORK, body, f"a second one; the next has index {wanted}")
    if body.index > wanted:
        raise _fault(PulseFault.GAP, body, f"the next one has index {wanted}")
    if body.signer != fingerprint(chain.key):
        raise _fault(PulseFault.SIGNER, body, "it names another key than the chain's")
    before = None if chain.last is None else chain.last.body
    previous = NOTHING if chain.last is None else chain.last.digest
    if body.previous != previous:
        raise _fault(PulseFault.PREVIOUS, body, f"{body.previous.hex()[:16]}…")
    if body.skips != chain.anchors:
        raise _fault(PulseFault.SKIP_LIST, body, f"it must name pulses {skipped(body.index)}")
    if before is not None and hashlib.sha512(body.local).digest() != before.precommitment:
        raise _fault(PulseFault.PRECOMMITMENT, body, "another local value was committed to")
    if body.value != value(NOTHING if before is None else before.value, body.local):
        raise _fault(PulseFault.VALUE, body, f"{body.value.hex()[:16]}…")
    if before is not None and body.time_s <= before.time_s:
        raise _fault(PulseFault.TIME, body, f"{body.time_s} does not follow {before.time_s}")
    if before is not None and body.period_s != before.period_s:
        raise _fault(PulseFault.STATUS, body, f"period {body.period_s} s, not {before.period_s} s")


def _check_signature(key: VerifyingKey, pulse: Pulse) -> None:
    body = pulse.body
    try:
        key.verify(codec.encode(body), pulse.signature, context=SIGNATURE_CONTEXT)
    except BadSignature as error:
        raise _fault(PulseFault.SIGNATURE, body, str(error)) from error


def _check_fields(chain: Chain, body: Body) -> None:
    """What a pulse must hold, as far as it can be seen from the one before."""
    _check_own_fields(body)
    expected = _status(chain.last, time_s=body.time_s, period_s=body.period_s)
    if body.status is not expected:
        raise _fault(PulseFault.STATUS, body, f"{body.status.name}, not {expected.name}")


def _check_own_fields(body: Body) -> None:
    """What a pulse must hold by itself."""
    if body.time_s < 0 or body.period_s < 0:
        raise _fault(PulseFault.TIME, body, "a negative time or period")
    if len(body.value) != VALUE_BYTES:
        raise _fault(PulseFault.MALFORMED, body, f"a value of {len(body.value)} bytes")
    if len(body.local) != VALUE_BYTES:
        raise _fault(PulseFault.MALFORMED, body, f"a local value of {len(body.local)} bytes")
    if len(body.precommitment) != VALUE_BYTES:
        size = len(body.precommitment)
        raise _fault(PulseFault.PRECOMMITMENT, body, f"none to the next value ({size} bytes)")
    if len(body.certificate) not in {0, CERTIFICATE_BYTES}:
        raise _fault(PulseFault.MALFORMED, body, f"a digest of {len(body.certificate)} bytes")
    if len(body.origin) > ORIGIN_CHARACTERS_MAX:
        raise _fault(PulseFault.MALFORMED, body, f"an origin of {len(body.origin)} characters")
    if fault := _claim_fault(body.tier, body.claim_bits, degraded=int(body.degraded)):
        raise _fault(PulseFault.CLAIM, body, fault)
    if body.external != External() or body.contributions:
        raise _fault(PulseFault.RESERVED, body, "external or contributions are not empty")


def _claim_fault(tier: int, claim_bits: int, *, degraded: int) -> str:
    """What is wrong with a claim, in words; empty if nothing is."""
    if tier not in set(EntropyTier):
        return f"there is no tier {tier}"
    if not 0 <= claim_bits <= 8 * VALUE_BYTES:
        return f"64 bytes do not hold {claim_bits} bits of entropy"
    if tier == EntropyTier.NONE and claim_bits:
        return f"tier T0 claims 0 bits, not {claim_bits}"
    if degraded and tier != EntropyTier.NONE:
        return f"degraded bytes are of tier T0, not T{tier}"
    return ""


def _next_anchors(anchors: tuple[bytes, ...], pulse: Pulse) -> tuple[bytes, ...]:
    """The skip list of the pulse after this one."""
    index = pulse.body.index
    if index == 0:
        return (pulse.digest,) * SKIP_LEVELS
    steps = (SKIP_BASE ** (level + 1) for level in range(SKIP_LEVELS))
    return tuple(
        pulse.digest if index % step == 0 else anchor
        for step, anchor in zip(steps, anchors, strict=True)
    )


def _fault(reason: PulseFault, body: Body, detail: str) -> InvalidPulse:
    return InvalidPulse(reason, index=body.index, detail=detail)


def verify(pulses: Iterable[Pulse], *, key: VerifyingKey) -> Chain:
    """The chain of all these pulses, from index 0 on.

    Raises:
        InvalidPulse: With the first fault; `empty` if there is no pulse.
    """
    chain = begin(key)
    for pulse in pulses:
        chain = extend(chain, pulse)
    if chain.last is None:
        raise InvalidPulse(PulseFault.EMPTY, index=None, detail="it has no pulse")
    return chain


def refuse_fork(first: Iterable[Pulse], second: Iterable[Pulse]) -> None:
    """Raise InvalidPulse (fork) if two verified chains of one key differ where both have pulses.

    Each of them verifies by itself: who signs two pulses of one index is found by comparing.
    """
    for one, other in zip(first, second, strict=False):
        if one != other:
            raise _fault(PulseFault.FORK, one.body, "the same key has signed another pulse too")


def skip_path(newer: int, older: int) -> tuple[int, ...]:
    """Indices from `newer` down to `older`, each named by the one before; few of them.

    Raises:
        ValueError: `older` is negative or above `newer`.
    """
    if not 0 <= older <= newer:
        raise ValueError(f"no way back from pulse {newer} to pulse {older}")
    path = [newer]
    while path[-1] > older:
        reachable = (path[-1] - 1, *skipped(path[-1]))
        path.append(min(index for index in reachable if index >= older))
    return tuple(path)


def verify_path(path: Iterable[Pulse], *, newest: Pulse) -> Pulse:
    """The oldest pulse of a skip path that starts at a trusted pulse.

    Only the digests are needed: `newest` vouches for all earlier pulses.

    Args:
        path: The pulses after `newest` in the order of `skip_path`.
        newest: A pulse that was verified, or is trusted.

    Raises:
        InvalidPulse: A pulse is not named by the one before it on the path.
    """
    here = newest
    for pulse in path:
        index = here.body.index
        named = {index - 1: here.body.previous}
        named |= dict(zip(skipped(index), here.body.skips, strict=False))
        if named.get(pulse.body.index) != pulse.digest:
            raise _fault(PulseFault.SKIP_LIST, pulse.body, f"pulse {index} does not name it")
        here = pulse
    return here
