"""One more pulse of this home's beacon, through crashes without a fork.

    draw the next local value -> seal it with the finished pulse -> note the pulse beside the key
    -> append the pulse to the file

The pulse is sealed before it is published: after a crash the same bytes are appended, never
another pulse of the same index. The next local value stays sealed until its own pulse. What the
key has signed is noted where the key lies, so that a chain which is moved away or restored from
an older copy is missed: the key begins no second chain and repeats no index.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

import msgspec

from qlq import codec
from qlq.archive import pulses
from qlq.archive.pulses import PulseFile
from qlq.config import Settings
from qlq.crypto import aead, kdf
from qlq.crypto.signing import SigningKey
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import BadTag, ConfigError, InvalidPulse, KeyStoreDamaged, RemoteMisuse
from qlq.faults import PulseFault
from qlq.node import certifying, entropy, orders, verifying
from qlq.node.entropy import EntropyOrder
from qlq.provenance import Attempt, EntropyTier
from qlq.qrng import beacon
from qlq.qrng.beacon import VALUE_BYTES, Body, Chain, LocalValue, Pulse
from qlq.qrng.generators import Pool

FOLDER = "beacon"
PULSE_FILE = "pulses.qlq"
SEALED_FILE = "next.sealed"
SEALED_BYTES_MAX = 1 << 17
NOTE_FILE = "pulsed-{}.sealed"
"""Beside the identity: what its key has signed; the name has the beginning of its fingerprint."""
NOTE_NAME_CHARACTERS = 16
TURN_S = 30.0
"""Longest wait for another process that makes a pulse: a queue takes longer, and is told."""
CLOCK_WAIT_S = 2
"""A pulse is later than the one before by a second or more; so long a command waits for it."""

Tell = Callable[[str], None]
T = TypeVar("T")


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed: the last pulse, and the local value of the next one."""

    pulse: bytes
    data: bytes
    tier: int
    claim_bits: int
    degraded: bool
    origin: str
    certificate: bytes

    def local(self) -> LocalValue:
        """The next local value; raises ValueError for a claim that cannot be."""
        return LocalValue(
            data=self.data,
            tier=EntropyTier(self.tier),
            claim_bits=self.claim_bits,
            degraded=self.degraded,
            origin=self.origin,
            certificate=self.certificate,
        )


class _Noted(msgspec.Struct, frozen=True, array_like=True):
    """What is noted beside the key: the last pulse that it has signed."""

    signer: bytes
    index: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Made:
    """A pulse that is on the disk.

    Attributes:
        pulse: The pulse.
        path: The file that holds the whole chain.
        reasons: Why the next local value, drawn now, claims what it claims, in words.
        next_degraded: Whether the operating system stood in for the backend of that value.
        next_attempts: The backends that were left when it was drawn, and why.
    """

    pulse: Pulse
    path: Path
    reasons: tuple[str, ...]
    next_degraded: bool
    next_attempts: tuple[Attempt, ...]


def pulse_file(settings: Settings) -> Path:
    """Where this home's beacon writes its pulses."""
    return settings.home / FOLDER / PULSE_FILE


def pulse(order: EntropyOrder, settings: Settings, *, period_s: int, tell: Tell) -> Made:
    """Make one pulse; the first call of a home begins the chain.

    Args:
        order: Where local values come from; a pulse shows the value drawn for it before.
        settings: Home folder and passphrase.
        period_s: Promised seconds from pulse to pulse, 0 for none; the same in a whole chain.
        tell: Is told in words what happens.

    Raises:
        ConfigError: A value cannot be used, the home folder cannot be written, or the clock is
            behind the last pulse.
        KeyStoreDamaged: The sealed value was changed, lost, or is not the file's next one; or the
            chain is not there to the last pulse that this home's key has signed.
        InvalidPulse, ArchiveInvalid: The file's chain does not verify.
        BackendError, BudgetRefused, EntropyRefused: No local value, see `entropy`.
    """
    if period_s < 0:
        raise ConfigError(f"the period must be 0 seconds or more: {period_s}")
    entropy.check(order)
    key = certifying.open_signer(settings)
    home = _Home(settings, key, tell)
    home.turn.take(timeout_s=TURN_S)
    try:
        return home.pulse(order, period_s)
    finally:
        home.turn.give_back()


class Tail(Enum):
    """What the beginning of one more pulse at the end of a file is."""

    WHOLE = "whole"
    """A fault: the file was cut off or lengthened."""
    GROWING = "growing"
    """None: the file is being written."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a file found.

    Attributes:
        chain: The pulses that verify, from the first one on.
        bodies: Of the same pulses.
        signer: SHA-512 (hex) of the file's key.
        torn_bytes: Bytes of an unwritten pulse at the end.
        against_pulses: Pulses of the other copy; None without one, or where it does not verify.
        fault: The first thing that is wrong; None if nothing is.
    """

    chain: Chain
    bodies: tuple[Body, ...]
    signer: str
    torn_bytes: int
    against_pulses: int | None
    fault: InvalidPulse | None


