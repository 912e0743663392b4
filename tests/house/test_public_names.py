"""What others may use changes on purpose only."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_the_public_names_are_those_that_were_agreed(root: Path) -> None:
    here = set(runpy.run_path(str(root / "tests/house/public_names.py"))["names"]())
    agreed = set((root / "docs" / "public-names.txt").read_text().split())
    assert (sorted(here - agreed), sorted(agreed - here)) == ([], []), (
        "new and missing public names; if they are meant, run "
        "`python tests/house/public_names.py` and add a line to CHANGELOG.md"
    )
