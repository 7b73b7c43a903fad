"""``explore``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.progress import Bar
from ..text.vocabulary import DEFAULT_NUM_WORDS
from .commands import add_command, answer, report
from .console import exploration_lines


def _explore(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset import statistics

    if options.show is not None:
        review = statistics.show(
            options.dataset, options.show, split=options.split, num_words=options.num_words
        )
        answer(options, review, lambda: [f"Label: {review['label']}", f"{review['ids']}", review["text"]])
        return
    found = statistics.explore(
        options.dataset, num_words=options.num_words, top=options.top, progress=bar
    )
    bar.clear()
    if options.tensorboard:
        write_tensorboard(found, options.tensorboard)
    answer(options, found, lambda: exploration_lines(found))
    if options.tensorboard:
        report(f"TensorBoard shows it: lowmem-sentiment tensorboard {options.tensorboard}")


def add_explore(commands: Any) -> None:
    explore = add_command(commands, "explore", _explore, "show what a dataset looks like")
    add = explore.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--num-words", type=int, metavar="N", help="ids below N are known words, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all where there are fewer)")  # fmt: skip
    add("--top", type=int, default=20, metavar="N", help="how many words to list")
    add("--show", type=int, metavar="N", help="print review N of --split instead, counted from 0: "
        "label, ids, and text with # for every unknown word")  # fmt: skip
    add("--split", choices=("test", "train"), default="test", help="whose reviews --show counts")
    add("--tensorboard", type=Path, metavar="DIR", help="also write it there for TensorBoard")


def write_tensorboard(exploration: dict[str, Any], directory: str | Path) -> Path:
    """Write what `explore` gave where TensorBoard shows it: a histogram and texts."""
    import numpy as np

    from ..monitoring.event_writer import markdown_table, write_events

    bins = [[first, last + 1, count] for first, last, count in exploration["length"]["histogram"]]
    numbers = {
        "data": exploration["data"],
        "reviews": f"{sum(exploration['reviews'].values()):,}",
        "words": f"{exploration['words']:,}",
        f"distinct ids at {exploration['num_words']:,} words": f"{exploration['distinct_ids']:,}",
        "mean length": f"{exploration['length']['mean']:.5f}",
        "standard deviation": f"{exploration['length']['standard_deviation']:.3f}",
        **{
            f"out of vocabulary at {size}": f"{share:.2%}"
            for size, share in exploration["out_of_vocabulary"].items()
        },
        "duplicates": f"{exploration['duplicates']['reviews']:,}",
        "empty": f"{exploration['empty']:,}",
    }
    texts = {
        "explore/statistics": markdown_table(["", ""], [[*row] for row in numbers.items()]),
        "explore/labels": markdown_table(
            ["label", "train", "test"],
            [[label, *counts.values()] for label, counts in exploration["labels"].items()],
        ),
        "explore/most_frequent_words": markdown_table(
            ["word", "count"], [[word["word"], word["count"]] for word in exploration["most_frequent"]]
        ),
    }
    for label, words in exploration["leaning"].items():
        rows = [[word["word"], f"{word['log_odds']:+.2f}", word["count"]] for word in words]
        texts[f"explore/words_of_{label}"] = markdown_table(["word", "log-odds", "count"], rows)
    if exploration["warnings"]:
        texts["explore/warnings"] = "\n".join(f"- {warning}" for warning in exploration["warnings"])
    return write_events(Path(directory), {"explore/length": np.array(bins, np.float64)}, texts)
