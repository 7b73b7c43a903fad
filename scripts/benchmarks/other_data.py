"""This software by default, and others with documented settings, on other people's text."""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from lowmem_sentiment.monitoring.markdown import markdown_table

from .measuring import COMMAND, PEER_PACKAGES, add_peers_option, measure, tell, versions

OURS = "lowmem-sentiment"
PEERS = {
    "fasttext": ("fastText, 25 epochs, bigrams, rate 0.5", "fasttext-community"),
    "vowpal-wabbit": ("Vowpal Wabbit, bigrams, one pass", "vowpalwabbit"),
    "nb-svm": ("NB-SVM, 1-2-grams", "scikit-learn"),
    "tfidf": ("TF-IDF of 1-2-grams, logistic regression", "scikit-learn"),
}
TITLES = {OURS: "`lowmem-sentiment`: `prepare files`, `train`"} | {
    name: each[0] for name, each in PEERS.items()
}
PROGRAM = Path(__file__).parent / "programs" / "other_peers.py"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR",
        help="a folder for each set, with train.jsonl and test.jsonl of `text` and `label`")  # fmt: skip
    add("--characters", nargs="+", default=["chinese-takeaway"], metavar="SET",
        help="sets in scripts without spaces: each letter is a word")  # fmt: skip
    add("--runs", type=int, default=5, metavar="N", help="seeds of each")
    add("--only", nargs="+", choices=TITLES, default=list(TITLES), metavar="NAME",
        help=f"of {', '.join(TITLES)}")  # fmt: skip
    add_peers_option(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each set, print a table, and return what other-data.json holds."""
    peers = versions(options.peers, PEER_PACKAGES)
    sets = sorted(path.parent for path in options.data.glob("*/train.jsonl"))
    rows: list[dict[str, Any]] = []
    for name in options.only:
        if name in PEERS and PEERS[name][1] not in peers:
            tell(f"{name} is skipped: the package {PEERS[name][1]} is not installed (extra: benchmark)")
            continue
        row: dict[str, Any] = {"name": name, "title": TITLES[name], "sets": {}}
        rows.append(row)
        for data in sets:
            characters = data.name in options.characters
            if name == OURS:
                runs = _measure_ours(data, characters, options)
            else:
                flags = ["--characters"] if characters else []
                program = (options.peers, PROGRAM, "--peer", name, "--data", data, *flags, "--seed")
                runs = [json.loads(measure((*program, seed)).output) for seed in range(options.runs)]
            row["sets"][data.name] = runs
            tell(f"{name}, {data.name}: {_mean(runs, 'accuracy'):.1f}, {_mean(runs, 'macro_f1'):.1f}")
    print(table(rows))
    return {"peer_versions": peers, "rows": rows}


def _measure_ours(data: Path, characters: bool, options: argparse.Namespace) -> list[dict[str, float]]:
    flags = ["--tokenizer", "characters"] if characters else []
    runs = []
    with tempfile.TemporaryDirectory(dir=options.directory) as work:
        files = (data / "train.jsonl", "--test", data / "test.jsonl")
        prepared = measure((*COMMAND, "prepare", "files", *files, *flags, "--out", f"{work}/data"))
        for seed in range(options.runs):
            run = f"{work}/run-{seed}"
            trained = measure((*COMMAND, "train", f"{work}/data", "--run", run, "--seed", seed))
            found = json.loads(measure((*COMMAND, "evaluate", run, "--json")).output)
            f1 = statistics.fmean(each["f1"] for each in found["by_label"].values())
            seconds = prepared.costs()["seconds"] + trained.costs()["seconds"]
            runs.append({"accuracy": found["accuracy"], "macro_f1": f1, "seconds": seconds})
    return runs


def _mean(runs: list[dict[str, float]], name: str) -> float:
    return 100 * statistics.fmean(run[name] for run in runs)


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table: accuracy by set, and the means of accuracy and macro F1."""
    sets = list(rows[0]["sets"])
    lines = []
    for row in rows:
        accuracy, f1 = (
            [_mean(row["sets"][name], what) for name in sets] for what in ("accuracy", "macro_f1")
        )
        figures = [*accuracy, statistics.fmean(accuracy), statistics.fmean(f1)]
        lines.append([row["title"], *(f"{figure:.1f}" for figure in figures)])
    return markdown_table(["test accuracy in %", *sets, "mean", "macro F1"], lines)
