"""Messages in turn that hold what they must not: refused before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from qlq.errors import (
    AuthenticationFailed,
    ProtocolAbort,
    QBERTooHigh,
    QLQError,
    RemoteMisuse,
    VerificationMismatch,
)
from qlq.qkd import estimation, messages, sifting
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters, Protocol, Sampling, Wanted, commit
from qlq.qkd.sifting import Masks, Role

Change = Callable[[bytes], bytes]


def agreed(sampling: Sampling = Sampling.BIASED, protocol: Protocol = Protocol.BB84) -> Parameters:
    return commit(Wanted(protocol=protocol, pulses=30_001, qber_max=0.015, sampling=sampling))


def changed(lab, parameters: Parameters, kind: str, changes: dict):
    """A session in which the sender of this message lies in these fields."""

    def tamper(_number: int, _sender: Party, data: bytes) -> list[bytes]:
        message = messages.decode(data)
        if type(message).__name__ != kind:
            return [data]
        values = {
            name: change(getattr(message, name)) if callable(change) else change
            for name, change in changes.items()
        }
        return [messages.encode(msgspec.structs.replace(message, **values))]

    return lab.talk(parameters, tamper=tamper, flip=0.001)


def cut(data: bytes) -> bytes:
    return data[:-1]


def longer(data: bytes) -> bytes:
    return data + b"\x00"


def padded(data: bytes) -> bytes:
    """The last bit of the last byte set: padding, as the tests' counts are not multiples of 8."""
    return data[:-1] + bytes([data[-1] | 1])


def one_more(data: bytes) -> bytes:
    """The first bit that is not set is set."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    bits[np.flatnonzero(bits == 0)[0]] = 1
    return np.packbits(bits).tobytes()


def one_less(data: bytes) -> bytes:
    """The first bit that is set is cleared."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    bits[np.flatnonzero(bits)[0]] = 0
    return np.packbits(bits).tobytes()


FIELDS = [
    ("Acceptance", "parameters_digest"),
    ("Bases", "settings"),
    ("Selection", "settings"),
    ("Selection", "key_mask"),
    ("Selection", "rate_mask"),
    ("Selection", "test_mask"),
    ("Selection", "bits"),
    ("Disclosure", "bits"),
    ("ReconciliationStart", "seed"),
    ("ParityRequest", "passes"),
    ("ParityRequest", "starts"),
    ("ParityRequest", "stops"),
    ("ParityRequest", "parities"),
    ("ParityReply", "parities"),
    ("Verification", "seed"),
    ("Verification", "tag"),
    ("Amplification", "seed"),
]


@pytest.mark.parametrize("change", [cut, longer, lambda _: b""], ids=["cut", "longer", "empty"])
@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_of_another_length_is_refused(lab, kind: str, name: str, change: Change) -> None:
    lie = change
    if kind == "Acceptance":
        lie = {"cut": "a" * 63, "longer": "a" * 65}.get(change.__name__, "")
    pair = changed(lab, agreed(), kind, {name: lie})
    assert [type(error) for error in pair.errors.values()] == [RemoteMisuse]
    assert not pair.keys


@pytest.mark.parametrize("change", [cut, longer, lambda _: b""], ids=["cut", "longer", "empty"])
def test_a_tag_of_another_length_does_not_fit(lab, change: Change) -> None:
    pair = changed(lab, agreed(), "TranscriptTag", {"tag": change})
    assert isinstance(pair.errors[Party.ALICE], AuthenticationFailed | RemoteMisuse)
    assert not pair.keys


@pytest.mark.parametrize(("kind", "name"), [("Bases", "settings"), ("Selection", "settings")])
def test_padding_of_the_settings_must_be_zero(lab, kind: str, name: str) -> None:
    pair = changed(lab, agreed(), kind, {name: padded})
    assert [type(error) for error in pair.errors.values()] == [RemoteMisuse]
    assert "padding" in str(next(iter(pair.errors.values())))


@pytest.mark.parametrize("mask", ["key_mask", "rate_mask", "test_mask"])
@pytest.mark.parametrize("change", [one_more, one_less])
def test_masks_with_another_sum_are_refused(lab, mask: str, change: Change) -> None:
    pair = changed(lab, agreed(), "Selection", {mask: change})
    assert isinstance(pair.errors[Party.BOB], RemoteMisuse)
    assert "another number of" in str(pair.errors[Party.BOB])
    assert not pair.keys


@pytest.mark.parametrize("count", [-1, 2**31, 2**63 - 1])
def test_a_number_of_corrections_that_cannot_be_is_refused(lab, count: int) -> None:
    pair = changed(lab, agreed(), "ReconciliationDone", {"corrected_bits": count})
    assert isinstance(pair.errors[Party.ALICE], RemoteMisuse)
    assert not pair.keys


def test_other_parameters_are_refused_by_bob(lab) -> None:
    parameters = agreed()
    for name in ("secret_bits", "qber_max_ppm", "leak_max_bits", "pulses", "tag_bits"):
        other = msgspec.structs.replace(parameters, **{name: getattr(parameters, name) + 1})
        pair = changed(lab, parameters, "Commitment", {"parameters": other})
        assert isinstance(pair.errors[Party.BOB], RemoteMisuse)
        assert not pair.keys


