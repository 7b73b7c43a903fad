"""The tutorial's model, Dense layers with Dropout between them, and any model of a run."""

import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError
from .optimizer import FusedAdam
from .tensorflow import keras

_UNLOADABLE = (
    ArithmeticError, AttributeError, EOFError, ImportError, LookupError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors of Keras, h5py and zipfile on a damaged model file of a run without checksums."""


def build_model(
    num_words: int,
    num_labels: int = 2,
    *,
    hidden: Sequence[int] = TrainingSettings.hidden,
    dropout: Sequence[float] = TrainingSettings.dropout,
    learning_rate: float = TrainingSettings.learning_rate,
    seed: int = 0,
    optimizer: keras.optimizers.Optimizer | None = None,
    input_scales: np.ndarray | None = None,
) -> keras.Model:
    """Return the compiled model, float32[batch, num_words] -> float32[batch, 1].

    Two labels: one sigmoid unit, the probability of the second, as in the tutorial. More:
    softmax, float32[batch, num_labels]. Dropout rate n follows hidden layer n; a rate of 0,
    or a missing one, adds no layer. With the defaults at 10,000 words: 505,201 parameters, 2 MB, and
    three times that with Adam's moments.

    The optimizer is Adam with `learning_rate`, unless `optimizer` is given. With `input_scales`,
    float32[num_words], the model takes unscaled inputs but behaves as if they were multiplied by the
    scales: its first kernel starts scaled, and the optimizer's `row_scales` keep it so.

    Every layer has its own seed, derived from `seed`: the same seed gives the same weights, whatever
    random numbers were drawn before.
    """
    seeds = iter(range(seed * 1000 + 1, seed * 1000 + 1000))

    def dense(units: int, activation: str, name: str) -> keras.layers.Dense:
        kernel = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation, kernel_initializer=kernel, name=name)

    layers = [keras.Input((num_words,), name="words")]
    for nth, units in enumerate(hidden):
        layers.append(dense(units, "relu", f"hidden_{nth + 1}"))
        if nth < len(dropout) and dropout[nth]:
            name = f"dropout_{nth + 1}"
            layers.append(keras.layers.Dropout(dropout[nth], seed=next(seeds), name=name))
    units, activation = (1, "sigmoid") if num_labels == 2 else (num_labels, "softmax")
    layers.append(dense(units, activation, "output"))
    model = keras.Sequential(layers, name="sentiment")  # `add` would build it again for each layer
    if input_scales is not None:
        kernel = model.layers[0].kernel
        kernel.assign(kernel * input_scales[:, None])
    compile_model(model, optimizer=optimizer or FusedAdam(learning_rate))
    return model


def compile_model(
    model: keras.Model, learning_rate: float = TrainingSettings.learning_rate, **options
) -> None:
    """Compile for binary cross-entropy (one output unit) or sparse categorical (more), with accuracy.

    The labels are int64[batch]; the optimizer is Adam by TensorFlow's fused kernel. `options` are passed
    to `keras.Model.compile` and override these.
    """
    binary = model.output_shape[-1] == 1
    settings = {
        "optimizer": FusedAdam(learning_rate),
        "loss": "binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    }
    model.compile(**{**settings, **options})


def load_model(run: RunDirectory) -> keras.Model:
    """Load model.keras, not compiled; InputMissing or DataError if it is missing or damaged."""
    run.config()
    run.require_model()
    try:
        return keras.models.load_model(run.model_file, compile=False)
    except _UNLOADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{run.model_file} cannot be loaded: {reason}") from error
