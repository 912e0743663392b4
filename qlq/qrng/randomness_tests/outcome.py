"""What one randomness test says: its p-values, or why it was not run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RandomnessTest(StrEnum):
    """The fifteen tests of SP 800-22 rev. 1a, in its order."""

    FREQUENCY = "frequency"
    BLOCK_FREQUENCY = "block_frequency"
    RUNS = "runs"
    LONGEST_RUN = "longest_run"
    MATRIX_RANK = "rank"
    SPECTRAL = "dft"
    NON_OVERLAPPING = "non_overlapping"
    OVERLAPPING = "overlapping"
    UNIVERSAL = "universal"
    LINEAR_COMPLEXITY = "linear_complexity"
    SERIAL = "serial"
    APPROXIMATE_ENTROPY = "approximate_entropy"
    CUMULATIVE_SUMS = "cumulative_sums"
    RANDOM_EXCURSIONS = "random_excursions"
    RANDOM_EXCURSIONS_VARIANT = "random_excursions_variant"


@dataclass(frozen=True, slots=True)
class PValue:
    """Probability that a perfect source gives a statistic as extreme as this one.

    Attributes:
        label: Which statistic of its test: a template, a state, a direction; "" where there is
            only one.
        value: In [0, 1].
    """

    label: str
    value: float

    def __post_init__(self) -> None:
        """Refuse what is no probability.

        Raises:
            ValueError: For a value outside [0, 1], or NaN.
        """
        if not 0.0 <= self.value <= 1.0:
            raise ValueError(f"p-value outside [0, 1]: {self.value}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test of one sequence. Either p-values or a refusal, never both and never neither.

    Attributes:
        test: Which one.
        p_values: All of them, in the order of the standard; empty if the test was refused.
        refusal: Why the sequence cannot be judged by this test, in words; "" if it was run.
    """

    test: RandomnessTest
    p_values: tuple[PValue, ...]
    refusal: str = ""

    def __post_init__(self) -> None:
        """Refuse an outcome that says nothing, or two things.

        Raises:
            ValueError: Unless there are p-values or a refusal.
        """
        if bool(self.p_values) == bool(self.refusal):
            raise ValueError(f"{self.test}: either p-values or a refusal, in words")

    @property
    def was_run(self) -> bool:
        """Whether there is a p-value."""
        return not self.refusal

    @property
    def least(self) -> PValue:
        """The most extreme of the p-values.

        Raises:
            ValueError: If the test was refused.
        """
        if self.refusal:
            raise ValueError(f"{self.test} was not run: {self.refusal}")
        return min(self.p_values, key=lambda p_value: p_value.value)

    @property
    def combined(self) -> float:
        """One p-value for the whole test: the least one times their count, at most 1.

        Valid however the p-values depend on each other (Bonferroni).

        Raises:
            ValueError: If the test was refused.
        """
        return min(1.0, len(self.p_values) * self.least.value)
