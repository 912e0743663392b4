"""Answers of a vendor that are none: a proxy's page, a document that was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qlq.backends.port import AmbiguousSubmit, Doing, TransientError

_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
"""What clients raise, each in its own way, when an answer has not the form that they expect."""


@contextmanager
def decoded(what: str, *, doing: Doing) -> Iterator[None]:
    """Run calls of a vendor's client, whose decoder may meet anything.

    Only the client's code belongs inside, so that a mistake of ours is still seen as one.

    Args:
        what: What was asked and of whom, for messages.
        doing: What an answer that cannot be read means.

    Raises:
        TransientError: The answer is none; asking again may give one.
        AmbiguousSubmit: The same for a submit: a job may have come of it.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise unreadable(what, type(error).__name__, doing=doing) from error


def unreadable(what: str, reason: str, *, doing: Doing) -> TransientError:
    """The error for an answer of status 200 that is not what was asked for."""
    text = f"{what}: the answer is no result ({reason}): perhaps a proxy's, or cut off"
    return AmbiguousSubmit(text) if doing is Doing.SUBMIT else TransientError(text)
