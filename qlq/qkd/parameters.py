"""What both parties commit to before the first pulse."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec
import numpy as np

from qlq.crypto import digest, mac
from qlq.numerics.entropy import binary_entropy
from qlq.qkd import finite_key

BIAS_STEPS = 1 << 16
"""Setting probabilities are multiples of 1/65536: 16 bits of a party's generator choose one."""

SHORTFALL_SIGMAS = 5.0
"""Rounds are committed this many standard deviations below their expected number, so that an
honest session falls short with probability below 3e-7 per count (one-sided normal tail)."""

RATE_SAMPLE_SHARE = 0.02
RATE_SAMPLE_MIN = 500
"""Size of the disclosed sample of the key basis that chooses the reconciliation's rate. It is no
part of the security proof. 500 rounds at a true rate of 0.3 % exceed 1.5 % with probability below
3e-4, so that an honest session does not abort for want of a sample."""

EFFICIENCY_MAX = 1.25
LEAK_SLACK_BITS = 256
"""Allowance for one direction of reconciliation: f <= 1.25 and 256 bits. The published averages
of Cascade reach f = 1.19 (original) at 10^4 bits; the rest covers the spread of short keys."""

SESSION_TAG_BITS = 2 * 8 * mac.KEY_BYTES
"""One-time key that a session consumes: two tags of 256 bits."""

CHSH_ROUNDS_MIN = 300
"""Expected rounds of each of the four CHSH pairs: sigma(S) <= 0.09, so that S = 2.4 passes."""

EPS_MAX = 0.1
"""Above this, a key says nothing: the epsilons of a session add up, and those of its pool."""

PULSES_MAX = 2_000_000
"""Bound on the pulses of one session: the longest key that is reconciled as one frame."""


class Protocol(StrEnum):
    """Which circuits and settings make the raw key."""

    BB84 = "bb84"
    E91 = "e91"


class Sampling(StrEnum):
    """How the rounds that estimate the phase error are chosen.

    BIASED: key from the key basis, test from the other one (2012 bound). SYMMETRIC: uniform
    bases, a random sample of all sifted rounds (2017 bound).
    """

    BIASED = "biased"
    SYMMETRIC = "symmetric"


class Reconciliation(StrEnum):
    """Block rule of Cascade."""

    ORIGINAL = "cascade-original"
    BICONF = "cascade-biconf"
    YANETAL = "cascade-yanetal"


class Parameters(msgspec.Struct, frozen=True, array_like=True, tag="parameters"):
    """Everything that is fixed before the first pulse.

    Rates and probabilities are integers and epsilons decimal text, so that both parties hash
    the same bytes.

    Attributes:
        protocol: Name in `Protocol`.
        sampling: Name in `Sampling`.
        reconciliation: Name in `Reconciliation`.
        pulses: Signals or pairs sent, N.
        blocks: Number of equal parts of the session, in order of time, for drift figures.
        key_bias: Probability of the key setting of each party, in 1/65536.
        key_rounds: Reconciled key length n.
        test_rounds: Rounds that bound the phase error, k.
        rate_rounds: Disclosed key-basis rounds that choose the reconciliation's rate.
        qber_max_ppm: Tolerated error rate in each basis, in parts per million.
        leak_max_bits: Most bits that reconciliation may reveal, both directions together.
        tag_bits: Length t of the verification tag; correctness epsilon 2^-t.
        secret_bits: Length l of the secret key; 0 where the bound leaves none.
        eps_sec: Secrecy epsilon, decimal text.
        eps_cor: Correctness epsilon asked for, decimal text.
    """

    protocol: Protocol
    sampling: Sampling
    reconciliation: Reconciliation
    pulses: int
    blocks: int
    key_bias: int
    key_rounds: int
    test_rounds: int
    rate_rounds: int
    qber_max_ppm: int
    leak_max_bits: int
    tag_bits: int
    secret_bits: int
    eps_sec: str
    eps_cor: str

    @property
    def qber_max(self) -> float:
        """Tolerated error rate in each basis."""
        return self.qber_max_ppm / 1e6

    @property
    def theorem(self) -> str:
        """Name and source of the bound that gives `secret_bits`."""
        return finite_key.SYMMETRIC_THEOREM if self.is_symmetric else finite_key.BIASED_THEOREM

    @property
    def is_symmetric(self) -> bool:
        """Whether the sample is drawn from all sifted rounds."""
        return self.sampling is Sampling.SYMMETRIC

    @property
    def alice_thresholds(self) -> tuple[int, ...]:
        """Upper ends, in 1/65536, of the intervals that choose Alice's setting."""
        return (self.key_bias, BIAS_STEPS)

    @property
    def bob_thresholds(self) -> tuple[int, ...]:
        """Upper ends, in 1/65536, of the intervals that choose Bob's setting.

        E91: key, test, and the two CHSH angles. What the key setting leaves is shared as one
        half for the test and one quarter for each CHSH angle.
        """
        if self.protocol is Protocol.BB84:
            return self.alice_thresholds
        rest = BIAS_STEPS - self.key_bias
        return (
            self.key_bias,
            self.key_bias + rest // 2,
            self.key_bias + rest // 2 + rest // 4,
            BIAS_STEPS,
        )


