"""The schema of a run's config.json."""

from dataclasses import dataclass
from typing import Any

from ..system.errors import DataError
from ..system.schema import check_format, parse
from ..system.settings import Settings, setting
from ..text.vocabulary import KERAS, MIN_NUM_WORDS, TOKENIZERS
from .configuration import TrainingSettings

FORMAT = "lowmem-sentiment run"

VERSION = 1


@dataclass(frozen=True)
class _Vocabulary(Settings):
    sha256: str
    words: int
    ngrams: int | None = None
    """The most words that a feature has; None: the vocabulary is of words."""
    tokenizer: str = setting(KERAS, choices=TOKENIZERS)


@dataclass(frozen=True)
class _Dataset:
    path: str
    name: str
    source: dict[str, Any]
    fingerprint: str
    relative_path: str
    """From the run directory."""

    ignores_unknown_keys = True


@dataclass(frozen=True)
class _Config:
    format: str
    version: int
    vocabulary: _Vocabulary
    settings: TrainingSettings
    dataset: _Dataset
    labels: list[str]
    versions: dict[str, str]

    ignores_unknown_keys = True  # apart from the settings, keys only describe a result's origin


def check_config(content: Any, where: str) -> None:
    """Raise DataError unless parsed JSON is a config.json that this version can use."""
    check_format(content, where, FORMAT, VERSION)
    config = parse(_Config, content, where)
    expected = config.vocabulary.words + MIN_NUM_WORDS
    if config.settings.num_words != expected:
        raise DataError(
            f"{where}: settings.num_words is {config.settings.num_words}, expected {expected}: the ids "
            f"of its {config.vocabulary.words:,} words"
        )
    if len(config.labels) < 2 or len(set(config.labels)) < len(config.labels):
        raise DataError(f"{where}: labels is {config.labels!r}, expected two or more that differ")
