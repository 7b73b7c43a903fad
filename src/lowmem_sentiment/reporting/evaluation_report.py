"""The page of an evaluation: sections about one run, or about several on the same reviews."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..decisions.significance import verdict
from ..evaluation.results import Comparison, Evaluation
from ..runs.diagnosis import largest_label
from ..runs.run_directory import RunDirectory
from ..system.errors import LowmemError, plural
from ..system.settings import plain
from . import curves, metric_tables
from .charts import MOST_LINES
from .metric_tables import WORST, metric_name, paired_tests
from .mistakes import confusions, mistakes
from .page import Html, date, ends, facts, folded, grid, joined, name, page, section, table, tag


def evaluation_page(comparisons: Sequence[Comparison]) -> str:
    """Return the page of evaluations, as `evaluate_runs` returns them: a part for each comparison."""
    parts = [_part(each) for each in comparisons]
    if len(parts) == 1:
        return page("Evaluation", *parts[0])
    content: list[Html | None] = []
    for title, about, lead, sections in parts:
        content.append(tag("h2", name(title), class_="part"))
        content.append(tag("p", about, class_="about"))
        content += [tag("p", lead, class_="lead"), *sections]
    runs = {each.run for comparison in comparisons for each in comparison.evaluations}
    about = f"on {len(comparisons)} sets of reviews"
    return page("Evaluation", plural(len(runs), "run"), about, None, content)


def _part(comparison: Comparison) -> tuple[str, str, Html, list[Html | None]]:
    """Return the title of a comparison, its subject, its result in a sentence, and its sections."""
    first, *others = runs = comparison.evaluations
    split = f" of the {first.split} split" if first.split else ""
    about = f"{plural(first.reviews, 'review')}{split} · {first.data} · {date(first.time)}"
    if not others:
        sections = [each(first) for each in SECTIONS]
        return Path(first.run).resolve().name, about, _lead(first), sections
    return f"{len(runs)} runs compared", about, _compared_lead(runs), _compared_sections(comparison)


def _lead(evaluation: Evaluation) -> Html:
    largest, share = largest_label(evaluation.labels, evaluation.label_reviews)
    interval = ends(evaluation.intervals["accuracy"], ".1%")
    return joined(
        tag("b", f"{evaluation.accuracy:.1%}"),
        f" of the reviews get the right label (95% interval {interval}). Always answering “",
        name(largest),
        f"” would be right for {share:.1%}.",
    )


def _compared_lead(evaluations: Sequence[Evaluation]) -> Html:
    best = max(evaluations, key=lambda each: each.accuracy)
    more = sum(each.accuracy == best.accuracy for each in evaluations) - 1
    which = f" and {more} more have" if more else " has"
    interval = ends(best.intervals["accuracy"], ".1%")
    about = f"{which} the highest accuracy, {best.accuracy:.1%} (95% interval {interval})."
    parts: list[object] = [tag("b", name(best.run)), about]
    if test := best.baseline:
        parts += [" Against ", name(test.run), f": {verdict(test)} by accuracy, p = {test.p_value:.2g}."]
    return joined(*parts)


# --- the sections about one run ---


def _checks(*evaluations: Evaluation) -> Html | None:
    failed = [
        tag("li", tag("b", "Failed: "), name(each.run) if len(evaluations) > 1 else "", " ", line)
        for each in evaluations
        for line in each.failed
    ]
    return tag("ul", *failed, class_="failed") if failed else None


def _threshold(evaluation: Evaluation) -> Html | None:
    if not curves.has_both_labels(evaluation):
        return None
    chosen, note = evaluation.threshold_chosen, None
    if chosen:
        note = f"The threshold {chosen.threshold:g} was chosen by {chosen.rule} on the validation split."
    figures = curves.trade_offs([evaluation])
    figures += [curves.by_threshold(evaluation), curves.scores_by_label(evaluation)]
    return section("Choosing a threshold", grid(*figures), note=note)


def _confidence(evaluation: Evaluation) -> Html | None:
    if not evaluation.tally:
        return None
    figures = curves.reliability(evaluation), curves.risk_by_coverage([evaluation])
    parts = [grid(*figures)]
    if correction := evaluation.correction:
        after, intervals = evaluation.metrics, evaluation.intervals
        rows = [
            [
                metric_name(key),
                f"{correction.before[key]:.4f} ({ends(before)})",
                f"{after[key]:.4f} ({ends(intervals[key])})",
            ]
            for key, before in correction.before_intervals.items()
        ]
        head = ["", "before", f"after, temperature {correction.temperature:.3f}"]
        parts += [tag("h3", "The temperature"), table(head, rows)]
    if answers := evaluation.answers:
        parts += [tag("h3", "When it abstains"), facts(answers.in_words(evaluation.reviews))]
    return section("Can its probabilities be trusted?", *parts)


def _drift(evaluation: Evaluation) -> Html | None:
    found = evaluation.drift
    if not found:
        return None
    rows = [
        [name(each.name), each.later, each.test, tag("b", "differs") if each.differs else "similar"]
        for each in (*found.quantities, *found.most_different(WORST))
    ]
    note = "Means over the texts; of a label, the share of texts that are predicted to have it."
    head = ["", "these texts", "test split", ""]
    return section("Are these texts like the test split?", table(head, rows), note=note)


def _learning(evaluation: Evaluation) -> Html | None:
    figures = curves.learning([evaluation])
    return section("How it learnt", grid(*figures)) if figures else None


def _about(evaluation: Evaluation, *others: Evaluation) -> Html:
    """Return the run, its data and the versions; of several runs the first's."""
    chosen = evaluation.threshold_chosen
    counted = list(evaluation.unknown_labels.items())[:WORST]
    unknown = [joined(f"{count:,} ", name(label)) for label, count in counted]
    rows = {
        "run": evaluation.run,
        "dataset": evaluation.dataset,
        "files": plain(evaluation.files) if evaluation.files else None,
        "data": evaluation.data,
        "split": evaluation.split,
        "reviews": f"{evaluation.reviews:,}",
        "labels": f"{len(evaluation.labels):,}",
        "labels renamed": plain(evaluation.label_map),
        "left out, unknown label": joined(*unknown, between=", "),
        "left out, the baseline saw them": f"{evaluation.left_out:,}" if evaluation.left_out else None,
        "bad rows skipped": f"{evaluation.skipped_rows:,}" if evaluation.skipped_rows else None,
        "threshold": evaluation.threshold,
        "chosen by": chosen and chosen.rule,
        "fingerprint of the data": evaluation.fingerprint,
        "evaluated": evaluation.time,
        "versions": ", ".join(f"{key} {value}" for key, value in evaluation.versions.items()),
    }
    settings: dict[str, object] = {}
    with contextlib.suppress(LowmemError):  # weights without the rest of the run are evaluated too
        settings = vars(RunDirectory(evaluation.run).settings())
    trained = facts({key.replace("_", " "): plain(value) for key, value in settings.items()})
    training = folded("Settings of training", trained) if settings and not others else None
    return section("About this evaluation", facts(rows), training)


