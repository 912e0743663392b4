"""Blocks written behind: while one goes to the disk, the next one is carried out.

For whoever carries out many blocks in a row, such as a repair. Nothing is acknowledged before
`settle` returns.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from qlq.consensus.certificate import QuorumCertificate
from qlq.ledger.block import Block
from qlq.ledger.store import LedgerStore
from qlq.ledger.transition import Outcome


class WriteBehind:
    """Appends to a store in a thread of its own, one block at a time, in order.

    From the first `append` until `settle` nobody else may use the store.
    """

    def __init__(self, store: LedgerStore) -> None:
        """Write to this store."""
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Wait for the block that is being written; its failure was raised, or does not matter."""
        self._thread.shutdown(wait=True)

    def append(self, block: Block, certificate: QuorumCertificate, outcome: Outcome) -> None:
        """Begin to write a block, once the one before is on the disk.

        Raises:
            ConfigError, LedgerError: The one before could not be written; this one is not begun.
        """
        self.settle()
        self._writing = self._thread.submit(self._store.append, block, certificate, outcome)

    def settle(self) -> None:
        """Return when all blocks are on the disk; raises what kept one from it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
