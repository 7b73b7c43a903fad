"""This software and what a user would pick instead: each measured in turn, in its own processes."""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowmem_sentiment.system.memory import MB

from .measuring import (
    COMMAND,
    PEER_PACKAGES,
    add_peers_option,
    disk_bytes,
    measure,
    spread,
    tell,
    versions,
)

PROGRAMS = Path(__file__).parent / "programs"
OURS = "lowmem-sentiment"
ONE_HOT_STEPS = 40

# The figures that are reported as median and range. The accuracy is a mean over the runs' seeds.
FIGURES = (
    "seconds",
    "preparation_seconds",
    "epoch_seconds",
    "peak_resident_bytes",
    "peak_anonymous_bytes",
    "disk_bytes",
)


@dataclass(frozen=True)
class Contender:
    """Commands that together lead from the files on disk to an evaluated model.

    In a command, {work} is an empty directory, {seed} the number of the run, {python} the
    interpreter. Each prints one JSON object.
    """

    name: str
    title: str
    train: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    package: str | None = None
    """The package it needs from the extra `benchmark`: then it runs with the peers' interpreter."""

    @property
    def phases(self) -> dict[str, tuple[str, ...]]:
        """The commands by name, in order."""
        every = {"prepare": self.prepare, "train": self.train}
        return {phase: command for phase, command in every.items() if command}

    def reason_to_skip(self, installed: dict[str, str]) -> str | None:
        """Return why it cannot be measured with the `installed` packages; None if it can."""
        if self.package and self.package not in installed:
            return f"the package {self.package} is not installed (extra: benchmark)"
        return None


def _program(name: str, *options: str) -> tuple[str, ...]:
    path = str(PROGRAMS / f"{name}.py")
    return ("{python}", path, "--work", "{work}", "--seed", "{seed}", *options)


def _on_our_data(name: str, title: str, program: str, *options: str) -> Contender:
    train = _program(program, "--dataset", "{work}/data", *options)
    return Contender(name, title, train, _PREPARE)


def _on_text(name: str, title: str, package: str, form: str, program: str, *options: str) -> Contender:
    prepare = _program("write_text", "--format", form)
    return Contender(name, title, _program(program, *options), prepare, package)


_PREPARE = (*COMMAND, "prepare", "imdb", "--json", "--out", "{work}/data")
_TRAIN = (*COMMAND, "train", "{work}/data", "--run", "{work}/run", "--seed", "{seed}", "--json")
_RECIPE = (*_PREPARE, "--recipe", "ngrams")
_BIGRAMS = (*_PREPARE, "--ngrams", "2", "--max-features", "10000")  # as many as words by default
_FASTTEXT = ("fasttext-community", "fasttext", "fast_text", "--ngrams")
_VOWPAL_WABBIT = ("vowpalwabbit", "vowpal-wabbit", "vowpal_wabbit", "--ngrams")

