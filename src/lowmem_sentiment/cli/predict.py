"""``predict``."""

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..evaluation.settings import probability_or_run
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing, SettingsError
from ..system.progress import Bar
from ..text.reader_settings import ReaderSettings
from .commands import add_command, count, print_text, report
from .console import prediction_lines
from .options import given
from .reader_options import add_reader_settings


def _predict(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.predict import Predictor, strongest

    settings = ReaderSettings(**given(options, ReaderSettings))
    if options.texts and options.file:
        raise SettingsError("texts were given, and a --file too; expected one of them")
    predictor = Predictor(options.run)
    threshold = options.threshold
    if threshold == "run":
        from ..evaluation.thresholds import recorded_threshold

        threshold = recorded_threshold(options.run)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    number = 0
    for texts in _blocks_of_texts(options, settings):
        lines = []
        for prediction in predictor.predict(texts, threshold=threshold, explain=options.explain):
            number += 1
            if prediction.effects is not None:
                effects = strongest(prediction.effects, options.words)
                prediction = prediction._replace(effects=effects)
            if options.json:
                lines.append(json.dumps({"number": number, **prediction.as_dict()}))
            else:
                lines += prediction_lines(prediction, colour)
        print_text("\n".join(lines))


def _blocks_of_texts(options: argparse.Namespace, settings: ReaderSettings) -> Iterator[list[bytes]]:
    from ..text.texts import read_texts

    if options.texts:
        return iter([[os.fsencode(text) for text in options.texts]])
    column = None if settings.text_column else _column_of(options.run)
    read = functools.partial(read_texts, settings=settings, text_column=column, warn=_warn)
    if options.file and str(options.file) != "-":
        return read(options.file)
    if sys.stdin is None:
        raise InputMissing("there are no texts: standard input is closed; name some, or a --file")
    if sys.stdin.isatty():
        report("reading texts from standard input, one a line; Ctrl-D ends")
    return read(sys.stdin.buffer)


def _column_of(run: Path) -> str | None:
    """Return the text column that a run's dataset was prepared from, where its config records a name."""
    try:
        config = RunDirectory(run).config()
    except (InputMissing, DataError):
        return None  # exported weights have no config
    dataset = config.get("dataset")
    source = dataset.get("source") if isinstance(dataset, dict) else None
    column = source.get("text_column") if isinstance(source, dict) else None
    return column if isinstance(column, str) and not column.isdecimal() else None


def _warn(line: str) -> None:
    report(f"warning: {line}")


def add_predict(commands: Any) -> None:
    predict = add_command(commands, "predict", _predict, "say what label texts have", json_=False)
    add = predict.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory, or what export --format weights made")
    add("texts", nargs="*", metavar="TEXT", help="texts (default: standard input, a text a line, "
        "answered as they come)")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object a text")
    add("--threshold", type=probability_or_run, metavar="P", help="of two labels, predict the second "
        "when its probability is above P (default: 0.5); run: above the threshold that evaluate "
        "--choose-threshold recorded with the run")  # fmt: skip
    add("--explain", action="store_true", help="show the words that moved the probability most, "
        "with the change of the label's log-odds that each makes")  # fmt: skip
    add("--words", type=count, default=5, metavar="N", help="how many words --explain shows in "
        "each direction")  # fmt: skip
    add("--file", type=Path, metavar="FILE", help="texts in a file; gzip, bzip2 and xz are unpacked on "
        "the way; -: standard input")  # fmt: skip
    add_reader_settings(predict, ReaderSettings, ("label_column",))
