"""Batches of labelled text, streamed from files or standard input without a dataset.

Memory holds one batch, and a few MB for the readers.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..runs.run_directory import RunDirectory
from ..sources.chunks import Review
from ..sources.files import FilesSource, recorded_fields
from ..sources.settings import FilesSettings
from ..system.errors import DataError, InputMissing, SettingsError, printable
from ..system.settings import plain
from ..text.encoders import Counts, TextEncoder
from ..text.reader_settings import USUAL_FIELDS, WantedFields
from ..text.readers.formats import WITH_COLUMNS
from ..text.rows import BadRow, JoinedCount, JoinedLines
from .scoring import BATCH_REVIEWS, Batch

if TYPE_CHECKING:
    from .scoring import Model

_BATCH_BYTES = 1 << 20

_BAD_ROWS_SHOWN = 5

_MAX_UNKNOWN = 1_000
"""Unknown labels that are counted; with more, the label column is most likely the wrong one."""


class TextFiles(NamedTuple):
    """Files of labelled text to evaluate on, and how to read them."""

    paths: Sequence[str]
    settings: FilesSettings = FilesSettings()
    keep: Sequence[str] = ()
    """Columns whose values go with each prediction."""
    warn: Callable[[str], None] = lambda line: None
    """Receives a line for each possible mistake in the files."""


class RecordedSource(NamedTuple):
    """How a run's data was read."""

    fields: WantedFields = USUAL_FIELDS
    """Its columns or fields of text and label, before the usual ones."""
    label_map: Mapping[str, str] = {}
    """How its labels were renamed; empty if they were not."""
    normalise_labels: bool = False
    """Whether labels that look alike were merged."""


class LabelledTexts:
    """Batches of labelled texts for models that each have their own encoder."""

    def __init__(
        self,
        files: TextFiles,
        labels: Sequence[str],
        encoders: Sequence[TextEncoder],
        recorded: RecordedSource,
        skip_bad_rows: int = 0,
    ):
        """Find every file; InputMissing if one is missing, SettingsError for an unclear format.

        The files are read like the run's data (`recorded`), unless the settings say otherwise;
        SettingsError asks which labels they have if one of the models' labels was renamed.
        """
        settings = files.settings
        self.label_map = {} if settings.label_map else dict(recorded.label_map)
        """The recorded map, if it is used."""
        if self.label_map:
            both = [label for label in labels if self.label_map.get(label, label) != label]
            if both:
                renamed = shlex.quote(plain(self.label_map))
                kept = shlex.quote(plain({label: label for label in labels}))
                raise SettingsError(
                    f"the labels of the run's data were renamed ({renamed}), so {both[0]!r} may mean two "
                    f"things; expected --label-map {renamed} for labels as they were, or {kept} for "
                    "labels as the model's"
                )
            settings = replace(settings, label_map=self.label_map)
        normalise = settings.normalise_labels or recorded.normalise_labels
        settings = replace(settings, normalise_labels=normalise, test_fraction=0.0)
        self.paths = list(map(str, files.paths))
        self._skip_bad_rows = skip_bad_rows
        self.bad_rows: list[BadRow] = []
        """The first of `num_bad_rows`."""
        self.num_bad_rows = 0
        self.keep = tuple(files.keep)
        fields = recorded.fields._replace(keep=self.keep)
        self._source = FilesSource(self.paths, settings, fields=fields, warn=files.warn)
        self._warn = files.warn
        self._number_of = {label: number for number, label in enumerate(labels)}
        self._encoders = encoders
        self._digest = hashlib.sha256()
        self._unused_names = set() if self.label_map else set(settings.label_map)
        self.unknown_labels: Counter[str] = Counter()
        """Reviews by label, for labels that the models do not know; these are not scored."""

    @property
    def description(self) -> str:
        """The names of the files."""
        return str(self._source.describe()["description"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the texts and labels read, in order."""
        return self._digest.hexdigest()

    def batches(self) -> Iterator[Batch]:
        """Yield the texts whose label the models know, at most 500 or 1 MiB of them at a time.

        Raises DataError for a row that is not a labelled text, and at the end for a name in the user's
        label map that no review has.
        """
        known, size = [], 0
        for row, review in enumerate(self._reviews()):
            text, label = review.text, review.label
            if len(review.kept) < len(self.keep):
                raise SettingsError(
                    f"{review.place} has no columns to keep; expected one of {', '.join(WITH_COLUMNS)}"
                )
            self._unused_names.discard(review.label_read)
            if label is None:
                continue
            for part in (text, label.encode()):
                self._digest.update(len(part).to_bytes(8, "big") + part)
            number = self._number_of.get(label)
            if number is None:
                self.unknown_labels[label] += 1
                if len(self.unknown_labels) > _MAX_UNKNOWN:
                    raise DataError(
                        f"{self.description} has over {_MAX_UNKNOWN:,} labels that the run does not "
                        f"know, such as {label!r}; expected {', '.join(self._number_of)}: is this the "
                        "right label column?"
                    )
                continue
            known.append((row, text, number, review.kept))
            size += len(text)
            if len(known) == BATCH_REVIEWS or size >= _BATCH_BYTES:
                yield self._batch(known)
                known, size = [], 0
        if known:
            yield self._batch(known)
        if self._unused_names:
            raise DataError(
                f"--label-map names '{printable(min(self._unused_names))}', but no review of "
                f"{self.description} has that label"
            )

    def _reviews(self) -> Iterator[Review]:
        """Yield each labelled text; DataError for one bad row too many."""
        lines, joined = 0, JoinedCount()
        for chunk in self._source.chunks():
            for review in chunk.reviews():
                if isinstance(review, Review):
                    yield review
                elif isinstance(review, BadRow):
                    lines += review.lines
                    if lines > self._skip_bad_rows:
                        raise DataError(f"{review} (--skip-bad-rows N tolerates up to N such rows)")
                    self.num_bad_rows += 1
                    self.bad_rows = [*self.bad_rows, review][:_BAD_ROWS_SHOWN]
                elif isinstance(review, JoinedLines) and review.split:
                    joined.add(review)
        for line in joined.warnings():
            self._warn(line)

    def _batch(self, known: list[tuple[int, bytes, int, tuple[Any, ...]]]) -> Batch:
        numbers, texts, labels, kept = zip(*known, strict=True)
        counts: list[Counts] = [[] for _ in self._encoders]

        def encode(nth: int, model: Model) -> list[np.ndarray]:
            return self._encoders[nth].encode(texts, counts[nth])

        return Batch(
            numbers=np.array(numbers, np.int64),
            labels=np.array(labels, np.int64),
            encode=encode,
            text=texts.__getitem__,
            counts=lambda nth, encoder: counts[nth],
            kept=kept.__getitem__,
        )


def recorded_source(run: RunDirectory) -> RecordedSource:
    """Return how the run's data was read; the default for weights without a config.json."""
    source: Any = {}
    with contextlib.suppress(InputMissing, DataError):
        source = run.config()["dataset"]["source"]
    if not isinstance(source, dict):
        source = {}
    names = source.get("label_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        names = {}
    return RecordedSource(recorded_fields(source), names, source.get("normalise_labels") is True)
