"""The options of every command that trains."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from ..runs.configuration import BEST_BY, CLASS_WEIGHTS, TrainingSettings
from ..system.memory import parse_size
from ..text.vocabulary import DEFAULT_NUM_WORDS
from .commands import numbers


def _set_threads(dataset: Any, settings: TrainingSettings) -> None:
    from ..runs.memory_plan import count_parameters
    from ..training import tensorflow_startup

    parameters = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    tensorflow_startup.set_threads(settings.batch_size * parameters)


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the training settings that were given as options."""
    values = {field.name: getattr(options, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in values.items() if value is not None}


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Return an event that SIGTERM or Ctrl-C sets; the next of them ends the process at once."""
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


def add_settings(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add an option for each field of TrainingSettings; None stands for not given.

    `defaults` are told in place of the settings' own.
    """

    def add(option: str, metavar: str | None, kind: Callable, what: str) -> None:
        if kind is bool:
            parser.add_argument(option, action="store_const", const=True, help=what)
            return
        name = option.removeprefix("--").replace("-", "_")
        default = defaults.get(name, getattr(TrainingSettings, name))
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        if "default:" not in what:
            what += f" (default: {default})"
        parser.add_argument(option, type=kind, metavar=metavar, help=what)

    add("--epochs", "N", int, "passes over the training reviews")
    add("--batch-size", "N", int, "reviews a step")
    add("--num-words", "N", int, f"ids below N are known words, as in Keras (default: "
        f"{DEFAULT_NUM_WORDS}, or all where there are fewer)")  # fmt: skip
    add("--learning-rate", "RATE", float, "of Adam")
    add("--hidden", "N,N,...", numbers(int), "units of each hidden layer")
    add("--dropout", "P,P,...", numbers(float), "rates after the first, second, ... hidden layer")
    add("--seed", "N", int, "of weights, order and dropout")
    add("--validation-split", "SHARE", float, "validate on this share of the training reviews, and "
        "leave the test split alone; 0: validate on the test split, as the tutorial does")  # fmt: skip
    parser.add_argument("--class-weight", choices=CLASS_WEIGHTS, help="balanced: every label weighs the "
        "same in the loss, however few its reviews (default: none)")  # fmt: skip
    add("--window-bytes", "SIZE", parse_size, "records that are shuffled together (default: 32Mi); less "
        "takes less memory, and on larger data shuffles less")  # fmt: skip
    add("--prefetch", "N", int, "batches made ahead; changes no result")
    add("--early-stopping", "N", int, "end after N epochs without a better one; 0: train them all")
    add("--keep-best", None, bool, "let the run's network be that of the best epoch, not of the last")
    add("--best-by", "METRIC", str, f"what --early-stopping and --keep-best go by, in validation: "
        f"{' or '.join(BEST_BY)}")  # fmt: skip
    add("--histograms", None, bool, "write histograms of the weights for TensorBoard after each epoch")
