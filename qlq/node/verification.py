"""Signatures verified in threads, and remembered: none is verified twice.

`cryptography` releases the interpreter's lock while it verifies, so that threads of one process
use all cores.
"""

from __future__ import annotations

import os
import sys
from collections import ChainMap, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from qlq.crypto import digest
from qlq.errors import InvalidTransaction
from qlq.ledger import admission
from qlq.ledger.admission import Need
from qlq.ledger.block import Block
from qlq.ledger.state import View

REMEMBERED_MAX = 1 << 16
RECENT_MAX = 1 << 12
"""Recent signatures are kept whole: what was verified ahead comes again soon as the same objects,
and comparing these costs far less than a digest of their bytes."""
CHUNK = 16
"""Signatures that a thread takes at a time: enough to make a hand-over cheap."""
SWITCH_S = 0.0002
"""A thread that has verified waits at most so long for the interpreter, to begin the next one."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Signatures of a chunk that a thread verifies, or whoever waits for them."""

    needs: list[Need]
    good: Future[list[Need]]


class Verifier:
    """Verifies, and remembers what was good. `verify` may be called from one thread at a time."""

    def __init__(self, threads: int | None = None, *, remembered_max: int = REMEMBERED_MAX) -> None:
        """Use so many threads.

        Args:
            threads: Whoever calls is one of them; None takes one for each core that this process
                may use. With one alone each signature is verified where it is needed.
            remembered_max: Signatures to remember beyond the most recent ones; 0 where each is
                met once, which saves their digests.
        """
        count = threads or len(os.sched_getaffinity(0))
        others = count - 1
        self._pool = ThreadPoolExecutor(others, thread_name_prefix="verify") if others else None
        self._remembered_max = remembered_max
        self._recent: OrderedDict[bytes, Need] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def verify(self, need: Need) -> None:
        """Return if a signature fits; raises InvalidTransaction."""
        if not self._is_good(need):
            admission.verify(need)
            self._remember(need)

    def begin(self, needs: Iterable[Need]) -> Sequence[Begun]:
        """Begin to verify signatures in other threads; `finish` takes what this returns."""
        wanted = [need for need in needs if not self._is_good(need)]
        if self._pool is None:
            for need in _verify_all(wanted):
                self._remember(need)
            return ()
        chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
        pool = self._pool
        return [Begun(chunk, pool.submit(_verify_all, chunk)) for chunk in chunks]

    def finish(self, begun: Sequence[Begun]) -> None:
        """Verify what no thread has begun, and remember the good ones.

        The last ones first, as threads begin with the first; `verify` finds bad ones again.
        """
        for one in reversed(begun):
            good = _verify_all(one.needs) if one.good.cancel() else one.good.result()
            for need in good:
                self._remember(need)

    def _is_good(self, need: Need) -> bool:
        known = self._recent.get(need.authorisation.signature)
        if known is not None and (known.key, known.message) == (need.key, need.message):
            return True
        if not self._good:
            return False
        name = _name(need)
        if name in self._good:
            self._good.move_to_end(name)
            return True
        return False

    def _remember(self, need: Need) -> None:
        self._recent[need.authorisation.signature] = need
        if len(self._recent) <= RECENT_MAX:
            return
        _, oldest = self._recent.popitem(last=False)
        if self._remembered_max:
            self._good[_name(oldest)] = None
        if len(self._good) > self._remembered_max:
            self._good.popitem(last=False)


@contextmanager
def sharing() -> Iterator[None]:
    """While blocks are carried out here, threads that verify get the interpreter back soon.

    Otherwise each waits up to 5 ms after every signature, and other cores stand idle.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def ahead(blocks: Iterable[Block], view: View, verifier: Verifier) -> Iterator[Block]:
    """Blocks in their order; while one is carried out, threads verify the next one's signatures.

    Args:
        blocks: In ascending order.
        view: The state, as whoever takes the blocks keeps it; keys are looked up there.
        verifier: Remembers what fits, for the transition to find.
    """
    waiting: Block | None = None
    begun: Sequence[Begun] = ()
    shown: dict[bytes, bytes] = {}
    with sharing():
        for block in blocks:
            both = ChainMap({}, shown)
            following = verifier.begin(admission.foresee(view, block.entries, both))
            shown = dict(both.maps[0])
            if waiting is not None:
                verifier.finish(begun)
                yield waiting
            waiting, begun = block, following
        if waiting is not None:
            verifier.finish(begun)
            yield waiting


def _verify_all(needs: list[Need]) -> list[Need]:
    """Those that fit."""
    good = []
    for need in needs:
        try:
            admission.verify(need)
        except InvalidTransaction:
            continue
        good.append(need)
    return good


def _name(need: Need) -> bytes:
    """Digest of key, message and signature; lengths first, so that no two needs share one."""
    parts = (need.key, need.message, need.authorisation.signature)
    return digest.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
