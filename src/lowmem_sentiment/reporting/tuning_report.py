"""The page of a search: the winner, all candidates, and each setting's effect on the score."""

from pathlib import Path
from typing import Any

import numpy as np

from ..monitoring.terminal_text import cut
from ..search.results import SEARCHED, TuningResult
from ..system.errors import plural
from ..system.memory import MB
from ..system.progress import duration
from ..system.settings import plain
from .charts import Axis, Series, figure, point
from .evaluation_report import SECTIONS
from .metric_tables import metric_name
from .page import Html, date, facts, folded, grid, joined, page, section, table, tag, tiles

_SHOWN = 20  # candidates in the first table
_ENOUGH = 5  # fewer candidates do not show what a setting does
_GROUPS = 4  # groups of a numeric setting's values, with equally many candidates each


def tuning_page(result: TuningResult) -> str:
    """Return the page of a search."""
    winner, searched = result.winner, plural(len(result.candidates), "setting")
    about = f"{searched} in {plural(result.trained, 'run')} · {result.data} · {date(result.test.time)}"
    lead = joined(
        tag("b", f"{_metric(result)} {winner.value:.4f}"),
        f" ± {winner.standard_error:.4f} on the validation reviews, with the settings of rank "
        f"{winner.rank}. Trained again on all training reviews: accuracy {result.test.accuracy:.4f} "
        "on the test split.",
    )
    sections = (
        _winner(result),
        _candidates(result),
        section("What a better score costs", grid(*_costs(result), _best_so_far(result))),
        _learnt(result),
        _about_search(result),
        tag("h2", "The winner on the test split", class_="part"),
        *(each(result.test) for each in SECTIONS),
    )
    return page("Search", Path(result.dataset).name, about, lead, sections)


def _metric(result: TuningResult) -> str:
    return metric_name(result.settings.metric)


def _winner(result: TuningResult) -> Html:
    winner, default = result.winner, result.default
    error = f"± {winner.standard_error:.4f} standard error"
    numbers = [
        (f"{_metric(result)}, validation", f"{winner.value:.4f}", error),
        ("Accuracy, test", f"{result.test.accuracy:.4f}", "after training on all reviews"),
    ]
    if default and default is not winner:
        numbers.insert(1, ("The recipe’s settings", f"{default.value:.4f}", f"rank {default.rank}"))
    command = tag("pre", tag("code", result.command), tabindex="0")
    return section("Winner", tiles(numbers), command, note="The command trains it again.")


def _varied(result: TuningResult) -> list[str]:
    names = dict.fromkeys([*SEARCHED, *result.settings.grid_names])
    rows = result.candidates
    return [key for key in names if len({getattr(row.settings, key) for row in rows}) > 1]


def _candidates(result: TuningResult) -> Html:
    names = [key for key in _varied(result) if key != "epochs"]
    head = ["rank", _metric(result), "±", "epochs", *(key.replace("_", " ") for key in names)]
    head += ["seconds per epoch", "peak MB", "model MB"]
    roles = {"winner": result.winner, "cheapest": result.cheapest, "recipe": result.default}
    rows = []
    for row in result.candidates:
        marks = ", ".join(role for role, candidate in roles.items() if row is candidate)
        cells = [
            joined(row.rank, " ", tag("small", marks)),
            tag("b" if row is result.winner else "span", f"{row.value:.4f}"),
            row.standard_error if row.deviation is None else row.deviation,
            row.epochs,
            *(plain(getattr(row.settings, key)) for key in names),
            f"{row.epoch_seconds:.1f}",
            f"{row.peak_resident_bytes / MB:.0f}",
            f"{row.model_bytes / MB:.1f}",
        ]
        rows.append(cells)
    note = "± is the standard error, with several seeds the standard deviation."
    every = folded(f"All {len(rows)} settings", table(head, rows)) if len(rows) > _SHOWN else None
    return section("Settings by rank", table(head, rows[:_SHOWN]), every, note=note)


def _score_chart(
    result: TuningResult, title: str, note: str, x: np.ndarray, axis: Axis, *chosen: Series
) -> Html:
    scores = np.array([row.value for row in result.candidates])
    lines = [Series("settings", x, scores, "dots"), *chosen]
    return figure(title, note, lines, axis, Axis(_metric(result)))


