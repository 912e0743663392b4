"""Every value of NIST's own tool over NIST's own sample files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qlq.qrng.assessment import report, samples
from qlq.qrng.assessment.estimators import Estimator
from qlq.qrng.assessment.report import Assessment, Length

DATA = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "sp800_90b"
FILES = sorted(path.stem for path in DATA.glob("*.res"))
NAMES = {
    "Most Common Value": Estimator.MOST_COMMON_VALUE,
    "Collision": Estimator.COLLISION,
    "Markov": Estimator.MARKOV,
    "Compression": Estimator.COMPRESSION,
    "t-Tuple": Estimator.T_TUPLE,
    "LRS": Estimator.LONGEST_REPEATED_SUBSTRING,
    "MultiMCW Prediction": Estimator.MULTI_MCW,
    "Lag Prediction": Estimator.LAG,
    "MultiMMC Prediction": Estimator.MULTI_MMC,
    "LZ78Y Prediction": Estimator.LZ78Y,
}
LINE = re.compile(r"(Literal|Bitstring) (.*?) Estimate: min entropy = (\S+)")
VALUES_IN_ALL = 98

pytestmark = pytest.mark.skipif(not FILES, reason="needs ../shared/vectors/sp800_90b")


@cache
def assessed(name: str) -> Assessment:
    raw = np.frombuffer((DATA / f"{name}.bin").read_bytes(), dtype=np.uint8)
    return report.assess(samples.read(raw), length=Length.SHORT)


def reference(name: str) -> dict[str, float]:
    """The values of one file of results, by what they are called there."""
    text = (DATA / f"{name}.res").read_text()
    values = {f"{view} {what}": float(value) for view, what, value in LINE.findall(text)}
    values["Assessed"] = float(text.rsplit("Assessed min entropy:", 1)[1])
    return values


@pytest.mark.parametrize("name", FILES)
def test_every_value_is_nist_s(name: str) -> None:
    found = assessed(name)
    ours = {"Assessed": found.assessed}
    for view, estimates in (("Literal", found.original), ("Bitstring", found.bitstring)):
        for what, estimator in NAMES.items():
            if estimator in estimates:
                ours[f"{view} {what}"] = estimates[estimator]
    assert ours == pytest.approx(reference(name), abs=1e-9, rel=0)


def test_no_value_is_left_out() -> None:
    assert sum(len(reference(name)) for name in FILES) == VALUES_IN_ALL


@pytest.mark.parametrize("name", FILES)
def test_short_files_are_marked(name: str) -> None:
    assert assessed(name).is_short == name.endswith("_short")
