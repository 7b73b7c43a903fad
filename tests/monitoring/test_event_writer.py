import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from lowmem_sentiment.monitoring import event_writer
from lowmem_sentiment.monitoring.event_writer import EventWriter, histogram_bins, scalars
from lowmem_sentiment.system.errors import OutputError


def test_tensorboard_reads_every_kind_of_value(tmp_path):
    writer = EventWriter(tmp_path)
    bins = np.array([[0.0, 1.0, 3.0]])
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    values = [
        event_writer.histogram("h", bins),
        event_writer.text("t", "é"),
        event_writer.image("i", Image.fromarray(pixels)),
    ]
    writer.write("part", 7, [*scalars({"a": 0.1, "b": 2.0}), *values])
    writer.flush()
    (path,) = (tmp_path / "part").iterdir()
    _, event = EventFileLoader(str(path)).Load()
    read = {value.tag: make_ndarray(value.tensor) for value in event.summary.value}
    assert event.step == 7 and read["a"] == np.float32(0.1) and read["b"] == 2
    assert (read["h"] == bins).all() and read["t"].item() == "é".encode()
    assert read["i"][:2].tolist() == [b"3", b"2"]
    assert np.asarray(Image.open(io.BytesIO(read["i"][2]))).tolist() == pixels.tolist()


def test_a_constant_has_one_bin_and_nothing_finite_has_none_filled():
    assert histogram_bins(np.full((1,), 0.25, np.float32)).tolist() == [[0.25, 0.25, 1]]
    bins = histogram_bins(np.array([1.0, np.nan, 3.0, np.inf]), 2)
    assert bins.tolist() == [[1, 2, 1], [2, 3, 1]]
    assert histogram_bins(np.array([np.nan]))[:, 2].sum() == 0


def test_a_flush_brings_all_to_the_file_and_two_writers_have_two(tmp_path):
    writers = [EventWriter(tmp_path) for _ in range(2)]
    for writer in writers:
        writer.write("", 1, scalars({"a": 1.0}))
        writer.flush()
        sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
        writer.flush()
        assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == sizes
    assert len(list(tmp_path.glob("*tfevents*"))) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="a small tmpfs can be mounted by root only")
def test_on_a_full_disk_the_file_ends_with_a_whole_event(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        writer = EventWriter(tmp_path)
        with pytest.raises(OutputError, match="No space left on device"):
            for step in range(1_000):
                writer.write("", step, scalars({"a": 1.0}))
                writer.flush()
        (path,) = tmp_path.iterdir()
        steps = [event.step for event in EventFileLoader(str(path)).Load()][1:]
        assert 10 < len(steps) < 1_000 and steps == list(range(len(steps)))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_writing_imports_no_tensorflow(tmp_path):
    code = (
        "import sys, numpy as np; from lowmem_sentiment.monitoring.event_writer import *; "
        f"writer = EventWriter({str(tmp_path)!r}); "
        "writer.write('', 1, [*scalars({'a': 1.0}), histogram('h', np.zeros((1, 3)))]); writer.flush(); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
