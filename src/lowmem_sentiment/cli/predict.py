"""``predict``."""

import argparse
import csv
import functools
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.settings import probability_or_run
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing, SettingsError, printable
from ..system.progress import Bar
from ..text.reader_settings import ReaderSettings
from ..text.rows import BadRow, Row
from .commands import LINE, add_command, count, print_text, report, warn
from .console import prediction_lines
from .options import given
from .reader_options import add_reader_settings, bad_rows

if TYPE_CHECKING:  # NumPy takes 0.1 s, which --help does not need
    from ..evaluation.predict import Prediction


def _predict(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.predict import Predictor

    settings = ReaderSettings(**given(options, ReaderSettings))
    if options.texts and (options.file or options.keep):
        other = "--keep names columns" if options.keep else "a --file too"
        raise SettingsError(f"texts were given, and {other}; expected one of them")
    if options.csv and options.explain:
        raise SettingsError("--explain has no columns in CSV; expected --json or neither")
    predictor = Predictor(options.run)
    threshold = options.threshold
    if threshold == "run":
        from ..evaluation.thresholds import recorded_threshold

        threshold = recorded_threshold(options.run)
    if options.csv:
        titles = [f"probability:{label}" for label in predictor.labels]
        print_text(_csv_line(["number", *options.keep, "label", "probability", *titles]))
    number = 0
    for rows in _blocks_of_rows(options, settings):
        lines: list[str] = []
        texts = [row.text for row in rows]
        predictions = predictor.predict(texts, threshold=threshold, explain=options.explain)
        for row, prediction in zip(rows, predictions, strict=True):
            number += 1
            lines += _lines(options, number, row, prediction)
        print_text("\n".join(lines))


def _lines(options: argparse.Namespace, number: int, row: Row, prediction: "Prediction") -> list[str]:
    """Return the lines of one answer, in the form that was asked for."""
    from ..evaluation.predict import strongest

    if prediction.effects is not None:
        prediction = prediction._replace(effects=strongest(prediction.effects, options.words))
    if options.json:
        kept = {"kept": dict(zip(options.keep, row.kept, strict=True))} if options.keep else {}
        return [json.dumps({"number": number, **kept, **prediction.as_dict()})]
    cells = [each if isinstance(each, str) else json.dumps(each) for each in row.kept]
    if options.csv:
        probabilities = prediction.probabilities.values()
        return [_csv_line([number, *cells, prediction.label, prediction.probability, *probabilities])]
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    first, *others = prediction_lines(prediction, colour)
    return ["  ".join([*map(printable, cells), first]), *others]


def _csv_line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return printable(text.getvalue(), LINE) if sys.stdout.isatty() else text.getvalue()


def _blocks_of_rows(options: argparse.Namespace, settings: ReaderSettings) -> Iterator[list[Row]]:
    from ..evaluation.recorded_source import recorded_source
    from ..text.texts import read_rows

    if options.texts:
        for text in options.texts:
            if os.path.isfile(text):
                warn(f"{text} is a file, and is read as a text; to predict what is in it: --file {text}")
        return iter([[Row(os.fsencode(text), None, "argument") for text in options.texts]])
    if options.keep and not options.file and not settings.format:
        raise SettingsError(
            f"--keep is {', '.join(options.keep)}, and there is no --file; expected columns of one, and "
            "texts in the command line before --keep"
        )
    read = functools.partial(
        read_rows,
        settings=settings,
        text_names=recorded_source(RunDirectory(options.run)).fields.text_names,
        keep=options.keep,
        warn=warn,
        on_bad_row=_skipping(options.skip_bad_rows) if options.skip_bad_rows else None,
    )
    if options.file and str(options.file) != "-":
        return read(options.file)
    if sys.stdin is None:
        raise InputMissing("there are no texts: standard input is closed; name some, or a --file")
    if sys.stdin.isatty():
        report("reading texts from standard input, one a line; Ctrl-D ends")
    return read(sys.stdin.buffer)


def _skipping(limit: int) -> Callable[[BadRow], None]:
    """Return what reports a bad row, and raises DataError once they take up over `limit` lines."""
    lines = 0

    def skip(row: BadRow) -> None:
        nonlocal lines
        lines += row.lines
        if lines > limit:
            raise DataError(f"{row}; it is one too many for --skip-bad-rows {limit}")
        report(f"skipped: {row}")

    return skip


def add_predict(commands: Any) -> None:
    predict = add_command(commands, "predict", _predict, "say what label texts have", json_=False)
    add = predict.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory, or what export --format weights made")
    add(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="texts (default: standard input, one text per line, answered as they come)",
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object a text")
    form.add_argument("--csv", action="store_true", help="print CSV: a header, and a row a text")
    add(
        "--keep",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of CSV and TSV, or fields of JSON Lines, that go with each answer, such as an id",
    )
    add(
        "--skip-bad-rows",
        type=bad_rows,
        default=0,
        metavar="N",
        help="report and skip bad rows of up to N lines, or all of them",
    )
    add(
        "--threshold",
        type=probability_or_run,
        metavar="P",
        help="of two labels, predict the second "
        "when its probability is above P (default: 0.5); run: above the threshold that evaluate "
        "--choose-threshold recorded with the run",
    )
    add(
        "--explain",
        action="store_true",
        help="show the words that moved the probability most, "
        "with the change of the label's log-odds that each makes",
    )
    add(
        "--words",
        type=count,
        default=5,
        metavar="N",
        help="how many words --explain shows in each direction",
    )
    add(
        "--file",
        type=Path,
        metavar="FILE",
        help="texts in a file; gzip, bzip2 and xz are unpacked on the way; -: standard input",
    )
    add_reader_settings(predict, ReaderSettings, ("label_column",))
