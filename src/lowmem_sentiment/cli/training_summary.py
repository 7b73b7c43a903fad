"""What `train` prints: its summary as lines for a person."""

from typing import Any

from ..runs.configuration import TrainingSettings
from ..system.errors import plural
from ..system.memory import MB
from .output import VALIDATION_TOO_GOOD, table


def summary_lines(summary: dict[str, Any], settings: TrainingSettings, too_good: bool) -> list[str]:
    """Return the summary; `too_good`: validation reviews helped to rank the n-grams."""
    held_out, epochs = summary["validated_on"], summary["epochs"]
    rows = {
        **({"started from": summary["parent"]} if "parent" in summary else {}),
        "data": summary["data"],
        "reviews": ", ".join(f"{n:,} {split}" for split, n in summary["reviews"].items()),
        "model": f"{summary['parameters']:,} parameters",
        f"{held_out} accuracy": f"{summary['val_accuracy']:.4f}",
        f"{held_out} loss": f"{summary['val_loss']:.4f}",
        "train accuracy": f"{summary['accuracy']:.4f}",
        **({"note": VALIDATION_TOO_GOOD} if too_good else {}),
        **epoch_row(summary, settings.keep_best, settings.learning_rate_schedule == "constant"),
        "time": f"{summary['seconds']['training']:.1f} s for {plural(epochs, 'epoch')}, "
        f"{summary['reviews_per_second']:,.0f} reviews/s" + _waiting(summary["seconds"]),
        "peak memory": _memory(summary),
        **({"warning": "; ".join(lines)} if (lines := summary.get("warnings")) else {}),
        "run": summary["run"],
        "watch": f"lowmem-sentiment tensorboard {summary['run']}",
    }
    return table(rows)


def _memory(summary: dict[str, Any]) -> str:
    """Return the peak memory, measured and planned."""
    peak, peak_anonymous, planned, planned_anonymous = (
        summary[f"{kind}_{part}_bytes"] / MB
        for kind in ("peak", "predicted")
        for part in ("resident", "anonymous")
    )
    return (
        f"{peak:,.0f} MB ({peak_anonymous:,.0f} anonymous), planned {planned:,.0f} "
        f"({planned_anonymous:,.0f})"
    )


def _waiting(seconds: dict[str, Any]) -> str:
    """Return the share of the time that training waited for data, if it was measured."""
    if "waiting_for_data" not in seconds:
        return ""
    return f", {min(seconds['waiting_for_data'] / seconds['training'], 1):.0%} waiting for data"


def epoch_row(summary: dict[str, Any], keep_best: bool, constant: bool) -> dict[str, str]:
    """Return a row on the epoch that is kept, or a hint that fewer may be better, or no row.

    Where the learning rate is not `constant`, the last epochs decide labels better, surer than they
    should be: accuracy stays while the loss rises.
    """
    epoch, epochs = summary["epoch"], summary["epochs"]
    # older runs have neither of these
    best_by, least = summary.get("best_by", "accuracy"), summary.get("least_loss_epoch", epochs)
    if epoch != epochs:
        return {"epoch": f"{epoch} of {epochs} is kept, the best by {best_by} in validation"}
    if least < epochs and constant and not keep_best:
        rose = f"{summary['validated_on']} loss rose after epoch {least}"
        return {"overfitting": f"{rose} (--keep-best --best-by loss)"}
    return {}
