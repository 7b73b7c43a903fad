"""Answers as lines for a person, in the width of the terminal."""

import shutil
import textwrap
from typing import Any

from ..system.errors import plural, printable

VALIDATION_TOO_GOOD = "validation is too good: its reviews helped to rank the n-grams"


def size_text(size: float) -> str:
    """Return bytes in the unit that shows them.

    >>> size_text(512), size_text(5_250), size_text(20_200_000), size_text(1_500_000_000)
    ('512 bytes', '5.2 KB', '20.2 MB', '1.5 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return plural(int(size), "byte")


def table(rows: dict[str, str]) -> list[str]:
    """Return a line for each name and value, the values aligned; what came from data is escaped."""
    names = [printable(name) for name in rows]
    width = max(map(len, names)) + 2
    return [
        f"{name:{width}}{printable(value, 1000)}"
        for name, value in zip(names, rows.values(), strict=True)
    ]


def exploration_lines(found: dict[str, Any]) -> list[str]:
    """Return what `explore` found, a histogram among it."""
    reviews, length, copies = found["reviews"], found["length"], found["duplicates"]
    lines = table(
        {
            "data": found["data"],
            "reviews": f"{sum(reviews.values()):,} "
            f"({', '.join(f'{count:,} {split}' for split, count in reviews.items())})",
            **{
                f"label {nth}": f"{label}: {sum(counts.values()):,} "
                f"({', '.join(f'{count:,} {split}' for split, count in counts.items())})"
                for nth, (label, counts) in enumerate(found["labels"].items())
            },
            "words": f"{found['words']:,}",
            "unique words": f"{found['distinct_ids']:,} ids of the {found['num_words']:,} of --num-words",
            "unknown words": ", ".join(
                f"{share:.1%} with {size if size == 'all' else f'{int(size):,}'}"
                for size, share in found["out_of_vocabulary"].items()
            ),
            "length": f"mean {length['mean']:.5f}, standard deviation "
            f"{length['standard_deviation']:.3f}, {length['min']:,} to {length['max']:,}",
            "quantiles": ", ".join(
                f"{float(share):.0%} {value:,}" for share, value in length["quantiles"].items()
            ),
            "duplicates": f"{'' if copies['exact'] else 'about '}{copies['reviews']:,} reviews repeat "
            "another's words",
            "empty": f"{found['empty']:,} reviews",
        }
    )
    lines += ["", "reviews by length", *_histogram_lines(length["histogram"])]
    lines += [
        "",
        "most frequent words",
        *_wrapped([printable(word["word"]) for word in found["most_frequent"]]),
    ]
    for label, words in found["leaning"].items():
        leaning = [f"{printable(word['word'])} {word['log_odds']:+.2f}" for word in words]
        lines += ["", f"words that lean to {printable(label)} (log-odds)", *_wrapped(leaning)]
    for label, words in found.get("leaning_features", {}).items():
        leaning = [f"{printable(word['word'])} {word['log_odds']:+.2f}" for word in words]
        lines += ["", f"n-grams that lean to {printable(label)} (log-odds)", *_wrapped(leaning)]
    if found["warnings"]:
        lines += ["", *(f"warning: {warning}" for warning in found["warnings"])]
    return lines


def _wrapped(items: list[str]) -> list[str]:
    text = ", ".join(item.replace(" ", "\xa0") for item in items)  # an item is never broken
    lines = textwrap.wrap(
        text, _width(), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    return [line.replace("\xa0", " ") for line in lines]


def _width() -> int:
    return min(100, shutil.get_terminal_size().columns)


def _histogram_lines(bins: list[list[int]]) -> list[str]:
    names = [f"{first:,}-{last:,}" for first, last, _ in bins]
    width = max(map(len, names))
    room, most = max(10, _width() - width - 12), max(count for _, _, count in bins)
    return [
        f"  {name:>{width}} {'█' * round(room * count / most) or '▏' * bool(count)} {count:,}"
        for name, (_, _, count) in zip(names, bins, strict=True)
    ]


def prediction_lines(prediction: Any, colour: bool) -> list[str]:
    """Return a line with label and probability, and two with the words where they were asked for."""
    line = f"{printable(prediction.label)}  {prediction.probability:.4f}"
    if len(prediction.probabilities) > 2:
        others = (
            f"{printable(label)} {probability:.4f}"
            for label, probability in prediction.probabilities.items()
            if label != prediction.label
        )
        line += f"  ({', '.join(others)})"
    if not prediction.known:
        line += "  (no word that the model knows)"
    if prediction.effects is None:
        return [line]
    lines = [line]
    for name, sign, code in (("for", 1, "32"), ("against", -1, "31")):
        shown = [
            f"{printable(each.word)} {each.effect:+.2f}{_left_out_with(each)}"
            for each in prediction.effects[::sign]
            if each.effect * sign > 0
        ]
        text = f"  {name:8} {', '.join(shown) or '-'}"
        lines.append(f"\x1b[{code}m{text}\x1b[0m" if colour else text)
    return lines


def _left_out_with(effect: Any, shown: int = 3) -> str:
    """Return the n-grams that are left out with a word, in brackets; nothing where there are none."""
    others = [printable(ngram) for ngram in effect.ngrams or () if ngram != effect.word]
    if not others:
        return ""
    more = f" and {len(others) - shown} more" if len(others) > shown else ""
    return f" (in {', '.join(others[:shown])}{more})"


def columns(rows: list[list[str]]) -> list[str]:
    """Lay out rows of texts: the first column to the left, the others to the right; all escaped."""
    rows = [[printable(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        texts = (f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([f"{first:{widths[0]}}", *texts]).rstrip())
    return lines
