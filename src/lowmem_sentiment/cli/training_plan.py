"""What `train --plan` shows: the memory, disk and time that training will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..system.memory import MB, Limit
from .output import table

if TYPE_CHECKING:
    from ..dataset.reader import Dataset
    from ..runs.configuration import TrainingSettings


def figures(
    dataset: Dataset, settings: TrainingSettings, limit: Limit, workers: int, measure: bool
) -> dict[str, Any]:
    """Return bytes by what they are for; with `measure` also seconds, after training for a second."""
    from ..runs.memory_plan import FLOOR, LIBRARIES, count_parameters, plan

    planned = plan(dataset, settings, workers)
    parts = {
        "floor": FLOOR,
        "weights": planned.weights,
        "batches": planned.batches,
        "window": planned.window,
        "labels": planned.labels,
        "anonymous": planned.anonymous,
        "libraries": LIBRARIES,
        "resident": planned.resident,
        "needed": planned.needed,
        "disk": planned.disk,
    }
    found: dict[str, Any] = {f"{name}_bytes": size for name, size in parts.items()}
    found["parameters"] = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    found |= {"limit_bytes": limit.bytes, "limit_source": limit.source}
    if measure:
        from ..training.loop import measure_speed  # TensorFlow

        found["reviews_per_second"] = measure_speed(dataset, settings)
        reviews = dataset.num_reviews("train") * settings.epochs
        found["seconds"] = reviews / found["reviews_per_second"]
    return found


def lines(figures: dict[str, Any]) -> list[str]:
    """Return a line for each figure, with what it is."""
    parts = {
        "floor": "TensorFlow, Keras, traced graphs",
        "weights": f"{figures['parameters']:,} parameters, gradients, Adam's moments, copies when saved",
        "batches": "rows in flight",
        "window": "records that are shuffled together",
        "labels": "counts of validation reviews by label, and their picture",
        "anonymous": "together: what the kernel cannot reclaim",
        "libraries": "pages of libraries, dropped when memory is short",
        "resident": "peak resident set where memory is plenty",
        "needed": "the least limit that training runs well in",
        "disk": "the run directory",
    }
    if figures["labels_bytes"] < MB // 20:  # a few labels
        del parts["labels"]
    rows = {name: f"{figures[f'{name}_bytes'] / MB:8,.1f} MB  {what}" for name, what in parts.items()}
    rows["limit"] = f"{figures['limit_bytes'] / MB:8,.1f} MB  {figures['limit_source']}"
    if "seconds" in figures:
        rate = figures["reviews_per_second"]
        rows["time"] = f"{figures['seconds']:8,.1f} s   training, at {rate:,.0f} reviews/s"
    return table(rows)
