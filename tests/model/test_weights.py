import io
import json

import numpy as np
import pytest

from lowmem_sentiment.model.weights import read_weights
from lowmem_sentiment.system.errors import DataError, InputMissing


def arrays(labels=("bad", "good"), units=(3, 1), activations=("relu", "sigmoid"), **metadata):
    content = {
        "version": 1,
        "labels": list(labels),
        "num_words": 6,
        "activations": activations and list(activations),
        "vocabulary_sha256": "0" * 64,
        **metadata,
    }
    result = {"metadata": np.frombuffer(json.dumps(content).encode(), np.uint8)}
    for nth, (inputs, outputs) in enumerate(zip((6, *units), units, strict=False)):
        result[f"kernel_{nth}"] = np.ones((inputs, outputs), np.float32)
        result[f"bias_{nth}"] = np.zeros(outputs, np.float32)
    return result


def save(path, content):
    np.savez(path, **content)
    return path


def test_weights_are_read_back(tmp_path):
    metadata, kernels, biases = read_weights(save(tmp_path / "w.npz", arrays()))
    assert metadata.labels == ["bad", "good"] and metadata.num_words == 6
    assert [bias.shape for bias in biases] == [(3,), (1,)]
    assert [kernel.shape for kernel in kernels] == [(6, 3), (3, 1)]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"kernel_0": np.ones((5, 3), np.float32)}, r"layer 0 has a kernel of shape \(5, 3\)"),
        ({"bias_1": np.ones(2, np.float32)}, r"bias of shape \(2,\), expected \(3, units\)"),
        ({"kernel_1": np.ones(3, np.float32)}, "layer 1 has a kernel of shape"),
        ({"bias_0": np.ones(3)}, "layer 0 is float32 and float64, expected"),
        ({"kernel_1": np.ones((3, 1), np.float16)}, "layer 1 is float16 and float32, expected"),
        ({"kernel_0": np.full((6, 3), np.inf, np.float16)}, "not finite: training diverged"),
        ({"kernel_0": np.full((6, 3), np.nan, np.float32)}, "not finite: training diverged"),
        ({"kernel_2": np.ones((1, 1), np.float32)}, "holds kernel_2 beside its 2 layers"),
        ({"metadata": np.zeros(3, np.uint8)}, "metadata is damaged: it is not JSON"),
        (arrays(version=9), "has version 9, expected 1"),
        (arrays(activations=("relu", "softmax")), "layer 1 has the activation 'softmax'"),
        (arrays(activations=("gelu", "sigmoid")), "'gelu', which NumPy does not run"),
        (arrays(num_words="6"), 'metadata: num_words is "6", expected a whole number'),
        (arrays(labels=[["a"], "b"]), r"metadata: labels\[0\] is"),
        (arrays(activations=None), "metadata: activations is null, expected a list"),
        (arrays(author="me"), "metadata: author is not known to this version"),
        (arrays(labels=("a", "a")), "the last layer has 1 units for 2 labels"),
        (arrays(labels=("a", "b", "c")), "the last layer has 1 units for 3 labels"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, changed, error):
    with pytest.raises(DataError, match=error):
        read_weights(save(tmp_path / "w.npz", {**arrays(), **changed}))


def test_a_missing_layer_is_named(tmp_path):
    content = arrays()
    del content["bias_1"]
    with pytest.raises(DataError, match="bias_1"):
        read_weights(save(tmp_path / "w.npz", content))


def test_missing_cut_or_changed_files_are_refused(tmp_path):
    with pytest.raises(InputMissing, match="is missing"):
        read_weights(tmp_path / "none.npz")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays())
    whole, path = buffer.getvalue(), tmp_path / "w.npz"
    generator = np.random.default_rng(1)
    expected = read_weights(save(tmp_path / "good.npz", arrays()))
    for nth in range(300):
        content = bytearray(whole)
        at = int(generator.integers(len(whole)))
        if nth % 3:
            content[at] ^= 1 << int(generator.integers(8))
        else:
            content = content[:at]
        path.write_bytes(content)
        try:
            got = read_weights(path)
        except DataError:
            continue
        # Some bytes of a zip file say nothing about its content (dates, say).
        assert got[0] == expected[0]
        for a, b in zip(got[1] + got[2], expected[1] + expected[2], strict=True):
            np.testing.assert_array_equal(a, b)
