"""``weights.npz``: a model for NumPy, self-contained except for the vocabulary's words.

metadata                       JSON: format version, labels, num_words, activations,
                               SHA-256 of vocabulary.txt; with n-grams, their longest; the
                               tokenizer, unless it is Keras'
kernel_0, bias_0, kernel_1 ... float32[inputs, units] and float32[units] of each Dense layer;
                               the first kernel of a run on scaled n-grams is float16
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError
from ..system.npz import Rows, read_with_metadata
from ..system.settings import Settings, setting
from ..text.vocabulary import KERAS, TOKENIZERS

VERSION = 1

ACTIVATIONS = ("relu", "sigmoid", "softmax", "tanh", "linear")
"""Activations that NumPy runs; the last layer's is sigmoid (one unit, two labels) or softmax."""


@dataclass(frozen=True)
class Metadata(Settings):
    """The metadata in ``weights.npz``."""

    version: int
    labels: list[str]
    num_words: int
    """Ids below it are known; the inputs of the first layer."""
    activations: list[str]
    """The activation of each layer."""
    vocabulary_sha256: str
    """SHA-256 of the ``vocabulary.txt`` that the ids belong to."""
    ngrams: int | None = None
    """The most words in an n-gram; None: the ids are of words."""
    tokenizer: str = setting(KERAS, choices=TOKENIZERS)


def to_arrays(
    model: Any,
    labels: list[str],
    num_words: int,
    vocabulary_sha256: str,
    ngrams: int | None = None,
    tokenizer: str = KERAS,
    *,
    half: bool = False,
) -> dict[str, np.ndarray | Rows] | None:
    """Return the arrays of a Keras model of Dense and Dropout layers; None for any other model.

    With `half` the first kernel is float16. Imports TensorFlow.
    """
    from .variables import values

    layers = [layer for layer in model.layers if type(layer).__name__ not in ("InputLayer", "Dropout")]
    if type(model).__name__ != "Sequential" or not all(map(_is_plain_dense, layers)):
        return None
    activations = [layer.activation.__name__ for layer in layers]
    metadata = asdict(
        Metadata(VERSION, labels, num_words, activations, vocabulary_sha256, ngrams, tokenizer)
    )
    for name, usual in (("ngrams", None), ("tokenizer", KERAS)):
        if metadata[name] == usual:  # as older versions wrote it
            del metadata[name]
    arrays: dict[str, np.ndarray | Rows] = {}
    arrays["metadata"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    for nth, layer in enumerate(layers):
        arrays[f"kernel_{nth}"] = values(layer.kernel, np.float16 if half and nth == 0 else None)
        arrays[f"bias_{nth}"] = values(layer.bias)
    return arrays


def _is_plain_dense(layer: Any) -> bool:
    is_dense = type(layer).__name__ == "Dense" and layer.use_bias
    return is_dense and getattr(layer.activation, "__name__", None) in ACTIVATIONS


def read_weights(path: Path) -> tuple[Metadata, list[np.ndarray], list[np.ndarray]]:
    """Read and check ``weights.npz``: its metadata, and each layer's kernel and bias.

    Raises InputMissing, or DataError if it is damaged or its layers do not fit one another.
    """
    metadata, arrays = read_with_metadata(path, str(path), Metadata, VERSION)
    layers = range(len(metadata.activations))
    try:
        kernels = [arrays.pop(f"kernel_{nth}") for nth in layers]
        biases = [arrays.pop(f"bias_{nth}") for nth in layers]
    except KeyError as error:
        raise DataError(f"{path} has no {error.args[0]}, expected {len(layers)} layers") from None
    if arrays:
        raise DataError(f"{path} holds {', '.join(arrays)} beside its {len(layers)} layers")
    _check(metadata, kernels, biases, path)
    return metadata, kernels, biases


def _check(metadata: Metadata, kernels: list[np.ndarray], biases: list[np.ndarray], path: Path) -> None:
    """Raise DataError unless the layers make a model from words to labels."""
    inputs, outputs = metadata.num_words, len(metadata.labels)
    for nth, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        _check_layer(kernel, bias, inputs, f"{path}: layer {nth}")
        expected = ACTIVATIONS
        if nth == len(kernels) - 1:
            expected = ("sigmoid",) if kernel.shape[1] == 1 else ("softmax",)
        if metadata.activations[nth] not in expected:
            raise DataError(
                f"{path}: layer {nth} has the activation {metadata.activations[nth]!r}, which "
                f"NumPy does not run there; expected {' or '.join(expected)}"
            )
        inputs = kernel.shape[1]
    if not kernels or len(set(metadata.labels)) < outputs or inputs != (1 if outputs == 2 else outputs):
        raise DataError(f"{path}: the last layer has {inputs} units for {outputs} labels")


def _check_layer(kernel: np.ndarray, bias: np.ndarray, inputs: int, where: str) -> None:
    allowed = (np.float16, np.float32) if where.endswith("layer 0") else (np.float32,)
    if kernel.dtype not in allowed or bias.dtype != np.float32:
        raise DataError(f"{where} is {kernel.dtype} and {bias.dtype}, expected float32")
    if kernel.ndim != 2 or kernel.shape[0] != inputs or bias.shape != kernel.shape[1:]:
        raise DataError(
            f"{where} has a kernel of shape {kernel.shape} and a bias of shape {bias.shape}, "
            f"expected ({inputs}, units) and (units,)"
        )
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise DataError(
            f"{where} holds numbers that are not finite: training diverged; try a lower learning rate"
        )
