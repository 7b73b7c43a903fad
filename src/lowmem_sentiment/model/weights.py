"""``weights.npz``: the network for NumPy, self-contained but for the vocabulary's words.

metadata                       JSON: format version, labels, num_words, activations,
                               SHA-256 of vocabulary.txt
kernel_0, bias_0, kernel_1 ... float32[inputs, units] and float32[units] of each Dense layer
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing
from ..text.vocabulary import MIN_NUM_WORDS, Vocabulary

VERSION = 1

ACTIVATIONS = ("relu", "sigmoid", "softmax", "tanh", "linear")
"""What prediction can run; the last layer's is sigmoid or softmax."""


@dataclass(frozen=True)
class Weights:
    """The layers of a network, checked: each one's shape fits its neighbours."""

    labels: list[str]
    num_words: int
    vocabulary_sha256: str
    activations: list[str]
    kernels: list[np.ndarray]
    """float32[inputs, units] of each layer; the first has `num_words` inputs."""
    biases: list[np.ndarray]
    """float32[units] of each layer."""


def to_arrays(
    network: Any, labels: list[str], num_words: int, vocabulary_sha256: str
) -> dict[str, np.ndarray] | None:
    """Give the arrays of a chain of Dense and Dropout layers; None for any other network."""
    layers = [layer for layer in network.layers if type(layer).__name__ not in ("InputLayer", "Dropout")]
    if type(network).__name__ != "Sequential" or not all(map(_is_plain_dense, layers)):
        return None
    metadata = {
        "version": VERSION,
        "labels": labels,
        "num_words": num_words,
        "activations": [layer.activation.__name__ for layer in layers],
        "vocabulary_sha256": vocabulary_sha256,
    }
    arrays = {"metadata": np.frombuffer(json.dumps(metadata).encode(), np.uint8)}
    for nth, layer in enumerate(layers):
        kernel, bias = layer.get_weights()
        arrays[f"kernel_{nth}"], arrays[f"bias_{nth}"] = kernel, bias
    return arrays


def _is_plain_dense(layer: Any) -> bool:
    """Whether a Keras layer is a Dense one that `ACTIVATIONS` and two arrays describe."""
    if type(layer).__name__ != "Dense" or not layer.use_bias:
        return False
    return getattr(layer.activation, "__name__", None) in ACTIVATIONS


def load_weights(run: RunDirectory) -> tuple[Weights, Vocabulary]:
    """Load a run's weights.npz and the words that its ids stand for, each checked against the other.

    These two files are enough, so that they can be copied to where predictions are made; where
    config.json is there too, it is checked as well. Raises InputMissing or DataError.
    """
    if not run.path.is_dir():
        raise InputMissing(f"{run.path} is no run directory; make one: lowmem-sentiment train")
    if not run.weights_file.exists():
        raise InputMissing(f"{run.path} has no {run.weights_file.name}: {_why_no_weights(run)}")
    run.check(run.weights_file)
    weights = read(run.weights_file)
    vocabulary = Vocabulary.load(run.vocabulary_file, weights.vocabulary_sha256)
    if len(vocabulary) + MIN_NUM_WORDS != weights.num_words:
        raise DataError(
            f"{run.weights_file} is for {weights.num_words - MIN_NUM_WORDS:,} words, but "
            f"{run.vocabulary_file} has {len(vocabulary):,}"
        )
    if run.config_file.exists():
        config = run.config()
        expected = config["settings"]["num_words"], config["labels"]
        if expected != (weights.num_words, weights.labels):
            raise DataError(
                f"{run.weights_file} is for {weights.num_words:,} words and the labels "
                f"{', '.join(weights.labels)}; {run.config_file} says {expected[0]:,} and "
                f"{', '.join(expected[1])}"
            )
    return weights, vocabulary


def _why_no_weights(run: RunDirectory) -> str:
    if run.model_file.exists():
        return (
            "its network has other layers than Dense and Dropout, which NumPy does not run; "
            "use evaluate, or export --format saved-model"
        )
    return "the run is not finished"


def read(path: Path) -> Weights:
    """Read ``weights.npz``; InputMissing, or DataError if it is damaged or its shapes do not fit."""
    arrays = _read_arrays(path)
    try:
        metadata = json.loads(arrays.pop("metadata").tobytes())
        version = metadata["version"]
        if version != VERSION:
            raise DataError(f"{path} has version {version!r}, expected {VERSION}")
        activations = metadata["activations"]
        weights = Weights(
            metadata["labels"],
            metadata["num_words"],
            metadata["vocabulary_sha256"],
            activations,
            [arrays.pop(f"kernel_{nth}") for nth in range(len(activations))],
            [arrays.pop(f"bias_{nth}") for nth in range(len(activations))],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no weights of ours: {error}") from error
    if arrays:
        raise DataError(f"{path} holds {', '.join(arrays)} beside its {len(activations)} layers")
    _check(weights, path)
    return weights


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # before NumPy believes a header
                raise DataError(f"{path} is damaged: {damaged} does not match its CRC")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except DataError:
        raise
    except FileNotFoundError:
        raise InputMissing(f"{path} is missing") from None
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on a damaged file
        raise DataError(f"{path} is damaged: {error}") from error


def _check(weights: Weights, path: Path) -> None:
    """Raise DataError unless the layers make a network from words to labels."""
    inputs, outputs = weights.num_words, len(weights.labels)
    last = len(weights.kernels) - 1
    for nth, (kernel, bias) in enumerate(zip(weights.kernels, weights.biases, strict=True)):
        if kernel.dtype != np.float32 or bias.dtype != np.float32:
            raise DataError(f"{path}: layer {nth} is {kernel.dtype} and {bias.dtype}, expected float32")
        if kernel.ndim != 2 or kernel.shape[0] != inputs or bias.shape != kernel.shape[1:]:
            raise DataError(
                f"{path}: layer {nth} has a kernel of shape {kernel.shape} and a bias of shape "
                f"{bias.shape}, expected ({inputs}, units) and (units,)"
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise DataError(
                f"{path}: layer {nth} holds numbers that are not finite: training diverged; "
                "try a lower learning rate"
            )
        expected = ACTIVATIONS if nth < last else ("sigmoid",) if kernel.shape[1] == 1 else ("softmax",)
        if weights.activations[nth] not in expected:
            raise DataError(
                f"{path}: layer {nth} has the activation {weights.activations[nth]!r}, which "
                f"prediction cannot run there; expected {' or '.join(expected)}"
            )
        inputs = kernel.shape[1]
    if last < 0 or ((inputs, outputs) != (1, 2) and inputs != outputs):
        raise DataError(f"{path}: the last layer has {inputs} units for {outputs} labels")
