"""The report of one run on labelled reviews, the most important first."""

import contextlib
from collections.abc import Callable
from datetime import datetime

from ..evaluation.results import Evaluation
from ..runs.run_directory import RunDirectory
from ..system.errors import LowmemError, plural
from ..system.settings import plain
from . import curves
from .metric_tables import WORST, labels, largest_label, metric_name, metrics, paired_tests
from .mistakes import confusions, mistakes
from .page import Html, facts, folded, grid, joined, name, section, shortened, table, tag


def time_of(evaluation: Evaluation) -> str:
    """Return when the evaluation was made, for people."""
    made = datetime.fromisoformat(evaluation.time)
    return f"{made.day} {made:%B %Y, %H:%M} UTC"


def reviews_of(evaluation: Evaluation) -> str:
    """Return what was evaluated on, and when."""
    split = f" of the {evaluation.split} split" if evaluation.split else ""
    return f"{plural(evaluation.reviews, 'review')}{split} · {evaluation.data} · {time_of(evaluation)}"


def lead(evaluation: Evaluation) -> Html:
    """Return the result in a sentence."""
    low, high = evaluation.intervals["accuracy"]
    largest, share = largest_label(evaluation)
    return joined(
        [
            tag("b", f"{evaluation.accuracy:.1%}"),
            f" of the reviews get the right label (95% interval {low:.1%} to {high:.1%}). "
            "Always answering “",
            name(largest),
            f"” would be right for {share:.1%}.",
        ]
    )


# --- the sections ---


def checks(*evaluations: Evaluation) -> Html | None:
    """Return the checks that failed; None without one."""
    failed = [(each.run, line) for each in evaluations for line in each.failed]
    runs = [name(run) if len(evaluations) > 1 else "" for run, _ in failed]
    lines = (
        tag("li", tag("b", "Failed: "), run, " ", line)
        for run, (_, line) in zip(runs, failed, strict=True)
    )
    return tag("ul", *lines, class_="failed") if failed else None


def threshold(evaluation: Evaluation) -> Html | None:
    """Return what two labels trade against each other; None for more, or without reviews of both."""
    if not curves.has_both_labels(evaluation):
        return None
    chosen, note = evaluation.threshold_chosen, None
    if chosen:
        note = f"The threshold {chosen.threshold:g} was chosen by {chosen.rule} on the validation split."
    figures = (
        curves.precision_and_recall([evaluation]),
        curves.roc([evaluation]),
        curves.by_threshold(evaluation),
        curves.scores_by_label(evaluation),
    )
    return section("Choosing a threshold", grid(*figures), note=note)


def confidence(evaluation: Evaluation) -> Html | None:
    """Return whether probabilities can be trusted, and what abstaining does; None without the counts."""
    if not evaluation.tally:
        return None
    figures = curves.reliability(evaluation), curves.risk_by_coverage([evaluation])
    parts, correction, answers = [grid(*figures)], evaluation.correction, evaluation.answers
    if correction:
        parts.append(tag("h3", "The temperature"))
        before = correction.before
        rows = [
            [metric_name(key), f"{before[key]:.4f} ({low:.4f} to {high:.4f})",
             f"{evaluation.metrics[key]:.4f} ({{:.4f}} to {{:.4f}})".format(*evaluation.intervals[key])]
            for key, (low, high) in correction.before_intervals.items()
        ]  # fmt: skip
        head = ["", "before", f"after, temperature {correction.temperature:.3f}"]
        parts.append(table(head, rows))
    if answers:
        parts += [tag("h3", "When it abstains"), facts(answers.in_words(evaluation.reviews))]
    return section("Can its probabilities be trusted?", *parts)


def drift(evaluation: Evaluation) -> Html | None:
    """Return how texts in files differ from the test split; None if that is not known."""
    found = evaluation.drift
    if not found:
        return None
    most = sorted(found.labels, key=lambda each: -abs(each.later - each.test))[:WORST]
    rows = [
        [
            name(each.name),
            f"{each.later:.4f}",
            f"{each.test:.4f}",
            tag("b", "differs") if each.differs else "similar",
        ]
        for each in (*found.quantities, *most)
    ]
    note = "Means over the texts; of a label, the share of texts that are predicted to have it."
    head = ["", "these texts", "test split", ""]
    return section("Are these texts like the test split?", table(head, rows), note=note)


def learning(evaluation: Evaluation) -> Html | None:
    """Return the learning curves of the run; None if it has no metrics.jsonl."""
    figures = curves.learning([evaluation])
    return section("How it learnt", grid(*figures)) if figures else None


def about(evaluation: Evaluation, *others: Evaluation) -> Html:
    """Return what was evaluated on what, and with which versions; of several runs the first's."""
    chosen = evaluation.threshold_chosen
    counted = list(evaluation.unknown_labels.items())[:WORST]
    unknown = [f"{count:,} {shortened(label)}" for label, count in counted]
    rows = {
        "run": evaluation.run,
        "dataset": evaluation.dataset,
        "files": plain(evaluation.files) if evaluation.files else None,
        "data": evaluation.data,
        "split": evaluation.split,
        "reviews": f"{evaluation.reviews:,}",
        "labels": f"{len(evaluation.labels):,}",
        "labels renamed": plain(evaluation.label_map),
        "left out, unknown label": ", ".join(unknown),
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
    show = settings and not others
    return section(
        "About this evaluation", facts(rows), folded("Settings of training", trained) if show else None
    )


SECTIONS: list[Callable[[Evaluation], Html | None]] = [
    checks, metrics, paired_tests, confusions, labels, threshold, confidence, drift, mistakes,
    learning, about,
]  # fmt: skip
"""The parts of the report in order; a new part is a function in this list."""


def evaluation_sections(evaluation: Evaluation) -> list[Html]:
    """Return the parts of the report that this evaluation has."""
    return [part for each in SECTIONS if (part := each(evaluation)) is not None]
