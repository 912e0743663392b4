"""Failover: in order, only when a backend cannot be used, and with every reason kept."""

from __future__ import annotations

import pytest

from qlq.backends import chain, registry
from qlq.backends.chain import Choice, Fallback
from qlq.errors import (
    BackendError,
    BackendUnavailable,
    CircuitRejected,
    ConfigError,
    JobFailed,
    JobPending,
    ProtocolAbort,
    QBERTooHigh,
    QLQError,
)
from qlq.provenance import Attempt

URIS = ("aer:fez", "aer:torino", "aer")


def parse(*uris: str, fallback: Fallback = Fallback.ALLOWED) -> tuple[Choice, ...]:
    return chain.parse(uris, fallback=fallback)


class Script:
    """What happens on each backend: an error, or nothing, which is success."""

    def __init__(self, **errors: QLQError) -> None:
        self.errors = {uri.replace("_", ":"): error for uri, error in errors.items()}
        self.used: list[str] = []

    def __call__(self, choice: Choice, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
        self.used.append(choice.uri)
        if choice.uri in self.errors:
            raise self.errors[choice.uri]
        return attempts


def test_the_first_usable_backend_is_taken_and_the_others_are_not_asked() -> None:
    script = Script()
    assert chain.first(parse(*URIS), script) == ()
    assert script.used == ["aer:fez"]


def test_an_unavailable_backend_leads_to_the_next_one_and_is_remembered() -> None:
    script = Script(aer_fez=BackendUnavailable("offline"))
    assert chain.first(parse(*URIS), script) == (
        Attempt("aer:fez", "BackendUnavailable", "offline"),
    )
    assert script.used == ["aer:fez", "aer:torino"]


@pytest.mark.parametrize(
    "error",
    [
        CircuitRejected("too wide"),
        JobFailed("it broke", job_id="7", reason="it broke"),
        JobPending("accepted", job_id="7", reason="deadline"),
        QBERTooHigh(basis="key", qber=0.2, qber_max=0.1),
        ConfigError("no such qubit"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_else_leads_to_another_backend(error: BackendError | ProtocolAbort) -> None:
    script = Script(aer_fez=error)
    with pytest.raises(type(error)) as caught:
        chain.first(parse(*URIS), script)
    assert caught.value is error
    assert script.used == ["aer:fez"]


def test_when_all_fail_every_reason_is_told_in_order() -> None:
    script = Script(
        aer_fez=BackendUnavailable("offline"),
        aer_torino=BackendUnavailable("no credentials"),
        aer=BackendUnavailable("not installed"),
    )
    with pytest.raises(BackendUnavailable) as caught:
        chain.first(parse(*URIS), script)
    told = str(caught.value)
    places = [
        told.index(f"{uri}: {why}")
        for uri, why in zip(URIS, ("offline", "no credentials", "not installed"), strict=True)
    ]
    assert places == sorted(places)


def test_a_single_backend_keeps_its_own_words() -> None:
    with pytest.raises(BackendUnavailable, match=r"^offline$"):
        chain.first(parse("aer"), Script(aer=BackendUnavailable("offline")))


def test_classical_is_the_last_choice_and_no_backend() -> None:
    choices = parse("aer:fez", "classical")
    assert choices[-1] == registry.Classical()
    with pytest.raises(ConfigError, match="cannot make shots"):
        registry.open_backend("classical")


@pytest.mark.parametrize(
    ("uris", "fallback", "words"),
    [
        ((), Fallback.ALLOWED, "not 0"),
        (("aer",) * 2, Fallback.ALLOWED, "'aer' is named twice"),
        (("classical", "aer"), Fallback.ALLOWED, "after every backend"),
        (("classical",), Fallback.ALLOWED, "no quantum backend"),
        (("aer", "classical"), Fallback.FORBIDDEN, "--strict forbids"),
        (("aer", "classical:x25519"), Fallback.ALLOWED, "no device"),
        (("aer", "nope"), Fallback.ALLOWED, "unknown backend scheme 'nope'"),
        (tuple(f"aer:{i}" for i in range(17)), Fallback.ALLOWED, "not 17"),
    ],
)
def test_a_list_that_means_nothing_is_refused_before_anything_is_opened(
    uris: tuple[str, ...], fallback: Fallback, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(*uris, fallback=fallback)
