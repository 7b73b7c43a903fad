"""Write what a finished run has: the model, its weights for NumPy, and the summary."""

from typing import Any

import keras

from ..model.numpy_model import NumpyModel
from ..model.weights import to_arrays
from ..runs.memory_plan import plan
from ..runs.run_directory import RunDirectory
from ..system import memory
from ..system.workarounds import save_as_plain_adam
from .checkpoint import Position
from .early_stopping import best_epoch, kept_epoch, restore_best
from .job import Job
from .tensorboard_callback import write_result


def finish(
    job: Job, model: keras.Model, run: RunDirectory, position: Position, peak_anonymous: int
) -> dict[str, Any]:
    """Write a trained model and its result into the run directory, and return the summary."""
    memory.trim_heap()  # the batches and the window, before the copies that saving makes
    epoch = kept_epoch(job.settings, position.epochs)
    if epoch["epoch"] < position.epoch:
        restore_best(model, run, epoch["epoch"])
    # Not `run.vocabulary()`: 500,000 n-grams as Python strings are 70 MB.
    vocabulary = run.config()["vocabulary"]["sha256"]
    read_from_texts = run.ngrams(), run.tokenizer()
    arrays = to_arrays(model, job.dataset.labels, job.num_words, vocabulary, *read_from_texts)
    runs_in_numpy = bool(arrays)
    if arrays:
        run.write_weights(arrays)
    del arrays  # a copy of the weights
    run.write_model(lambda path: save_as_plain_adam(model, path))
    summary = _summarise(job, model, run, position, peak_anonymous)
    numpy_model = NumpyModel.load(run) if runs_in_numpy else None
    write_result(run, position, job.settings, job.dataset, numpy_model, summary["peak_resident_bytes"])
    run.write_summary(summary)
    return summary


def _summarise(
    job: Job, model: keras.Model, run: RunDirectory, position: Position, peak_anonymous: int
) -> dict[str, Any]:
    epoch, seconds = kept_epoch(job.settings, position.epochs), sum(position.seconds)
    waiting = {} if position.waited is None else {"waiting_for_data": position.waited}
    planned = plan(job.dataset, job.settings, job.strategy.workers)
    return {
        "run": str(run.path),
        **({"parent": parent} if (parent := run.parent()) else {}),
        "data": job.dataset.source["description"],
        "reviews": job.reviews,
        "validated_on": job.settings.validated_on,
        **{name: value for name, value in epoch.items() if name != "step"},
        **{f"val_{name}": value for name, value in position.kept.get("measures", {}).items()},
        "epochs": position.epoch,
        "best_by": job.settings.best_by,
        "best_epoch": best_epoch(position.epochs, job.settings.best_by)["epoch"],
        "least_loss_epoch": best_epoch(position.epochs, "loss")["epoch"],
        "parameters": model.count_params(),
        "seconds": {"training": seconds, "epochs": position.seconds, **waiting},
        "reviews_per_second": job.reviews["train"] * position.epoch / seconds,
        "peak_resident_bytes": memory.peak_resident(),
        "peak_anonymous_bytes": peak_anonymous,
        "predicted_resident_bytes": planned.resident,
        "predicted_anonymous_bytes": planned.anonymous,
    }
