"""What a running contract may ask for, each thing paid for before it is done.

One `Host` belongs to one call on the stack. Both back-ends call the same methods: with bytes in
the encoding of `abi`, which is also that of storage and of events. A failure is raised as
`Failure`; it fails the whole transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qlq.contracts import gas
from qlq.contracts.journal import Journal
from qlq.contracts.outcome import NATIVE, Emitted, Env, Failure, Reason
from qlq.crypto.signing import Algorithm, VerifyingKey
from qlq.errors import BadSignature

DEPTH_MAX = 8
EVENTS_MAX = 64
BEACON_DELAY_MIN = 2
"""Rounds from the latest one on the chain: the next may be known to somebody already."""

SIGNATURE_CONTEXT = b"qlq/contract/1"
"""Signatures that contracts verify are made for contracts, never for transactions."""

_U64_BYTES = 8


@dataclass(slots=True)
class Transaction:
    """What all calls of one transaction share.

    Attributes:
        env: The block.
        journal: What has been done so far.
        run: Runs a call on the given host, and returns its encoded result.
        stack: Contracts that are running, the outermost first.
    """

    env: Env
    journal: Journal
    run: Callable[[Host, bytes], bytes]
    stack: list[bytes] = field(default_factory=list)


class Host:
    """The world of one call.

    Attributes:
        gas: What is left; a back-end keeps it up to date around each method.
        contract: Address of the running contract.
        sender: Who called: an account, or the contract that did.
        asset: Of the value.
        value: Units that came with the call.
        event_names: Of the contract's events, by number.
        pages: What is left of the page of each loop over one, by the loop's number.
    """

    __slots__ = (
        "_entries", "_journal", "_storage", "_transaction", "asset", "contract", "event_names",
        "gas", "pages", "sender", "value",
    )  # fmt: skip

    def __init__(
        self,
        transaction: Transaction,
        *,
        contract: bytes,
        sender: bytes,
        gas_limit: int,
        asset: bytes,
        value: int,
    ) -> None:
        """A call that has just begun."""
        self._transaction = transaction
        self._journal = transaction.journal
        self._entries = transaction.journal.entries(contract)
        self._storage = transaction.journal.ledger.storage
        self.contract = contract
        self.sender = sender
        self.gas = gas_limit
        self.asset = asset
        self.value = value
        self.event_names: tuple[str, ...] = ()
        self.pages: dict[int, Iterator[tuple[bytes, bytes]]] = {}

    @property
    def env(self) -> Env:
        """The block."""
        return self._transaction.env

    def charge(self, units: int) -> None:
        """Take gas; raises Failure with `Reason.OUT_OF_GAS` where there is less."""
        left = self.gas - units
        if left < 0:
            self.gas = 0
            raise Failure(Reason.OUT_OF_GAS)
        self.gas = left

    def get(self, key: bytes, size: int) -> bytes:
        """The entry's value, `size` bytes; zeros where there is none."""
        self.charge(gas.STORAGE_READ + size * gas.STORAGE_READ_BYTE)
        entries = self._entries
        value = entries[key] if key in entries else self._storage(self.contract, key)
        return bytes(size) if value is None else value

    def put(self, key: bytes, value: bytes) -> None:
        """Write an entry; zeros remove it."""
        size = len(value)
        self.charge(gas.STORAGE_WRITE + size * gas.STORAGE_WRITE_BYTE)
        entries = self._entries
        old = entries[key] if key in entries else self._storage(self.contract, key)
        if value == bytes(size):
            if old is not None:
                self._journal.write(self.contract, key, None)
            return
        if old is None:
            self.charge(gas.STORAGE_NEW)
        self._journal.write(self.contract, key, value)

    def page(self, prefix: bytes, start: bytes, count: int, size: int) -> list[tuple[bytes, bytes]]:
        """The first `count` entries from a key on, ascending by the bytes of their keys.

        Args:
            prefix: What the keys begin with.
            start: The first key that counts, with its prefix.
            count: 1 to 64; the compiler takes no other.
            size: Bytes of a key's rest and its value together.
        """
        self.charge(gas.PAGE + count * (gas.PAGE_ENTRY + size * gas.STORAGE_READ_BYTE))
        found: list[tuple[bytes, bytes]] = []
        for key, value in self._journal.ascending(self.contract, prefix, start, count):
            if value is None:
                self.charge(gas.PAGE_ENTRY)
                continue
            found.append((key[len(prefix) :], value))
            if len(found) == count:
                break
        return found

    def emit(self, name: str, data: bytes) -> None:
        """Note an event."""
        self.charge(gas.EVENT + len(data) * gas.EVENT_BYTE)
        events = self._journal.events
        if len(events) >= EVENTS_MAX:
            raise Failure(Reason.EVENTS_TOO_MANY, f"more than {EVENTS_MAX} in one transaction")
        events.append(Emitted(self.contract, name, data))

    def balance(self, address: bytes, asset: bytes) -> int:
        """What an account holds now."""
        self.charge(gas.BALANCE)
        return self._journal.balance(address, asset)

    def transfer(self, to: bytes, asset: bytes, amount: int) -> None:
        """Units go from the contract's own account to another."""
        self.charge(gas.TRANSFER)
        self._journal.move(self.contract, to, asset, amount)

    def call(self, contract: bytes, data: bytes) -> bytes:
        """Call another contract with all gas that is left; its encoded result."""
        self.charge(gas.CALL + len(data) * gas.CALL_BYTE)
        host = Host(
            self._transaction,
            contract=contract,
            sender=self.contract,
            gas_limit=self.gas,
            asset=NATIVE,
            value=0,
        )
        try:
            return self._transaction.run(host, data)
        finally:
            self.gas = host.gas

    def sha256(self, data: bytes) -> bytes:
        """SHA-256, 32 bytes. Source: FIPS 180-4."""
        self.charge(gas.HASH + len(data) * gas.HASH_BYTE)
        return hashlib.sha256(data).digest()

    def sha3_256(self, data: bytes) -> bytes:
        """SHA3-256, 32 bytes. Source: FIPS 202."""
        self.charge(gas.HASH + len(data) * gas.SHA3_BYTE)
        return hashlib.sha3_256(data).digest()

    def verify_ed25519(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key has signed the message for contracts, see `qlq.crypto.signing`."""
        self.charge(gas.VERIFY_ED25519 + len(message) * gas.HASH_BYTE)
        return _verifies(Algorithm.ED25519, key, message, signature)

    def verify_mldsa65(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key has signed the message for contracts, see `qlq.crypto.signing`."""
        self.charge(gas.VERIFY_MLDSA65 + len(message) * gas.HASH_BYTE)
        return _verifies(Algorithm.ML_DSA_65, key, message, signature)

    def beacon_next_round(self, delay: int) -> int:
        """The number of a round that nobody knows yet."""
        self.charge(gas.BEACON)
        if delay < BEACON_DELAY_MIN:
            raise Failure(
                Reason.ROUND_DELAY, f"a delay of {delay} rounds, under {BEACON_DELAY_MIN}"
            )
        following = self._journal.ledger.beacon_latest() + delay
        if following >= 1 << (8 * _U64_BYTES):
            raise Failure(Reason.OVERFLOW, f"no round has the number {following}")
        return following

    def beacon_value(self, round_number: int) -> bytes:
        """The round's value for this contract, 32 bytes."""
        self.charge(gas.BEACON)
        return self._draw(round_number, b"")

    def beacon_uniform(self, round_number: int, below: int, tag: bytes) -> int:
        """A number from 0 to below `below`, each as likely as the others.

        The first 8 bytes of SHA-256(pulse || contract || tag), little-endian. A number at or
        above the largest multiple of `below` would favour small results: the digest's own digest
        takes its place, which is paid for; fewer than half of all draws are such.
        """
        self.charge(gas.BEACON + len(tag) * gas.HASH_BYTE)
        if not below:
            raise Failure(Reason.RANGE_EMPTY, "there is no number below 0")
        even = (1 << (8 * _U64_BYTES)) // below * below
        drawn = self._draw(round_number, tag)
        while (number := int.from_bytes(drawn[:_U64_BYTES], "little")) >= even:
            self.charge(gas.BEACON_DRAW)
            drawn = hashlib.sha256(drawn).digest()
        return number % below

    def beacon_quality(self, round_number: int) -> int:
        """The tier of the round's randomness, 0 (simulated) to 4."""
        self.charge(gas.BEACON)
        return self._round(round_number)[1]

    def _draw(self, round_number: int, tag: bytes) -> bytes:
        """The pulse is public: what is drawn from it differs by contract and by tag."""
        value, _ = self._round(round_number)
        return hashlib.sha256(value + self.contract + tag).digest()

    def _round(self, round_number: int) -> tuple[bytes, int]:
        found = self._journal.ledger.beacon(round_number)
        if found is None:
            latest = self._journal.ledger.beacon_latest()
            raise Failure(
                Reason.ROUND_NOT_REACHED, f"round {round_number} is to come; the latest is {latest}"
            )
        return found


def _verifies(algorithm: Algorithm, key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature fits; keys and signatures of other lengths never do."""
    if len(key) != algorithm.key_bytes:
        return False
    framed = bytes([algorithm.value]) + signature
    try:
        VerifyingKey(algorithm, key).verify(message, framed, context=SIGNATURE_CONTEXT)
    except BadSignature:
        return False
    return True
