"""What a search found: the candidates by rank, and which of them wins."""

import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..dataset.reader import Dataset
from ..dataset.splits import ranked_with_held_out
from ..runs.configuration import TrainingSettings
from .settings import TuneSettings
from .space import SearchSpace, model_bytes, rungs
from .state import Result, TuneState

SEARCHED = (
    "num_words", "hidden", "dropout", "learning_rate", "batch_size", "class_weight", "optimizer",
)  # fmt: skip


class Standing(NamedTuple):
    """A candidate with its best epochs."""

    name: str
    """"default", a recipe's, or "random"."""
    settings: TrainingSettings
    result: Result
    runs: int
    """How many trainings it had: one a rung."""
    model_bytes: int


def rank(state: TuneState, space: SearchSpace, dataset: Dataset) -> list[Standing]:
    """Return the candidates that were measured, the best first; of equals the earlier candidate."""
    sign = state.settings.sign
    best: dict[int, Result] = {}
    for result in state.measured():
        so_far = best.get(result.candidate)
        if so_far is None or sign * (result.value - so_far.value) > 0:
            best[result.candidate] = result
    ranked = sorted(best.values(), key=lambda result: (-sign * result.value, result.candidate))
    table = []
    for result in ranked:
        settings = space.settings(result.candidate)
        runs = sum(each.candidate == result.candidate for each in state.results)
        size = model_bytes(settings, dataset)
        table.append(Standing(space.name(result.candidate), settings, result, runs, size))
    return table


def choose(table: list[Standing], settings: TuneSettings) -> tuple[Standing, Standing]:
    """Return the winner, and the smallest model within one standard error of the best.

    The second is often the first; `prefer` "cheap" makes the first the second. (The rule of one standard
    error: Breiman et al., "Classification and Regression Trees", 1984.)
    """
    best = table[0].result
    near = [
        each for each in table if settings.sign * (best.value - each.result.value) <= best.standard_error
    ]
    cheapest = min(near, key=lambda each: each.model_bytes)
    return (cheapest if settings.prefer == "cheap" else table[0]), cheapest


def report_of(
    dataset: Dataset,
    state: TuneState,
    space: SearchSpace,
    table: list[Standing],
    chosen: Standing,
    cheapest: Standing,
) -> dict[str, Any]:
    """Return what is reported of a search, but for the winner's training and evaluation."""
    settings = state.settings
    place = {each.result.candidate: nth for nth, each in enumerate(table, 1)}
    default = [place[each.result.candidate] for each in table if each.name == "default"]
    return {
        "dataset": str(dataset.directory),
        "data": dataset.source["description"],
        "metric": settings.metric,
        "prefer": settings.prefer,
        "seed": settings.seed,
        "validation_split": settings.validation_split,
        # Then validation is too good.
        "ranked_with_validation": ranked_with_held_out(dataset, settings.validation_split) is not None,
        "minutes": settings.minutes,
        "runs": settings.runs,
        "rungs": rungs(dataset, settings.validation_split),
        "trained": len(state.results),
        "candidates": [_row(nth, each) for nth, each in enumerate(table, 1)],
        "failed": [_failure(each) for each in state.results if each.error],
        "not_tried": space.refused,
        "winner": place[chosen.result.candidate],
        "cheapest": place[cheapest.result.candidate],
        "default": default[0] if default else None,
    }


def _row(rank: int, standing: Standing) -> dict[str, Any]:
    result = standing.result
    return {
        "rank": rank,
        "candidate": result.candidate,
        "kind": standing.name,
        "value": result.value,
        "standard_error": result.standard_error,
        "epochs": result.epochs,
        **{name: getattr(standing.settings, name) for name in SEARCHED},
        **{f"val_{name}": value for name, value in result.metrics.items()},
        "epoch_seconds": result.epoch_seconds,
        "peak_resident_bytes": result.peak_resident_bytes,
        "model_bytes": standing.model_bytes,
        "runs": standing.runs,
    }


def _failure(result: Result) -> dict[str, Any]:
    return {"candidate": result.candidate, "epochs": result.epochs, "error": result.error}


def train_command(dataset: Dataset, settings: TrainingSettings) -> str:
    """Return the command that makes a run with these settings, runs/again, as a shell reads it."""
    words: Iterable[str] = [
        "lowmem-sentiment", "train", str(dataset.directory), "--run", "runs/again", *settings.options(),
    ]  # fmt: skip
    return shlex.join(words)
