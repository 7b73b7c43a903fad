"""Find the test reviews that a run was trained on, which would flatter it in a comparison."""

import contextlib
from typing import Any

import numpy as np

from ..dataset.duplicates import text_hashes
from ..dataset.reader import Dataset
from ..system.errors import InputMissing, SettingsError
from ..text.vocabulary import FIRST_WORD_ID, OUT_OF_VOCABULARY_ID
from .run_directory import RunDirectory


def trained_on(run: RunDirectory, dataset: Dataset) -> np.ndarray | None:
    """Return int64[n], the places in a dataset's test split of reviews that a run was trained on.

    None if there can be none: it is the run's own dataset, or the same rule decides each text's split in
    both. Otherwise the words of the test reviews are compared with the training reviews of the run's
    dataset, in 8 bytes per test review. Raises SettingsError if that dataset is gone.
    """
    recorded = run.config()["dataset"]
    if recorded["fingerprint"] == dataset.fingerprint:
        return None
    if _split_rule(recorded["source"]) == _split_rule(dataset.source):
        return None
    trained = None
    with contextlib.suppress(InputMissing):
        trained = run.find_dataset()
    if trained is None or trained.fingerprint != recorded["fingerprint"]:
        raise SettingsError(
            f"{run.path} may have been trained on test reviews of {dataset.directory}: different rules "
            f"made their splits, and {recorded['path']} is not as it was; expected data prepared without "
            "--split stratified, with the same --test-fraction or --test, or that dataset kept"
        )
    theirs, mine = _common_ids(trained, dataset)
    hashes = [text_hashes(mine[block.token_ids], block.lengths) for block in dataset.read("test")]
    tested = np.concatenate(hashes)
    wanted, seen = np.unique(tested), np.empty(0, np.uint64)
    for block in trained.read("train"):
        found = np.intersect1d(text_hashes(theirs[block.token_ids], block.lengths), wanted)
        seen = np.union1d(seen, found)
    return np.flatnonzero(np.isin(tested, seen))


def _split_rule(source: dict[str, Any]) -> Any:
    """Return the rule that gives each text its split; the whole source if there is none."""
    if source.get("kind") != "files" or "split" in source:  # IMDb's order, --split stratified
        return {name: value for name, value in source.items() if name != "vocabulary"}
    files = [file for file in source.get("files", ()) if isinstance(file, dict)]
    named = [str(file.get("path")) for file in files if file.get("split") == "test"]
    return source.get("test_fraction"), sorted(named)


def _common_ids(one: Dataset, other: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return int32[ids] for each dataset: the `other`'s ids for words of both, 2 for the other words."""
    ids, special = other.vocabulary().ids, np.arange(FIRST_WORD_ID, dtype=np.int32)
    found = [ids.get(word, OUT_OF_VOCABULARY_ID) for word in one.vocabulary().words]
    of_one = np.concatenate([special, np.array(found, np.int32)])
    of_other = np.full(other.num_ids, OUT_OF_VOCABULARY_ID, np.int32)
    of_other[of_one] = of_one
    return of_one, of_other
