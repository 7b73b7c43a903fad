"""The page of a search: the winner, all candidates, what each setting did to the score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..search.results import SEARCHED, Candidate, TuningResult
from ..system.errors import plural
from ..system.memory import MB
from ..system.progress import duration
from ..system.settings import plain
from .charts import Axis, Series, figure
from .evaluation_report import evaluation_sections, time_of
from .metric_tables import metric_name
from .page import Html, facts, folded, grid, joined, page, section, shortened, table, tag, tiles

SHOWN = 20
"""Candidates in the first table."""

_ENOUGH = 5
"""Candidates from which on it is said what a setting does."""

_GROUPS = 4
"""Groups of a numeric setting's values, with equally many candidates each."""


def tuning_page(result: TuningResult) -> str:
    """Return the page of a search."""
    searched = plural(len(result.candidates), "setting")
    about = f"{searched} in {plural(result.trained, 'run')} · {result.data} · {time_of(result.test)}"
    parts = [_winner(result), _candidates(result), _charts(result), _learnt(result), _about(result)]
    tested = tag("h2", "The winner on the test split", class_="part")
    shown = [part for part in parts if part is not None]
    return page(
        "Search",
        Path(result.dataset).name,
        about,
        _lead(result),
        [*shown, tested, *evaluation_sections(result.test)],
    )


def _metric(result: TuningResult) -> str:
    return metric_name(result.settings.metric)


def _lead(result: TuningResult) -> Html:
    winner = result.winner
    return joined(
        [
            tag("b", f"{_metric(result)} {winner.value:.4f}"),
            f" ± {winner.standard_error:.4f} on the validation reviews, with the settings of rank "
            f"{winner.rank}. Trained again on all training reviews: accuracy {result.test.accuracy:.4f} "
            "on the test split.",
        ]
    )


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
    """Return the settings that have several values."""
    names = dict.fromkeys([*SEARCHED, *result.settings.grid_names])
    rows = result.candidates
    return [key for key in names if len({getattr(row.settings, key) for row in rows}) > 1]


def _candidates(result: TuningResult) -> Html:
    names = [key for key in _varied(result) if key != "epochs"]
    head = ["rank", _metric(result), "±", "epochs", *(key.replace("_", " ") for key in names)]
    head += ["seconds per epoch", "peak MB", "model MB"]
    rows = [_row(result, row, names) for row in result.candidates]
    note = "± is the standard error, with several seeds the standard deviation."
    parts = [table(head, rows[:SHOWN])]
    if len(rows) > SHOWN:
        parts.append(folded(f"All {len(rows)} settings", table(head, rows)))
    return section("Settings by rank", *parts, note=note)


def _row(result: TuningResult, row: Candidate, names: Sequence[str]) -> list[object]:
    roles = {
        "winner": row is result.winner,
        "cheapest": row is result.cheapest,
        "recipe": row is result.default,
    }
    marks = ", ".join(role for role, is_so in roles.items() if is_so)
    return [
        joined([row.rank, " ", tag("small", marks)]),
        tag("b" if row is result.winner else "span", f"{row.value:.4f}"),
        f"{row.standard_error if row.deviation is None else row.deviation:.4f}",
        row.epochs,
        *(plain(getattr(row.settings, key)) for key in names),
        f"{row.epoch_seconds:.1f}",
        f"{row.peak_resident_bytes / MB:.0f}",
        f"{row.model_bytes / MB:.1f}",
    ]


# --- charts ---


def _charts(result: TuningResult) -> Html:
    """Return the score by what it costs, and the best score so far."""
    rows, winner, score = result.candidates, result.winner, Axis(_metric(result))
    values = np.array([row.value for row in rows])
    costs = {
        "Score by epochs": ("epochs", [row.epochs for row in rows], winner.epochs),
        "Score by training time": (
            "seconds of training",
            [row.epochs * row.epoch_seconds for row in rows],
            winner.epochs * winner.epoch_seconds,
        ),
        "Score by model size": ("MB", [row.model_bytes / MB for row in rows], winner.model_bytes / MB),
    }
    figures = []
    for title, (unit, cost, of_winner) in costs.items():
        x = np.array(cost, np.float64)
        lines = [
            Series("settings", x, values, "dots"),
            Series("winner", np.array([of_winner]), np.array([winner.value]), "point"),
        ]
        axis = Axis(unit, logarithmic=_spread(x), whole=unit == "epochs")
        figures.append(figure(title, "On the validation reviews.", lines, axis, score))
    found = np.array([each.value for each in result.measured])
    best = (np.minimum if result.settings.sign < 0 else np.maximum).accumulate(found)
    runs = np.arange(1, len(found) + 1)
    lines = [Series("run", runs, found, "dots"), Series("best so far", runs, best, "line")]
    note = "In the order of the search: would more runs have helped?"
    figures.append(figure("Best so far", note, lines, Axis("run", whole=True), score))
    return section("What a better score costs", grid(*figures))


