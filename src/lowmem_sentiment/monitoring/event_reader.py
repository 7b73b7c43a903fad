"""TensorBoard's event files, read back without TensorFlow: the curves of runs, also as CSV.

40 MB in all. TensorBoard's own loader ends at the first damaged record as if the file ended there.
"""

import csv
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from ..runs.run_directory import RunDirectory
from ..system.errors import InputMissing, SettingsError, did_you_mean, printable
from ..system.files import open_regular
from ..system.tfrecord import DamagedRecord, read_blocks

CHARTS = ("epoch_loss", "epoch_accuracy")
"""The charts drawn by default."""

MAX_RECORD = 64 << 20
"""Bytes; the largest of ours is an image of 20 KB. A damaged length is not allocated."""


class Curve(NamedTuple):
    """The points of one curve."""

    run: str
    part: str
    """"train", "validation", or "result_test" or "result_validation" for a finished run's loss and
    accuracy."""
    tag: str
    """Such as "epoch_accuracy"."""
    steps: list[int]
    values: list[float]


Warn = Callable[[str], None]


def read_events(path: Path, warn: Warn = lambda line: None) -> Iterator[Any]:
    """Yield the `Event` protocol buffers of a file.

    Every checksum is checked. `warn` is called with the place and reason of each damage: a record with a
    wrong checksum is skipped; nothing after a damaged length can be found.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    def damaged(start: int, what: str, rest: str = "it is left out") -> None:
        warn(f"{path} is damaged at byte {start:,}: a record {what}; {rest}")

    with open_regular(path) as file:
        if not file.read(1):
            warn(f"{path} is damaged: it is empty, expected the events of a run")
        try:
            for block in read_blocks(file, MAX_RECORD):
                for nth, (start, data) in enumerate(zip(block.starts, block.records, strict=True)):
                    if nth in block.damaged:
                        damaged(start, "has a wrong checksum")
                        continue
                    try:
                        yield Event.FromString(data)
                    except DecodeError:
                        damaged(start, "holds no event")
        except DamagedRecord as error:
            damaged(error.start, str(error), "nothing after it can be read")


def read_values(run: RunDirectory, warn: Warn = lambda line: None) -> Iterator[tuple[str, int, Any]]:
    """Yield subdirectory, step and `Summary.Value` of all events of a run, file by file."""
    for file in sorted(run.tensorboard.rglob("*tfevents*")):
        part = "" if file.parent == run.tensorboard else file.parent.name
        for event in read_events(file, warn):
            for value in event.summary.value:
                yield part, event.step, value


def read_curves(run: str | Path, warn: Warn = lambda line: None) -> list[Curve]:
    """Return every scalar curve of a run, sorted by tag, from its event files.

    `warn` is called for damaged files. Raises InputMissing if no curve can be read.
    """
    run = RunDirectory(run)
    curves: dict[tuple[str, str], Curve] = {}
    for part, step, value in read_values(run, warn):
        number = _number(value)
        if number is not None:
            part, tag = part or "train", value.tag
            if result := re.fullmatch(r"result/(test|validation)_(accuracy|loss)", tag):
                part, tag = f"result_{result[1]}", f"epoch_{result[2]}"
            curve = curves.setdefault((tag, part), Curve(str(run.path), part, tag, [], []))
            curve.steps.append(step)
            curve.values.append(number)
    if not curves:
        if not run.tensorboard.exists():
            run.config()  # which reports a directory that is not a run
        raise InputMissing(
            f"{run.path} holds no curves: expected event files of a run in {run.tensorboard.name}/"
        )
    return [curves[key] for key in sorted(curves)]


def _number(value: Any) -> float | None:
    """Return the number of a value that is a scalar: float32, in either of the two ways to store it."""
    if value.metadata.plugin_data.plugin_name != "scalars":
        return None
    if value.tensor.float_val:
        return float(value.tensor.float_val[0])
    content = value.tensor.tensor_content
    return struct.unpack("<f", content)[0] if len(content) == 4 else None


def choose(curves: Iterable[Curve], tags: Iterable[str] = ()) -> list[Curve]:
    """Return the curves with one of `tags`, in their order; SettingsError for one that no run has.

    Without tags, returns the `CHARTS` that exist; ["all"] is every tag, sorted.
    """
    curves, tags = list(curves), list(tags)
    known = sorted({curve.tag for curve in curves})
    if tags == ["all"]:
        tags = known
    for tag in tags:
        if tag not in known:
            names = ", ".join(map(printable, known))
            hint = did_you_mean(tag, known)
            raise SettingsError(f"no curve {printable(tag)!r}, expected one of {names}{hint}")
    tags = tags or [tag for tag in CHARTS if tag in known] or known
    return [curve for tag in tags for curve in curves if curve.tag == tag]


def write_csv(curves: Iterable[Curve], file: TextIO) -> None:
    """Write one row per point: run, part, tag, step, value."""
    writer = csv.writer(file)
    writer.writerow(["run", "part", "tag", "step", "value"])
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=True):
            writer.writerow([curve.run, curve.part, curve.tag, step, repr(value)])
