"""Records of a run that hold only for its present weights: each is a file with the weights' digest."""

import os
from dataclasses import asdict, dataclass
from typing import ClassVar, TypeVar

from ..runs.run_directory import RunDirectory
from ..system.files import sha256
from ..system.schema import parse, read_json, write_json

VERSION = 1


@dataclass(frozen=True)
class Record:
    """The result of an evaluation on a dataset."""

    FILE: ClassVar[str]
    ignores_unknown_keys: ClassVar[bool] = True

    dataset: str
    fingerprint: str
    """The dataset's."""


@dataclass(frozen=True)
class _Header:
    ignores_unknown_keys: ClassVar[bool] = True

    version: int
    weights_sha256: str
    """The SHA-256 of the run's model file."""


AnyRecord = TypeVar("AnyRecord", bound=Record)


def write_record(run: RunDirectory, record: Record) -> None:
    """Write a record to its file in the run."""
    header = _Header(VERSION, _model_digest(run))
    write_json(run.path / record.FILE, {**asdict(header), **asdict(record)})


def read_record(run: RunDirectory, kind: type[AnyRecord]) -> AnyRecord | None:
    """Return a run's record; None if it has none, or one of other weights or of another version.

    Raises DataError for a damaged file.
    """
    path = run.path / kind.FILE
    if not os.path.lexists(path):
        return None
    content = read_json(path)
    header, record = parse(_Header, content, str(path)), parse(kind, content, str(path))
    return record if header == _Header(VERSION, _model_digest(run)) else None


def _model_digest(run: RunDirectory) -> str:
    return sha256(run.weights_file if run.weights_file.exists() else run.model_file)
