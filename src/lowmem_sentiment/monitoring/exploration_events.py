"""The result of `explore` as an event file for TensorBoard: a histogram and texts."""

from pathlib import Path

import numpy as np

from ..dataset.explore import Exploration
from .event_writer import EventWriter, histogram, text
from .markdown import markdown_table


def write_exploration(exploration: Exploration, directory: str | Path) -> None:
    """Write what `explore` returned as one event file in `directory`."""
    bins = [[first, last + 1, count] for first, last, count in exploration.length.histogram]
    lengths = histogram("explore/length", np.array(bins, np.float64))
    texts = [text(tag, markdown) for tag, markdown in _texts(exploration).items()]
    writer = EventWriter(directory)
    writer.write("", 0, [lengths, *texts])
    writer.flush()


def _texts(exploration: Exploration) -> dict[str, str]:
    """Return the Markdown texts of an exploration by tag."""
    counts = [[label, *splits.values()] for label, splits in exploration.labels.items()]
    frequent = [[word.word, word.count] for word in exploration.most_frequent]
    texts = {
        "explore/statistics": markdown_table(["", ""], statistics(exploration).items()),
        "explore/labels": markdown_table(["label", *exploration.reviews], counts),
        "explore/most_frequent_words": markdown_table(["word", "count"], frequent),
    }
    for noun, kind in (("word", exploration.leaning), ("n-gram", exploration.leaning_features or {})):
        for label, words in kind.items():
            rows = [[word.word, f"{word.log_odds:+.2f}", word.count] for word in words]
            columns = [noun, "log-odds", "count" if noun == "word" else "reviews"]
            texts[f"explore/{noun.replace('-', '')}s_of_{label}"] = markdown_table(columns, rows)
    if exploration.warnings:
        texts["explore/warnings"] = "\n".join(f"- {warning}" for warning in exploration.warnings)
    return texts


def statistics(found: Exploration) -> dict[str, str]:
    """Return the statistics of an exploration in words, by name."""
    length, copies = found.length, found.duplicates
    unknown = (
        f"{share:.1%} with {size if size == 'all' else f'{int(size):,}'}"
        for size, share in found.out_of_vocabulary.items()
    )
    quantiles = (f"{float(share):.0%} {value:,}" for share, value in length.quantiles.items())
    return {
        "data": found.data,
        "reviews": f"{sum(found.reviews.values()):,}",
        "words": f"{found.words:,}",
        "unique words": f"{found.distinct_ids:,} ids of the {found.num_words:,} of --num-words",
        "unknown words": ", ".join(unknown),
        "length": f"mean {length.mean:.5f}, standard deviation {length.standard_deviation:.3f}, "
        f"{length.min:,} to {length.max:,}",
        "quantiles": ", ".join(quantiles),
        "duplicates": f"{'' if copies.exact else 'about '}{copies.reviews:,} reviews repeat another's "
        "words",
        "empty": f"{found.empty:,} reviews",
        "checked": f"{found.checked_bytes:,} bytes, all as recorded",
    }
