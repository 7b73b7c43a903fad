"""`dataset.json`: what a dataset directory holds, declared as dataclasses and checked when it is read.

The manifest is written last, so a directory without one is unfinished.
"""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..system.directories import Kind, no_directory
from ..system.errors import DataError
from ..system.files import UNFINISHED
from ..system.schema import check_format, parse, read_json
from ..system.settings import Settings, setting
from ..text.encoding import is_unicode
from ..text.vocabulary import KERAS, TOKENIZERS

MANIFEST = "dataset.json"

VOCABULARY = "vocabulary.txt"

FORMAT = "lowmem-sentiment dataset"

FEATURES = "features.txt"

SCALES = "feature_scales.f32"
"""How far each feature leans towards a label, as little-endian float32 in the order of `FEATURES`."""

_FILES = "|".join(map(re.escape, (VOCABULARY, FEATURES, SCALES)))

DATASET = Kind("dataset", MANIFEST, FORMAT, rf"{_FILES}|.+\.tfrecord")

VERSION = 1

VERSION_WITH_FEATURES = 2
"""The version of datasets whose records also hold features; other datasets have version 1."""

SPLITS = ("train", "test")

VALIDATION = "validation"
"""A third split that a dataset may have, if its source has one."""

VALIDATION_TOO_GOOD = "validation is too good: its reviews helped to rank the n-grams"

MAX_LABELS = 1_000  # with more, the label column is most likely the wrong one

TUTORIAL, NGRAMS = RECIPES = ("tutorial", "ngrams")
"""The recipes: how a dataset is prepared, and how `train` uses it by default (`runs/recipes.py`)."""

EVIDENCE, FREQUENCY = "evidence", "frequency"

GIVEN = "given"
"""The rank of features that were not ranked here."""

_SHARD_NAME = re.compile(r"(train|test|validation)-\d{5,9}-of-\d{5,9}\.tfrecord")


@dataclass(frozen=True)
class Shard:
    """A file of a split."""

    file: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """The content of "train", "test" or "validation"."""

    reviews: int
    tokens: int
    """Ids in all reviews, the start ids among them."""
    labels: list[int]
    """Reviews of each label."""
    shards: list[Shard]


@dataclass(frozen=True)
class VocabularyFile:
    """The content of ``vocabulary.txt``."""

    words: int
    sha256: str


@dataclass(frozen=True)
class FeaturesFile:
    """The content of ``features.txt``, and how it was chosen (`preparation/feature_selection.py`)."""

    features: int
    sha256: str
    ngrams: int
    """The most words that a feature has."""
    rank: str
    """ "evidence", "frequency", or "given": taken from a dataset or a run (--vocabulary)."""
    candidates: int
    """How many n-grams were ranked."""
    count_error_bound: int
    """The largest possible error of a candidate's count, which is never too high; 0: all were exact."""
    validation_split: float = 0.0
    """The share of the training reviews that was held out of counting and ranking."""
    scales_sha256: str | None = None
    """SHA-256 of ``feature_scales.f32``; None: an older dataset, whose features are not scaled."""


@dataclass(frozen=True)
class Lengths:
    """Ids per review, over both splits; the start id counts, as in the tutorial."""

    mean: float
    standard_deviation: float
    min: int | None
    max: int


@dataclass(frozen=True)
class Manifest(Settings):
    """The content of ``dataset.json``."""

    format: str
    version: int
    name: str
    source: dict[str, Any]
    """Where the reviews came from: at least "description"."""
    labels: list[str]
    vocabulary: VocabularyFile
    length: Lengths
    tokens: int
    splits: dict[str, Split]
    checksum: str
    features: FeaturesFile | None = None
    """None in version 1."""
    recipe: str = setting(TUTORIAL, choices=RECIPES)
    """One of `RECIPES`; older manifests have none."""
    tokenizer: str = setting(KERAS, choices=TOKENIZERS)
    """How texts were split into words; manifests without one are from Keras' tokenizer."""


def read_manifest(directory: Path) -> tuple[Manifest, dict[str, Any]]:
    """Return a dataset's manifest, and the JSON that it was read from.

    Raises InputMissing if there is no directory, and DataError if the manifest is missing or damaged,
    has an unknown format or version, or contradicts itself.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise no_directory(directory, "dataset", "prepare")
    if not path.is_file():
        shards = any(directory.glob("*.tfrecord")) or any(directory.glob(f"*{UNFINISHED}"))
        state, advice = "no dataset", "make one: lowmem-sentiment prepare"
        if shards:
            state, advice = "an unfinished dataset", "prepare it again"
        raise DataError(f"{directory} holds {state}: it has no {MANIFEST}; {advice}")
    content = read_json(path)
    check_format(content, str(path), FORMAT, VERSION, VERSION_WITH_FEATURES)
    manifest = parse(Manifest, content, str(path))
    for problem in _contradictions(manifest):
        raise DataError(f"{path}: {problem}; prepare the data again")
    return manifest, content


def _contradictions(manifest: Manifest) -> Iterator[str]:
    """Yield what contradicts something else, names a file elsewhere, or asks for too much memory."""
    labels, features, most = manifest.labels, manifest.features, (1 << 31) - 1
    checks = {
        f"labels: expected 1 to {MAX_LABELS:,}, each once": 1 <= len(labels) <= MAX_LABELS
        and len(set(labels)) == len(labels)
        and all(map(is_unicode, labels)),
        "source.description: expected a text": isinstance(manifest.source.get("description"), str),
        f"vocabulary.words: expected 0 to {most:,}": 0 <= manifest.vocabulary.words <= most,
        "features: expected only in version 2": (features is not None)
        == (manifest.version == VERSION_WITH_FEATURES),
        f"features: expected 1 to {most:,}, and a share held out": features is None
        or (0 < features.features <= most and 0 <= features.validation_split < 1),
        f"splits: expected {', '.join(SPLITS)}": set(manifest.splits) - {VALIDATION} == set(SPLITS),
    }
    for name, split in manifest.splits.items():
        files = [shard.file for shard in split.shards]
        names = map(_SHARD_NAME.fullmatch, files)
        checks |= {
            f"splits.{name}.shards: expected the names of different shards": len(set(files)) == len(files)
            and all(found and found[1] == name for found in names),
            f"splits.{name}.shards: expected records that fit into the bytes": all(
                0 < 16 * shard.records <= shard.bytes for shard in split.shards
            ),
            f"splits.{name}.labels: expected a count for each label": len(split.labels) == len(labels)
            and all(count >= 0 for count in split.labels),
            f"splits.{name}.reviews: expected the sum of the labels and of the records": split.reviews
            == sum(split.labels)
            == sum(shard.records for shard in split.shards),
        }
    return (what for what, sound in checks.items() if not sound)


def check_file(path: Path, expected: int | None = None) -> int:
    """Return a file's size in bytes; DataError if it is missing, irregular, or has the wrong size."""
    try:
        status = path.stat()
    except OSError:
        raise DataError(f"{path} is missing; prepare the data again") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a regular file; prepare the data again")
    if expected is not None and status.st_size != expected:
        raise DataError(
            f"{path} is damaged: it has {status.st_size:,} bytes, expected {expected:,}; "
            "prepare the data again"
        )
    return status.st_size
