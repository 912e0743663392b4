"""Credentials in what a client says: hidden whole, in one line, shortened."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from qlq.backends.secrecy import TEXT_CHARACTERS_MAX, Secrecy

LOGGER = "qlq-test-vendor"


@pytest.fixture
def secrecy() -> Iterator[Secrecy]:
    logger = logging.getLogger(f"{LOGGER}.http")
    made = Secrecy(patterns=(re.compile(r"key-\d+"),), loggers=(LOGGER,))
    yield made
    logger.removeFilter(made)


def test_a_secret_that_begins_with_another_one_is_hidden_whole(secrecy: Secrecy) -> None:
    parts = [f"{'x' * length}." for length in range(1, 30)]
    secrecy.keep("".join(parts[:count]) for count in range(1, 30))  # each begins the next
    assert secrecy.hidden(f"<{''.join(parts)}>") == "<[hidden]>"


def test_a_message_is_one_short_line_without_secrets(secrecy: Secrecy) -> None:
    secrecy.keep(["s3cret", None, ""])
    assert secrecy.said(" the\n key-17 \t or s3cret ") == "the [hidden] or [hidden]"
    assert len(secrecy.said("word " * 1000)) == TEXT_CHARACTERS_MAX


def test_the_clients_own_log_passes_without_secrets(
    secrecy: Secrecy, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(f"{LOGGER}.http")
    for _ in range(2):  # keeping again filters once
        secrecy.keep(["s3cret"])
    with caplog.at_level(logging.DEBUG, logger=logger.name):
        logger.debug("sending %s with %s", "s3cret", "key-17")
    assert [record.getMessage() for record in caplog.records] == ["sending [hidden] with [hidden]"]
    assert logger.filters == [secrecy]
