"""Pools: what a draw holds, and that nothing stands in for a dead source unless it may."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from qlq.errors import BackendUnavailable, EntropyRefused, JobFailed, MinEntropyTooLow
from qlq.provenance import EntropyTier
from qlq.qrng import chain, drbg, generators
from qlq.qrng.drbg import Mechanism
from qlq.qrng.generators import Pool

GONE = BackendUnavailable("the lab is closed")
Make = Callable[..., Pool]


def expected(*counts: int, mechanism: Mechanism = Mechanism.CTR_AES256) -> list[bytes]:
    """Bytes of the first seed, request by request."""
    nonce = b"s" * 16
    inputs: dict[str, Any] = {"entropy_input": (1).to_bytes(48, "big")}
    inputs["nonce" if mechanism is Mechanism.HMAC_SHA256 else "personalization"] = nonce
    state = drbg.instantiate(mechanism, **inputs)
    found = []
    for count in counts:
        data, state = drbg.generate(state, count, additional=nonce)
        found.append(data)
    return found


def test_draws_are_requests_of_one_generator(pool: Make, spring: Any) -> None:
    source = pool()
    assert [source.draw(count).bytes for count in (32, 0, 100)] == expected(32, 0, 100)
    assert spring.made == 1


def test_large_draws_are_several_requests(pool: Make) -> None:
    assert pool().draw(150_000).bytes == b"".join(expected(65536, 65536, 150_000 - 131_072))


def test_the_other_mechanism_is_one_too(spring: Any) -> None:
    source = Pool(spring, lambda count: b"s" * count, mechanism=Mechanism.HMAC_SHA256)
    assert source.draw(40).bytes == expected(40, mechanism=Mechanism.HMAC_SHA256)[0]


def test_a_draw_says_what_it_is_worth_and_shows_no_byte(pool: Make) -> None:
    draw = pool().draw(32)
    assert (draw.tier, draw.claim_bits, draw.degraded) == (
        EntropyTier.DEVICE_MODELLED,
        256.0,
        False,
    )
    assert draw.certificate_id is not None
    assert len(draw.certificate_id) == 64
    assert repr(draw.bytes) not in repr(draw)


def test_claims_of_one_seed_never_exceed_its_credit(pool: Make) -> None:
    source = pool()
    claims = [source.draw(20).claim_bits for _ in range(4)]
    assert claims == [160.0, 160.0, 64.0, 0.0]
    assert "stretch the seed" in source.draw(20).reasons[-1]


def test_a_seed_serves_its_bytes_and_then_the_source_is_asked(pool: Make, spring: Any) -> None:
    source = pool(reseed_bytes=100)
    assert len(source.draw(250).bytes) == 250
    assert spring.made == source.reseeds == 3
    source.draw(50)
    assert spring.made == 3
    source.draw(1)
    assert spring.made == 4


def test_tiers_of_several_seeds_combine_to_the_lowest(pool: Make, spring: Any) -> None:
    source = pool(reseed_bytes=32)
    source.draw(16)
    spring.tier, spring.credit = EntropyTier.NONE, 0.0
    draw = source.draw(32)
    assert (draw.tier, draw.claim_bits) == (EntropyTier.NONE, 0.0)


@pytest.mark.parametrize("error", [GONE, JobFailed("lost", job_id="7", reason="lost")])
def test_a_dead_source_raises_at_once_and_again_and_may_come_back(
    pool: Make, spring: Any, error: Exception
) -> None:
    source = pool(reseed_bytes=64)
    source.draw(64)
    spring.killed_by = error
    for _ in range(2):
        with pytest.raises(type(error)):
            source.draw(1)
    spring.killed_by = None
    assert len(source.draw(1).bytes) == 1


def test_no_part_of_a_draw_is_given_when_the_source_dies_in_the_middle(
    pool: Make, spring: Any
) -> None:
    source = pool(reseed_bytes=64)
    source.draw(10)
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        source.draw(100)


def test_refused_bits_end_the_pool_for_good(pool: Make, spring: Any) -> None:
    source = pool()
    spring.killed_by = MinEntropyTooLow("nothing is left")
    with pytest.raises(EntropyRefused):
        source.draw(1)
    spring.killed_by = None
    with pytest.raises(EntropyRefused, match="nothing is left"):
        source.draw(1)


def test_an_allowed_fallback_is_marked_and_lasts(spring: Any) -> None:
    source = Pool.with_fallback(spring, os.urandom, reseed_bytes=32)
    assert not source.draw(32).degraded
    spring.killed_by = GONE
    first, second = source.draw(48), source.draw(48)
    for draw in (first, second):
        assert draw.degraded
        assert (draw.tier, draw.claim_bits, draw.certificate_id) == (EntropyTier.NONE, 0.0, None)
        assert "the lab is closed" in draw.reasons[0]
        assert len(draw.bytes) == 48
    assert first.bytes != second.bytes
    assert source.degraded_because == "the lab is closed"


@pytest.mark.parametrize(
    "error", [MinEntropyTooLow("refused"), JobFailed("lost", job_id="7", reason="lost")]
)
def test_only_an_absent_backend_leads_to_the_fallback(spring: Any, error: Exception) -> None:
    spring.killed_by = error
    with pytest.raises(type(error)):
        Pool.with_fallback(spring, os.urandom).draw(1)


@pytest.mark.parametrize("count", [-1, generators.DRAW_BYTES_MAX + 1])
def test_a_draw_has_a_bound(pool: Make, count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        pool().draw(count)


def test_chunks_have_the_length_that_was_asked_for_and_end_with_the_source(
    pool: Make, spring: Any
) -> None:
    sizes = [len(draw.bytes) for draw in generators.chunks(pool(), 140_000)]
    assert sizes == [65536, 65536, 8928]
    stream = generators.chunks(pool(reseed_bytes=65536), 140_000)
    next(stream)
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        next(stream)
    with pytest.raises(ValueError, match="-1"):
        next(generators.chunks(pool(), -1))


def test_threads_never_share_bytes(pool: Make) -> None:
    source, found = pool(), []

    def work() -> None:
        found.extend(source.draw(16).bytes for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_goes_its_own_way(spring: Any) -> None:
    source = Pool(spring, os.urandom)
    source.draw(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, source.draw(32).bytes)
        os._exit(0)
    theirs = os.read(reader, 32)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert theirs != source.draw(32).bytes


def test_a_pool_without_bytes_for_a_seed_is_refused(spring: Any) -> None:
    with pytest.raises(ValueError, match="0"):
        Pool(spring, os.urandom, reseed_bytes=0)


def test_reseeding_keeps_what_the_generator_held(pool: Make) -> None:
    source = pool(reseed_bytes=8)
    first = source.draw(8).bytes
    second = source.draw(8).bytes
    fresh = drbg.instantiate(
        Mechanism.CTR_AES256, entropy_input=(2).to_bytes(48, "big"), personalization=b"s" * 16
    )
    assert second != drbg.generate(fresh, 8, additional=b"s" * 16)[0]
    assert first != second
    assert chain.SEED_BYTES == 48
