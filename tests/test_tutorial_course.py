import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
HEADING = "## In Python"


def course() -> str:
    """Return the code that README shows under `HEADING`."""
    if not README.exists():
        pytest.skip("README.md is not written yet")
    found = re.search(
        rf"^{re.escape(HEADING)}\n.*?^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"README.md has no python block under {HEADING!r}"
    return found[1]


@pytest.mark.slow
def test_the_course_in_readme_runs_as_it_stands(imdb_files, tmp_path):
    npz, _ = imdb_files
    result = subprocess.run(
        [sys.executable, "-c", course()],
        cwd=tmp_path,
        env={**os.environ, "LOWMEM_SENTIMENT_IMDB_NPZ": str(npz)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "Unique words: 23" in result.stdout  # the 22 of conftest, and the start of a review
    assert (tmp_path / "runs" / "course" / "weights.npz").exists()
