"""How a chain begins, and the rules that stay: its hash is the chain's id."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from qlq import codec
from qlq.consensus import validators
from qlq.consensus.validators import Validators
from qlq.crypto import digest
from qlq.crypto.signing import VerifyingKey
from qlq.errors import ConfigError, RemoteMisuse
from qlq.ledger.operations import AMOUNT_MAX, ID_BYTES

_ID_NAME = b"qlq/chain/1"
_PARAMETERS_NAME = b"qlq/parameters/1"
NAME_CHARACTERS_MAX = 64
NATIVE_SYMBOL = "QLQ"
NATIVE_DECIMALS = 9
ALLOCATIONS_MAX = 10_000
ADMINISTRATORS_MAX = 100
GENESIS_BYTES_MAX = 1 << 22
LIMITS_MAX = {"transactions_max": 100_000, "block_bytes_max": 15 << 20, "sealed_bytes_max": 2 << 20}
"""A block of more entries or bytes, with header and framing, would not fit into `BLOCK_BYTES_MAX`;
an envelope of more bytes holds no transaction that does."""


class PolicyKind(IntEnum):
    """What keeps the ledger from being flooded."""

    QUOTA = 1
    """Accounts are enrolled by an administrator; each has quotas. There are no fees."""
    FEES = 2
    """Whoever can pay may send; an account exists once it has been given something."""


class Policy(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Rules of admission.

    Attributes:
        kind: Quotas or fees.
        fee_min: Least fee of a transaction, smallest native unit; 0 with quotas.
        gas_price: Native units for 1,000 gas, rounded up; 0 with quotas.
        deposit: Native units held for each entry of the state, given to whoever removes the
            entry; 0 with quotas.
        pending_max: Transactions of one account that may wait.
        entries_max: Entries of the state that one account may have made and not removed; with
            fees the deposit is the bound, and this is 0.
    """

    kind: PolicyKind
    fee_min: int
    gas_price: int
    deposit: int
    pending_max: int
    entries_max: int


class Limits(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Bounds of a block and of what waits.

    Attributes:
        transactions_max: In one block.
        block_bytes_max: Of all entries together.
        block_gas_max: Of all calls together.
        transaction_gas_max: Of one transaction.
        expiry_max: Heights that a transaction may be valid for.
        sealed_bytes_max: Of one sealed transaction.
    """

    transactions_max: int = 1000
    block_bytes_max: int = 6 * 1024 * 1024
    block_gas_max: int = 100_000_000
    transaction_gas_max: int = 10_000_000
    expiry_max: int = 10_000
    sealed_bytes_max: int = 1 << 20


class Allocation(msgspec.Struct, frozen=True, array_like=True):
    """Native units of an account at the beginning."""

    account: bytes
    amount: int


class Genesis(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Everything before the first block.

    Attributes:
        name: For people, 1 to 64 characters.
        time_ms: Milliseconds since 1970 (UTC).
        validators: Who votes on the first block.
        administrators: Accounts that may enrol others, ascending.
        policy: Rules of admission.
        limits: Bounds.
        beacon: Key of the chain's beacon with its algorithm's byte; empty for a chain without.
        allocations: Native units by account, ascending; their sum is the supply.
    """

    name: str
    time_ms: int
    validators: Validators
    administrators: tuple[bytes, ...]
    policy: Policy
    limits: Limits
    beacon: bytes
    allocations: tuple[Allocation, ...]

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @property
    def chain(self) -> bytes:
        """The chain's id, 32 bytes."""
        return digest.named(_ID_NAME, self.to_bytes())

    @property
    def parameters_hash(self) -> bytes:
        """Digest of policy, limits and beacon: the rules that each block names."""
        rules = codec.encode((self.policy, self.limits, self.beacon))
        return digest.named(_PARAMETERS_NAME, rules)


QUOTAS = Policy(
    kind=PolicyKind.QUOTA, fee_min=0, gas_price=0, deposit=0, pending_max=64, entries_max=10_000
)
FEES = Policy(
    kind=PolicyKind.FEES, fee_min=1_000, gas_price=10, deposit=10_000, pending_max=64, entries_max=0
)


def check(genesis: Genesis) -> None:
    """Return if a chain can begin so; raises ConfigError naming the field that does not fit."""
    policy, limits = genesis.policy, genesis.limits
    _need(1 <= len(genesis.name) <= NAME_CHARACTERS_MAX, f"name {genesis.name!r}")
    _need(genesis.time_ms >= 0, f"time_ms {genesis.time_ms}")
    _check_addresses(genesis.administrators, ADMINISTRATORS_MAX, "administrators")
    _check_addresses(
        tuple(allocation.account for allocation in genesis.allocations),
        ALLOCATIONS_MAX,
        "allocations",
    )
    amounts = [allocation.amount for allocation in genesis.allocations]
    _need(all(amount > 0 for amount in amounts), "an allocation of nothing")
    _need(sum(amounts) <= AMOUNT_MAX, f"a native supply of {sum(amounts)}")
    for name in ("fee_min", "gas_price", "deposit", "pending_max", "entries_max"):
        _need(0 <= getattr(policy, name) <= AMOUNT_MAX, f"policy {name} {getattr(policy, name)}")
    _need(policy.pending_max > 0, "policy pending_max 0: nobody could send")
    if policy.kind is PolicyKind.QUOTA:
        _need(not (policy.fee_min or policy.gas_price or policy.deposit), "quotas with fees")
        _need(policy.entries_max > 0, "policy entries_max 0: nobody could make anything")
    _check_limits(limits)
    try:
        validators.check_joining(genesis.validators, None)
        if genesis.beacon:
            VerifyingKey.from_bytes(genesis.beacon)
    except RemoteMisuse as error:
        raise ConfigError(f"this genesis begins no chain: {error}") from error


def _check_limits(limits: Limits) -> None:
    for name in limits.__struct_fields__:
        _need(0 < getattr(limits, name) <= AMOUNT_MAX, f"limit {name} {getattr(limits, name)}")
    for name, most in LIMITS_MAX.items():
        found = getattr(limits, name)
        _need(found <= most, f"limit {name} {found}: nobody takes more than {most}")
    _need(
        limits.transaction_gas_max <= limits.block_gas_max,
        f"limit transaction_gas_max {limits.transaction_gas_max}: above that of a block",
    )


def decode(data: bytes) -> Genesis:
    """The genesis in these bytes; raises ConfigError for any that cannot be one."""
    if len(data) > GENESIS_BYTES_MAX:
        raise ConfigError(f"a genesis has at most {GENESIS_BYTES_MAX} bytes, not {len(data)}")
    try:
        genesis: Genesis = codec.decode(data, Genesis)
    except RemoteMisuse as error:
        raise ConfigError(f"not the genesis of a chain: {error}") from error
    check(genesis)
    return genesis


def _check_addresses(addresses: tuple[bytes, ...], count_max: int, what: str) -> None:
    _need(len(addresses) <= count_max, f"{len(addresses)} {what}; at most {count_max}")
    _need(all(len(address) == ID_BYTES for address in addresses), f"{what}: no address")
    _need(sorted(set(addresses)) == list(addresses), f"{what} not ascending, or twice")


def _need(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigError(f"this genesis begins no chain: {message}")