CONTENDERS = (
    Contender(OURS, "`lowmem-sentiment`: `prepare`, `train`", _TRAIN, _PREPARE),
    _on_our_data("python", "`lowmem-sentiment`: `train()` called from Python", "python_train"),
    Contender("ours-bigrams", "`lowmem-sentiment`, `--ngrams 2`", _TRAIN, _BIGRAMS),
    Contender("ours-recipe", "`lowmem-sentiment`, `--recipe ngrams`", _TRAIN, _RECIPE),
    Contender(
        "ours-recipe-400",
        "the same, `--max-features 400000`",
        _TRAIN,
        (*_RECIPE, "--max-features", "400000"),
    ),
    Contender(
        "ours-500",
        "`lowmem-sentiment`, `--batch-size 500`",
        (*_TRAIN, "--batch-size", "500"),
        _PREPARE,
    ),
    Contender(
        "tutorial",
        "the tutorial's way: dense float64 rows, batches of 500",
        _program("tutorial", "--split", "described"),
    ),
    _on_our_data(
        "keras",
        "stock Keras' `fit` on the same batches, 50 steps per execution",
        "stock_keras",
        "--adam",
        "keras",
    ),
    _on_our_data(
        "keras-fused",
        "the same with our fused Adam and one thread",
        "stock_keras",
        "--adam",
        "fused",
    ),
    Contender(
        "floor",
        "*the network alone, on one constant batch (learns nothing)*",
        _program("floor"),
    ),
    _on_our_data(
        "one-hot",
        "stock Keras, `one_hot` and `reduce_max` a batch",
        "one_hot",
        "--steps",
        str(ONE_HOT_STEPS),
    ),
    Contender(
        "pytorch",
        "PyTorch, `EmbeddingBag` and fused Adam",
        _program("pytorch"),
        package="torch",
    ),
    Contender(
        "sklearn-mlp",
        "scikit-learn `MLPClassifier` on CSR",
        _program("scikit_learn", "--model", "mlp"),
        package="scikit-learn",
    ),
    Contender(
        "sklearn-logistic",
        "scikit-learn `LogisticRegression` on CSR",
        _program("scikit_learn", "--model", "logistic"),
        package="scikit-learn",
    ),
    _on_text("fasttext-unigrams", "fastText, unigrams, 5 epochs", *_FASTTEXT, "1"),
    _on_text("fasttext-bigrams", "fastText, bigrams, 5 epochs", *_FASTTEXT, "2"),
    _on_text("vw-unigrams", "Vowpal Wabbit, unigrams, 1 pass", *_VOWPAL_WABBIT, "1"),
    _on_text("vw-bigrams", "Vowpal Wabbit, bigrams, 1 pass", *_VOWPAL_WABBIT, "2"),
    _on_text("vw-trigrams", "Vowpal Wabbit, 1-3-grams, 1 pass", *_VOWPAL_WABBIT, "3"),
    _on_text(
        "tfidf-logistic",
        "scikit-learn `LogisticRegression` on TF-IDF of 1-2-grams",
        "scikit-learn",
        "fasttext",
        "tf_idf",
    ),
    _on_text("nb-svm", "NB-SVM of Wang and Manning, 1-2-grams", "scikit-learn", "fasttext", "nb_svm"),
    Contender(
        "tutorial-printed",
        "the tutorial's code as printed: trains on 10,000",
        _program("tutorial", "--split", "tutorial"),
    ),
    Contender(
        "ours-printed",
        "`lowmem-sentiment` on that split (`--split tutorial`)",
        _TRAIN,
        (*_PREPARE, "--split", "tutorial"),
    ),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    names = [contender.name for contender in CONTENDERS]
    add = parser.add_argument
    add("--runs", type=int, default=3, metavar="N", help="how many times each, in turn; run n has seed n")
    add("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    add("--skip", nargs="+", choices=names, default=[], metavar="NAME", help="leave these out")
    add_peers_option(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the chosen contenders in turn, and return what contenders.json holds."""
    chosen = [
        contender
        for contender in CONTENDERS
        if contender.name in (options.only or [contender.name]) and contender.name not in options.skip
    ]
    data = _data()  # fails now rather than after the runs
    peers = versions(options.peers, PEER_PACKAGES)
    reasons = {contender.name: contender.reason_to_skip(peers) for contender in chosen}
    if "scikit-learn" in versions(sys.executable, PEER_PACKAGES):
        tell("note: scikit-learn is installed beside TensorFlow, and Keras imports it; see --peers")
    runs: dict[str, list[dict]] = {contender.name: [] for contender in chosen}
    for number in range(options.runs):
        for contender in chosen:
            if reasons[contender.name]:
                continue
            try:
                record = measure_contender(contender, number, options.directory, options.peers)
            except SystemExit as failed:  # out of memory, for example: the others go on
                reasons[contender.name] = str(failed)
                tell(f"{number + 1}/{options.runs} {contender.name} failed: {failed}")
                continue
            runs[contender.name].append(record)
            tell(
                f"{number + 1}/{options.runs} {contender.name}: {record['seconds']:.1f} s, "
                f"{record['peak_resident_bytes'] / MB:.0f} MB"
            )
    rows = summarise([(each, runs[each.name], reasons[each.name]) for each in chosen])
    return {"data": data, "peer_versions": peers, "contenders": rows}


def measure_contender(
    contender: Contender, seed: int, directory: Path | None, peers: str = sys.executable
) -> dict[str, Any]:
    """Return one run's record: its total cost, each phase's cost, and its programs' reports."""
    python = peers if contender.package else sys.executable
    phases, said = {}, {}
    with tempfile.TemporaryDirectory(dir=directory) as work:
        for phase, command in contender.phases.items():
            filled = [part.format(work=work, seed=seed, python=python) for part in command]
            measured = measure(filled)
            phases[phase], said[phase] = measured.costs(), json.loads(measured.output)
        disk = disk_bytes(Path(work))
    last = said["train"]
    if "val_accuracy" in last:  # our summary; it tests on the test split after each epoch
        last = {"epoch_seconds": last["seconds"]["epochs"], "test_accuracy": last["val_accuracy"]}
    record = {
        "seed": seed,
        "seconds": sum(costs["seconds"] for costs in phases.values()),
        "cpu_seconds": sum(costs["cpu_seconds"] for costs in phases.values()),
        "peak_resident_bytes": max(costs["peak_resident_bytes"] for costs in phases.values()),
        "peak_anonymous_bytes": max(costs["peak_anonymous_bytes"] for costs in phases.values()),
        "disk_bytes": disk,
        "phases": phases,
        **last,
    }
    if "prepare" in phases:
        record["preparation_seconds"] = phases["prepare"]["seconds"]
    return record


def summarise(measured: list[tuple[Contender, list[dict], str | None]]) -> list[dict[str, Any]]:
    """Return each contender's medians, ranges, mean accuracy and ratios to this software, and its runs.

    `epoch_seconds` is the last epoch's: the first one traces graphs and fills caches.
    """
    rows = []
    for contender, runs, reason in measured:
        row: dict[str, Any] = {"name": contender.name, "title": contender.title}
        rows.append(row)
        if reason:
            row["skipped"] = reason
            continue
        for name in FIGURES:
            values = [run[name] for run in runs if name in run]
            if name == "epoch_seconds":
                values = [epochs[-1] for epochs in values]
            if values:
                row[name] = spread(values)
        accuracies = [run["test_accuracy"] for run in runs if "test_accuracy" in run]
        if accuracies:
            row["test_accuracy"] = statistics.fmean(accuracies)
        if "extrapolated" in runs[0]:
            row["extrapolated"] = runs[0]["extrapolated"]
            del row["seconds"]  # of a part of the work
        row["runs"] = runs
    ours = next((row for row in rows if row["name"] == OURS and "runs" in row), {})
    for row in rows:
        row["ratio"] = {
            name: row[name]["median"] / ours[name]["median"]
            for name in FIGURES
            if name in row and name in ours
        }
    return rows


def _data() -> dict[str, Any]:
    from lowmem_sentiment.sources.imdb import find_imdb_source

    told = find_imdb_source("npz").describe()
    return {"name": told["description"], "sha256": told["sha256"], "reviews": told["reviews"]}