def _spread(values: np.ndarray) -> bool:
    """Return whether values are better shown on a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > 10)


# --- what was learnt ---


def _learnt(result: TuningResult) -> Html | None:
    """Return the score by each setting, the one that explains most first; None for few candidates."""
    rows = result.candidates
    names = _varied(result)
    if len(rows) < _ENOUGH or not names:
        return None
    scores = np.array([row.value for row in rows])
    explained = {key: _explained(_values(rows, key), scores) for key in names}
    order = sorted(names, key=lambda key: -explained[key])
    figures = [_by_setting(result, key, explained[key]) for key in order]
    note = (
        "The share of the differences between scores that goes with one setting, adjusted for chance. "
        "Settings were changed together, so this is a hint and not a proof."
    )
    return section("What the search learnt", grid(*figures), note=note)


def _values(rows: Sequence[Candidate], key: str) -> list[Any]:
    """Return a setting's values; a list of one number is that number."""
    values = [getattr(row.settings, key) for row in rows]
    alone = all(isinstance(each, tuple) and len(each) == 1 for each in values)
    return [each[0] for each in values] if alone else values


def _numeric(values: Sequence[Any]) -> bool:
    return len(set(values)) > _GROUPS and all(isinstance(each, int | float) for each in values)


def _explained(values: Sequence[Any], scores: np.ndarray) -> float:
    """Return the share of the scores' variance between groups of a setting's values (adjusted R²)."""
    if _numeric(values):
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        groups = ranks * _GROUPS // len(values)
    else:
        groups = np.unique([plain(each) for each in values], return_inverse=True)[1]
    parts = [scores[groups == nth] for nth in np.unique(groups)]
    within = sum(float(part.var() * len(part)) for part in parts)
    total, freedom = float(scores.var() * len(scores)), len(scores) - len(parts)
    if not total or not freedom:
        return 0.0
    return max(0.0, 1 - within / freedom / (total / (len(scores) - 1)))


def _by_setting(result: TuningResult, key: str, explained: float) -> Html:
    rows = result.candidates
    values, scores = _values(rows, key), np.array([row.value for row in rows])
    title = key.replace("_", " ").capitalize()
    if _numeric(values):
        x = np.array(values, np.float64)
        axis, lines = Axis(title.lower(), logarithmic=_spread(x)), [Series("settings", x, scores, "dots")]
    else:
        kinds = sorted(set(values))
        x = np.array([kinds.index(each) for each in values], np.float64)
        means = np.array([scores[x == nth].mean() for nth in range(len(kinds))])
        axis = Axis(title.lower(), categories=[shortened(plain(each) or "none", 14) for each in kinds])
        lines = [
            Series("settings", x, scores, "dots"),
            Series("mean", np.arange(len(kinds)), means, "point"),
        ]
    return figure(
        title, f"Explains {explained:.0%} of the differences.", lines, axis, Axis(_metric(result))
    )


def _about(result: TuningResult) -> Html:
    settings, several = result.settings, result.test_accuracies
    rows = {
        "dataset": result.dataset,
        "data": result.data,
        "searched by": f"{settings.metric} on the validation reviews",
        "time": duration(result.seconds),
        "runs": f"{result.trained:,}",
        "failed runs": "; ".join(str(each.error) for each in result.failed[:SHOWN]),
        "not tried": "; ".join(f"{key}: {reason}" for key, reason in result.not_tried.items()),
        "test accuracy of each seed": ", ".join(f"{each:.4f}" for each in several),
        "seed": settings.seed,
        "winner": result.run,
    }
    return section("About this search", facts(rows))
