"""What an audit of a ledger finds, as a list that is complete up to a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FINDINGS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be. No secret, and no content of a body, is shown.

    Attributes:
        where: Table of the ledger, or `file` for what SQLite says of the whole.
        height: Of the block it is about; None where there is none.
        field: Column, or field of a header.
        expected: What should be there, in words or hexadecimal.
        found: What is there.
    """

    where: str
    height: int | None
    field: str
    expected: str
    found: str

    def to_document(self) -> dict[str, Any]:
        """The finding as documents show it."""
        return {
            "where": self.where,
            "height": self.height,
            "field": self.field,
            "expected": self.expected,
            "found": self.found,
        }


class Findings:
    """Findings in the order in which they were made."""

    def __init__(self) -> None:
        """None yet."""
        self.listed: list[Finding] = []
        self.left_off = 0
        """Findings beyond `FINDINGS_MAX`, which are counted only."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.listed)

    def add(self, where: str, height: int | None, field: str, expected: str, found: str) -> None:
        """One more."""
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(Finding(where, height, field, expected, found))
        else:
            self.left_off += 1
