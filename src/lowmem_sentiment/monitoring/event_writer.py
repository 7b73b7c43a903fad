"""An event file for TensorBoard, written without TensorFlow (35 MB instead of 540)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.run_directory import RunDirectory
from ..system.errors import OutputError
from ..system.files import replace_file


def write_events(directory: Path, histograms: dict[str, np.ndarray], texts: dict[str, str]) -> Path:
    """Write histograms and Markdown texts by tag as one event file, and give its path.

    A histogram is float64[bins, 3]: left edge, right edge, count. Raises OutputError.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_STRING
    from tensorboard.summary.writer.record_writer import RecordWriter

    def value(tag: str, plugin: str) -> Summary.Value:
        value = Summary.Value(tag=tag)
        value.metadata.plugin_data.plugin_name = plugin
        value.metadata.data_class = DATA_CLASS_TENSOR
        return value

    summary = Summary()
    for tag, bins in histograms.items():
        histogram = value(tag, "histograms")
        histogram.tensor.dtype = DT_DOUBLE
        for size in bins.shape:
            histogram.tensor.tensor_shape.dim.add(size=size)
        histogram.tensor.tensor_content = np.ascontiguousarray(bins, "<f8").tobytes()
        summary.value.append(histogram)
    for tag, markdown in texts.items():
        text = value(tag, "text")
        text.tensor.dtype = DT_STRING
        text.tensor.string_val.append(markdown.encode())
        summary.value.append(text)

    now = time.time()
    path = directory / f"events.out.tfevents.{now:.6f}.explore"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {directory}: {error.strerror}") from error
    with replace_file(path) as file:
        writer = RecordWriter(file)
        for event in (
            Event(wall_time=now, file_version="brain.Event:2"),
            Event(wall_time=now, step=0, summary=summary),
        ):
            writer.write(event.SerializeToString())
        writer.flush()
    return path


def markdown_table(head: list[str], rows: list[list[object]]) -> str:
    """Give a table that TensorBoard's text tab draws."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


class Events:
    """The event files of one run: a writer a subdirectory, made when it is first needed."""

    def __init__(self, run: RunDirectory):
        self._directory = run.tensorboard
        self._writers: dict[str, Any] = {}

    def writer(self, name: str, step: int) -> Any:
        """Give the context in which `tf.summary` writes to a subdirectory ("": the run's own)."""
        import tensorflow as tf

        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(str(self._directory / name))
        return self._writers[name].as_default(step=step)

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Write a value for each tag, all in one event.

        `tf.summary.scalar` is 0.2 ms each, and there are ten of them 25 times an epoch.
        """
        import tensorflow as tf

        summary = tf.compat.v1.Summary()
        for tag, value in values.items():
            added = summary.value.add(tag=tag)
            added.tensor.dtype = tf.float32.as_datatype_enum
            added.tensor.float_val.append(value)
            added.metadata.plugin_data.plugin_name = "scalars"
            added.metadata.data_class = 1  # DATA_CLASS_SCALAR
        self.raw(name, step, summary)

    def histograms(self, name: str, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a histogram for each tag.

        `tf.summary.histogram` takes 100 MB of temporaries for the default network's weights.
        """
        import tensorflow as tf

        summary = tf.compat.v1.Summary()
        for tag, array in arrays.items():
            counts, edges = np.histogram(array[np.isfinite(array)], 30)
            bins = np.stack([edges[:-1], edges[1:], counts], axis=1)
            added = summary.value.add(tag=tag, tensor=tf.make_tensor_proto(bins, tf.float64))
            added.metadata.plugin_data.plugin_name = "histograms"
            added.metadata.data_class = 2  # DATA_CLASS_TENSOR
        self.raw(name, step, summary)

    def raw(self, name: str, step: int, summary: Any) -> None:
        """Write a Summary protocol buffer."""
        import tensorflow as tf

        with self.writer(name, step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString())

    def text(self, name: str, step: int, tag: str, markdown: str) -> None:
        """Write a text."""
        import tensorflow as tf

        with self.writer(name, step):
            tf.summary.text(tag, markdown)

    def flush(self) -> None:
        """Bring everything written so far to the files."""
        for writer in self._writers.values():
            writer.flush()
