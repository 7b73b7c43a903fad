"""lowmem-sentiment: a tf.data streaming trainer for memory-constrained servers.

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
    tune               search for the best settings; TuneSettings(minutes=10) or TuneSettings(grid=...)
    cross_validate     what to expect of few texts: TuneSettings(folds=5, learning_curve=True)

Results, with only NumPy
    evaluate           metrics of a run, with 95 % intervals
    predict            labels and probabilities of texts
    Predictor          the same, loaded once
    export             a run as SavedModel, as NumPy's weights, or for Keras

Errors are `system.errors.LowmemError` and its subclasses: what was received, what was expected, and an
`exit_code`. Nothing prints or exits; long operations call a `progress` callback, and `report` receives
lines of text for people. Sizes are bytes, times seconds.

TensorFlow, which takes 540 MB and 2 s, is imported on first use of `batches`, `build_model`,
`compile_model`, `train`, or `export` of a SavedModel.

The command is ``lowmem-sentiment``; its ``--help`` lists every option. The guides are in the folder
``guides`` of the package: ``own-data.md``, ``server.md``, ``serving.md`` and others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dataset.explore import explore as explore
    from .dataset.explore import show as show
    from .dataset.reader import Dataset as Dataset
    from .evaluation.evaluate import evaluate as evaluate
    from .evaluation.predict import Predictor as Predictor
    from .evaluation.predict import predict as predict
    from .model.export import export as export
    from .model.keras_model import build_model as build_model
    from .model.keras_model import compile_model as compile_model
    from .preparation.prepare import prepare as prepare
    from .preparation.settings import PreparationSettings as PreparationSettings
    from .runs.configuration import TrainingSettings as TrainingSettings
    from .search.cross_validation import cross_validate as cross_validate
    from .search.settings import TuneSettings as TuneSettings
    from .search.tune import tune as tune
    from .sources.files import FilesSource as FilesSource
    from .sources.imdb import find_imdb_source as find_imdb_source
    from .sources.keras_datasets import find_reuters_source as find_reuters_source
    from .sources.settings import FilesSettings as FilesSettings
    from .training.input_pipeline import batches as batches
    from .training.train import train as train

__version__ = "0.3.0"

# A type checker reads the imports above; Python imports each name on first use.
_MODULES = {
    "Dataset": "dataset.reader",
    "FilesSettings": "sources.settings",
    "FilesSource": "sources.files",
    "Predictor": "evaluation.predict",
    "PreparationSettings": "preparation.settings",
    "TrainingSettings": "runs.configuration",
    "TuneSettings": "search.settings",
    "batches": "training.input_pipeline",
    "build_model": "model.keras_model",
    "compile_model": "model.keras_model",
    "cross_validate": "search.cross_validation",
    "evaluate": "evaluation.evaluate",
    "explore": "dataset.explore",
    "export": "model.export",
    "find_imdb_source": "sources.imdb",
    "find_reuters_source": "sources.keras_datasets",
    "predict": "evaluation.predict",
    "prepare": "preparation.prepare",
    "show": "dataset.explore",
    "train": "training.train",
    "tune": "search.tune",
}

__all__ = ["__version__", *_MODULES]

if not TYPE_CHECKING:  # to a checker any name would be there, and Any

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
