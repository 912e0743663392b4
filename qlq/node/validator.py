"""A running validator: takes transactions in, makes blocks of them, and keeps what is final.

submit         envelope -> cheap checks -> opened, its link key used up -> verified -> waits
make_block     what waits -> a block -> the loop -> final, on disk -> receipts
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from qlq.errors import InvalidTransaction, KeyAlreadyDelivered, KeyNotFound, LocalMisuse
from qlq.faults import TransactionFault
from qlq.ledger import admission, sealing, transaction, transition
from qlq.ledger.mempool import Mempool, Waiting
from qlq.ledger.sealing import LinkKey, Opener
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.ledger.transaction import SignedTransaction
from qlq.ledger.transition import Rules, Tip
from qlq.node.link_keys import LinkKeys
from qlq.node.loop import Loop, Made
from qlq.node.verification import Verifier


@dataclass(frozen=True, slots=True)
class Refusal:
    """A transaction that waited and was refused when its turn came."""

    transaction: bytes
    error: InvalidTransaction


class Validator:
    """One validator of one chain. One thread; verification uses its own."""

    def __init__(
        self,
        *,
        loop: Loop,
        store: LedgerStore,
        rules: Rules,
        opener: Opener,
        verifier: Verifier,
        link_keys: LinkKeys,
    ) -> None:
        """Put the parts together; `chains.opened` does it for a home.

        Args:
            loop: At the tip.
            store: Of this node.
            rules: The chain's, with the verifier's memory.
            opener: What this validator opens envelopes with.
            verifier: Behind the rules.
            link_keys: Keys of the links to senders.
        """
        self.store = store
        self.rules = rules
        self._loop, self._opener, self._verifier = loop, opener, verifier
        self._link_keys = link_keys
        self._mempool = Mempool(rules.chain, rules.genesis)

    @property
    def address(self) -> bytes:
        """This validator's address."""
        return self._opener.address

    @property
    def state(self) -> State:
        """After the last final block."""
        return self._loop.state

    @property
    def tip(self) -> Tip:
        """The last final block."""
        return self._loop.tip

    @property
    def waiting(self) -> Mempool:
        """What waits for a block."""
        return self._mempool

    def check_seat(self) -> None:
        """Return if this node takes part in making the next block; raises LedgerError."""
        self._loop.check_seat()

    def submit_sealed(self, data: bytes, *, peer: str) -> bytes:
        """Take in an envelope; its transaction's id.

        Args:
            data: A `sealing.SealedTransaction` in canonical bytes.
            peer: Who brought it; empty for this machine's own user.

        Raises:
            InvalidTransaction: It may not wait. A link key is used up only by an envelope that
                opened.
            KeyStoreError: This node's own store cannot be used; no fault of the sender.
            LedgerError: This node makes no blocks any more.
        """
        self.check_seat()
        limits = self.rules.genesis.limits
        sealed = sealing.decode(data, bytes_max=limits.sealed_bytes_max)
        self._mempool.check_clear(
            self.state, sealed, size=len(data), peer=peer, height=self.tip.height + 1
        )
        record, _ = self._opener.own_seal(sealed)
        if not record.key_id:
            return self._take_in(sealing.unseal(sealed, self._opener, _no_link_key), peer)
        try:
            with self._link_keys.using(record.key_id) as link:
                signed = sealing.unseal(sealed, self._opener, lambda _: link)
        except KeyAlreadyDelivered as error:
            raise InvalidTransaction(TransactionFault.SEAL_KEY_REUSED, str(error)) from error
        except (KeyNotFound, LocalMisuse) as error:
            raise InvalidTransaction(TransactionFault.SEAL_KEY_UNKNOWN, str(error)) from error
        return self._take_in(signed, peer)

    def submit(self, data: bytes, *, peer: str) -> bytes:
        """Take in a transaction that does not travel sealed; as `submit_sealed`."""
        self.check_seat()
        signed = transaction.decode(data)
        self._mempool.check_clear(
            self.state, signed.draft, size=len(data), peer=peer, height=self.tip.height + 1
        )
        if signed.draft.seals:
            detail = "the sender sealed it, and it arrives open"
            raise InvalidTransaction(TransactionFault.SEAL_MISMATCH, detail)
        return self._take_in(signed, peer)

    def make_block(self) -> tuple[list[Made], list[Refusal]]:
        """Make what waits final: the blocks, and what was refused on the way.

        Raises:
            ConfigError, LedgerError: The block could not be kept; open the ledger anew. Or this
                node makes no blocks any more, see `Loop.check_seat`.
        """
        self.check_seat()
        height = self.tip.height + 1
        best = self._mempool.candidates(self.state, height=height)
        chosen = list(itertools.islice(best, self.rules.genesis.limits.transactions_max))
        proposal = transition.propose(
            self.state,
            self.tip,
            [waiting.entry for waiting in chosen],
            time_ms=time.time_ns() // 1_000_000,
            rules=self.rules,
        )
        by_entry = {waiting.entry: waiting for waiting in chosen}
        refusals = []
        for entry, error in proposal.refused:
            if error.reason is not TransactionFault.BLOCK_FULL:
                self._mempool.drop(by_entry[entry].id)
                refusals.append(Refusal(by_entry[entry].id, error))
        made = self._loop.propose(proposal.block, proposal.outcome)
        self._mempool.settle(self.state, height=self.tip.height + 1)
        return made, refusals

    def _take_in(self, signed: SignedTransaction, peer: str) -> bytes:
        """Verify an opened transaction in threads, and let it wait."""
        for part in signed.draft.operations:
            self._loop.check_operation(part)
        height = self.tip.height + 1
        needs = admission.check_waiting(
            self.state,
            signed,
            height=height,
            chain=self.rules.chain,
            rules=self.rules.genesis,
        )
        self._verifier.finish(self._verifier.begin(needs))
        for need in needs:
            self._verifier.verify(need)
        draft = signed.draft
        waiting = Waiting(
            id=draft.id,
            sender=draft.sender,
            nonce=draft.nonce,
            fee=draft.fee,
            cost=draft.fee + admission.gas_cost(draft.gas_limit, self.rules.genesis.policy),
            valid_until=draft.valid_until,
            entry=signed.to_bytes(),
            peer=peer,
            arrival=0,
        )
        self._mempool.add(self.state, waiting, height=height)
        return draft.id


def _no_link_key(_: bytes) -> LinkKey:
    raise InvalidTransaction(TransactionFault.SEAL_BROKEN, "a seal that names no link key")
