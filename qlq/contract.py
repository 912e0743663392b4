"""What a contract file imports: names with their types for editors and type-checkers, no behaviour.

A contract is never run as Python: `qlq.contracts` compiles it, see docs/contracts-language.md. The
types here say what the compiler says as well as Python's types can: `u64` and `u128` are plain
integers to a type-checker, `Bytes[N]` is anything, as no Python type carries a number.
"""

# ruff: noqa: ARG001, ARG002 - stubs do nothing with their arguments

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum as Enum
from typing import TYPE_CHECKING, Generic, TypeVar, dataclass_transform
from typing import Protocol as Interface
from typing import cast as at

if TYPE_CHECKING:
    from qlq_no_such_module import Bytes  # type: ignore[import-not-found]
else:

    class Bytes:
        """Up to N bytes: `Bytes[N]`, N from 1 to 4096."""

        def __class_getitem__(cls, capacity: int) -> type[Bytes]:
            """The type with this capacity."""
            return cls


__all__ = [
    "NATIVE",
    "U64_MAX",
    "U128_MAX",
    "Address",
    "Asset",
    "Bytes",
    "Bytes32",
    "Contract",
    "Enum",
    "Interface",
    "Map",
    "Quality",
    "Struct",
    "at",
    "beacon",
    "block",
    "chain_id",
    "event",
    "external",
    "ledger",
    "msg",
    "mul_div",
    "pack",
    "sha3_256",
    "sha256",
    "this",
    "u64",
    "u128",
    "upgradable",
    "verify_ed25519",
    "verify_mldsa65",
    "view",
]  # fmt: skip

K = TypeVar("K")
V = TypeVar("V")
F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C", bound=type)

u64 = int
"""0 to 2^64 - 1; all arithmetic is checked."""
u128 = int
"""0 to 2^128 - 1; all arithmetic is checked."""
U64_MAX: u64 = 2**64 - 1
U128_MAX: u128 = 2**128 - 1


class CompiledOnly(TypeError):
    """A contract was run as Python."""

    def __init__(self) -> None:
        """Say what to do instead."""
        super().__init__("a contract is compiled, not run as Python: see `qlq contract check`")


class Bytes32:
    """32 bytes: a digest, a key. Without an argument all zeros."""

    def __init__(self, value: str | Bytes32 | Address | Asset | Bytes = "") -> None:
        """From 64 hexadecimal digits, another 32-byte value, or Bytes of length 32."""


class Address:
    """An account or a contract. Without an argument all zeros, which is nobody."""

    def __init__(self, value: str | Bytes32 | Address | Asset | Bytes = "") -> None:
        """From 64 hexadecimal digits, another 32-byte value, or Bytes of length 32."""


class Asset:
    """An asset's id. Without an argument all zeros, the chain's own units."""

    def __init__(self, value: str | Bytes32 | Address | Asset | Bytes = "") -> None:
        """From 64 hexadecimal digits, another 32-byte value, or Bytes of length 32."""


NATIVE = Asset()
"""The chain's own units."""


class Quality(Enum):
    """How far the randomness of a beacon's round can be trusted, ascending."""

    NONE = 0
    """A simulator or a classical source."""
    VENDOR = 1
    """Quantum hardware, as its vendor says."""
    DEVICE = 2
    """Assessed under a model of the device."""
    SELF_TESTED = 3
    """A Bell test of the same device."""
    IMPORTED = 4
    """A certificate from elsewhere that was checked."""


@dataclass_transform()
class Struct:
    """Values side by side; a value itself: assigning copies it."""


class Contract:
    """Base of the one contract of a file."""


class Map(Generic[K, V]):
    """Entries of the state by key; what was never written is zero."""

    def __getitem__(self, key: K) -> V:
        """The entry, or zero."""
        raise CompiledOnly

    def __setitem__(self, key: K, value: V) -> None:
        """Write the entry; zero removes it."""

    def __delitem__(self, key: K) -> None:
        """Set the entry to zero, which removes it."""

    def items(self, start: K, count: u64) -> list[tuple[K, V]]:
        """The first `count` (1 to 64) entries whose keys are not below `start`, in a `for`."""
        raise CompiledOnly


def external(function: F) -> F:
    """Anyone may call the method."""
    return function


def view(function: F) -> F:
    """Anyone may call the method, and it changes nothing."""
    return function


def event(function: F) -> F:
    """A call of it tells the world outside; its body is `...`."""
    return function


def upgradable(*, admin: str, delay: int) -> Callable[[C], C]:
    """The address in the field `admin` may replace the code, `delay` blocks after saying so."""
    return lambda contract: contract


class Message:
    """The call."""

    sender: Address
    """Who calls: an account or a contract."""
    value: u64
    """Units that came with the call."""
    asset: Asset
    """Of which asset they are."""


class Block:
    """The block that the call is part of."""

    height: u64
    time: u64
    """Seconds since 1970 (UTC), the median of recent blocks."""


class Ledger:
    """Assets of accounts."""

    def balance(self, account: Address, asset: Asset) -> u64:
        """What an account holds now."""
        raise CompiledOnly

    def transfer(self, to: Address, asset: Asset, amount: u64) -> None:
        """Units go from the contract's own account to another."""


class Beacon:
    """Public randomness that nobody knew when its round was named."""

    def next_round(self, delay: u64) -> u64:
        """A round to come, `delay` (2 or more) after the latest: to be stored in a field."""
        raise CompiledOnly

    def value(self, stored_round: u64) -> Bytes32:
        """The round's value for this contract; fails while the round is to come."""
        raise CompiledOnly

    def uniform(self, stored_round: u64, below: u64, tag: Bytes) -> u64:
        """A number below `below`, each as likely as the others; tags give independent ones."""
        raise CompiledOnly

    def quality(self, stored_round: u64) -> Quality:
        """How far the round can be trusted."""
        raise CompiledOnly


msg = Message()
block = Block()
ledger = Ledger()
beacon = Beacon()
chain_id = Bytes32()
this = Address()


def mul_div(left: u128, right: u128, divisor: u128) -> u128:
    """Quotient of left * right by the divisor, no bound on the product; all u64, or all u128."""
    raise CompiledOnly


def pack(*values: object) -> Bytes:
    """The encodings of values side by side."""
    raise CompiledOnly


def sha256(value: object) -> Bytes32:
    """SHA-256 of the content of Bytes, or of any other value's encoding."""
    raise CompiledOnly


def sha3_256(value: object) -> Bytes32:
    """SHA3-256 of the content of Bytes, or of any other value's encoding."""
    raise CompiledOnly


def verify_ed25519(key: Bytes32, message: Bytes, signature: Bytes) -> bool:
    """Whether the key's holder signed the message for a contract."""
    raise CompiledOnly


def verify_mldsa65(key: Bytes, message: Bytes, signature: Bytes) -> bool:
    """Whether the key's holder signed the message for a contract."""
    raise CompiledOnly
