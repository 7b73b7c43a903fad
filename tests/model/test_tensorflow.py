"""The effects of importing TensorFlow and setting its threads, each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

IMPORT = """
import gc, json, os, sys
from lowmem_sentiment.model.tensorflow import set_threads, tf
found = {"frozen": gc.get_freeze_count(), "collecting": gc.isenabled()}
found["hidden"] = sorted({"sklearn", "matplotlib", "requests"} & set(sys.modules))
import sklearn
threads = tf.config.threading

def threads_after(multiplications):
    set_threads(multiplications)
    both = threads.get_inter_op_parallelism_threads(), threads.get_intra_op_parallelism_threads()
    if found.get("running") is None:
        threads.set_inter_op_parallelism_threads(0)
        threads.set_intra_op_parallelism_threads(0)
    return both

found["small"] = threads_after(32 * 505_201)
found["large"] = threads_after(1_024 * 505_201)
os.environ |= {"TF_NUM_INTEROP_THREADS": "2", "TF_NUM_INTRAOP_THREADS": "4"}
found["chosen"] = threads_after(1)
del os.environ["TF_NUM_INTEROP_THREADS"], os.environ["TF_NUM_INTRAOP_THREADS"]
found["running"] = bool(tf.constant(1) + 1 == 2)
found["late"] = threads_after(1)
print(json.dumps(found))
"""


# Names that training does not use are there when asked for.
API = """
from lowmem_sentiment.model.tensorflow import keras
assert "tensorflow.lite.python.lite" not in sys.modules
assert tf.lite.Optimize is tf.compat.v1.lite.Optimize
assert "tensorflow.lite.python.lite" in sys.modules
assert tf.signal.fft is tf.compat.v1.signal.fft
assert {"relu", "conv2d", "experimental"} <= set(dir(tf.nn))
try:
    tf.nn.nothing
except AttributeError as error:
    assert "no attribute 'nothing'" in str(error), error
else:
    sys.exit("tf.nn.nothing is there")
assert tf.compat.v1.get_default_graph().seed is None
from tensorflow.distribute.experimental.rpc.proto import tf_rpc_service_pb2  # would hide the API's
assert tf.distribute.experimental.MultiWorkerMirroredStrategy and tf.distribute.MirroredStrategy
layers = [keras.layers.Conv2D(2, 3), keras.layers.LSTM(2), keras.layers.Embedding(9, 2)]
assert tf.reduce_sum(tf.ragged.constant([[1], [2, 3]])) == 6
with tf.GradientTape() as tape:
    x = tf.Variable(tf.ones([1, 5, 5, 1]))
    y = tf.reduce_sum(layers[0](x)) + tf.reduce_sum(layers[1](tf.reshape(x, [1, 5, 5])))
assert tape.gradient(y, x) is not None
"""


@pytest.mark.slow
def test_the_import_is_lean_and_whole_and_threads_are_set_by_the_step_until_tensorflow_runs(
    monkeypatch, tmp_path
):
    for name in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("sklearn", "matplotlib", "requests"):  # what Keras imports where it is installed
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT + API], capture_output=True, text=True, env=variables
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("frozen") > 100_000
    assert found == {
        "collecting": True,
        "hidden": [],
        "small": [1, 1],
        "large": [1, 0],  # all threads for each operation
        "chosen": [0, 0],
        "running": True,
        "late": [0, 0],
    }