def check(
    path: Path, *, signer: str | None, against: Path | None, tail: Tail = Tail.WHOLE
) -> Checked:
    """Verify a chain from its file alone.

    That whole pulses are missing at the end shows in another copy only: `against_pulses`.

    Args:
        path: The file.
        signer: SHA-512 (hex) of the key that must have signed; None accepts any.
        against: Another copy of the chain, which must verify too; None compares with nothing.
        tail: What an unfinished pulse at the end of either file is.

    Raises:
        ConfigError: A file cannot be read, or is none of pulses.
        ArchiveInvalid: The key or a length in a file is changed: no pulse can be read.
    """
    stored = pulses.read(path)
    found = beacon.fingerprint(stored.key).hex()
    chain, bodies, fault = _verified(stored)
    if signer is not None and signer != found:
        fault = InvalidPulse(PulseFault.SIGNER, index=None, detail=f"{found}, wanted {signer}")
    others = None
    if fault is None and against is not None:
        other = pulses.read(against)
        fault = _compared(stored, other) or _torn(other, tail, whose="the other copy")
        others = len(other.records) if fault is None else None
    fault = fault or _torn(stored, tail, whose="the file")
    return Checked(chain, bodies, found, stored.torn_bytes, others, fault)


def _verified(stored: PulseFile) -> tuple[Chain, tuple[Body, ...], InvalidPulse | None]:
    """The chain up to the first fault, its pulses, and the fault."""
    chain = beacon.begin(stored.key)
    bodies = []
    try:
        for record in stored.records:
            pulse = beacon.decode(record)
            chain = beacon.extend(chain, pulse)
            bodies.append(pulse.body)
    except InvalidPulse as error:
        return chain, tuple(bodies), error
    if not bodies:
        return chain, (), InvalidPulse(PulseFault.EMPTY, index=None, detail="it has no pulse")
    return chain, tuple(bodies), None


def _compared(stored: PulseFile, other: PulseFile) -> InvalidPulse | None:
    """What keeps two copies from being of one chain."""
    if other.key != stored.key:
        return InvalidPulse(PulseFault.SIGNER, index=None, detail="the other copy has another key")
    try:
        theirs = [beacon.decode(record) for record in other.records]
        beacon.verify(theirs, key=other.key)
        beacon.refuse_fork([beacon.decode(record) for record in stored.records], theirs)
    except InvalidPulse as error:
        return error
    return None


def _torn(stored: PulseFile, tail: Tail, *, whose: str) -> InvalidPulse | None:
    """The fault of a file that ends within a pulse, unless it may."""
    if not stored.torn_bytes or tail is Tail.GROWING:
        return None
    return InvalidPulse(
        PulseFault.TORN,
        index=len(stored.records),
        detail=f"{whose} ends with {stored.torn_bytes} bytes of it",
    )


