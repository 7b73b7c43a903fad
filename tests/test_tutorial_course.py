import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
HEADING = "## In Python"


def course() -> str:
    """Return the code that README shows under `HEADING`."""
    found = re.search(
        rf"^{re.escape(HEADING)}\n.*?^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"README.md has no python block under {HEADING!r}"
    return found[1]


@pytest.mark.slow
def test_the_course_in_readme_runs_as_it_stands(imdb_files, tmp_path, monkeypatch, capsys):
    npz, _ = imdb_files
    monkeypatch.setenv("LOWMEM_SENTIMENT_IMDB_NPZ", str(npz))
    monkeypatch.chdir(tmp_path)
    exec(compile(course(), str(README), "exec"), {})
    assert "Unique words: 23" in capsys.readouterr().out  # those of the handmade reviews, and the start
    assert (tmp_path / "runs" / "course" / "weights.npz").exists()
