"""lowmem-sentiment: the tf.data streaming trainer for memory-constrained servers.

Labelled text becomes a dataset directory once, and each batch of multi-hot rows is made when it is
needed, so that memory does not grow with the number of reviews:

    from lowmem_sentiment import TrainingSettings, evaluate, find_imdb_source, predict, prepare, train

    dataset = prepare(find_imdb_source(), "data/imdb")
    train(dataset, "runs/first", TrainingSettings(epochs=2))
    print(evaluate("runs/first").accuracy)
    print(predict("runs/first", ["A moving film."])[0].label)

Data
    find_imdb_source   the IMDb reviews
    FilesSource        text of your own: FilesSource(["new.csv"], FilesSettings(text_column="body"))
    prepare            a source -> a dataset directory; PreparationSettings(ngrams=3) for n-grams
    Dataset            such a directory, and what it holds
    explore, show      its statistics; one review, decoded
    batches            (float32[batch, num_words], int64[batch]), a tf.data.Dataset for any Keras model

Training
    TrainingSettings   epochs, batch size, words, layers and all else that decides the result
    train              a dataset -> a run directory that can be resumed to the bit
    build_model        the tutorial's model, compiled
    compile_model      compile another model in the same way

Results, with NumPy alone
    evaluate           metrics of a run, with 95 % intervals
    predict            labels and probabilities of texts
    Predictor          the same, loaded once
    export             a run as SavedModel, as NumPy's weights, or for Keras

Errors are `system.errors.LowmemError` and its subclasses: what was received, what was expected, and
an `exit_code`. Nothing prints or exits; what takes long reports to a `progress` callback, and `report`
gets lines of text for people. Sizes are bytes, times seconds.

TensorFlow is imported by what needs it (`batches`, `build_model`, `compile_model`, `train`, and `export`
of a SavedModel), when it is first asked for: it takes 540 MB and 2 s. `build_network` and
`compile_network` are names of 0.1 for `build_model` and `compile_model`.

The command is ``lowmem-sentiment``; its ``--help`` lists every option. The guides stand beside the code:
``sources/README.md`` (formats), ``dataset/README.md`` and ``runs/README.md`` (what is on the disk).
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_MODULES = {
    "find_imdb_source": "sources.find",
    "find_reuters_source": "sources.find",
    "FilesSource": "sources.files",
    "FilesSettings": "sources.files",
    "prepare": "preparation.prepare",
    "PreparationSettings": "preparation.prepare",
    "Dataset": "dataset.reader",
    "explore": "dataset.explore",
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
