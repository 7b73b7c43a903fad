"""Compare later text with the test split: known words and n-grams, the confidence, the labels.

Each is a mean over texts, and two means are compared by a two-sided z test (Welch's): the words of a text
are not independent of each other. `LEVEL` is the chance of any warning without a cause (Bonferroni's
correction). Differences below `LEAST` raise no warning: in huge files any difference is significant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..decisions.records import Record, read_record, write_record
from ..model.decision import confidence
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, listed, printable
from ..text.encoders import Counts, TextEncoder

FILE = "profile.json"
"""The file of a run with the profile of its test split."""

LEVEL = 0.01

LEAST = 0.02

FEW = 30
"""With fewer texts a mean is not distributed normally, and nothing is warned of."""

_SHOWN = 3
"""Labels in a line."""


class Profile:
    """Sums over texts, from which means and their errors follow: 16 bytes per quantity."""

    def __init__(self, labels: Sequence[str], encoder: TextEncoder):
        words = ["known words"] + ["known n-grams"] * (encoder.max_words > 1)
        self.names, self.labels = [*words, "confidence"], list(labels)
        """The quantities besides each label's share."""
        self._max_words = encoder.max_words
        self.texts = 0
        self.sums = np.zeros(len(self.names) + len(labels))
        self.squares = np.zeros_like(self.sums)

    def add(
        self,
        counts: Counts,
        inputs: Sequence[np.ndarray],
        probabilities: np.ndarray,
        temperature: float = 1.0,
    ) -> None:
        """Add texts: their words and known words, the ids that the model read, float[texts, labels].

        The confidence is what it was before the `temperature`, so that it can always be compared.
        """
        words, known = np.array(counts, np.int64).reshape(-1, 2).T
        values = [known / np.maximum(1, words)]
        if self._max_words > 1:
            ngrams = sum(np.maximum(0, words - less) for less in range(self._max_words))
            values.append(np.array(list(map(len, inputs))) / np.maximum(1, ngrams))
        with np.errstate(over="ignore"):
            values.append(1 / (1 + np.exp(-confidence(probabilities, temperature))))
        labels = np.bincount(probabilities.argmax(axis=1), minlength=len(self.labels))
        self.texts += len(words)
        self.sums += [*(value.sum() for value in values), *labels]
        self.squares += [*((value**2).sum() for value in values), *labels]

    def merge(self, other: "Profile") -> None:
        """Add the texts of another profile for the same labels and encoder."""
        self.texts += other.texts
        self.sums += other.sums
        self.squares += other.squares


@dataclass(frozen=True)
class _RecordedProfile(Record):
    FILE: ClassVar[str] = FILE

    texts: int
    sums: list[float]
    squares: list[float]


@dataclass(frozen=True)
class Difference:
    """A mean over later texts beside the test split's; each is 0 to 1."""

    name: str
    """"known words", "known n-grams" (of all n-grams; one is counted once per text), "confidence" (the
    probability of the likeliest label), or a label, for the share of texts it is likeliest for."""
    later: float
    test: float
    differs: bool
    """Whether by more than chance, and by `LEAST`."""


@dataclass(frozen=True)
class Drift:
    """Later text, compared with the test split of the run's data."""

    texts: int
    test_texts: int
    quantities: list[Difference]
    labels: list[Difference]

    def most_different(self, count: int) -> list[Difference]:
        """Return the labels whose share differs most, at most `count`."""
        return sorted(self.labels, key=lambda each: -abs(each.later - each.test))[:count]

    def in_words(self) -> str:
        """Return a line with each quantity, and the labels that differ most."""
        return ", ".join([*map(_shown, self.quantities), *map(_shown_label, self.most_different(_SHOWN))])

    def warning(self) -> str | None:
        """Return a line if something differs."""
        found = [_shown(each) for each in self.quantities if each.differs]
        found += [_shown_label(each) for each in self.labels if each.differs]
        if not found:
            return None
        return (
            f"the texts are not like the test split: {listed(found, 5)} "
            f"(z tests at {LEVEL:.0%} over all, and {LEAST} or more apart)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "texts": self.texts,
            "test_texts": self.test_texts,
            **{each.name.replace(" ", "_").replace("-", ""): _values(each) for each in self.quantities},
            "labels": {each.name: _values(each) for each in self.labels},
            "warning": self.warning(),
        }


def _shown(each: Difference) -> str:
    return f"{each.name} {each.later:.3f} (test {each.test:.3f})"


def _shown_label(each: Difference) -> str:
    return _shown(replace(each, name=f"'{printable(each.name, 40)}'"))


def _values(each: Difference) -> dict[str, Any]:
    return {"later": each.later, "test": each.test, "differs": each.differs}


def record(run: RunDirectory, profile: Profile, dataset: str, fingerprint: str) -> None:
    """Write ``profile.json``: the profile of the test split of the run's dataset."""
    sums, squares = profile.sums.tolist(), profile.squares.tolist()
    write_record(run, _RecordedProfile(dataset, fingerprint, profile.texts, sums, squares))


def compare(run: RunDirectory, profile: Profile) -> Drift | None:
    """Return later texts beside the recorded test split; None if none is recorded for these weights.

    Raises DataError for a damaged record.
    """
    from statistics import NormalDist  # 2 ms, which predict need not wait for

    if not profile.texts or not (recorded := read_record(run, _RecordedProfile)):
        return None
    path, size, texts = run.path / FILE, len(profile.sums), recorded.texts
    if texts < 1 or not len(recorded.sums) == len(recorded.squares) == size:
        raise DataError(f"{path} has {len(recorded.sums)} quantities, expected {size} of 1 text or more")
    if not all(0 <= each <= texts * (1 + 1e-9) for each in (*recorded.sums, *recorded.squares)):
        raise DataError(f"{path} has sums of shares outside 0 to {texts}, the number of its texts")
    level = NormalDist().inv_cdf(1 - LEVEL / 2 / size)
    later, error = _mean(profile.sums, profile.squares, profile.texts)
    before, error_before = _mean(np.array(recorded.sums), np.array(recorded.squares), texts)
    apart = np.abs(later - before)
    differs = (apart >= LEAST) & (apart > level * np.sqrt(error + error_before))
    if min(profile.texts, texts) < FEW:
        differs[:] = False
    names = [*profile.names, *profile.labels]
    rows = zip(names, later.tolist(), before.tolist(), differs.tolist(), strict=True)
    differences = [Difference(*row) for row in rows]
    few = len(profile.names)
    return Drift(profile.texts, texts, differences[:few], differences[few:])


def _mean(sums: np.ndarray, squares: np.ndarray, texts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means, and the squares of their standard errors."""
    means = sums / texts
    return means, np.maximum(0, squares / texts - means**2) / max(1, texts - 1)
