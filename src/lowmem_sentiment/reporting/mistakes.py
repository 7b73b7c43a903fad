"""Confused labels, and the surest mistakes with the words behind them."""

import re
from collections.abc import Iterable

from ..evaluation.predictions import ExplainedMistake
from ..evaluation.results import Evaluation
from ..model.effects import strongest
from .metric_tables import WORST
from .page import Html, bar, joined, name, section, table, tag

MATRIX_LABELS = 20
"""Labels in the matrix at most; with more, the worst confusions are shown."""

_LONG = 700  # characters of a mistake's text that is shown whole
_NEAR = 20  # words and spaces on each side of a marked word that are shown of a longer text

_ALONE = "[\u2e80-\u9fff\uf900-\ufaff\U0001f000-\U0003ffff]"  # characters that are words of their own

_WORDS = re.compile(f"({_ALONE}|(?:(?!{_ALONE})[\\w'’])+)")


def confusions(evaluation: Evaluation) -> Html:
    """Return the confusion matrix, or with many labels the worst confusions."""
    labels, counts = evaluation.labels, evaluation.confusion_matrix
    if len(labels) > MATRIX_LABELS:
        return _worst_confusions(evaluation)
    numbered = len(labels) > 5
    titles = [tag("span", nth) if numbered else name(label) for nth, label in enumerate(labels, 1)]
    rows = []
    for nth, (label, row) in enumerate(zip(labels, counts.tolist(), strict=True)):
        total = sum(row)
        title = joined(tag("small", f"{nth + 1} "), name(label, 28)) if numbered else name(label)
        cells: list[object] = [title]
        for column, count in enumerate(row):
            kind = "none" if not count else "right" if column == nth else "wrong"
            share = count / max(1, total)
            shown = f"{count:,}", tag("small", f"{share:.1%}") if count else None
            cells.append(tag("td", *shown, class_=kind, style=f"--v:{share:.3f}"))
        rows.append(cells)
    matrix = table(["true ↓ predicted →", *titles], rows)
    note = "Reviews by true and predicted label, and the share of the true label’s reviews."
    kind = "matrix many" if len(labels) > 10 else "matrix"
    return section("Confusion matrix", tag("div", matrix, class_=kind), note=note)


def _worst_confusions(evaluation: Evaluation) -> Html:
    rows = []
    for each in evaluation.confusions(WORST):
        share = each.reviews / max(1, evaluation.by_label[each.label].reviews)
        predicted = tag("td", name(each.predicted), class_="text")
        shown = bar(share, f"{share:.1%}", "bar bad")
        rows.append([name(each.label), predicted, each.reviews, shown])
    note = f"The {len(rows)} most frequent of {len(evaluation.labels):,} labels’ confusions."
    head = ["true label", tag("th", "taken for", class_="text"), "reviews", "of its reviews"]
    return section("Most frequent confusions", table(head, rows), note=note)


def mistakes(evaluation: Evaluation) -> Html | None:
    """Return the surest mistakes with the words behind them; None if they were not asked for."""
    if not evaluation.explained:
        return None
    legend = joined(
        "Marked words move the model ",
        tag("mark", "towards", class_="for s3"),
        " its wrong label or ",
        tag("mark", "away from", class_="against s3"),
        " it (underlined). A number is how much lower that label’s log-odds are without the word.",
    )
    explained = any(each.effects for each in evaluation.explained)
    listed = map(_mistake, evaluation.explained)
    return section("Surest mistakes", *listed, note=legend if explained else None)


def _mistake(explained: ExplainedMistake) -> Html:
    mistake, effects = explained
    towards, away = strongest(effects, 8, 4)
    shown = [*towards, *reversed(away)]
    words = (tag("span", name(each.word), f" {each.effect:+.2f}".replace("-", "−")) for each in shown)
    about = tag("small", f"review {mistake.number:,} · {mistake.probability:.2%}")
    head = tag("h3", name(mistake.label), ", taken for ", name(mistake.predicted), " ", about)
    quoted = marked(mistake.text, {each.word: each.effect for each in shown})
    listed = tag("p", joined(*words, between=" · "), class_="words") if shown else None
    return tag("article", head, tag("blockquote", *quoted, dir="auto"), listed)


def marked(text: str, effects: dict[str, float]) -> Iterable[object]:
    """Yield a text with the words that matter marked; of a long text only what is near them."""
    most = max(map(abs, effects.values()), default=1.0) or 1.0
    parts = _WORDS.split(text)  # a word is every second part
    steps = [round(4 * abs(effects.get(part.lower(), 0.0)) / most) for part in parts]
    reach = _NEAR if len(text) > _LONG else len(parts)
    near = [0, *(nth for nth, step in enumerate(steps) if step)]
    shown = sorted(
        {at for nth in near for at in range(nth - reach, nth + reach + 1) if 0 <= at < len(parts)}
    )
    for before, nth in zip([-1, *shown], shown, strict=False):
        if nth > before + 1:
            yield " … "
        kind = "for" if effects.get(parts[nth].lower(), 0.0) > 0 else "against"
        yield tag("mark", parts[nth], class_=f"{kind} s{steps[nth]}") if steps[nth] else parts[nth]
    if shown[-1] < len(parts) - 1:
        yield " …"