SECTIONS: list[Callable[[Evaluation], Html | None]] = [
    _checks, metric_tables.metrics, paired_tests, confusions, metric_tables.labels,
    _threshold, _confidence, _drift, mistakes, _learning, _about,
]  # fmt: skip
"""The sections about one run, in order; each returns None if there is nothing to show."""


# --- the sections about several runs ---


def _settings(comparison: Comparison) -> Html | None:
    if not comparison.settings:
        return None
    head = ["setting", *(name(each.run) for each in comparison.evaluations)]
    rows = [[key, *map(plain, values)] for key, values in comparison.settings.items()]
    return section("Settings that differ", table(head, rows))


def _curves(evaluations: Sequence[Evaluation]) -> Html:
    figures = curves.trade_offs(evaluations) if all(map(curves.has_both_labels, evaluations)) else []
    figures += [curves.risk_by_coverage(evaluations), *curves.learning(evaluations)]
    note = f"The first {MOST_LINES} runs." if len(evaluations) > MOST_LINES else None
    return section("Curves", grid(*figures), note=note)


def _compared_sections(comparison: Comparison) -> list[Html | None]:
    runs = comparison.evaluations
    return [
        _checks(*runs),
        metric_tables.compared_metrics(runs),
        paired_tests(*runs),
        _settings(comparison),
        _curves(runs),
        metric_tables.compared_labels(runs),
        _about(*runs),
    ]
