"""Show the memory, disk and time that training will take (`train --plan`)."""

from typing import Any

from ..monitoring.terminal_text import table
from ..system.memory import MB, Limit
from .output import room

_PARTS = {
    "floor": "TensorFlow, Keras, traced graphs",
    "weights": "{parameters:,} parameters, gradients, Adam's moments, copies when saved",
    "batches": "rows in flight",
    "window": "records that are shuffled together",
    "labels": "counts of validation reviews by label, and their picture",
    "anonymous": "together: memory that the kernel cannot reclaim",
    "libraries": "pages of libraries, dropped when memory is short",
    "resident": "peak resident set when memory is plentiful",
    "needed": "the smallest limit in which training runs well",
    "disk": "the run directory",
    "limit": "{limit_source}",
}
"""A description of each part of a plan."""


def figures(dataset: Any, settings: Any, limit: Limit, workers: int, measure: bool) -> dict[str, Any]:
    """Return the bytes of each part; with `measure` also seconds, after training for a second."""
    from ..runs.memory_plan import FLOOR, LIBRARIES, count_parameters, plan

    planned = plan(dataset, settings, workers)
    sizes = {"floor": FLOOR, "libraries": LIBRARIES, "limit": limit.bytes}
    found: dict[str, Any] = {
        f"{name}_bytes": sizes[name] if name in sizes else getattr(planned, name) for name in _PARTS
    }
    found["parameters"] = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    found["limit_source"] = limit.source
    if measure:
        from ..training.loop import measure_speed  # TensorFlow

        found["reviews_per_second"] = measure_speed(dataset, settings)
        reviews = dataset.num_reviews("train") * settings.epochs
        found["seconds"] = reviews / found["reviews_per_second"]
    return found


def lines(figures: dict[str, Any]) -> list[str]:
    """Return a line for each figure with its description."""
    rows = {
        name: f"{figures[f'{name}_bytes'] / MB:8,.1f} MB  {what.format_map(figures)}"
        for name, what in _PARTS.items()
        if name != "labels" or figures["labels_bytes"] >= MB // 20  # not for a few labels
    }
    if "seconds" in figures:
        rate = figures["reviews_per_second"]
        rows["time"] = f"{figures['seconds']:8,.1f} s   training, at {rate:,.0f} reviews/s"
    return table(rows, room())
