"""Read a model's variables without a copy, a large table some rows at a time."""

import math
from typing import Any

import numpy as np

from ..system.npz import Rows
from .tensorflow import keras, tf

ROWS = 1 << 13
"""Rows that are read at a time."""

_LARGE_TABLE = 1 << 20  # values


def values(variable: Any, dtype: type | None = None) -> np.ndarray | Rows:
    """Return a variable's values in its own or another type.

    If a table whose rows are gathered is read at once, TensorFlow copies it, and keeps that memory for
    the next tensor of that size: 64 MB at 500,000 words of 32 weights.
    """
    shape, own = tuple(variable.shape), tf.as_dtype(variable.dtype).as_numpy_dtype
    dtype = dtype or own
    if len(shape) != 2 or math.prod(shape) < _LARGE_TABLE:
        return np.asarray(memoryview(tf.convert_to_tensor(variable))).astype(dtype, copy=False)
    table = variable.value if isinstance(variable, keras.Variable) else variable
    firsts = range(0, shape[0], ROWS)
    blocks = (tf.gather(table, tf.range(n, min(n + ROWS, shape[0]))).numpy() for n in firsts)
    return Rows(shape, np.dtype(dtype), (block.astype(dtype, copy=False) for block in blocks))