class Wanted(msgspec.Struct, frozen=True):
    """What the operator asks for; `commit` turns it into Parameters.

    Attributes:
        protocol: BB84 or E91.
        pulses: Signals or pairs to send, 1 to 2 million.
        sampling: Biased unless asked otherwise; E91 is always biased.
        reconciliation: Block rule of Cascade.
        qber_max: Tolerated error rate in each basis, in (0, 0.5).
        key_bias: Probability of the key setting in [0.5, 0.99]; None takes the one with the
            longest key.
        eps_sec: Secrecy epsilon in (0, 0.1).
        eps_cor: Correctness epsilon in (0, 0.1).
        blocks: Parts of the session for drift figures.
    """

    protocol: Protocol
    pulses: int
    qber_max: float
    sampling: Sampling = Sampling.BIASED
    reconciliation: Reconciliation = Reconciliation.ORIGINAL
    key_bias: float | None = None
    eps_sec: float = 1e-10
    eps_cor: float = 1e-12
    blocks: int = 4

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, naming them."""
        for name, kind in (
            ("protocol", Protocol),
            ("sampling", Sampling),
            ("reconciliation", Reconciliation),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(  # noqa: TRY004 - one error for all that cannot be used
                    f"{name} must be a {kind.__name__}: {getattr(self, name)!r}"
                )
        _check_range("pulses", self.pulses, 1, PULSES_MAX)
        _check_range("blocks", self.blocks, 1, 64)
        if not 5e-7 < self.qber_max < 0.4999995:  # noqa: PLR2004 - rounds to 1 to 499,999 ppm
            raise ValueError(f"QBER limit must be from 1e-6 to 0.499999: {self.qber_max}")
        _check_open("eps_sec", self.eps_sec, EPS_MAX)
        _check_open("eps_cor", self.eps_cor, EPS_MAX)
        if self.key_bias is not None and not 0.5 <= self.key_bias <= 0.99:  # noqa: PLR2004
            raise ValueError(f"basis bias must be within [0.5, 0.99]: {self.key_bias}")
        if self.sampling is Sampling.SYMMETRIC and self.protocol is Protocol.E91:
            raise ValueError("E91 has no symmetric variant: its key comes from one setting pair")
        if self.sampling is Sampling.SYMMETRIC and self.key_bias not in (None, 0.5):
            raise ValueError(f"the symmetric variant has bias 0.5, not {self.key_bias}")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer: {value!r}")  # noqa: TRY004 - as below
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}: {value}")


def _check_open(name: str, value: float, high: float) -> None:
    if not 0.0 < value < high:
        raise ValueError(f"{name} must be between 0 and {high:g}: {value}")


def commitment_digest(parameters: Parameters) -> str:
    """SHA-256 (hex) of the canonical bytes of the parameters."""
    return digest.sha256(msgspec.msgpack.encode(parameters)).hex()


def tag_length_bits(eps_cor: float) -> int:
    """Bits of the verification tag: the least t with 2^-t <= eps_cor."""
    return math.ceil(-math.log2(eps_cor))


def leak_limit_bits(key_rounds: int, qber_max: float) -> int:
    """Most bits that reconciliation may reveal, Alice's and Bob's messages together.

    Both directions are charged in full, as if Bob had announced every parity that he asked
    for. Source: Tupkary and Luetkenhaus, arXiv 2307.00576.
    """
    one_way = EFFICIENCY_MAX * key_rounds * binary_entropy(qber_max) + LEAK_SLACK_BITS
    return math.ceil(2.0 * one_way)


def _fixed_count(pulses: int, probability: float) -> int:
    """Rounds to commit to when each pulse is one with this probability."""
    spread = SHORTFALL_SIGMAS * math.sqrt(pulses * probability * (1.0 - probability))
    return max(0, math.floor(pulses * probability - spread))


def _candidate(wanted: Wanted, key_bias: int) -> Parameters:
    """Parameters for one bias; `secret_bits` may be 0."""
    p = key_bias / BIAS_STEPS
    if wanted.sampling is Sampling.SYMMETRIC:
        sifted = _fixed_count(wanted.pulses, p * p + (1.0 - p) ** 2)
        test = min(max(1, sifted // 2), math.ceil(_symmetric_sample(sifted)))
        rate, key = 0, sifted - test
    else:
        share = 1.0 if wanted.protocol is Protocol.BB84 else 0.5
        matched = _fixed_count(wanted.pulses, p * p)
        test = _fixed_count(wanted.pulses, (1.0 - p) ** 2 * share)
        rate = min(matched // 2, max(RATE_SAMPLE_MIN, math.ceil(RATE_SAMPLE_SHARE * matched)))
        key = matched - rate
    leak_max = leak_limit_bits(key, wanted.qber_max)
    tag = tag_length_bits(wanted.eps_cor)
    parameters = Parameters(
        protocol=wanted.protocol,
        sampling=wanted.sampling,
        reconciliation=wanted.reconciliation,
        pulses=wanted.pulses,
        blocks=wanted.blocks,
        key_bias=key_bias,
        key_rounds=key,
        test_rounds=test,
        rate_rounds=rate,
        qber_max_ppm=round(wanted.qber_max * 1e6),
        leak_max_bits=leak_max,
        tag_bits=tag,
        secret_bits=0,
        eps_sec=repr(wanted.eps_sec),
        eps_cor=repr(wanted.eps_cor),
    )
    return msgspec.structs.replace(parameters, secret_bits=secret_length_bits(parameters))


def _symmetric_sample(sifted: int) -> float:
    """Test rounds of the symmetric variant.

    The optimum of the 2017 bound lies near sifted^(2/3) times a constant of order ten for
    epsilons around 1e-10; one sixth is the share in the authors' own examples (5911 of 36123,
    20941 of 128989), and larger blocks need less.
    """
    return float(min(sifted / 6.0, 8.0 * sifted ** (2.0 / 3.0)))


def secret_length_bits(parameters: Parameters) -> int:
    """Length of the secret key that the committed numbers give; 0 where there is none.

    A key that does not pay for the tags of its own session is none: it would leave the two
    parties with less than they had.
    """
    if parameters.key_rounds < 1 or parameters.test_rounds < 1:
        return 0
    length = math.floor(_unclipped(parameters))
    return length if length > SESSION_TAG_BITS else 0


def _unclipped(parameters: Parameters) -> float:
    """The bound itself, negative where there is no key: what an optimiser needs."""
    if parameters.key_rounds < 1 or parameters.test_rounds < 1:
        return -math.inf
    if parameters.is_symmetric:
        return finite_key.symmetric_length_unclipped(
            m=parameters.key_rounds + parameters.test_rounds,
            k=parameters.test_rounds,
            q_tol=parameters.qber_max,
            leak_bits=parameters.leak_max_bits,
            tag_bits=parameters.tag_bits,
            eps_sec=float(parameters.eps_sec),
        )
    return finite_key.biased_length_unclipped(
        n=parameters.key_rounds,
        k=parameters.test_rounds,
        q_tol=parameters.qber_max,
        leak_bits=parameters.leak_max_bits,
        tag_bits=parameters.tag_bits,
        eps_sec=float(parameters.eps_sec),
    )


def commit(wanted: Wanted) -> Parameters:
    """Parameters of a session, with the bias that gives the longest key unless one is given.

    The numbers depend on the operator's wish alone, never on data. `secret_bits` is 0 where the
    bound leaves no key: the session may still run to show its error rates, and then aborts.
    """
    if wanted.sampling is Sampling.SYMMETRIC:
        return _candidate(wanted, BIAS_STEPS // 2)
    if wanted.key_bias is not None:
        return _candidate(wanted, round(wanted.key_bias * BIAS_STEPS))
    candidates = [
        _candidate(wanted, round(bias * BIAS_STEPS)) for bias in np.arange(0.5, 0.985, 0.01)
    ]
    if wanted.protocol is Protocol.E91:
        allowed = [c for c in candidates if _chsh_rounds(c) >= CHSH_ROUNDS_MIN]
        candidates = allowed or candidates[:1]
    return max(candidates, key=_unclipped)


def _chsh_rounds(parameters: Parameters) -> float:
    """Expected rounds of the rarest CHSH pair."""
    p = parameters.key_bias / BIAS_STEPS
    return parameters.pulses * (1.0 - p) ** 2 / 4.0


def least_pulses(wanted: Wanted) -> int | None:
    """The least number of pulses that gives a net secret bit at this tolerance, within 0.1 %.

    None where not even 2 million pulses do.
    """
    low, high = 1, PULSES_MAX
    if not commit(msgspec.structs.replace(wanted, pulses=high)).secret_bits:
        return None
    while high - low > max(1, low // 1000):
        middle = (low + high) // 2
        if commit(msgspec.structs.replace(wanted, pulses=middle)).secret_bits:
            high = middle
        else:
            low = middle
    return high
