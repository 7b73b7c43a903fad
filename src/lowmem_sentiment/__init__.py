"""lowmem-sentiment: the tf.data streaming trainer for memory-constrained servers.

The verbs are imported when they are first asked for, so that nobody who only explores or predicts
pays for TensorFlow (540 MB and 2 s).
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_MODULES = {
    "find_imdb_source": "sources.find",
    "find_reuters_source": "sources.find",
    "prepare": "dataset.preparation",
    "Dataset": "dataset.reader",
    "explore": "dataset.statistics",
    "show": "dataset.show",
    "batches": "training.input_pipeline",
    "build_model": "model.keras_model",
    "compile_model": "model.keras_model",
    "TrainingSettings": "runs.configuration",
    "train": "training.train",
    "evaluate": "evaluation.evaluate",
    "predict": "evaluation.predict",
    "Predictor": "evaluation.predict",
    "export": "model.export",
}

_OLD_NAMES = {"build_network": "build_model", "compile_network": "compile_model"}
"""Names of 0.1, which go on working."""

__all__ = ["__version__", *_MODULES, *_OLD_NAMES]


def __getattr__(name: str) -> Any:
    if name in _OLD_NAMES:
        return __getattr__(_OLD_NAMES[name])
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
