"""``explore``."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..monitoring.terminal_text import columns, cut, pad, table, text_width, wrapped
from ..system.errors import printable, quoted
from ..system.progress import Bar, can_write
from ..system.settings import Settings, setting
from ..text.vocabulary import DEFAULT_NUM_WORDS
from .options import add_json, add_settings, given
from .output import answer, report, room

if TYPE_CHECKING:
    from ..dataset.counts import LeaningWord
    from ..dataset.explore import Exploration

BLOCKS = 10
"""With more labels, the words of each label are one line."""


@dataclass(frozen=True)
class _Options(Settings):
    num_words: int | None = setting(
        None,
        "ids below N are known words, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all if there are fewer)",
    )
    top: int = setting(20, "how many words to list", at_least=0)
    show: int | None = setting(
        None,
        "print review N of --split instead, counted from 0: label, ids, and text with # for every "
        "unknown word",
    )
    split: str = setting("test", "the split for --show", choices=("test", "train", "validation"))


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Print the statistics of a dataset, or one review."""
    from ..dataset.explore import explore, show

    chosen = _Options(**given(options, _Options))
    if chosen.show is not None:
        review = show(options.dataset, chosen.show, split=chosen.split, num_words=chosen.num_words)
        label = f"Label: {review.label} ({review.label_name})"
        answer(options, review.to_json(), lambda: [label, f"{review.ids}", review.text])
        return
    found = explore(options.dataset, num_words=chosen.num_words, top=chosen.top, progress=bar)
    bar.clear()
    if options.tensorboard:
        from ..monitoring.exploration_events import write_exploration

        write_exploration(found, options.tensorboard)
    answer(options, found.to_json(), lambda: _lines(found))
    if options.tensorboard:
        report(f"TensorBoard shows it: lowmem-sentiment tensorboard {quoted(options.tensorboard)}")


def _lines(found: "Exploration") -> list[str]:
    """Return the statistics, with a histogram."""
    from ..monitoring.exploration_events import statistics

    labels = [["", "label", "reviews", *found.reviews]]
    for nth, (label, counts) in enumerate(found.labels.items()):
        numbers = [sum(counts.values()), *counts.values()]
        labels.append([str(nth), label, *(f"{number:,}" for number in numbers)])
    lines = [*table(statistics(found), room()), "", *columns(labels, room(), left=2)]
    lines += ["", "reviews by length", *_histogram_lines(found.length.histogram)]
    words = [printable(word.word) for word in found.most_frequent]
    lines += ["", "most frequent words", *_listed(words)]
    for noun, leaning in (("words", found.leaning), ("n-grams", found.leaning_features or {})):
        lines += _leaning_lines(noun, leaning)
    if found.warnings:
        lines += ["", *(f"warning: {warning}" for warning in found.warnings)]
    return lines


def _leaning_lines(noun: str, leaning: "dict[str, list[LeaningWord]]") -> list[str]:
    """Return the words that lean towards each label; with many labels, as many as fit in a line."""
    names = {label: cut(printable(label), 24) for label in leaning}
    width = max(map(text_width, names.values()), default=0)
    lines = ["", f"{noun} that lean towards each label (log-odds)"] if leaning else []
    for label, words in leaning.items():
        shown = [f"{printable(word.word)} {word.log_odds:+.2f}" for word in words]
        first, *more = _listed(shown, f"  {pad(names[label], width)}  ")
        lines += [first, *more] if len(leaning) <= BLOCKS else [first.removesuffix(",")]
    return lines


def _listed(items: list[str], first: str = "  ") -> list[str]:
    items = [*(f"{item}," for item in items[:-1]), *items[-1:]]
    return wrapped(items, _width(), " " * text_width(first), first)


def _width() -> int:
    return min(100, room())


def _histogram_lines(bins: list[list[int]]) -> list[str]:
    names = [f"{first:,}-{last:,}" for first, last, _ in bins]
    width = max(map(len, names))
    most, space = max(count for _, _, count in bins), max(10, _width() - width - 12)
    full, little = "█▏" if can_write("█▏", sys.stdout) else "#."
    return [
        f"  {name:>{width}} {full * round(space * count / most) or little * bool(count)} {count:,}"
        for name, (_, _, count) in zip(names, bins, strict=True)
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add_settings(parser, _Options)
    add("--tensorboard", type=Path, metavar="DIR", help="also write the statistics there for TensorBoard")
