"""The full half of an audit: every block opened and carried out again, all signatures verified.

While one block is carried out, threads verify the signatures of the next one. Behind damage no
block can be carried out, but all later ones are still opened and compared with their headers.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qlq import codec
from qlq.consensus.validators import Validators
from qlq.errors import BadTag, InvalidBlock, InvalidTransaction, RemoteMisuse
from qlq.faults import BlockFault
from qlq.ledger import admission, block, execution, transaction, transition
from qlq.ledger.block import Block, Header
from qlq.ledger.receipt import Receipt
from qlq.ledger.state import State
from qlq.ledger.store_file import StorageSeal
from qlq.ledger.transition import Outcome, Rules, Tip
from qlq.node.findings import Findings
from qlq.node.verification import Begun, Verifier

BLOCKS = "blocks"
_Entries = tuple[bytes, ...]
_Receipts = tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A block's row, opened, with the verification of its signatures begun.

    Attributes:
        height: Of the block.
        entries: Its body; None if it does not open.
        receipts: In canonical bytes; None if they do not open.
        begun: What `Verifier.finish` takes.
    """

    height: int
    entries: tuple[bytes, ...] | None
    receipts: bytes | None
    begun: Sequence[Begun]


class BodyAudit:
    """Carries blocks out again, and keeps what the tables of the file must hold."""

    def __init__(
        self, rules: Rules, seals: StorageSeal, verifier: Verifier, findings: Findings
    ) -> None:
        """Begin before the first block, `start_at` begins elsewhere."""
        self._rules, self._seals = rules, seals
        self._verifier, self._findings = verifier, findings
        state, tip = transition.begin(rules.genesis)
        self.state: State | None = state
        """After the last block; None once one could not be carried out."""
        self._tip, self._height = tip, 0
        self._shown: dict[bytes, bytes] = {}
        """Keys that the block shows which is opened and not carried out yet."""
        self.places: dict[bytes, tuple[int, int]] = {}
        """Where each transaction is, by id."""
        self.unknown: set[int] = set()
        """Heights whose transactions are not known."""
        self.applied = 0
        """Blocks that were carried out."""
        self.transactions = 0
        """Transactions in them."""

    def start_at(self, state: State | None, tip: Tip) -> None:
        """Begin behind the base of a restored ledger; without its state, nothing is carried out."""
        self.state, self._tip, self._height = state, tip, tip.height

    @property
    def voters(self) -> Validators | None:
        """Who votes on the next block, from the state; None without one."""
        return None if self.state is None else execution.read_validators(self.state).current

    @property
    def height(self) -> int:
        """Of the last block that was looked at."""
        return self._height

    def stop(self, heights: Iterable[int]) -> None:
        """These blocks are lost: nothing after them can be carried out."""
        self.state = None
        self.unknown.update(heights)

    def open(self, height: int, *, body: bytes, receipts: bytes) -> Opened:
        """Open a row, and begin to verify its signatures."""
        plain = self._unseal(height, body, "body")
        entries = None if plain is None else self._decode(height, plain, "body", _Entries)
        begun: Sequence[Begun] = ()
        if self.state is not None and entries is not None:
            shown = ChainMap({}, self._shown)
            begun = self._verifier.begin(admission.foresee(self.state, entries, shown))
            self._shown = dict(shown.maps[0])
        return Opened(height, entries, self._unseal(height, receipts, "receipts"), begun)

    def check(self, opened: Opened, header: Header | None) -> Outcome | None:
        """Compare a block with its header, and carry it out; None if that cannot be done."""
        height, entries = opened.height, opened.entries
        self._height = height
        self._verifier.finish(opened.begun)
        outcome = None
        is_whole = False
        if entries is not None and header is not None:
            outcome, is_whole = self._carry_out(Block(header, entries))
        if outcome is None:
            self.state = None
        self._check_receipts(opened.receipts, header, outcome)
        self._note_ids(height, entries if is_whole else None, outcome)
        return outcome

    def _carry_out(self, made: Block) -> tuple[Outcome | None, bool]:
        """What a block does, None if it cannot be carried out; and whether its body is whole."""
        header, height = made.header, made.header.height
        if self.state is None:
            found = (block.tx_root(made.entries), len(made.entries))
            expected = (header.tx_root, header.transaction_count)
            return None, self._compare(height, "body", expected, found)
        try:
            outcome = transition.apply_block(self.state, self._tip, made, rules=self._rules)
        except InvalidBlock as error:
            is_whole = error.reason is not BlockFault.TX_ROOT
            field = error.reason.value if is_whole else "body"
            expected_words = f"what follows from block {height - 1}"
            self._findings.add(BLOCKS, height, field, expected_words, str(error))
            return None, is_whole
        self.state.accept(outcome.changes, outcome.tree)
        self._tip = self._tip.after(header)
        self.applied += 1
        self.transactions += len(made.entries)
        return outcome, True

    def _check_receipts(
        self, plain: bytes | None, header: Header | None, outcome: Outcome | None
    ) -> None:
        """They are those that the block was carried out to, or at least those of its header."""
        if plain is None or header is None:
            return
        if outcome is not None and plain == codec.encode(outcome.receipts):
            return
        receipts = self._decode(header.height, plain, "receipts", _Receipts)
        if receipts is not None:
            root = block.receipt_root(receipts)
            self._compare(header.height, "receipts", (header.receipt_root,), (root,))

    def _note_ids(
        self, height: int, entries: tuple[bytes, ...] | None, outcome: Outcome | None
    ) -> None:
        """Keep where the block's transactions are."""
        if entries is None:
            self.unknown.add(height)
            return
        try:
            ids = outcome.ids if outcome else [transaction.decode(entry).id for entry in entries]
        except InvalidTransaction as error:
            self._findings.add(BLOCKS, height, "body", "signed transactions", str(error))
            self.unknown.add(height)
            return
        self.places.update((id_, (height, index)) for index, id_ in enumerate(ids))

    def _compare(
        self, height: int, field: str, expected: tuple[object, ...], found: tuple[object, ...]
    ) -> bool:
        if expected == found:
            return True
        self._findings.add(BLOCKS, height, field, _shown(expected), _shown(found))
        return False

    def _unseal(self, height: int, sealed: bytes, what: str) -> bytes | None:
        try:
            return self._seals.unseal(sealed, what, height)
        except BadTag as error:
            self._findings.add(BLOCKS, height, what, f"sealed {what} of this block", str(error))
            return None

    def _decode(self, height: int, plain: bytes, what: str, kind: type[codec.T]) -> codec.T | None:
        try:
            return codec.decode(plain, kind)
        except RemoteMisuse as error:
            self._findings.add(BLOCKS, height, what, f"{what} of a block", str(error))
            return None


def _shown(values: tuple[object, ...]) -> str:
    return ", ".join(one.hex() if isinstance(one, bytes) else str(one) for one in values)
