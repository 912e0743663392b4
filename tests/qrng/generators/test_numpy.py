"""numpy on a pool: the key stream, the distributions, and what raises."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from scipy import stats

from qlq.errors import BackendUnavailable, EntropyRefused, MinEntropyTooLow
from qlq.provenance import EntropyTier
from qlq.qrng.generators import Pool
from qlq.qrng.generators_numpy import COUNTER_LIMIT, PoolBitGenerator, PoolSeedSequence

GONE = BackendUnavailable("the lab is closed")
Make = Callable[..., Pool]


def keystream(key_and_nonce: bytes, count: int, *, block: int = 0) -> bytes:
    """ChaCha20 of `cryptography`, with a counter of 64 bits before a nonce of 64 bits."""
    start = block.to_bytes(8, "little") + key_and_nonce[32:]
    encryptor = Cipher(algorithms.ChaCha20(key_and_nonce[:32], start), mode=None).encryptor()
    return encryptor.update(bytes(count))


def test_raw_numbers_are_the_key_stream_of_the_pool_s_key(pool: Make, twin: Make) -> None:
    key = twin().draw(40).bytes
    raw = PoolBitGenerator(pool()).random_raw(100_000)
    assert raw.tobytes() == keystream(key, 800_000)


def test_doubles_are_the_upper_53_bits(pool: Make, twin: Make) -> None:
    key = twin().draw(40).bytes
    words = np.frombuffer(keystream(key, 8 * 5000), dtype="<u8")
    doubles = np.random.Generator(PoolBitGenerator(pool())).random(5000)
    assert np.array_equal(doubles, (words >> np.uint64(11)) * 2.0**-53)


def test_numbers_of_32_bits_are_the_key_stream_too(pool: Make, twin: Make) -> None:
    key = twin().draw(40).bytes
    generator = np.random.Generator(PoolBitGenerator(pool()))
    words = generator.integers(0, 1 << 32, 5000, dtype=np.uint32)
    assert np.array_equal(words, np.frombuffer(keystream(key, 20_000), dtype="<u4"))


def test_after_an_odd_word_a_number_of_64_bits_starts_at_the_next_8_bytes(twin: Make) -> None:
    key = twin().draw(40).bytes
    stream = keystream(key, 4096)
    for odd in (1, 3, 255, 257, 511):
        bits = PoolBitGenerator(twin())
        np.random.Generator(bits).integers(0, 1 << 32, odd, dtype=np.uint32)
        start = 8 * ((odd + 1) // 2)
        assert bits.random_raw(1).tobytes() == stream[start : start + 8]


def test_the_counter_carries_into_its_upper_word(pool: Make, twin: Make) -> None:
    key = twin().draw(40).bytes
    bits = PoolBitGenerator(pool(), reseed_blocks=1 << 40)
    bits._longs[8] = (1 << 32) - 3
    data = bits.random_raw(256).tobytes()
    head = keystream(key, 3 * 64, block=(1 << 32) - 3)
    assert data[: 3 * 64] == head
    assert data[3 * 64 :] == keystream(key, 2048 - 3 * 64, block=1 << 32)


def test_distributions_are_those_of_numpy(pool: Make) -> None:
    """Kolmogorov-Smirnov at p > 1e-4, from a fixed key."""
    generator = np.random.Generator(PoolBitGenerator(pool()))
    assert stats.kstest(generator.standard_normal(100_000), "norm").pvalue > 1e-4
    assert stats.kstest(generator.random(100_000), "uniform").pvalue > 1e-4
    counts = np.bincount(generator.integers(0, 7, 70_000), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-4


CALLS: dict[str, Callable[[np.random.Generator], Any]] = {
    "random": lambda g: g.random(),
    "random array": lambda g: g.random(10),
    "random float32": lambda g: g.random(10, dtype=np.float32),
    "integers": lambda g: g.integers(0, 10),
    "integers array": lambda g: g.integers(0, 10, 5),
    "standard_normal": lambda g: g.standard_normal(),
    "normal": lambda g: g.normal(1.0, 2.0, 3),
    "exponential": lambda g: g.exponential(size=3),
    "poisson": lambda g: g.poisson(3.0, 3),
    "binomial": lambda g: g.binomial(10, 0.5),
    "gamma": lambda g: g.gamma(2.0),
    "bytes": lambda g: g.bytes(10),
    "choice": lambda g: g.choice(10, 3, replace=False),
    "shuffle": lambda g: g.shuffle(np.arange(10)),
    "permutation": lambda g: g.permutation(10),
    "permuted": lambda g: g.permuted(np.arange(10)),
    "multinomial": lambda g: g.multinomial(10, [0.5, 0.5]),
    "dirichlet": lambda g: g.dirichlet([1.0, 2.0]),
    "multivariate_normal": lambda g: g.multivariate_normal([0.0], [[1.0]]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_dead_source_raises_in_every_method_until_it_comes_back(
    pool: Make, spring: Any, name: str
) -> None:
    bits = PoolBitGenerator(pool(reseed_bytes=40), reseed_blocks=1)
    generator = np.random.Generator(bits)
    generator.random()
    spring.killed_by = GONE
    for _ in range(2):
        with pytest.raises(BackendUnavailable):
            CALLS[name](generator)
    spring.killed_by = None
    CALLS[name](generator)


def test_an_error_leaves_the_lock_free_for_other_threads(pool: Make, spring: Any) -> None:
    bits = PoolBitGenerator(pool(reseed_bytes=40), reseed_blocks=1)
    bits.random_raw(1)
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        bits.random_raw(1)
    spring.killed_by = None
    other = threading.Thread(target=bits.random_raw, args=(1,), daemon=True)
    other.start()
    other.join(timeout=5.0)
    assert not other.is_alive()


def test_refused_bits_end_the_generator_for_good(pool: Make, spring: Any) -> None:
    generator = np.random.Generator(PoolBitGenerator(pool(reseed_bytes=40), reseed_blocks=1))
    generator.random()
    spring.killed_by = MinEntropyTooLow("refused")
    with pytest.raises(EntropyRefused):
        generator.random(3)
    spring.killed_by = None
    with pytest.raises(EntropyRefused):  # refused bits end the pool for good
        generator.random(3)


def test_a_source_that_is_dead_from_the_start_makes_no_generator(pool: Make, spring: Any) -> None:
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        PoolBitGenerator(pool())


def test_a_key_serves_its_blocks_and_a_call_that_began(pool: Make, spring: Any) -> None:
    bits = PoolBitGenerator(pool(reseed_bytes=40), reseed_blocks=64)
    assert spring.made == 1
    bits.random_raw(8 * 1000)  # one call, far beyond the limit
    assert spring.made == 1
    bits.random_raw(1)
    assert spring.made == 2


@pytest.mark.parametrize("blocks", [0, -1, COUNTER_LIMIT + 1])
def test_a_limit_beyond_the_counter_is_refused(pool: Make, blocks: int) -> None:
    with pytest.raises(ValueError, match=str(blocks)):
        PoolBitGenerator(pool(), reseed_blocks=blocks)


def test_the_generator_says_what_it_is_worth(spring: Any) -> None:
    bits = PoolBitGenerator(
        Pool.with_fallback(spring, os.urandom, reseed_bytes=40), reseed_blocks=1
    )
    assert (bits.tier, bits.degraded) == (EntropyTier.DEVICE_MODELLED, False)
    assert bits.certificate_id is not None
    spring.killed_by = GONE
    bits.random_raw(1)
    bits.random_raw(1)
    assert (bits.tier, bits.degraded, bits.certificate_id) == (EntropyTier.NONE, True, None)


def test_children_have_keys_of_their_own(pool: Make) -> None:
    parent = np.random.Generator(PoolBitGenerator(pool()))
    children = parent.bit_generator.spawn(3)
    firsts = {int(child.random_raw(1)[0]) for child in [*children, parent.bit_generator]}
    assert len(firsts) == 4


def test_copies_are_refused(pool: Make) -> None:
    bits = PoolBitGenerator(pool())
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copied"):
            attempt(bits)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_takes_a_key_of_its_own(spring: Any) -> None:
    bits = PoolBitGenerator(Pool(spring, os.urandom))
    bits.random_raw(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, bits.random_raw(4).tobytes())
        os._exit(0)
    theirs = os.read(reader, 32)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert theirs != bits.random_raw(4).tobytes()


@pytest.mark.parametrize("name", ["PCG64DXSM", "PCG64", "Philox", "SFC64", "MT19937"])
def test_a_seed_sequence_seeds_every_generator_of_numpy(pool: Make, name: str) -> None:
    source = pool()
    one, two = (
        np.random.Generator(getattr(np.random, name)(PoolSeedSequence(source))) for _ in range(2)
    )
    assert one.random() != two.random()


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_seed_words_are_the_pool_s_bytes(pool: Make, twin: Make, dtype: type) -> None:
    words = PoolSeedSequence(pool()).generate_state(5, dtype)
    size = 5 * np.dtype(dtype).itemsize
    assert words.tobytes() == twin().draw(size).bytes
    assert words.dtype == dtype


def test_a_dead_source_raises_where_a_seed_is_wanted(pool: Make, spring: Any) -> None:
    sequence = PoolSeedSequence(pool())
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        np.random.PCG64DXSM(sequence)
    with pytest.raises(ValueError, match="int64"):
        sequence.generate_state(4, np.int64)


def test_spawned_sequences_share_no_words(pool: Make) -> None:
    parent = PoolSeedSequence(pool())
    states = {s.generate_state(4).tobytes() for s in [parent, parent, *parent.spawn(3)]}
    assert len(states) == 5
    spawned = np.random.Generator(np.random.PCG64DXSM(parent)).spawn(2)
    assert spawned[0].random() != spawned[1].random()
