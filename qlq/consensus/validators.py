"""The set of those who vote: at most f of n may lie, and n - f of them decide."""

from __future__ import annotations

from functools import cached_property

import msgspec

from qlq import codec
from qlq.crypto import digest
from qlq.crypto.kem import EncapsulationKey
from qlq.crypto.signing import VerifyingKey
from qlq.errors import RemoteMisuse

ADDRESS_BYTES = 32
VALIDATORS_MAX = 100
WEIGHT_MAX = 1000
SET_BYTES_MAX = 1 << 19
_ADDRESS_NAME = b"qlq/address/1"
_SET_NAME = b"qlq/validators/1"


class Validator(msgspec.Struct, frozen=True, array_like=True):
    """One who votes.

    Attributes:
        address: Digest of the key, see `address_of`; 32 bytes.
        key: Its `signing.VerifyingKey` with the algorithm's byte; votes are signed with it.
        encapsulation_key: Its `kem.EncapsulationKey` with the algorithm's byte; what only
            validators may read is sealed with it.
        weight: Share of the proposer's turns, 1 to 1000. A vote counts one, whatever the weight.
    """

    address: bytes
    key: bytes
    encapsulation_key: bytes
    weight: int

    def __post_init__(self) -> None:
        """Refuse what is no validator; raises ValueError, of decoded bytes RemoteMisuse."""
        try:
            VerifyingKey.from_bytes(self.key)
            EncapsulationKey.from_bytes(self.encapsulation_key)
        except RemoteMisuse as error:
            raise ValueError(f"validator {self.address.hex()[:16]}: {error}") from error
        if self.address != digest.named(_ADDRESS_NAME, self.key):
            raise ValueError(f"{self.address.hex()[:16]} is not the address of the key beside it")
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise ValueError(f"a weight of {self.weight}; 1 to {WEIGHT_MAX} are possible")


class Validators(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """1 to 100 validators in ascending order of their addresses, each once.

    Raises ValueError where made of anything else; of decoded bytes RemoteMisuse.
    """

    members: tuple[Validator, ...]

    def __post_init__(self) -> None:
        """Refuse a set that is empty, too large or out of order."""
        if not 1 <= len(self.members) <= VALIDATORS_MAX:
            raise ValueError(f"{len(self.members)} validators; 1 to {VALIDATORS_MAX} are possible")
        addresses = [member.address for member in self.members]
        if sorted(set(addresses)) != addresses:
            raise ValueError("validators go by ascending address, each once: use `of`")

    def __len__(self) -> int:
        """How many there are: n."""
        return len(self.members)

    def __contains__(self, address: object) -> bool:
        """Whether somebody with this address votes."""
        return address in self._places

    @cached_property
    def hash(self) -> bytes:
        """Digest of the set, 32 bytes; votes and headers name it."""
        return digest.named(_SET_NAME, self.to_bytes())

    @property
    def fault_bound(self) -> int:
        """The largest number f of liars under which no two blocks of a height become final.

        Source:
            Bracha and Toueg, Journal of the ACM 32 (1985): n >= 3f + 1.
        """
        return (len(self.members) - 1) // 3

    @property
    def quorum(self) -> int:
        """Votes that decide: n - f. Two quorums have n - 2f > f validators in common."""
        return len(self.members) - self.fault_bound

    @cached_property
    def weight(self) -> int:
        """Sum of all weights: after so many heights the turns repeat."""
        return sum(member.weight for member in self.members)

    def index(self, address: bytes) -> int:
        """Place of a validator, from 0; raises KeyError for anybody else."""
        return self._places[address]

    def key(self, address: bytes) -> VerifyingKey:
        """What a validator's signatures are verified with; raises KeyError for anybody else."""
        return self._keys[self._places[address]]

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {member.address: index for index, member in enumerate(self.members)}

    @cached_property
    def _keys(self) -> tuple[VerifyingKey, ...]:
        return tuple(VerifyingKey.from_bytes(member.key) for member in self.members)


def address_of(key: VerifyingKey) -> bytes:
    """The address that a validator with this key has, 32 bytes."""
    return digest.named(_ADDRESS_NAME, key.to_bytes())


def validator(key: VerifyingKey, encapsulation_key: EncapsulationKey, *, weight: int) -> Validator:
    """A validator with these keys; raises ValueError for a weight outside 1 to 1000."""
    return Validator(address_of(key), key.to_bytes(), encapsulation_key.to_bytes(), weight)


def of(*members: Validator) -> Validators:
    """The set of these, in order; raises ValueError if one is in it twice, or too many are."""
    return Validators(tuple(sorted(members, key=lambda member: member.address)))


def check_joining(joining: Validators, known: Validators | None) -> None:
    """Return if something can be sealed for whoever is new among those who vote.

    For the moment when a set is named: a key that nothing can be sealed for would stop the chain.

    Args:
        joining: The set that is to vote.
        known: The set before, whose keys were checked then; None: there was none.

    Raises:
        RemoteMisuse: The key of one of them is no encapsulation key.
    """
    for member in joining.members:
        if known is not None and member in known.members:
            continue
        try:
            EncapsulationKey.from_bytes(member.encapsulation_key).check()
        except RemoteMisuse as error:
            raise RemoteMisuse(f"validator {member.address.hex()[:16]}: {error}") from error


def decode(data: bytes) -> Validators:
    """The set that `Validators.to_bytes` wrote; raises RemoteMisuse for anything else."""
    if len(data) > SET_BYTES_MAX:
        raise RemoteMisuse(f"a set of validators in {len(data)} bytes; {SET_BYTES_MAX} fit")
    return codec.decode(data, Validators)
