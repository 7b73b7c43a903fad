"""This software and what a user would pick instead: each measured in turn, in processes of its own."""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
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
    save,
    spread,
    tell,
    versions,
)

PROGRAMS = Path(__file__).parent / "programs"
OURS = "lowmem-sentiment"
ONE_HOT_STEPS = 40

# The figures that are told as median and range. The accuracy is a mean over the runs' seeds.
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
    """Commands that, one after the other, go from the files on disk to an evaluated model.

    In a command, {work} is an empty directory, {seed} the number of the run, {python} the
    interpreter. Each prints one JSON object.
    """

    name: str
    title: str
    phases: dict[str, tuple[str, ...]]
    package: str | None = None
    """The package it needs from the extra `benchmark`: then it runs with the peers' interpreter."""
    read: Callable[[dict[str, dict]], dict[str, Any]] | None = None
    """Returns epoch_seconds and test_accuracy from what the phases printed; None: it is in there."""

    def reason_to_skip(self, installed: dict[str, str]) -> str | None:
        """Say why it cannot be measured with the `installed` packages; None if it can."""
        if self.package and self.package not in installed:
            return f"the package {self.package} is not installed (extra: benchmark)"
        return None


def _program(name: str, *options: str) -> tuple[str, ...]:
    path = str(PROGRAMS / f"{name}.py")
    return ("{python}", path, "--work", "{work}", "--seed", "{seed}", *options)


def _prepare(split: str = "described", ngrams: int = 1) -> tuple[str, ...]:
    command = (*COMMAND, "prepare", "imdb", "--json", "--split", split, "--out", "{work}/data")
    # as many as are trained on by default
    features = ("--max-features", "10000")
    return (*command, "--ngrams", str(ngrams), *features) if ngrams > 1 else command


def _ours(split: str, ngrams: int = 1, *options: str) -> dict[str, tuple[str, ...]]:
    train = (*COMMAND, "train", "{work}/data", "--run", "{work}/run", "--seed", "{seed}", "--json")
    return {"prepare": _prepare(split, ngrams), "train": (*train, *options)}


def _read_ours(said: dict[str, dict]) -> dict[str, Any]:
    summary = said["train"]  # which tests on the test split after each epoch, as the tutorial's code does
    return {
        "epoch_seconds": summary["seconds"]["epochs"],
        "test_accuracy": summary["val_accuracy"],
    }


def _text(form: str, program: str, ngrams: int) -> dict[str, tuple[str, ...]]:
    return {
        "prepare": _program("write_text", "--format", form),
        "train": _program(program, "--ngrams", str(ngrams)),
    }


