"""``explore`` and ``verify``: look at a dataset."""

import argparse
from pathlib import Path
from typing import Any

from ..display import exploration_lines
from ..memory import MB
from ..progress import Bar
from ..settings import (
    DEFAULT_NUM_WORDS,
)
from . import add_command, answer, say


def _explore(options: argparse.Namespace, bar: Bar) -> None:
    from .. import exploration

    if options.show is not None:
        review = exploration.show(
            options.dataset, options.show, split=options.split, num_words=options.num_words
        )
        answer(options, review, lambda: [f"Label: {review['label']}", f"{review['ids']}", review["text"]])
        return
    found = exploration.explore(
        options.dataset, num_words=options.num_words, top=options.top, progress=bar
    )
    bar.clear()
    if options.tensorboard:
        exploration.write_tensorboard(found, options.tensorboard)
    answer(options, found, lambda: exploration_lines(found))
    if options.tensorboard:
        say(f"TensorBoard shows it: lowmem-sentiment tensorboard {options.tensorboard}")


def _verify(options: argparse.Namespace, bar: Bar) -> None:
    from ..shards import Dataset
    from ..verification import verify

    result = verify(Dataset(options.dataset), bar)
    bar.clear()
    told = f"{result['reviews']:,} reviews, {result['bytes'] / MB:.1f} MB"
    answer(options, result, lambda: [f"{result['dataset']} is whole: {told}"])


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


def add_verify(commands: Any) -> None:
    verify = add_command(commands, "verify", _verify, "check every byte of a dataset directory")
    verify.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
