"""TensorBoard's event files, written without TensorFlow.

Such a file is a TFRecord file (`system/tfrecord.py`) of `Event` protocol buffers
(tensorboard/compat/proto/event.proto) with a time, a step, and the values of one or more tags. The
functions of this module that return a `Value` make them; an `EventWriter` writes them.

TensorFlow's own writer costs more: `tf.summary.scalar` takes 0.2 ms per tag, for ten tags 25 times per
epoch, and `tf.summary.histogram` takes 100 MB of temporaries for the default model's weights.
"""

import io
import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..system.errors import OutputError
from ..system.tfrecord import frame

if TYPE_CHECKING:
    from PIL import Image

Value = Any
"""A `tensorboard.compat.proto.summary_pb2.Summary.Value`."""

_numbers = itertools.count()


class EventWriter:
    """The event files of one run: one for each subdirectory, made when it is first written to.

    Events are kept until `flush`: 15 KB per epoch, and an image.
    """

    def __init__(self, directory: str | Path):
        self._directory = Path(directory)
        self._waiting: dict[str, list[bytes]] = {}
        self._files: dict[str, tuple[Path, int]] = {}  # and the bytes in each that are whole events

    def write(self, name: str, step: int, values: Iterable[Value]) -> None:
        """Add an event with `values` to the file of a subdirectory ("": the directory itself)."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if name not in self._waiting:
            first = Event(wall_time=time.time(), file_version=_VERSION)
            self._waiting[name] = [first.SerializeToString()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._waiting[name].append(event.SerializeToString())

    def flush(self) -> None:
        """Write all waiting events to the files, which end with a whole event even on failure.

        Raises OutputError when the system refuses (a full disk); events that are not written are kept.
        """
        for name, waiting in self._waiting.items():
            if waiting:
                self._append(name, frame(waiting))
                waiting.clear()

    @property
    def waiting(self) -> int:
        """The bytes of events that are not in the files yet."""
        return sum(map(len, itertools.chain.from_iterable(self._waiting.values())))

    def _append(self, name: str, content: bytes) -> None:
        path, size = self._files.get(name) or (self._directory / name / _file_name(), 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The file is opened each time: a training run keeps no file open that somebody may move or
            # delete.
            with open(path, "r+b" if size else "xb", buffering=0) as file:
                file.seek(size)
                try:
                    with memoryview(content) as view:
                        done = 0
                        while done < len(view):
                            done += file.write(view[done:])
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        self._files[name] = (path, size + len(content))


_VERSION = "brain.Event:2"


def _file_name() -> str:
    """Return a new name; in one directory names sort in the order in which they were made."""
    parts = (f"{time.time():.6f}", socket.gethostname(), os.getpid(), next(_numbers))
    return f"events.out.tfevents.{'.'.join(map(str, parts))}"


# --- values ---

_SCALAR, _TENSOR, _BLOB = 1, 2, 3  # DataClass of summary.proto


def _value(tag: str, plugin: str, data_class: int, tensor: dict[str, Any], **metadata: Any) -> Value:
    from tensorboard.compat.proto.summary_pb2 import Summary

    metadata = {"plugin_data": {"plugin_name": plugin}, "data_class": data_class, **metadata}
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _array(array: np.ndarray) -> dict[str, Any]:
    """Return the fields of a `TensorProto`."""
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    shape = {"dim": [{"size": size} for size in array.shape]}
    dtype = {"d": "DT_DOUBLE", "f": "DT_FLOAT"}[array.dtype.char]
    return {"dtype": dtype, "tensor_shape": shape, "tensor_content": content}


def scalars(values: Mapping[str, float], descriptions: Mapping[str, str] | None = None) -> list[Value]:
    """Return one point (float32) per tag; descriptions are shown beside the charts."""
    points = []
    for tag, number in values.items():
        tensor, text = {"dtype": "DT_FLOAT", "float_val": [number]}, (descriptions or {}).get(tag, "")
        points.append(_value(tag, "scalars", _SCALAR, tensor, summary_description=text))
    return points


def histogram(tag: str, bins: np.ndarray) -> Value:
    """Return a histogram from float64[bins, 3]: left edge, right edge, count."""
    return _value(tag, "histograms", _TENSOR, _array(bins))


def histogram_bins(array: np.ndarray, count: int = 30) -> np.ndarray:
    """Return float64[count, 3], the histogram of an array's finite values; one bin for a constant.

    `np.histogram` widens a constant by half a unit, which would misstate a bias of a single number.
    """
    finite = array[np.isfinite(array)].ravel()
    if finite.size and finite.min() == finite.max():
        return np.array([[finite[0], finite[0], finite.size]], np.float64)
    counts, edges = np.histogram(finite, count)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def text(tag: str, markdown: str) -> Value:
    """Return a text."""
    return _value(tag, "text", _TENSOR, {"dtype": "DT_STRING", "string_val": [markdown.encode()]})


def image(tag: str, picture: "Image.Image") -> Value:
    """Return an image, as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)  # as small as 6 makes it, in a third of the time
    strings = [*(str(size).encode() for size in picture.size), file.getvalue()]
    shape = {"dim": [{"size": 3}]}
    tensor = {"dtype": "DT_STRING", "tensor_shape": shape, "string_val": strings}
    return _value(tag, "images", _BLOB, tensor)


def precision_recall(tag: str, curve: Mapping[str, np.ndarray]) -> Value:
    """Return a precision-recall curve from the arrays of `metrics.precision_recall`."""
    from tensorboard.plugins.pr_curve import metadata

    names = [f"{kind}_{of}" for of in ("positives", "negatives") for kind in ("true", "false")]
    rows = np.stack([curve[name] for name in (*names, "precision", "recall")]).astype(np.float32)
    plugin = metadata.create_summary_metadata("", "", rows.shape[1]).plugin_data
    return _value(f"{tag}/pr_curves", "pr_curves", _TENSOR, _array(rows), plugin_data=plugin)


def hyperparameters(settings: Mapping[str, float | str], metrics: Mapping[str, str]) -> list[Value]:
    """Return the values of a run's row in the HParams tab, which has the run's name.

    `metrics` are its columns: the tag of a scalar, and the name to show.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

    shown = [summary_v2.Metric(tag, display_name=name) for tag, name in metrics.items()]
    columns = [summary_v2.HParam(name) for name in settings]
    summaries = (
        summary_v2.hparams_config_pb(columns, shown),
        summary_v2.hparams_pb(dict(settings), trial_id=""),
        summary.session_end_pb(api_pb2.STATUS_SUCCESS),
    )
    # In a process that has TensorFlow they are messages of its class, with the same content.
    content = [value.SerializeToString() for each in summaries for value in each.value]
    return [Summary.Value.FromString(each) for each in content]
