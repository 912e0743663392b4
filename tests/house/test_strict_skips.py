"""In continuous integration a skipped test is a failed one, but for those named here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ONE = "import pytest\n\n{mark}\ndef test_one():\n    {body}\n"
SKIPPED = ONE.format(mark="@pytest.mark.skip(reason='no camera')", body="pass")
IN_THE_BODY = ONE.format(mark="", body="pytest.skip('no camera')")
WHOLE_FILE = "import pytest\n\npytest.importorskip('no_such_package_of_ours')\n"
EXPECTED_TO_FAIL = ONE.format(mark="@pytest.mark.xfail(reason='known')", body="assert False")
NO_VECTORS = ONE.format(mark="@pytest.mark.skip(reason='no ../shared/vectors')", body="pass")


def outcome(checkout: Path, text: str, *, folder: str = "room", is_strict: str = "1") -> str:
    """The last line of a run of one file below the tests' own conftest.py."""
    (checkout / "tests" / folder).mkdir(parents=True)
    (checkout / "tests" / folder / "test_it.py").write_text(text)
    shutil.copy(Path(__file__).parents[1] / "conftest.py", checkout / "tests")
    (checkout / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        command,
        cwd=checkout,
        env=os.environ | {"QLQ_STRICT_SKIPS": is_strict, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return re.sub(r" in [\d.]+s", "", done.stdout.splitlines()[-1])


def test_a_skip_in_the_body_fails_when_skips_are_strict(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", IN_THE_BODY) == "1 failed"


def test_a_marked_test_fails_before_it_begins_when_skips_are_strict(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", SKIPPED) == "1 error"


def test_a_file_skipped_as_a_whole_fails_when_skips_are_strict(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", WHOLE_FILE) == "1 error"


def test_a_skip_is_a_skip_otherwise(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", SKIPPED, is_strict="0") == "1 skipped"


def test_a_test_that_is_expected_to_fail_is_no_skip(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", EXPECTED_TO_FAIL) == "1 xfailed"


def test_real_devices_may_be_absent(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", SKIPPED, folder="live") == "1 skipped"


def test_vectors_may_be_absent_only_where_they_are(tmp_path: Path) -> None:
    assert outcome(tmp_path / "qlq", NO_VECTORS) == "1 skipped"
    shutil.rmtree(tmp_path / "qlq")
    (tmp_path / "shared" / "vectors").mkdir(parents=True)
    assert outcome(tmp_path / "qlq", NO_VECTORS) == "1 error"
