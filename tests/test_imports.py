import subprocess
import sys

import pytest

WITHOUT_TENSORFLOW = [
    "cli", "settings", "atomic", "tokens", "vocabulary", "tfrecord", "shards", "sources.imdb",
    "sources.movie_reviews", "sources.download", "preparation", "run_directory", "weights", "memory",
    "dashboard", "progress", "history", "comparison", "sweeping", "measures", "dense",
    "cluster",
]  # fmt: skip


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_only_what_trains_evaluates_or_exports_imports_tensorflow(module):
    code = f"import sys, lowmem_sentiment.{module}; print({{'tensorflow', 'keras'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
