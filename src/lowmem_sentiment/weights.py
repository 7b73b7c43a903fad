"""``weights.npz``: the network for NumPy, self-contained but for the vocabulary's words.

metadata                       JSON: format version, labels, num_words, activations,
                               SHA-256 of vocabulary.txt
kernel_0, bias_0, kernel_1 ... float32[inputs, units] and float32[units] of each Dense layer
"""

import json
from typing import Any

import numpy as np

VERSION = 1


def to_arrays(
    network: Any, labels: list[str], num_words: int, vocabulary_sha256: str
) -> dict[str, np.ndarray] | None:
    """Give the arrays of a Dense/Dropout network; None for a network with other layers."""
    layers = [layer for layer in network.layers if type(layer).__name__ not in ("InputLayer", "Dropout")]
    if any(type(layer).__name__ != "Dense" or not layer.use_bias for layer in layers):
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
