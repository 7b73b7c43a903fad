"""The words, labels and bad rows of all chunks of a source."""

import hashlib
import re
import shlex
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dataset.duplicates import DuplicateCounter
from ..dataset.manifest import MAX_LABELS
from ..sources.labels import label_warnings, normalised
from ..system.errors import DataError, SettingsError, plural, printable
from ..text.rows import BadRow
from ..text.vocabulary import Vocabulary
from .chunk_tasks import TokenisedChunk, WrongLabelColumn, too_many_labels
from .lossy_counting import WordCounts
from .spill import Spill, packed_words
from .stratification import Stratification

_FEW_LABELS = 5  # as in five stars: with fewer, each may well be seen once in a handful of rows

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


class CorpusSummary:
    """Add up, in the parent process, what the chunks hold.

    Takes memory for the words (`word_counts`) and the labels.
    """

    def __init__(self, word_counts: WordCounts | None, skip_bad_rows: int):
        """Count words into `word_counts`, unless the vocabulary is given; allow so many bad rows."""
        self._word_counts, self._skip_bad_rows = word_counts, skip_bad_rows
        self._places: dict[str, str] = {}  # where each label is first seen
        self._by_label: dict[str, np.ndarray] = {}  # int64[3]: training, test, validation reviews
        self.training_tokens = self.num_undecided = 0
        self.undecided = Stratification()
        self.digest = hashlib.sha256()
        self._rows = self._bad_rows = self._bad_lines = 0
        self.dropped = 0
        self._labels_read: set[str] = set()
        self._passed_over: dict[str, dict[str, Any]] = {}
        self._given = DuplicateCounter()

    def add(self, chunk: TokenisedChunk) -> None:
        """Add a chunk; DataError for one bad row or one label too many."""
        if self._word_counts is not None:
            self._word_counts.add(packed_words(chunk.packed), chunk.counts.tolist())
        self.training_tokens += int(chunk.counts.sum())
        self.undecided.add(chunk.labels, chunk.undecided)
        self.num_undecided += len(chunk.undecided.labels)
        for nth, (label, place) in enumerate(zip(chunk.labels, chunk.places, strict=True)):
            self._places.setdefault(label, place)
            self._by_label[label] = self._by_label.get(label, 0) + chunk.reviews[:, nth]
            if len(self._places) > MAX_LABELS:
                raise too_many_labels(place)
        self.digest.update(chunk.digest)
        self._rows += chunk.rows
        self.dropped += chunk.dropped
        self._labels_read |= chunk.labels_read
        for reason, count in chunk.passed_over.items():
            known = self._passed_over.setdefault(
                reason, {"count": 0, "first": chunk.first_passed[reason]}
            )
            known["count"] += count
        for nth, hashes in enumerate(chunk.given):
            if len(hashes):
                self._given.add_hashes(hashes, np.zeros(len(hashes), np.int64), min(nth, 1))
        for row in chunk.bad_rows:
            self._bad_rows += 1
            self._bad_lines += row.lines  # a row that takes up many may hold reviews
            if self._bad_lines > self._skip_bad_rows:
                raise self._one_too_many(row)

    def decide(self, spill: Spill, test_share: float, seed: int) -> None:
        """Divide the undecided reviews into training and test split, and count them; reads the spill."""
        self.undecided.decide(test_share, seed)
        for place, in_test in zip(spill.places(), self.undecided.masks(), strict=True):
            assert in_test is not None  # `decide` has made it
            words, labels, (*_, undecided) = spill.read(place)
            train = undecided.select(~in_test)
            if self._word_counts is not None:
                counts = np.bincount(train.numbers, minlength=len(words))
                self._word_counts.add(words, counts.tolist())
            self.training_tokens += len(train.numbers)
            for nth, number in zip((0, 1), (~in_test, in_test), strict=True):
                for label, count in enumerate(np.bincount(undecided.labels[number])):
                    self._by_label[labels[label]][nth] += count
        self.num_undecided = 0

    def _one_too_many(self, row: BadRow) -> DataError:
        limit = self._skip_bad_rows
        if not limit:
            return DataError(f"{row} (--skip-bad-rows N tolerates up to N such rows)")
        were = "was" if limit == 1 else "were"
        return DataError(
            f"{row}; {plural(limit, 'bad row')} {were} skipped before it, as --skip-bad-rows allows"
        )

    @property
    def count_error_bound(self) -> int:
        """By how much a word's count may be too low."""
        return self._word_counts.error_bound if self._word_counts is not None else 0

    def take_vocabulary(self, min_count: int, max_words: int | None) -> Vocabulary:
        """Return the counted words, and free the memory of the counts (up to `vocabulary_memory`).

        Raises SettingsError or DataError where no word is left.
        """
        assert self._word_counts is not None
        counts, self._word_counts = self._word_counts, None
        vocabulary = counts.vocabulary(min_count, max_words)
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
        """The size of the training reviews as records, rather too high: 2 bytes per token, 48 per review.

        So open shards end a little below full, and leave no tiny ones.
        """
        return 2 * self.training_tokens + 48 * self.reviews[0]

    def describe(self) -> dict[str, Any]:
        """Return what the manifest records of the texts."""
        return {
            "texts_sha256": self.digest.hexdigest(),
            "skipped_rows": self._bad_rows,
            "skipped_lines": self._bad_lines,
            "dropped_reviews": self.dropped,
            "rows_read": self._rows,
            **({"passed_over": self._passed_over} if self._passed_over else {}),
            **({"warnings": warnings} if (warnings := self._warnings()) else {}),
        }

    @property
    def reviews(self) -> list[int]:
        """How many training, test and validation reviews there are so far."""
        return sum(self._by_label.values(), np.zeros(3, np.int64)).tolist()

    def _warnings(self) -> list[str]:
        """Return a line for each thing that may not be as the user meant it."""
        lines = label_warnings(self._places)
        if shared := self._given.summary().in_both_splits:
            lines.append(
                f"{plural(shared, 'text')} of the training split {'is' if shared == 1 else 'are'} in the "
                "test or validation split too, so that metrics look better than they are"
            )
        return lines

    def check_label_map(self, names: Iterable[str]) -> None:
        """Raise DataError for a name of the user's label map that no review has."""
        for name in names:
            if name not in self._labels_read:
                raise DataError(
                    f"--label-map names '{printable(name)}', but no review has that label; expected one "
                    f"of {_listed(self._labels_read)}"
                )

    def check_label_column(self) -> None:
        """Raise WrongLabelColumn where there are more labels than half of the reviews."""
        found, reviews = len(self._places), sum(self.reviews)
        if found >= _FEW_LABELS and 2 * found > reviews:
            seen = "each seen once" if found == reviews else f"in {plural(reviews, 'review')}"
            raise WrongLabelColumn(f"there are {plural(found, 'label')}, {seen}")

    def order_labels(self, wanted: list[str] | None, by_hash: bool = False) -> list[str]:
        """Return the labels: as wanted, or those found, sorted (numbers as numbers).

        Raises DataError for a label that is not wanted, wanted and not there, or only in the test
        split; `by_hash`: chance, by the texts' hashes, chose it.
        """
        for label, place in self._places.items():
            shown = printable(label)
            if wanted is not None and label not in wanted:
                advice = f"rename or leave out others: {_left_out(label)}"
                if normalised(label) in wanted:
                    advice = f"--normalise-labels reads it as '{normalised(label)}'"
                raise DataError(
                    f"{place}: the label is {label!a}, expected one of {_listed(wanted)}; {advice}"
                )
            if not self._by_label[label][0]:
                advice = f"rename it or leave it out: {_left_out(label)}"
                if by_hash:
                    advice = f"--split stratified gives each label its share; or {advice}"
                raise DataError(
                    f"{place}: the label '{shown}' is in the test split only, so it cannot be "
                    f"learnt; {advice}"
                )
        for label in wanted or ():
            if label not in self._places:
                raise DataError(
                    f"no review has the label '{printable(label)}'; there are {_listed(self._places)}"
                )
        return wanted or sorted(self._places, key=_label_order)


def _left_out(label: str) -> str:
    """Return the option that leaves a label out, as a shell takes it."""
    return f"--label-map={shlex.quote(f'{label}=')}" if label.isprintable() else "--normalise-labels"


def _listed(labels: Iterable[str], limit: int = 20) -> str:
    """Return labels for a message, sorted, the first `limit` of them."""
    names = [printable(label, 60) for label in sorted(labels, key=_label_order)]
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _label_order(label: str) -> tuple[bool, float, str]:
    is_number = _NUMBER.fullmatch(label) is not None
    return not is_number, float(label) if is_number else 0.0, label
