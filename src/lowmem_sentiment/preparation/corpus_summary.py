"""The words, labels and bad rows of all chunks of a source, and the split of undecided reviews."""

import hashlib
import re
import shlex
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.duplicates import DuplicateCounter
from ..dataset.manifest import MAX_LABELS
from ..sources.chunks import TextSource
from ..sources.labels import label_warnings, normalised
from ..system.errors import DataError, SettingsError, listed, plural, printable
from ..system.settings import plain
from ..text.rows import BadRow, JoinedCount, JoinedLines, PassedOver
from ..text.vocabulary import Vocabulary
from .chunk_tasks import UNDECIDED_SPLIT, NumberedChunk, Spill, TokenisedChunk
from .lossy_counting import WordCounts
from .settings import SKIPPED_ROWS, PreparationSettings

_FEW_LABELS = 5  # as in five stars: with fewer, a handful of rows may well have each once

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


class CorpusSummary:
    """Sum up the chunks in the parent process.

    Takes memory for the words (`vocabulary_memory`, unless the vocabulary is given) and the labels.
    """

    def __init__(self, source: TextSource, settings: PreparationSettings, directory: Path):
        """Count a source's reviews; bad rows are listed in a file of the directory."""
        self._source, self._settings, self._directory = source, settings, directory
        self._word_counts = None if settings.vocabulary else WordCounts(settings.vocabulary_memory)
        self._places: dict[str, str] = {}  # where each label is first seen
        self._by_label: dict[str, np.ndarray] = {}  # int64[3]: training, test, validation reviews
        self._undecided = Stratification()
        self._digest = hashlib.sha256()
        self._rows = self._bad_rows = self._bad_lines = self._dropped = 0
        self._training_tokens = self._count_error_bound = self._num_given = 0
        self._labels_read: set[str] = set()
        self._passed_over: dict[str, dict[str, Any]] = {}
        self._joined = JoinedCount()
        self._given = DuplicateCounter()

    def add(self, chunk: TokenisedChunk) -> None:
        """Add a chunk; DataError for one bad row or one label too many."""
        numbered = chunk.numbered
        for label, place in zip(numbered.labels, chunk.places, strict=True):
            self._places.setdefault(label, place)
            if len(self._places) > MAX_LABELS:
                raise self._wrong_column(f"{place}: there are more than {MAX_LABELS:,} labels")
        self._count(numbered)
        numbers = {label: nth for nth, label in enumerate(self._places)}
        labels = np.array([numbers[label] for label in numbered.labels], np.int64)
        self._undecided.add(chunk.undecided, labels[numbered.of_split(UNDECIDED_SPLIT).labels])
        self._digest.update(chunk.digest)
        self._rows += len(numbered.splits) + chunk.dropped
        self._dropped += chunk.dropped
        self._labels_read |= chunk.labels_read
        hashes, splits = chunk.given
        self._num_given += len(hashes)
        self._given.add_hashes(hashes, np.zeros(len(splits), np.int64), splits != 0)
        bad_rows = [row for row in chunk.others if isinstance(row, BadRow)]
        for row in chunk.others:
            if isinstance(row, JoinedLines) and self._labels_read.issuperset(row.labels):
                self._joined.add(row)
            elif isinstance(row, PassedOver):
                known = self._passed_over.setdefault(row.reason, {"count": 0, "first": row.place})
                known["count"] += 1
        self._skip(bad_rows)

    def _count(self, chunk: NumberedChunk) -> None:
        """Count labels, and words of training reviews, in the reviews whose split is decided."""
        train = chunk.of_split(0)
        self._training_tokens += len(train.token_ids)
        if self._word_counts is not None:
            words = chunk.words.split()
            counts = np.bincount(train.token_ids, minlength=len(words))
            self._word_counts.add(words, counts.tolist())
        for split in range(3):
            of_split = chunk.reviews.labels[chunk.splits == split]
            counts = np.bincount(of_split, minlength=len(chunk.labels))
            for label, count in zip(chunk.labels, counts.tolist(), strict=True):
                self._by_label.setdefault(label, np.zeros(3, np.int64))[split] += count

    def _skip(self, rows: list[BadRow]) -> None:
        limit = self._settings.skip_bad_rows
        for row in rows:
            self._rows += 1
            self._bad_rows += 1
            self._bad_lines += row.lines  # a row of many lines may hold reviews
            if self._bad_lines > limit:
                were = f"{plural(limit, 'bad row')} {'was' if limit == 1 else 'were'} skipped before it"
                allowed = f"; {were}, as --skip-bad-rows allows"
                tolerated = " (--skip-bad-rows N tolerates up to N such rows)"
                raise DataError(f"{row}{allowed if limit else tolerated}")
        if rows:
            path = self._directory / SKIPPED_ROWS
            with open(path, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(f"{row}\n" for row in rows)

    def decide(self, spill: Spill) -> list[np.ndarray]:
        """Divide undecided reviews into training and test split, and count them; reads the spill.

        Returns bool[undecided] of each chunk, which are in the test split.
        """
        decisions = self._undecided.decide(*self._source.stratified or (0.0, 0))
        for nth, in_test in enumerate(decisions):
            if len(in_test):
                self._count(spill.read(nth).undecided_only(in_test))
        return decisions

    def take_vocabulary(self) -> Vocabulary:
        """Return the counted words, and free the memory of the counts (up to `vocabulary_memory`).

        Raises SettingsError or DataError if no word is left.
        """
        assert self._word_counts is not None
        counts, self._word_counts = self._word_counts, None
        self._count_error_bound = counts.error_bound
        min_count = self._settings.min_count
        vocabulary = counts.vocabulary(min_count, self._settings.max_vocabulary)
        if not len(vocabulary) and self.reviews[0]:
            most = max(counts.counts.values(), default=0)
            if not most:
                raise DataError("no training review has a word; expected texts with letters or digits")
            raise SettingsError(
                f"min_count is {min_count:,}, but no word occurs more than {plural(most, 'time')} in the "
                f"training split; expected {most:,} or less"
            )
        return vocabulary

    @property
    def training_bytes(self) -> int:
        """An upper estimate of the training reviews' size as records: 2 bytes per token, 48 per review.

        So open shards end a little below full, and leave no tiny ones.
        """
        return 2 * self._training_tokens + 48 * self.reviews[0]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the source."""
        vocabulary: dict[str, Any] = {"file": str(self._settings.vocabulary)}
        if not self._settings.vocabulary:
            vocabulary = {
                "min_count": self._settings.min_count,
                "count_error_bound": self._count_error_bound,
            }
        return {
            **self._source.describe(),
            "texts_sha256": self._digest.hexdigest(),
            "skipped_rows": self._bad_rows,
            "skipped_lines": self._bad_lines,
            "dropped_reviews": self._dropped,
            "rows_read": self._rows,
            **({"passed_over": self._passed_over} if self._passed_over else {}),
            **({"warnings": warnings} if (warnings := self._warnings()) else {}),
            "vocabulary": vocabulary,
        }

    @property
    def num_read(self) -> int:
        """How many reviews there are so far."""
        return sum(self.reviews) + len(self._undecided)

    @property
    def reviews(self) -> list[int]:
        """The number of training, test and validation reviews whose split is decided."""
        return sum(self._by_label.values(), np.zeros(3, np.int64)).tolist()

    def _warnings(self) -> list[str]:
        lines = label_warnings(self._places) + self._joined.warnings()
        if shared := self._given.summary().in_both_splits:
            lines.append(
                f"{plural(shared, 'text')} of the training split {'is' if shared == 1 else 'are'} in the "
                "test or validation split too, so that metrics look better than they are"
            )
        return lines

    @property
    def _by_chance(self) -> bool:
        return self._source.stratified is None and self._num_given < sum(self.reviews)

    def ordered_labels(self) -> list[str]:
        """Return the labels: the source's, or those found, sorted (numbers as numbers).

        Raises DataError if there are no reviews, if a label in the user's label map occurs in none, if
        labels look like ids, and for a label that the source does not name, that no review has, or that
        is only in the test split.
        """
        wanted, description = self._source.labels, self._source.describe()
        for name in description.get("label_map", ()):
            if name not in self._labels_read:
                raise DataError(
                    f"--label-map names '{printable(name)}', but no review has that label; expected one "
                    f"of {_listed(self._labels_read)}"
                )
        found, reviews = len(self._places), sum(self.reviews)
        if not reviews:
            raise DataError("there are no reviews; expected some for train and test")
        if wanted is None and found >= _FEW_LABELS and 2 * found > reviews:
            seen = "each seen once" if found == reviews else f"in {plural(reviews, 'review')}"
            raise self._wrong_column(f"there are {plural(found, 'label')}, {seen}")
        for label, place in self._places.items():
            if wanted is not None and label not in wanted:
                advice = f"rename or leave out others: {_left_out(label)}"
                if normalised(label) in wanted:
                    advice = f"--normalise-labels reads it as '{normalised(label)}'"
                raise DataError(
                    f"{place}: the label is {label!a}, expected one of {_listed(wanted)}; {advice}"
                )
            if not self._by_label[label][0]:
                advice = f"rename it or leave it out: {_left_out(label)}"
                if self._by_chance:
                    advice = f"--split stratified gives each label its share; or {advice}"
                raise DataError(
                    f"{place}: the label '{printable(label)}' is in the test split only, so it cannot be "
                    f"learnt; {advice}"
                )
        for label in wanted or ():
            if label not in self._places:
                raise DataError(
                    f"no review has the label '{printable(label)}'; there are {_listed(self._places)}"
                )
        return wanted or sorted(self._places, key=_label_order)

    def _wrong_column(self, problem: str) -> DataError:
        """Return the error for labels that look like ids, which names their column and the others."""
        columns = self._source.describe().get("columns")
        read, choose = "", "--label-column names it"
        if columns is not None:
            read = f" (column '{printable(columns['label'])}')"
            others = [printable(each, 60) for each in columns["others"]]
            choose = f"the other columns are {', '.join(others)} (--label-column)" if others else choose
        return DataError(
            f"{problem}: are these{read} ids and not labels? {choose}; --labels NAME,... accepts them"
        )


def _left_out(label: str) -> str:
    """Return the option that leaves a label out, as a shell takes it."""
    renamed = shlex.quote(plain({label: ""}))
    return f"--label-map={renamed}" if label.isprintable() else "--normalise-labels"


def _listed(labels: Iterable[str], limit: int = 20) -> str:
    """Return labels for a message, sorted, the first `limit` of them."""
    return listed([printable(label, 60) for label in sorted(labels, key=_label_order)], limit)


def _label_order(label: str) -> tuple[bool, float, str]:
    is_number = _NUMBER.fullmatch(label) is not None
    return not is_number, float(label) if is_number else 0.0, label


class Stratification:
    """Divide reviews into training and test split with the same share of each label in both.

    Hashes and labels are collected: 10 bytes per review (10 MB per million), and some 50 more to decide.
    """

    def __init__(self) -> None:
        self._hashes, self._labels = array("Q"), array("H")
        self._ends: list[int] = []  # of each chunk

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, hashes: np.ndarray, labels: np.ndarray) -> None:
        """Add the reviews of the next chunk: uint64 hashes of their words, and int[reviews] labels."""
        self._hashes.frombytes(hashes.astype(np.uint64).tobytes())
        self._labels.frombytes(labels.astype(np.uint16).tobytes())
        self._ends.append(len(self._hashes))

    def decide(self, test_share: float, seed: int) -> list[np.ndarray]:
        """Return bool[reviews] of each chunk, the test reviews: `test_share` of each label, rounded.

        It is at least one and not all of a label with two or more. Reviews with the same words are in one
        split; if they have several labels, or exceed a label's share, shares differ by as many reviews.
        """
        hashes = np.frombuffer(self._hashes, np.uint64)
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        sizes = np.bincount(group, minlength=len(first))
        labels = np.frombuffer(self._labels, np.uint16)[first]
        order = np.argsort(_shuffled(hashes[first], seed), kind="stable")
        in_test = np.zeros(len(first), bool)
        for label in np.unique(labels):
            texts = order[labels[order] == label]
            in_test[_texts_to_test(texts, sizes[texts], test_share)] = True
        return np.split(in_test[group], self._ends[:-1])


def _texts_to_test(texts: np.ndarray, sizes: np.ndarray, test_share: float) -> np.ndarray:
    """Return the texts of a label to test on: the first that fit, and single ones for the rest."""
    count = int(sizes.sum())
    wanted = round(test_share * count)
    if test_share and count > 1:
        wanted = min(max(wanted, 1), count - 1)
    chosen = np.cumsum(sizes) <= wanted
    missing = wanted - int(sizes[chosen].sum())
    chosen[np.flatnonzero(~chosen & (sizes == 1))[:missing]] = True
    return texts[chosen]


def _shuffled(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return uint64 hashes of hashes and a seed (the finalizer of SplitMix64, Steele et al. 2014)."""
    mixed = hashes + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)
