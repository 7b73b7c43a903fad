"""Format the summary of `train`, and the plan of `train --plan`, for people."""

from typing import Any

from ..dataset.manifest import VALIDATION_TOO_GOOD
from ..monitoring.terminal_text import table
from ..runs.summary import TrainingSummary
from ..system.errors import plural, quoted
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


def summary_lines(summary: TrainingSummary, too_good: bool) -> list[str]:
    """Return the summary; `too_good`: validation reviews helped to rank the n-grams."""
    metrics, seconds, held_out = summary.metrics, summary.seconds, summary.validated_on
    time = f"{seconds.training:.1f} s for {plural(summary.epochs, 'epoch')}, "
    time += f"{summary.reviews_per_second:,.0f} reviews/s"
    if seconds.waiting_for_data is not None:
        time += f", {min(seconds.waiting_for_data / seconds.training, 1):.0%} waiting for data"
    kept = f"{summary.epoch} of {summary.epochs} is kept, the best by {summary.best_by} in validation"
    rows = {
        "started from": summary.parent,
        "data": summary.data,
        "reviews": ", ".join(f"{n:,} {split}" for split, n in summary.reviews.items()),
        "model": f"{summary.parameters:,} parameters",
        f"{held_out} accuracy": f"{metrics['val_accuracy']:.4f}",
        f"{held_out} loss": f"{metrics['val_loss']:.4f}",
        "train accuracy": f"{metrics['accuracy']:.4f}",
        "note": VALIDATION_TOO_GOOD if too_good else None,
        "epoch": kept if summary.epoch != summary.epochs else None,
        "time": time,
        "peak memory": f"{summary.peak_resident_bytes / MB:,.0f} MB "
        f"({summary.peak_anonymous_bytes / MB:,.0f} anonymous), planned "
        f"{summary.predicted_resident_bytes / MB:,.0f} ({summary.predicted_anonymous_bytes / MB:,.0f})",
        "warning": "; ".join(summary.warnings) or None,
        "run": summary.run,
        "watch": f"lowmem-sentiment tensorboard {quoted(summary.run)}",
    }
    return table({name: text for name, text in rows.items() if text is not None}, room())


def plan_figures(
    dataset: Any, settings: Any, limit: Limit, workers: int, measure: bool
) -> dict[str, Any]:
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


def plan_lines(figures: dict[str, Any]) -> list[str]:
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
