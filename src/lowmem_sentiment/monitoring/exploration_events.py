"""The result of `explore` as an event file for TensorBoard: a histogram and texts."""

from pathlib import Path

import numpy as np

from ..dataset.explore import Exploration
from .event_writer import EventWriter, histogram, text
from .markdown import markdown_table


def write_exploration(exploration: Exploration, directory: str | Path) -> Path:
    """Write what `explore` returned as one event file in `directory`, and return its path."""
    bins = [[first, last + 1, count] for first, last, count in exploration.length.histogram]
    lengths = histogram("explore/length", np.array(bins, np.float64))
    texts = [text(tag, markdown) for tag, markdown in exploration_texts(exploration).items()]
    writer = EventWriter(directory)
    writer.write("", 0, [lengths, *texts])
    writer.flush()
    (path,) = writer.paths()
    return path


def exploration_texts(exploration: Exploration) -> dict[str, str]:
    """Return the Markdown texts of an exploration by tag."""
    counts = [[label, *splits.values()] for label, splits in exploration.labels.items()]
    frequent = [[word.word, word.count] for word in exploration.most_frequent]
    texts = {
        "explore/statistics": markdown_table(["", ""], _statistics(exploration)),
        "explore/labels": markdown_table(["label", "train", "test"], counts),
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


def _statistics(exploration: Exploration) -> list[list[object]]:
    length = exploration.length
    unknown: list[list[object]] = [
        [f"out of vocabulary at {size}", f"{share:.2%}"]
        for size, share in exploration.out_of_vocabulary.items()
    ]
    return [
        ["data", exploration.data],
        ["reviews", f"{sum(exploration.reviews.values()):,}"],
        ["words", f"{exploration.words:,}"],
        [f"distinct ids at {exploration.num_words:,} words", f"{exploration.distinct_ids:,}"],
        ["mean length", f"{length.mean:.5f}"],
        ["standard deviation", f"{length.standard_deviation:.3f}"],
        *unknown,
        ["duplicates", f"{exploration.duplicates.reviews:,}"],
        ["empty", f"{exploration.empty:,}"],
    ]