class _Home:
    """The pulse file and the sealed value of one home."""

    def __init__(self, settings: Settings, key: SigningKey, tell: Tell) -> None:
        folder = settings.home / FOLDER
        self._file, self._sealed = folder / PULSE_FILE, folder / SEALED_FILE
        self._signer = beacon.fingerprint(key.verifying_key)
        name = NOTE_FILE.format(self._signer.hex()[:NOTE_NAME_CHARACTERS])
        self._note = settings.home / certifying.FOLDER / name
        self._key, self._tell = key, tell
        self._keep = verifying.keeper(settings, tell)
        self._seal_key = kdf.hkdf(
            orders.obtain_master(settings), info=b"qlq beacon 1 seal", length=aead.KEY_BYTES
        )
        self.turn = Turn(folder)

    def pulse(self, order: EntropyOrder, period_s: int) -> Made:
        """Recover what a crash left, then make the next pulse."""
        noted, kept = self._noted(), self._kept()
        if not self._file.exists():
            if kept is not None or noted is not None:
                raise KeyStoreDamaged(f"{self._file} is gone: {self._way_out(noted)}")
            pulses.create(self._file, self._key.verifying_key)
        stored, chain = self._recovered(kept)
        self._refuse_second(chain, noted)
        pool, origin = entropy.open_pool(order, self._tell, self._keep)
        local = kept.local() if kept is not None else _draw(pool)[0]
        following, reasons = _draw(pool)
        made = beacon.make(
            chain,
            self._key,
            local=local,
            next_local=following.data,
            time_s=_later_than(chain),
            period_s=period_s,
        )
        self._seal(made, following)
        self._take_note(made)
        pulses.append(self._file, made, after=stored)
        return Made(made, self._file, reasons, following.degraded, origin.attempts)

    def _recovered(self, kept: _Kept | None) -> tuple[PulseFile, Chain]:
        """The file and its chain, with the pulse that was sealed and not appended, if any."""
        stored = pulses.read(self._file)
        if stored.torn_bytes:
            self._tell(f"{self._file} ends with {stored.torn_bytes} bytes of an unwritten pulse")
        if stored.key != self._key.verifying_key:
            raise ConfigError(
                f"{self._file} belongs to another key than this home's: restore the identity, or "
                "begin another chain in another home (--home)"
            )
        chain = beacon.begin(stored.key)
        for record in stored.records:
            chain = beacon.extend(chain, beacon.decode(record))
        if kept is None:
            if chain.last is not None:
                raise self._lost(chain)
            return stored, chain
        last = beacon.decode(kept.pulse)
        if chain.next_index == last.body.index:
            chain = beacon.extend(chain, last)
            self._take_note(last)
            pulses.append(self._file, last, after=stored)
            self._tell(f"pulse {last.body.index} was made and not published: it is now")
            stored = pulses.read(self._file)
        elif chain.last != last:
            raise self._lost(chain)
        return stored, chain

    def _refuse_second(self, chain: Chain, noted: _Noted | None) -> None:
        """Refuse to sign what this key has signed already: an index, or the start of a chain."""
        if noted is None:
            if chain.last is not None:
                self._take_note(chain.last)  # of a home that took no notes, or lost this one
        elif noted.index >= chain.next_index:
            raise KeyStoreDamaged(
                f"{self._file} ends before pulse {noted.index}: {self._way_out(noted)}"
            )

    def _way_out(self, noted: _Noted | None) -> str:
        signed = "its next value is still sealed"
        if noted is not None:
            signed = f"this home's key has signed pulse {noted.index} (digest {noted.digest.hex()})"
        return (
            f"{signed}, and whatever it signed after an earlier one would be a fork: restore the "
            f"newest copies of {self._file.name} and {self._sealed.name}, or begin another chain "
            "in another home (--home), which has a key of its own"
        )

    def _lost(self, chain: Chain) -> KeyStoreDamaged:
        return KeyStoreDamaged(
            f"the value that pulse {chain.next_index - 1} of {self._file} committed to is not in "
            f"{self._sealed}: restore both of one time, or begin another chain in another home "
            "(--home)"
        )

    def _seal(self, made: Pulse, following: LocalValue) -> None:
        kept = _Kept(
            pulse=made.to_bytes(),
            data=following.data,
            tier=int(following.tier),
            claim_bits=following.claim_bits,
            degraded=following.degraded,
            origin=following.origin,
            certificate=following.certificate,
        )
        self._write(self._sealed, kept, bound_to=SEALED_FILE)

    def _kept(self) -> _Kept | None:
        return self._read(self._sealed, _Kept, bound_to=SEALED_FILE)

    def _take_note(self, made: Pulse) -> None:
        """Note what the key has signed, before anybody else can have it."""
        noted = _Noted(self._signer, made.body.index, made.digest)
        self._write(self._note, noted, bound_to=NOTE_FILE)

    def _noted(self) -> _Noted | None:
        noted = self._read(self._note, _Noted, bound_to=NOTE_FILE)
        if noted is not None and noted.signer != self._signer:
            raise _changed(self._note)
        return noted

    def _write(self, path: Path, content: _Kept | _Noted, *, bound_to: str) -> None:
        sealed = aead.seal(
            self._seal_key,
            codec.encode(content),
            nonce=os.urandom(aead.NONCE_BYTES),
            aad=bound_to.encode(),
        )
        private_files.replace(path, sealed)

    def _read(self, path: Path, kind: type[T], *, bound_to: str) -> T | None:
        """What is sealed in a file; None without one."""
        if not path.exists():
            return None
        try:
            sealed = private_files.read(path, limit=SEALED_BYTES_MAX)
            plain = aead.unseal(self._seal_key, sealed, aad=bound_to.encode())
            return codec.decode(plain, kind)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except (BadTag, RemoteMisuse) as error:
            raise _changed(path) from error


def _changed(path: Path) -> KeyStoreDamaged:
    return KeyStoreDamaged(
        f"{path} has been changed, or was sealed with another master key: restore a copy that you "
        "trust, or begin another chain in another home (--home)"
    )


def _draw(pool: Pool) -> tuple[LocalValue, tuple[str, ...]]:
    """A local value from the pool, with the reasons of its claim."""
    draw = pool.draw(VALUE_BYTES)
    backends = sorted({origin.backend for origin in pool.provenance})
    value = LocalValue(
        data=draw.bytes,
        tier=draw.tier,
        claim_bits=int(draw.claim_bits),
        degraded=draw.degraded,
        origin="operating system" if draw.degraded else ", ".join(backends),
        certificate=bytes.fromhex(draw.certificate_id or ""),
    )
    return value, draw.reasons


def _later_than(chain: Chain) -> int:
    """Now in seconds since 1970, at least one second after the chain's last pulse."""
    last_s = -1 if chain.last is None else chain.last.body.time_s
    now_s = int(time.time())
    if last_s - now_s >= CLOCK_WAIT_S:
        raise ConfigError(
            f"the clock is {last_s - now_s} s behind the last pulse: set it right, or wait"
        )
    while now_s <= last_s:
        time.sleep(0.05)
        now_s = int(time.time())
    return now_s
