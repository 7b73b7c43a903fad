"""What every command that trains needs: threads, and a stop at a signal."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from ..runs.configuration import TrainingSettings
from ..runs.recipes import RECIPES, recipe_settings
from .options import given


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the option that names settings which belong together."""
    settings = "; ".join(
        f"{name}: {' '.join(TrainingSettings(**recipe).options())}" for name, recipe in RECIPES.items()
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="settings for n-grams (prepare --ngrams 3) that belong together; an option that is given "
        f"beside it wins. {settings}",
    )


def chosen_settings(options: argparse.Namespace, dataset: Any) -> dict[str, Any]:
    """Return the training settings that were given: a recipe's, and the options', which win."""
    recipe = recipe_settings(options.recipe, dataset) if options.recipe else {}
    return {**recipe, **given(options, TrainingSettings)}


def set_threads(dataset: Any, settings: TrainingSettings) -> None:
    """Set TensorFlow's threads by the size of a step, whose rows are over the batch's own words."""
    from ..runs.memory_plan import count_parameters, distinct_words
    from ..training import tensorflow_startup

    words = min(settings.num_words_for(dataset), distinct_words(dataset, settings.batch_size))
    parameters = count_parameters(settings, words, len(dataset.labels))
    tensorflow_startup.set_threads(settings.batch_size * parameters)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or Ctrl-C sets; the next of them ends the process at once."""
    stop = threading.Event()

    def handle(number: int, _: Any) -> None:
        stop.set()
        for each in signals:
            signal.signal(each, signal.SIG_DFL)

    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(each, handle) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
