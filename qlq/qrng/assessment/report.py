"""The non-IID track of SP 800-90B: what may be claimed of a noise source's output at most.

An estimate is an upper bound on what may be claimed, never evidence that a source is quantum or
even random: output of a pseudo-random generator scores as well as any.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qlq.errors import MinEntropyTooLow, TooFewSamples
from qlq.qrng.assessment import estimators
from qlq.qrng.assessment.estimators import SYMBOLS_MIN, Estimates
from qlq.qrng.assessment.samples import SAMPLES_MIN, Samples


class Length(Enum):
    """How many samples an assessment insists on."""

    STANDARD = SAMPLES_MIN
    SHORT = SYMBOLS_MIN
    """Fewer than the standard asks for; the result is marked `is_short`."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the estimators find. Entropies are in bits; None where an estimator cannot run.

    Attributes:
        samples: Number of symbols assessed.
        bits: Width of a symbol.
        original: Each estimate of the symbols as they are, per symbol.
        bitstring: Each estimate of the same data as a bit string, per bit; empty for data of two
            symbols, which are one.
        h_original: The least of `original`, at most `bits`.
        h_bitstring: The least of `bitstring`, at most 1; None for data of two symbols.
        is_short: Whether there are fewer samples than the standard asks for: such a result
            supports no claim.
    """

    samples: int
    bits: int
    original: Estimates
    bitstring: Estimates
    h_original: float
    h_bitstring: float | None
    is_short: bool

    @property
    def assessed(self) -> float:
        """Min-entropy per symbol in bits: the smaller one of both views.

        Source: SP 800-90B, clause 3.1.3, without the submitter's own estimate.
        """
        if self.h_bitstring is None:
            return self.h_original
        return min(self.h_original, self.bits * self.h_bitstring)


def require_samples(samples: Samples, *, length: Length) -> None:
    """Refuse data that cannot be assessed.

    Raises:
        TooFewSamples: There are fewer than `length` insists on.
        MinEntropyTooLow: All are equal.
    """
    if samples.count < length.value:
        way_out = (
            "collect more, or ask for a short assessment, which supports no claim"
            if length is Length.STANDARD and samples.count >= SYMBOLS_MIN
            else "collect more"
        )
        raise TooFewSamples(
            f"{samples.count} samples are fewer than the {length.value} of SP 800-90B: {way_out}"
            if length is Length.STANDARD
            else f"{samples.count} samples are fewer than the {length.value} that a short "
            f"assessment needs: {way_out}"
        )
    if samples.alphabet == 1:
        raise MinEntropyTooLow(
            f"all {samples.count} samples are {int(samples.raw[0])}: constant data have no "
            "entropy; look at the source"
        )


def assess(samples: Samples, *, length: Length = Length.STANDARD) -> Assessment:
    """Min-entropy by all ten estimators, of the symbols and of their bits.

    Takes about half a second for a million bits, four seconds for a million bytes, and some 30
    bytes of memory for each bit.

    Args:
        samples: Consecutive outputs of one source, before any conditioning.
        length: What to insist on.

    Raises:
        TooFewSamples: There are fewer than `length` insists on.
        MinEntropyTooLow: All are equal.

    Source:
        SP 800-90B, clauses 3.1.3 and 6.
    """
    require_samples(samples, length=length)
    original = estimators.estimate(samples.symbols, alphabet=samples.alphabet)
    bitstring: Estimates = {}
    h_bitstring = None
    if not samples.is_binary:
        bitstring = estimators.estimate(samples.bit_string(), alphabet=2)
        h_bitstring = estimators.least(bitstring, bits=1)
    return Assessment(
        samples=samples.count,
        bits=samples.bits,
        original=original,
        bitstring=bitstring,
        h_original=estimators.least(original, bits=samples.bits),
        h_bitstring=h_bitstring,
        is_short=samples.count < SAMPLES_MIN,
    )
