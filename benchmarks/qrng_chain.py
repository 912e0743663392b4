"""Speed of extraction, generators and adapters, each beside a peer measured in the same run.

Toeplitz extraction beside the mark of 0.3 s for a million bits and beside a bare scipy convolution,
both generators of SP 800-90A beside the operating system's, numpy's draws from a pool beside
PCG64DXSM.

    python benchmarks/qrng_chain.py [--json] [--small]
"""

from __future__ import annotations

import os
from typing import Any

import measuring
import numpy as np
from scipy import fft

from qlq.provenance import EntropyTier
from qlq.qrng import drbg, extraction, source
from qlq.qrng.chain import Seed
from qlq.qrng.drbg import Mechanism
from qlq.qrng.generators import Pool
from qlq.qrng.generators_numpy import PoolBitGenerator
from qlq.qrng.seed_record import SeedRecord

TOEPLITZ_BITS, SMALL_TOEPLITZ_BITS = 1_000_000, 100_000
DOUBLES, SMALL_DOUBLES = 10_000_000, 1_000_000
DRBG_BYTES, SMALL_DRBG_BYTES = 256 << 20, 16 << 20
PERIOD_BITS = 1 << 20
TOEPLITZ_MARK_S = 0.3


def measure_toeplitz(bits: int) -> list[dict[str, Any]]:
    """Half as many bits as went in, beside the mark and a bare convolution of the same size."""
    rng, m = np.random.default_rng(1), bits // 2
    raw = rng.integers(0, 2, bits, dtype=np.uint8)
    seed = rng.integers(0, 2, bits + m - 1, dtype=np.uint8)
    size = fft.next_fast_len(seed.size, real=True)
    ours = measuring.best_time_s(
        lambda: extraction.toeplitz_extract(raw, seed=seed, output_bits=m), 7
    )
    bare = measuring.best_time_s(
        lambda: fft.irfft(fft.rfft(seed, size) * fft.rfft(raw, size), size), 7
    )
    name = f"extraction_toeplitz_{bits}"
    mark = {"reference": "mark for a million bits", "reference_value": TOEPLITZ_MARK_S}
    peer = {"reference": "bare scipy.fft convolution", "reference_value": bare}
    return [
        measuring.measurement(name, ours, "s", **(mark if bits == TOEPLITZ_BITS else {})),
        measuring.measurement(f"{name}_beside_fft", ours, "s", **peer),
    ]


def drbg_mbyte_s(mechanism: Mechanism, count: int) -> float:
    """Largest requests, one after the other."""
    nonce = b"" if mechanism is Mechanism.CTR_AES256 else bytes(16)
    requests = count // drbg.REQUEST_BYTES_MAX

    def run() -> None:
        state = drbg.instantiate(mechanism, entropy_input=bytes(48), nonce=nonce)
        for _ in range(requests):
            _, state = drbg.generate(state, drbg.REQUEST_BYTES_MAX)

    return requests * drbg.REQUEST_BYTES_MAX / 1e6 / measuring.best_time_s(run, 3)


def measure_drbg(count: int) -> list[dict[str, Any]]:
    """Both mechanisms beside the operating system's bytes."""
    chunk = drbg.REQUEST_BYTES_MAX
    system = chunk / 1e6 / measuring.best_time_s(lambda: os.urandom(chunk), 200)
    peer = {"reference": "os.urandom", "reference_value": system}
    return [
        measuring.measurement(
            "drbg_ctr_aes256", drbg_mbyte_s(Mechanism.CTR_AES256, count), "MB/s", **peer
        ),
        measuring.measurement(
            "drbg_hmac_sha256", drbg_mbyte_s(Mechanism.HMAC_SHA256, count // 32), "MB/s", **peer
        ),
    ]


def pool() -> Pool:
    """A pool whose seeds are the operating system's: only the speed matters here."""
    record = SeedRecord((), "T0", "0.0", "0.0", 48, ("a benchmark",))

    def seed() -> Seed:
        return Seed(os.urandom(48), 0.0, EntropyTier.NONE, ("a benchmark",), record, ())

    return Pool(seed, os.urandom)


def measure_numpy(count: int) -> list[dict[str, Any]]:
    """Doubles of a pool's generator beside PCG64DXSM, calls in turn."""
    ours = np.random.Generator(PoolBitGenerator(pool()))
    peer = np.random.Generator(np.random.PCG64DXSM(1))
    times = [
        (
            measuring.best_time_s(lambda: ours.random(count), 1),
            measuring.best_time_s(lambda: peer.random(count), 1),
        )
        for _ in range(9)
    ]
    ours_s, peer_s = (min(column) for column in zip(*times, strict=True))
    reference = {"reference": "PCG64DXSM", "reference_value": peer_s}
    return [measuring.measurement(f"numpy_doubles_{count}", ours_s, "s", **reference)]


def measure_pool() -> list[dict[str, Any]]:
    """Draws of a megabyte and of eight bytes, and the search for periods."""
    filled = pool()
    filled.draw(1)
    large = 1 << 20
    stream = np.random.default_rng(2).integers(0, 2, PERIOD_BITS, dtype=np.uint8)
    return [
        measuring.measurement(
            "pool_draw", large / 1e6 / measuring.best_time_s(lambda: filled.draw(large), 30), "MB/s"
        ),
        measuring.measurement(
            "pool_draw_8_bytes", 1e6 * measuring.best_time_s(lambda: filled.draw(8), 200), "us"
        ),
        measuring.measurement(
            "screen_period",
            PERIOD_BITS / 1e6 / measuring.best_time_s(lambda: source.most_alike(stream), 3),
            "Mbit/s",
        ),
    ]


def measurements(*, small: bool) -> list[dict[str, Any]]:
    """Everything measured, at the sizes of our claims or at small ones."""
    return [
        *measure_toeplitz(SMALL_TOEPLITZ_BITS if small else TOEPLITZ_BITS),
        *measure_drbg(SMALL_DRBG_BYTES if small else DRBG_BYTES),
        *measure_numpy(SMALL_DOUBLES if small else DOUBLES),
        *measure_pool(),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="small sizes, to try the script")
    measuring.show(measurements(small=asked.small), asked)


if __name__ == "__main__":
    main()
