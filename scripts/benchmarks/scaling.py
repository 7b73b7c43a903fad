"""How time and memory grow with words, batch size and reviews."""

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from lowmem_sentiment.system.memory import MB

from .measuring import COMMAND, ROOT, disk_bytes, measure, tell

SYNTHETIC = ROOT / "scripts" / "synthetic.py"
LIKE_IMDB = 50_000  # reviews
WORDS = (5_000, 10_000, 20_000, 40_000, 88_584)
BATCHES = (8, 32, 128, 512, 1_024)
REVIEWS = (5_000, 20_000, LIKE_IMDB, 200_000, 1_000_000)
TITLES = {
    "words": "words",
    "words_lazy": "words, lazy-adam",
    "batches": "batch size",
    "reviews": "reviews",
}
LARGE = 100_000  # reviews; from here on one run is long enough


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--runs", type=int, default=3, metavar="N", help=f"trainings a point; 1 from {LARGE:,} reviews on"
    )
    for name, default in (("words", WORDS), ("batches", BATCHES), ("reviews", REVIEWS)):
        add(f"--{name}", type=int, nargs="*", default=default, metavar="N", help="points of that series")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each point of the series, and return what scaling.json holds."""
    series: dict[str, list[dict]] = {name: [] for name in TITLES}

    def note(name: str, at: int, point: dict[str, Any]) -> None:
        series[name].append({"at": at, **point})
        step, peak = point["step_seconds"] * 1000, point["peak_resident_bytes"] / MB
        tell(f"{name} {at:,}: {step:.2f} ms a step, {peak:.0f} MB")

    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        data = Path(folder) / "imdb"
        prepared = measure((*COMMAND, "prepare", "imdb", "--json", "--out", data))
        for words in options.words:
            for name, optimizer in (("words", "adam"), ("words_lazy", "lazy-adam")):
                point = measure_training(data, options.runs, num_words=words, optimizer=optimizer)
                note(name, words, point)
        for size in options.batches:
            note("batches", size, measure_training(data, options.runs, batch_size=size))
        for reviews in options.reviews:
            runs = 1 if reviews >= LARGE else options.runs
            row = measure_reviews(reviews, Path(folder), runs)
            note("reviews", reviews, row)
    source = json.loads(prepared.output)["source"]
    return {
        "data": {
            "words": source["description"],
            "sha256": source["sha256"],
            "reviews": "synthetic reviews",
        },
        "runs": options.runs,
        "series": series,
    }


def measure_reviews(reviews: int, folder: Path, runs: int) -> dict[str, Any]:
    """Prepare synthetic reviews, train on them for two epochs, and return the speed and memory of both.

    TensorFlow traces its graphs in the first epoch; later ones take as long as the second.
    """
    data = folder / f"data-{reviews}"
    made = (sys.executable, SYNTHETIC, "--reviews", reviews, "--out", data)
    prepared = measure(made)
    point = measure_training(data, runs)
    disk = disk_bytes(data)
    shutil.rmtree(data)
    return {
        **point,
        "reviews": reviews,
        "tokens": json.loads(prepared.output)["tokens"],
        "disk_bytes": disk,
        "prepare_seconds": prepared.seconds,
        "prepare_cpu_seconds": prepared.cpu_seconds,
        "prepare_reviews_per_second": reviews / prepared.seconds,
        "prepare_peak_resident_bytes": prepared.peak_resident_bytes,
        "first_epoch_reviews_per_second": point["train_reviews"] / point["first_epoch_seconds"],
        "second_epoch_reviews_per_second": point["train_reviews"] / point["epoch_seconds"],
        "runs": runs,
    }


def measure_training(
    data: Path, runs: int, *, batch_size: int = 32, num_words: int = 10_000, optimizer: str = "adam"
) -> dict[str, Any]:
    """Train for two epochs `runs` times, and return the medians of the second epoch and of memory."""
    options = ["--json", "--epochs", 2, "--batch-size", batch_size, "--num-words", num_words]
    options += ["--optimizer", optimizer]
    points = []
    for seed in range(runs):
        with tempfile.TemporaryDirectory(dir=data.parent) as run:
            command = (*COMMAND, "train", data, "--run", f"{run}/run", "--seed", seed, *options)
            measured = measure(command)
        summary = json.loads(measured.output)
        first, second = summary["seconds"]["epochs"]
        points.append(
            {
                "first_epoch_seconds": first,
                "epoch_seconds": second,
                "step_seconds": second / math.ceil(summary["reviews"]["train"] / batch_size),
                "peak_resident_bytes": measured.peak_resident_bytes,
                "peak_anonymous_bytes": measured.peak_anonymous_bytes,
                "val_accuracy": summary["val_accuracy"],
                "train_reviews": summary["reviews"]["train"],
            }
        )
    return {name: statistics.median(point[name] for point in points) for name in points[0]}