CONTENDERS = (
    Contender(OURS, "`lowmem-sentiment`: `prepare`, `train`", _ours("described"), None, _read_ours),
    Contender(
        "python",
        "`lowmem-sentiment`: `train()` called from Python",
        {"prepare": _prepare(), "train": _program("python_train", "--dataset", "{work}/data")},
        None,
        _read_ours,
    ),
    Contender(
        "ours-bigrams",
        "`lowmem-sentiment`, `--ngrams 2`",
        _ours("described", 2),
        None,
        _read_ours,
    ),
    Contender(
        "ours-recipe",
        "`lowmem-sentiment`, `--recipe ngrams`",
        {**_ours("described"), "prepare": (*_prepare(), "--recipe", "ngrams")},
        None,
        _read_ours,
    ),
    Contender(
        "ours-recipe-400",
        "the same, `--max-features 400000`",
        {
            **_ours("described"),
            "prepare": (*_prepare(), "--recipe", "ngrams", "--max-features", "400000"),
        },
        None,
        _read_ours,
    ),
    Contender(
        "ours-500",
        "`lowmem-sentiment`, `--batch-size 500`",
        _ours("described", 1, "--batch-size", "500"),
        None,
        _read_ours,
    ),
    Contender(
        "tutorial",
        "the tutorial's way: dense float64 rows, batches of 500",
        {"train": _program("tutorial", "--split", "described")},
    ),
    Contender(
        "keras",
        "stock Keras' `fit` on the same batches, 50 steps per execution",
        {
            "prepare": _prepare(),
            "train": _program("stock_keras", "--dataset", "{work}/data", "--adam", "keras"),
        },
    ),
    Contender(
        "keras-fused",
        "the same with our fused Adam and one thread",
        {
            "prepare": _prepare(),
            "train": _program("stock_keras", "--dataset", "{work}/data", "--adam", "fused"),
        },
    ),
    Contender(
        "floor",
        "*the network alone, on one constant batch (learns nothing)*",
        {"train": _program("floor")},
    ),
    Contender(
        "one-hot",
        "stock Keras, `one_hot` and `reduce_max` a batch",
        {
            "prepare": _prepare(),
            "train": _program("one_hot", "--dataset", "{work}/data", "--steps", str(ONE_HOT_STEPS)),
        },
    ),
    Contender(
        "pytorch",
        "PyTorch, `EmbeddingBag` and fused Adam",
        {"train": _program("pytorch")},
        "torch",
    ),
    Contender(
        "sklearn-mlp",
        "scikit-learn `MLPClassifier` on CSR",
        {"train": _program("scikit_learn", "--model", "mlp")},
        "scikit-learn",
    ),
    Contender(
        "sklearn-logistic",
        "scikit-learn `LogisticRegression` on CSR",
        {"train": _program("scikit_learn", "--model", "logistic")},
        "scikit-learn",
    ),
    Contender(
        "fasttext-unigrams",
        "fastText, unigrams, 5 epochs",
        _text("fasttext", "fast_text", 1),
        "fasttext-community",
    ),
    Contender(
        "fasttext-bigrams",
        "fastText, bigrams, 5 epochs",
        _text("fasttext", "fast_text", 2),
        "fasttext-community",
    ),
    Contender(
        "vw-unigrams",
        "Vowpal Wabbit, unigrams, 1 pass",
        _text("vowpal-wabbit", "vowpal_wabbit", 1),
        "vowpalwabbit",
    ),
    Contender(
        "vw-bigrams",
        "Vowpal Wabbit, bigrams, 1 pass",
        _text("vowpal-wabbit", "vowpal_wabbit", 2),
        "vowpalwabbit",
    ),
    Contender(
        "vw-trigrams",
        "Vowpal Wabbit, 1-3-grams, 1 pass",
        _text("vowpal-wabbit", "vowpal_wabbit", 3),
        "vowpalwabbit",
    ),
    Contender(
        "tfidf-logistic",
        "scikit-learn `LogisticRegression` on TF-IDF of 1-2-grams",
        {"prepare": _program("write_text", "--format", "fasttext"), "train": _program("tf_idf")},
        "scikit-learn",
    ),
    Contender(
        "nb-svm",
        "NB-SVM of Wang and Manning, 1-2-grams",
        {"prepare": _program("write_text", "--format", "fasttext"), "train": _program("nb_svm")},
        "scikit-learn",
    ),
    Contender(
        "tutorial-printed",
        "the tutorial's code as printed: trains on 10,000",
        {"train": _program("tutorial", "--split", "tutorial")},
    ),
    Contender(
        "ours-printed",
        "`lowmem-sentiment` on that split (`--split tutorial`)",
        _ours("tutorial"),
        None,
        _read_ours,
    ),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    names = [contender.name for contender in CONTENDERS]
    add = parser.add_argument
    add("--runs", type=int, default=3, metavar="N", help="how many times each, in turn; run n has seed n")
    add("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    add("--skip", nargs="+", choices=names, default=[], metavar="NAME", help="leave these out")
    add_peers_option(parser)


def run(options: argparse.Namespace) -> None:
    chosen = [
        contender
        for contender in CONTENDERS
        if contender.name in (options.only or [contender.name]) and contender.name not in options.skip
    ]
    data = _data()  # Unavailable now rather than after the runs
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
            except SystemExit as failed:  # such as for want of memory: the others go on
                reasons[contender.name] = str(failed)
                tell(f"{number + 1}/{options.runs} {contender.name} failed: {failed}")
                continue
            runs[contender.name].append(record)
            tell(
                f"{number + 1}/{options.runs} {contender.name}: {record['seconds']:.1f} s, "
                f"{record['peak_resident_bytes'] / MB:.0f} MB"
            )
    rows = summarise([(each, runs[each.name], reasons[each.name]) for each in chosen])
    result = {"data": data, "peer_versions": peers, "contenders": rows}
    save(options.out, result)
    print("\n".join(table(result)))


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
    last = said[list(said)[-1]]
    record = {
        "seed": seed,
        "seconds": sum(costs["seconds"] for costs in phases.values()),
        "cpu_seconds": sum(costs["cpu_seconds"] for costs in phases.values()),
        "peak_resident_bytes": max(costs["peak_resident_bytes"] for costs in phases.values()),
        "peak_anonymous_bytes": max(costs["peak_anonymous_bytes"] for costs in phases.values()),
        "disk_bytes": disk,
        "phases": phases,
        **(contender.read(said) if contender.read else last),
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
    from lowmem_sentiment.sources.find import find_imdb_source

    told = find_imdb_source("npz").describe()
    return {"name": told["description"], "sha256": told["sha256"], "reviews": told["reviews"]}


# --- as text ---


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of a table with median, range and ratio."""
    lines = [
        f"{'':20}{'whole s':>25}{'prep. s':>9}{'epoch s':>25}{'resident MB':>32}{'anon. MB':>10}"
        f"{'disk MB':>9}{'accuracy':>10}"
    ]
    for row in result["contenders"]:
        if "skipped" in row:
            lines.append(f"{row['name']:20}skipped: {row['skipped']}")
            continue
        accuracy = f"{row['test_accuracy']:.4f}" if "test_accuracy" in row else "-"
        lines.append(
            f"{row['name']:20}{_cell(row, 'seconds', 1, 1):>25}{_preparation(row):>9}"
            f"{_cell(row, 'epoch_seconds', 1, 2):>25}"
            f"{_cell(row, 'peak_resident_bytes', MB, 0):>32}"
            f"{row['peak_anonymous_bytes']['median'] / MB:>10,.0f}"
            f"{row['disk_bytes']['median'] / MB:>9,.0f}{accuracy:>10}"
        )
        if "extrapolated" in row:
            lines.append(f"{'':20}{row['extrapolated']}")
    return lines


def _preparation(row: dict[str, Any]) -> str:
    return f"{row['preparation_seconds']['median']:.1f}" if "preparation_seconds" in row else "-"


def _cell(row: dict[str, Any], name: str, unit: float, digits: int) -> str:
    """Return "median (least-most) xRATIO"."""
    if name not in row:
        return "-"
    median, least, most = (row[name][each] / unit for each in ("median", "least", "most"))
    ratio = f" x{row['ratio'][name]:.2f}" if name in row["ratio"] else ""
    return f"{median:,.{digits}f} ({least:,.{digits}f}-{most:,.{digits}f}){ratio}"
