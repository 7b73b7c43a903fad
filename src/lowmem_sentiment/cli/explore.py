"""``explore``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.progress import Bar
from ..text.vocabulary import DEFAULT_NUM_WORDS
from .commands import add_command, answer, report
from .console import exploration_lines


def _explore(options: argparse.Namespace, bar: Bar) -> None:
    if options.show is not None:
        _show(options)
        return
    from ..dataset.explore import explore

    found = explore(options.dataset, num_words=options.num_words, top=options.top, progress=bar)
    bar.clear()
    if options.tensorboard:
        from ..monitoring.exploration_events import write_exploration

        write_exploration(found, options.tensorboard)
    answer(options, found, lambda: exploration_lines(found))
    if options.tensorboard:
        report(f"TensorBoard shows it: lowmem-sentiment tensorboard {options.tensorboard}")


def _show(options: argparse.Namespace) -> None:
    from ..dataset.show import show

    review = show(options.dataset, options.show, split=options.split, num_words=options.num_words)
    label = f"Label: {review['label']} ({review['label_name']})"
    answer(options, review, lambda: [label, f"{review['ids']}", review["text"]])


def add_explore(commands: Any) -> None:
    """Add the command to the parser."""
    explore = add_command(commands, "explore", _explore, "show what a dataset looks like")
    add = explore.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add(
        "--num-words",
        type=int,
        metavar="N",
        help="ids below N are known words, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all where there are fewer)",
    )
    add("--top", type=int, default=20, metavar="N", help="how many words to list")
    add(
        "--show",
        type=int,
        metavar="N",
        help="print review N of --split instead, counted from 0: "
        "label, ids, and text with # for every unknown word",
    )
    add("--split", choices=("test", "train"), default="test", help="whose reviews --show counts")
    add("--tensorboard", type=Path, metavar="DIR", help="also write it there for TensorBoard")
