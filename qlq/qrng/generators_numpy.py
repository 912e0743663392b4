"""numpy on a pool: a seed sequence for any bit generator, and a bit generator of its own.

The bit generator is ChaCha20 keyed by the pool, in machine code: numpy calls no Python for a
number, so that no error can be lost there. The pool is asked on entry of each call of a
`numpy.random.Generator`, where an error is raised to the caller: numpy takes `lock` then.

Source:
    numpy/random/bitgen.h for the structure that numpy reads.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence
from numpy.typing import DTypeLike, NDArray

from qlq.provenance import EntropyTier
from qlq.qrng import generators_chacha as chacha
from qlq.qrng.generators import Draw, Pool

KEY_BYTES = 32
NONCE_BYTES = 8
RESEED_BLOCKS = 1 << 24
"""Blocks of 64 bytes under one key, 1 GiB: afterwards the next call takes a new one."""
COUNTER_LIMIT = 1 << 62
"""Most blocks under one key: the counter has 64 bits, and no call that has begun can draw the
other 3/4 of them."""


class _Bitgen(ctypes.Structure):
    """`bitgen_t` of numpy/random/bitgen.h."""

    _fields_ = (
        ("state", ctypes.c_void_p),
        ("next_uint64", ctypes.c_void_p),
        ("next_uint32", ctypes.c_void_p),
        ("next_double", ctypes.c_void_p),
        ("next_raw", ctypes.c_void_p),
    )


_CAPSULE_NAME = ctypes.c_char_p(b"BitGenerator")
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_Next = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)


class _EntryLock:
    """The lock that numpy takes before it draws; on entry the key is renewed where it must be."""

    def __init__(self, admit: Callable[[], None]) -> None:
        self._lock, self._admit = threading.RLock(), admit

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self._admit()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


class PoolBitGenerator:
    """A bit generator for `numpy.random.Generator`, keyed by a pool.

    Each call of a Generator first checks whether the key is used up, or belongs to the process
    that this one was forked from, and takes a new one then. A pool that gives none makes the
    call raise before a number is drawn.

    Args:
        pool: Keys it, now and later.
        reseed_blocks: Blocks of 64 bytes under one key, 1 to 2^62. A call that has begun is
            finished under its key.

    Raises:
        ValueError: `reseed_blocks` is outside its range.
        EntropyRefused, BackendError: The pool gave no key.
    """

    def __init__(self, pool: Pool, *, reseed_blocks: int = RESEED_BLOCKS) -> None:
        """Take the first key."""
        if not 1 <= reseed_blocks <= COUNTER_LIMIT:
            raise ValueError(f"a key serves 1 to {COUNTER_LIMIT} blocks, not {reseed_blocks}")
        self._pool, self._reseed_blocks = pool, reseed_blocks
        self._longs = np.zeros(chacha.STATE_LONGS, dtype=np.uint64)
        self._words = self._longs[:8].view(np.uint32)
        self._key: Draw = self._rekey()
        uint64, uint32, double = chacha.addresses()
        self._bitgen = _Bitgen(self._longs.ctypes.data, uint64, uint32, double, uint64)
        self._next = _Next(uint64)
        self.lock = _EntryLock(self._admit)
        self.capsule = _new_capsule(ctypes.addressof(self._bitgen), _CAPSULE_NAME, None)

    @property
    def tier(self) -> EntropyTier:
        """What the claim of the current key rests on."""
        return self._key.tier

    @property
    def certificate_id(self) -> str | None:
        """Record of the seed behind the current key."""
        return self._key.certificate_id

    @property
    def degraded(self) -> bool:
        """Whether the operating system stood in for the source of the current key."""
        return self._key.degraded

    def random_raw(self, size: int) -> NDArray[np.uint64]:
        """The next `size` outputs of 64 bits, of shape (size,).

        Raises:
            ValueError: `size` is negative.
            EntropyRefused, BackendError: The pool gave no key.
        """
        raw = np.empty(size, dtype=np.uint64)
        with self.lock:
            for index in range(size):
                raw[index] = self._next(self._bitgen.state)
        return raw

    def spawn(self, n_children: int) -> list[PoolBitGenerator]:
        """So many generators with keys of their own from the same pool."""
        return [
            PoolBitGenerator(self._pool, reseed_blocks=self._reseed_blocks)
            for _ in range(n_children)
        ]

    def __reduce__(self) -> NoReturn:
        """Refuse copies: two of them would give the same numbers."""
        raise TypeError("a quantum generator cannot be copied or pickled: make one from its pool")

    def _admit(self) -> None:
        if self._longs[chacha.COUNTER_AT] >= self._reseed_blocks or os.getpid() != self._process:
            self._key = self._rekey()

    def _rekey(self) -> Draw:
        """Key, nonce and an empty buffer from the pool's next 40 bytes."""
        draw = self._pool.draw(KEY_BYTES + NONCE_BYTES)
        fresh = np.frombuffer(draw.bytes, dtype="<u4")
        self._words[:4] = chacha.CONSTANTS
        self._words[4:12] = fresh[:8]
        self._words[12:14] = 0
        self._words[14:16] = fresh[8:]
        self._longs[chacha.COUNTER_AT], self._longs[chacha.PLACE_AT] = 0, chacha.PLACE_END
        self._process = os.getpid()
        return dataclasses.replace(draw, bytes=b"")


class PoolSeedSequence(ISpawnableSeedSequence):
    """Seeds for any of numpy's bit generators, fresh from a pool at each call.

    Args:
        pool: Where the words come from.
    """

    def __init__(self, pool: Pool) -> None:
        """Take nothing yet."""
        self._pool = pool

    def generate_state(
        self, n_words: int, dtype: DTypeLike = np.uint32
    ) -> NDArray[np.uint32 | np.uint64]:
        """`n_words` random words of type uint32 or uint64; never the same ones again.

        Raises:
            ValueError: For another type.
            EntropyRefused, BackendError: The pool gave no bytes.
        """
        kind = np.dtype(dtype)
        if kind not in {np.dtype(np.uint32), np.dtype(np.uint64)}:
            raise ValueError(f"words are uint32 or uint64, not {kind}")
        data = self._pool.draw(n_words * kind.itemsize).bytes
        return np.frombuffer(data, dtype=kind).copy()

    def spawn(self, n_children: int) -> list[PoolSeedSequence]:
        """So many sequences on the same pool: no two calls of any of them share bytes."""
        return [PoolSeedSequence(self._pool) for _ in range(n_children)]
