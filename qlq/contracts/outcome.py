"""A call to a contract, and what came of it."""

from __future__ import annotations

from enum import IntEnum

import msgspec

NATIVE = bytes(32)
"""The asset id of the chain's own units."""


class Status(IntEnum):
    """How a call ended; receipts hold the number."""

    OK = 0
    REVERTED = 1
    """The contract failed, or broke a rule; the gas that is left goes back."""
    OUT_OF_GAS = 2
    """All gas is used."""
    REFUSED = 3
    """No code ran: what was asked for cannot be called so; no gas is used."""


class Reason(IntEnum):
    """Why a call failed; receipts hold the number."""

    NONE = 0
    """It did not."""
    OUT_OF_GAS = 1

    ASSERTION = 2
    """An `assert` of the contract; the code is the number of its text."""
    OVERFLOW = 3
    """A result above the largest value of its type."""
    UNDERFLOW = 4
    """A result below zero."""
    DIVISION_BY_ZERO = 5
    SHIFT = 6
    """A shift by as many bits as the type has, or by more."""
    INDEX = 7
    """An index or a length outside of what the value has."""
    CONVERSION = 8
    """A value that the other type does not have."""

    INSUFFICIENT_BALANCE = 16
    BALANCE_OVERFLOW = 17
    """The receiver would hold more than 2^63 - 1."""
    EVENTS_TOO_MANY = 18
    UNKNOWN_CONTRACT = 21
    ALREADY_CALLED = 22
    """A contract that waits for this call cannot be called by it."""
    TOO_DEEP = 23
    RESULT_MISMATCH = 24
    """Another contract returned what is not of the expected type."""
    ROUND_NOT_REACHED = 25
    """The beacon's round is not on the chain yet."""
    ROUND_DELAY = 26
    """A round less than two ahead could be known to somebody already."""
    RANGE_EMPTY = 27
    """There is no number below zero."""

    UNKNOWN_METHOD = 32
    ARGUMENTS_INVALID = 33
    """Bytes that are not the arguments of the method."""
    VALUE_NOT_TAKEN = 34
    """A value sent with a method that takes none."""
    ALREADY_DEPLOYED = 35

    @property
    def text(self) -> str:
        """For people, where nothing more is known."""
        return self.name.lower().replace("_", " ")


class Env(msgspec.Struct, frozen=True):
    """The block that a call is part of.

    Attributes:
        chain: The chain's id, 32 bytes.
        height: Of the block, from 1.
        time_s: Seconds since 1970 (UTC), the median of recent blocks.
    """

    chain: bytes
    height: int
    time_s: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call.

    Attributes:
        contract: Address of the contract, 32 bytes.
        sender: Who calls, 32 bytes.
        data: Id of the method (4 bytes) and its encoded arguments, see `abi`.
        gas: Bound of the work, 0 to 2^63 - 1.
        asset: Of the value; 32 zero bytes are the chain's own units.
        value: Units that go to the contract with the call, 0 to 2^63 - 1.
    """

    contract: bytes
    sender: bytes
    data: bytes
    gas: int
    asset: bytes = NATIVE
    value: int = 0


class Emitted(msgspec.Struct, frozen=True):
    """An event: the contract, the event's name, its arguments encoded."""

    contract: bytes
    name: str
    data: bytes


class Write(msgspec.Struct, frozen=True):
    """An entry of a contract's storage as it is afterwards; no value: there is none."""

    contract: bytes
    key: bytes
    value: bytes | None


class Moved(msgspec.Struct, frozen=True):
    """Units that went from one account to another."""

    source: bytes
    target: bytes
    asset: bytes
    amount: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a call did; unless the status is OK, nothing but using gas.

    Attributes:
        status: How it ended.
        reason: Why it failed.
        code: With `Reason.ASSERTION` the number of the text, else 0.
        contract: Where it failed, which may be a contract that the called one has called.
        line: Line of that contract's source; 0 where there is none.
        message: For people; never hashed.
        result: Encoded, see `abi`; empty without one.
        gas_used: Of the call's gas.
        events: In the order in which they happened.
        writes: All entries that were written, ascending by contract and key.
        moves: All transfers in the order in which they happened, the call's value first.
    """

    status: Status
    reason: Reason = Reason.NONE
    code: int = 0
    contract: bytes = b""
    line: int = 0
    message: str = ""
    result: bytes = b""
    gas_used: int
    events: tuple[Emitted, ...] = ()
    writes: tuple[Write, ...] = ()
    moves: tuple[Moved, ...] = ()


class Failure(Exception):
    """A call fails here: everything that it did is undone. Caught by the engine alone.

    Attributes:
        reason: Why.
        code: With `Reason.ASSERTION` the number of the text.
        line: Line of the source, 0 where the raiser does not know it.
        contract: Where; empty where the raiser does not know it.
    """

    def __init__(self, reason: Reason, message: str = "", *, code: int = 0, line: int = 0) -> None:
        """Keep the reason; the message is for people and names the values."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code
        self.line = line
        self.contract = b""
