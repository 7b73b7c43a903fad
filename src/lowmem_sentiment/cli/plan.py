"""``plan``."""

import argparse
from pathlib import Path
from typing import Any

from ..runs.configuration import TrainingSettings
from ..system.memory import MB, find_limit
from ..system.progress import Bar
from .options import add_json, add_settings
from .output import answer, table
from .training_options import add_recipe, chosen_settings, set_threads


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset.reader import Dataset
    from ..runs.memory_plan import FLOOR, LIBRARIES, count_parameters, plan

    dataset = Dataset(options.dataset)
    settings = TrainingSettings(**chosen_settings(options, dataset))
    planned, limit = plan(dataset, settings), find_limit()
    parameters = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    parts = {
        "floor": FLOOR,
        "weights": planned.weights,
        "batches": planned.batches,
        "window": planned.window,
        "anonymous": planned.anonymous,
        "libraries": LIBRARIES,
        "resident": planned.resident,
        "needed": planned.needed,
        "disk": planned.disk,
    }
    figures: dict[str, Any] = {f"{name}_bytes": size for name, size in parts.items()}
    figures |= {"parameters": parameters, "limit_bytes": limit.bytes, "limit_source": limit.source}
    if options.measure:
        figures["reviews_per_second"] = _measure(dataset, settings)
        reviews = dataset.num_reviews("train") * settings.epochs
        figures["seconds"] = reviews / figures["reviews_per_second"]
    answer(options, figures, lambda: _plan_lines(figures))


def _measure(dataset: Any, settings: TrainingSettings) -> float:
    from ..training import tensorflow_startup

    tensorflow_startup.start()
    set_threads(dataset, settings)
    from ..training.speed import measure_speed

    return measure_speed(dataset, settings)


def _plan_lines(answer: dict[str, Any]) -> list[str]:
    parts = {
        "floor": "TensorFlow, Keras, traced graphs",
        "weights": f"{answer['parameters']:,} parameters, gradients, Adam's moments, copies when saved",
        "batches": "rows in flight",
        "window": "records that are shuffled together",
        "anonymous": "together: what the kernel cannot reclaim",
        "libraries": "pages of libraries, dropped when memory is short",
        "resident": "peak resident set where memory is plenty",
        "needed": "the least limit that training runs well in",
        "disk": "the run directory",
    }
    rows = {name: f"{answer[f'{name}_bytes'] / MB:8,.1f} MB  {what}" for name, what in parts.items()}
    rows["limit"] = f"{answer['limit_bytes'] / MB:8,.1f} MB  {answer['limit_source']}"
    if "seconds" in answer:
        rate = answer["reviews_per_second"]
        rows["time"] = f"{answer['seconds']:8,.1f} s   training, at {rate:,.0f} reviews/s"
    return table(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    parser.add_argument(
        "--measure", action="store_true", help="train for a second, and show the time the whole will take"
    )
    add_recipe(parser)
    add_settings(parser, TrainingSettings)
