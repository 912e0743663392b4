"""What is fixed before the data batch exists: factors, lengths and the extractor's seed."""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from qlq import codec
from qlq.errors import RemoteMisuse
from qlq.qrng import certificate_rounds, estimation_factors, extraction
from qlq.qrng.estimation_factors import Factors
from qlq.qrng.extraction import CommittedSeed
from qlq.qrng.source import Batch

SIGMAS = 3.0
"""Standard errors between what the calibration promises and what is committed to: a run like the
calibration falls short with probability 0.0013."""

DISCLOSED_CELLS = 12
"""Counts that are free once the settings are known: three outcomes for each of four pairs."""
DISCLOSED_TEST_BITS = 10 + 2 * 20
"""No-signalling: one of 1000 p-values, and two numbers of six decimals."""
DISCLOSED_HEALTH_BITS = 1
"""That the health tests passed."""

DECIMALS = 6
"""Decimals of the marginal shift and its error in a certificate."""


class Commitment(msgspec.Struct, frozen=True, array_like=True):
    """What the operator is bound to before the data batch is ordered.

    Attributes:
        rounds: Rounds of the data batch.
        blocks: Stretches of time of the data batch.
        calibration: SHA-256 of the calibration's draw and shots.
        beta: The factors' power, as `float.hex` writes it.
        factors: F(c, z) cell by cell in the same form, last axis fastest.
        epsilon_log2: Base-2 logarithm of the certificate's epsilon.
        extractor_epsilon_log2: The same of the extractor's.
        threshold_bits: Certified bits that the data must reach for any output.
        disclosed_bits: Bits that the certificate tells of the data, deducted from the threshold.
        output_bits: Bits of output, a multiple of 8.
        seed: The seed's commitment, see `extraction.CommittedSeed`.
    """

    rounds: int
    blocks: int
    calibration: bytes
    beta: str
    factors: tuple[str, ...]
    epsilon_log2: int
    extractor_epsilon_log2: int
    threshold_bits: int
    disclosed_bits: int
    output_bits: int
    seed: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(codec.encode(self)).digest()

    @property
    def tag(self) -> str:
        """The tag of the data job, so that the vendor's record names the commitment."""
        return f"qlq-{self.digest.hex()[:32]}"

    def read_factors(self) -> Factors:
        """The factors, their condition checked; raises RemoteMisuse if it does not hold."""
        try:
            values = np.array([float.fromhex(text) for text in self.factors])
            factors = Factors(float.fromhex(self.beta), values.reshape(estimation_factors.SHAPE))
        except (ValueError, OverflowError) as error:
            raise RemoteMisuse(f"no estimation factors: {error}") from error
        if [float(value).hex() for value in factors.values.reshape(-1)] != list(self.factors):
            raise RemoteMisuse("the factors are not in the form that float.hex writes")
        return factors


def disclosed_bits(rounds: int) -> int:
    """Most bits of the data that a certificate tells: its counts, tests and counters.

    The leftover hash lemma holds with the min-entropy that is left after them.

    Source:
        Dodis, Ostrovsky, Reyzin and Smith, SIAM J. Comput. 38, 97 (2008), lemmas 2.2 and 2.4.
    """
    counts = DISCLOSED_CELLS * math.ceil(math.log2(rounds + 1))
    return counts + DISCLOSED_TEST_BITS + DISCLOSED_HEALTH_BITS


def calibration_digest(drawn: bytes, batch: Batch) -> bytes:
    """SHA-256 of what the calibration batch drew and gave."""
    return hashlib.sha256(codec.encode((drawn, bytes.fromhex(batch.digest)))).digest()


def plan_output(
    factors: Factors,
    calibration: NDArray[np.int64],
    *,
    rounds: int,
    epsilon_log2: int,
    extractor_epsilon_log2: int,
) -> tuple[int, int]:
    """Certified bits to require of the data, and output bits to take then.

    Args:
        factors: Chosen from the calibration.
        calibration: Counts of the calibration batch, int64 of shape (2, 2, 2, 2).
        rounds: Rounds of the data batch.
        epsilon_log2: Base-2 logarithm of the certificate's epsilon.
        extractor_epsilon_log2: The same of the extractor's.

    Returns:
        The threshold and the output length in bits, a multiple of 8; both may be 0.
    """
    expected = estimation_factors.expected_bits(
        factors, calibration, rounds=rounds, epsilon_log2=epsilon_log2, sigmas=SIGMAS
    )
    threshold = math.floor(expected)
    length = extraction.output_length_bits(
        min_entropy_bits=float(max(0, threshold - disclosed_bits(rounds))),
        eps=2.0**extractor_epsilon_log2,
    )
    return threshold, length // 8 * 8


def seed_bytes(*, rounds: int, blocks: int, output_bits: int) -> int:
    """Bytes of an extractor's seed that is long enough for any job of so many rounds."""
    raw_bits = certificate_rounds.raw_bits_max(count=rounds, blocks=blocks)
    bits = extraction.toeplitz_seed_bits(raw_bits=raw_bits, output_bits=max(1, output_bits))
    return -(-bits // 8)


def commit(
    factors: Factors,
    *,
    calibration: bytes,
    rounds: int,
    blocks: int,
    epsilon_log2: int,
    extractor_epsilon_log2: int,
    lengths: tuple[int, int],
    seed: CommittedSeed,
) -> Commitment:
    """The commitment to all of this.

    Args:
        factors: Chosen from the calibration.
        calibration: `calibration_digest`.
        rounds: Rounds of the data batch.
        blocks: Stretches of time of the data batch.
        epsilon_log2: Base-2 logarithm of the certificate's epsilon.
        extractor_epsilon_log2: The same of the extractor's.
        lengths: Threshold and output length from `plan_output`.
        seed: At least `seed_bytes` bytes.
    """
    return Commitment(
        rounds=rounds,
        blocks=blocks,
        calibration=calibration,
        beta=float(factors.beta).hex(),
        factors=tuple(float(value).hex() for value in factors.values.reshape(-1)),
        epsilon_log2=epsilon_log2,
        extractor_epsilon_log2=extractor_epsilon_log2,
        threshold_bits=lengths[0],
        disclosed_bits=disclosed_bits(rounds),
        output_bits=lengths[1],
        seed=seed.commitment,
    )