def test_an_acceptance_of_other_parameters_is_refused_by_alice(lab) -> None:
    pair = changed(lab, agreed(), "Acceptance", {"parameters_digest": "0" * 64})
    assert isinstance(pair.errors[Party.ALICE], RemoteMisuse)
    assert not pair.keys


def test_another_seed_or_tag_of_the_hash_is_a_mismatch(lab) -> None:
    for name in ("seed", "tag"):
        pair = changed(lab, agreed(), "Verification", {name: one_less})
        assert isinstance(pair.errors[Party.BOB], VerificationMismatch)
        assert not pair.keys


def test_another_toeplitz_matrix_is_found_by_the_tags(lab) -> None:
    """Both would have keys, and other ones."""
    pair = changed(lab, agreed(), "Amplification", {"seed": one_less})
    assert isinstance(pair.errors[Party.ALICE], AuthenticationFailed)
    assert not pair.keys


@pytest.mark.parametrize("who", ["Selection", "Disclosure"])
def test_wrong_disclosed_bits_are_errors(lab, who: str) -> None:
    pair = changed(lab, agreed(), who, {"bits": lambda data: bytes(len(data))})
    assert any(isinstance(error, QBERTooHigh) for error in pair.errors.values())
    assert all(isinstance(error, QLQError) for error in pair.errors.values())
    assert not pair.keys


@pytest.mark.parametrize("sampling", list(Sampling))
def test_a_round_of_the_key_is_never_disclosed(sampling: Sampling) -> None:
    """Masks with the committed sums that share one round."""
    parameters = agreed(sampling)
    settings = np.zeros(parameters.pulses, dtype=np.uint8)
    settings[: parameters.pulses // 2] = 1
    matched = sifting.match(parameters, settings, settings)
    masks = sifting.select(parameters, matched, seed=bytes(32))
    sifting.assign(parameters, settings, settings, masks)
    name = "test" if parameters.is_symmetric else "rate"
    shared = getattr(masks, name).copy()
    shared[np.flatnonzero(shared)[0]] = False
    shared[np.flatnonzero(masks.key)[0]] = True
    wrong = {"key": masks.key, "rate": masks.rate, "test": masks.test} | {name: shared}
    with pytest.raises(RemoteMisuse, match="disclosed"):
        sifting.assign(parameters, settings, settings, Masks(**wrong))


@pytest.mark.parametrize("empty", [Role.RATE, Role.TEST])
def test_an_empty_sample_is_no_good_sample(empty: Role) -> None:
    """Its rate is not a number, and passes no limit."""
    parameters = agreed()
    full = {Role.RATE, Role.TEST} - {empty}
    role = full.pop()
    roles = np.full(parameters.pulses, role, dtype=np.uint8)
    settings = np.full(parameters.pulses, int(role is Role.TEST), dtype=np.uint8)
    bits = np.zeros(parameters.pulses, dtype=np.uint8)
    found = estimation.estimate(
        parameters, estimation.Disclosed(settings, settings, roles, bits, bits)
    )
    empty_sample = found.key if empty is Role.RATE else found.test
    assert empty_sample.rounds == 0
    assert np.isnan(empty_sample.rate)
    with pytest.raises(QBERTooHigh):
        estimation.judge(parameters, found)


@pytest.mark.parametrize("errors", [(0, 0), (15, 15), (16, 0), (0, 16), (1000, 1000)])
def test_both_bases_are_judged_at_the_tolerated_rate(errors: tuple[int, int]) -> None:
    """1.5 % of 1000: fifteen errors pass, sixteen do not."""
    counts = [estimation.ErrorCount(count, 1000) for count in errors]
    found = estimation.Estimate(key=counts[0], test=counts[1], chsh=None)
    if max(errors) <= 15:
        estimation.judge(agreed(), found)
        return
    with pytest.raises(QBERTooHigh) as caught:
        estimation.judge(agreed(), found)
    assert caught.value.basis == ("test" if errors[1] > 15 else "key")
    assert isinstance(caught.value, ProtocolAbort)


@pytest.mark.parametrize("sampling", list(Sampling))
def test_rounds_are_chosen_evenly_and_surplus_is_dropped(sampling: Sampling) -> None:
    """Each round is kept with the same probability: 5 sigma over thirds, false alarm 6e-7 each."""
    parameters = agreed(sampling)
    count = parameters.pulses
    rng = np.random.default_rng(8)
    a, b = ((rng.random(count) > parameters.key_bias / 65536).astype(np.uint8) for _ in range(2))
    matched = sifting.match(parameters, a, b)
    masks = sifting.select(parameters, matched, seed=b"\x07" * 32)
    roles = sifting.assign(parameters, a, b, masks)
    for role, wanted in (
        (Role.KEY, parameters.key_rounds),
        (Role.RATE, parameters.rate_rounds),
        (Role.TEST, parameters.test_rounds),
    ):
        assert int((roles == role).sum()) == wanted
    for mask in (masks.key, masks.test):
        share = mask.mean()
        third = mask.size // 3
        sigma = np.sqrt(share * (1 - share) * third)
        for part in range(3):
            inside = mask[part * third : (part + 1) * third].sum()
            assert abs(inside - share * third) <= 5 * sigma
    assert np.array_equal(sifting.is_disclosed(roles), roles >= 2)
