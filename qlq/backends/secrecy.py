"""What a vendor's client must not show: credentials, in messages, in logs and in tracebacks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

TEXT_CHARACTERS_MAX = 400
"""Most of a vendor's message that an error of ours repeats."""
_HIDDEN = "[hidden]"


class Secrecy(logging.Filter):
    """Hides one vendor's credentials; one for the process, as the client's loggers are.

    Args:
        patterns: What a credential looks like.
        loggers: First names of the loggers of the client and of what it is made from.
    """

    def __init__(self, *, patterns: tuple[re.Pattern[str], ...], loggers: tuple[str, ...]) -> None:
        """Know no value yet, only forms."""
        super().__init__()
        self._patterns, self._loggers = patterns, loggers
        self._known: set[str] = set()

    def keep(self, values: Iterable[str | None]) -> None:
        """Never show these values, and let the client's own loggers pass through `hidden`."""
        self._known.update(value for value in values if value)
        for name in list(logging.root.manager.loggerDict):
            if name.split(".")[0] in self._loggers:
                logger = logging.getLogger(name)
                if self not in logger.filters:
                    logger.addFilter(self)

    def hidden(self, text: str) -> str:
        """A text without what is kept secret and what looks like it."""
        for secret in sorted(self._known, key=len, reverse=True):  # one may begin another
            text = text.replace(secret, _HIDDEN)
        for pattern in self._patterns:
            text = pattern.sub(_HIDDEN, text)
        return text

    def said(self, text: object) -> str:
        """A vendor's message in one line, shortened, without credentials."""
        return self.hidden(" ".join(str(text).split()))[:TEXT_CHARACTERS_MAX]

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record of the client's log pass, without credentials."""
        record.msg, record.args = self.hidden(record.getMessage()), None
        return True
