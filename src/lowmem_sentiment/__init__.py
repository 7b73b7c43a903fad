"""lowmem-sentiment: the tf.data streaming trainer for memory-constrained servers.

The verbs are imported when they are first asked for, so that nobody who only explores or predicts
pays for TensorFlow (540 MB and 2 s).
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "find_imdb_source": "preparation",
    "prepare": "preparation",
    "Dataset": "shards",
    "explore": "exploration",
    "show": "exploration",
    "batches": "batching",
    "build_network": "network",
    "compile_network": "network",
    "TrainingSettings": "settings",
    "train": "training",
    "evaluate": "evaluation",
    "predict": "prediction",
    "Predictor": "prediction",
    "export": "exporting",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