def _costs(result: TuningResult) -> list[Html]:
    rows, winner = result.candidates, result.winner
    costs = {
        ("Score by epochs", "epochs"): [row.epochs for row in rows],
        ("Score by training time", "seconds of training"): [r.epochs * r.epoch_seconds for r in rows],
        ("Score by model size", "MB"): [row.model_bytes / MB for row in rows],
    }
    figures, at = [], rows.index(winner)
    for (title, unit), cost in costs.items():
        x = np.array(cost, np.float64)
        axis = Axis(unit, logarithmic=_spread(x), whole=unit == "epochs")
        chosen = point("winner", x[at], winner.value)
        figures.append(_score_chart(result, title, "On the validation reviews.", x, axis, chosen))
    return figures


def _best_so_far(result: TuningResult) -> Html:
    found = np.array([each.value for each in result.measured])
    best = (np.minimum if result.settings.sign < 0 else np.maximum).accumulate(found)
    runs = np.arange(1, len(found) + 1)
    lines = [Series("run", runs, found, "dots"), Series("best so far", runs, best)]
    note = "In the order of the search: would more runs have helped?"
    return figure("Best so far", note, lines, Axis("run", whole=True), Axis(_metric(result)))


def _spread(values: np.ndarray) -> bool:
    """Return whether values are better shown on a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > 10)


def _learnt(result: TuningResult) -> Html | None:
    """Return the score by each setting, the one that explains most first; None for few candidates."""
    names = _varied(result)
    if len(result.candidates) < _ENOUGH or not names:
        return None
    figures = sorted((_by_setting(result, key) for key in names), key=lambda found: -found[0])
    note = (
        "The share of the differences between scores that goes with one setting, adjusted for chance. "
        "Settings were changed together, so this is a hint and not a proof."
    )
    return section("What the search learnt", grid(*(chart for _, chart in figures)), note=note)


def _by_setting(result: TuningResult, key: str) -> tuple[float, Html]:
    """Return how much of the differences between scores a setting explains, and its chart."""
    values: list[Any] = [getattr(row.settings, key) for row in result.candidates]
    if all(isinstance(each, tuple) and len(each) == 1 for each in values):
        values = [each[0] for each in values]
    scores = np.array([row.value for row in result.candidates])
    title, chosen = key.replace("_", " ").capitalize(), []
    kinds = sorted(set(values))
    if len(kinds) > _GROUPS and all(isinstance(each, int | float) for each in values):
        x = np.array(values, np.float64)
        axis = Axis(title.lower(), logarithmic=_spread(x))
        groups = np.argsort(np.argsort(x, kind="stable"), kind="stable") * _GROUPS // len(x)
    else:
        groups = np.array([kinds.index(each) for each in values])
        x = groups.astype(np.float64)
        means = np.array([scores[groups == nth].mean() for nth in range(len(kinds))])
        axis = Axis(title.lower(), categories=[cut(plain(each) or "none", 14) for each in kinds])
        chosen = [Series("mean", np.arange(len(kinds)), means, "point")]
    explained = _explained(groups, scores)
    note = f"Explains {explained:.0%} of the differences."
    return explained, _score_chart(result, title, note, x, axis, *chosen)


def _explained(groups: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of the scores' variance that is between groups (adjusted R²)."""
    parts = [scores[groups == nth] for nth in np.unique(groups)]
    within = sum(float(part.var() * len(part)) for part in parts)
    total, freedom = float(scores.var() * len(scores)), len(scores) - len(parts)
    if not total or not freedom:
        return 0.0
    return max(0.0, 1 - within / freedom / (total / (len(scores) - 1)))


def _about_search(result: TuningResult) -> Html:
    rows = {
        "dataset": result.dataset,
        "data": result.data,
        "searched by": f"{result.settings.metric} on the validation reviews",
        "time": duration(result.seconds),
        "runs": f"{result.trained:,}",
        "failed runs": "; ".join(str(each.error) for each in result.failed[:_SHOWN]),
        "not tried": "; ".join(f"{key}: {reason}" for key, reason in result.not_tried.items()),
        "test accuracy of each seed": ", ".join(f"{each:.4f}" for each in result.test_accuracies),
        "seed": result.settings.seed,
        "winner": result.run,
    }
    return section("About this search", facts(rows))
