"""Signatures verified in threads, and remembered: none is verified twice.

`cryptography` releases the interpreter's lock while it verifies, so that threads of one process
use all cores.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from qlq.crypto import digest
from qlq.errors import InvalidTransaction
from qlq.ledger import admission
from qlq.ledger.admission import Need
from qlq.ledger.block import Block
from qlq.ledger.state import View

REMEMBERED_MAX = 1 << 16
CHUNK = 16
"""Signatures that a thread takes at a time: enough to make a hand-over cheap."""


class Verifier:
    """Verifies, and remembers what was good. `verify` may be called from one thread at a time."""

    def __init__(self, threads: int | None = None) -> None:
        """Use so many threads; None takes one for each core."""
        self._pool = ThreadPoolExecutor(threads or os.cpu_count(), thread_name_prefix="verify")
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def verify(self, need: Need) -> None:
        """Return if a signature fits; raises InvalidTransaction."""
        name = _name(need)
        if name in self._good:
            self._good.move_to_end(name)
            return
        admission.verify(need)
        self._remember(name)

    def begin(self, needs: Iterable[Need]) -> Sequence[Future[list[bytes]]]:
        """Begin to verify signatures in threads; `finish` takes what this returns."""
        wanted = [need for need in needs if _name(need) not in self._good]
        chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
        return [self._pool.submit(_verify_all, chunk) for chunk in chunks]

    def finish(self, begun: Sequence[Future[list[bytes]]]) -> None:
        """Wait for them, and remember the good ones; bad ones are found again by `verify`."""
        for future in begun:
            for name in future.result():
                self._remember(name)

    def _remember(self, name: bytes) -> None:
        self._good[name] = None
        if len(self._good) > REMEMBERED_MAX:
            self._good.popitem(last=False)


def ahead(blocks: Iterable[Block], view: View, verifier: Verifier) -> Iterator[Block]:
    """Blocks in their order; while one is carried out, threads verify the next one's signatures.

    Args:
        blocks: In ascending order.
        view: The state, as whoever takes the blocks keeps it; keys are looked up there.
        verifier: Remembers what fits, for the transition to find.
    """
    waiting: Block | None = None
    begun: Sequence[Future[list[bytes]]] = ()
    for block in blocks:
        following = verifier.begin(admission.foresee(view, block.entries))
        if waiting is not None:
            verifier.finish(begun)
            yield waiting
        waiting, begun = block, following
    if waiting is not None:
        verifier.finish(begun)
        yield waiting


def _verify_all(needs: list[Need]) -> list[bytes]:
    """Names of those that fit."""
    good = []
    for need in needs:
        try:
            admission.verify(need)
        except InvalidTransaction:
            continue
        good.append(_name(need))
    return good


def _name(need: Need) -> bytes:
    """Digest of key, message and signature; lengths first, so that no two needs share one."""
    parts = (need.key, need.message, need.authorisation.signature)
    return digest.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
