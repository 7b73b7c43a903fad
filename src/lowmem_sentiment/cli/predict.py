"""``predict``."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..evaluation.settings import probability_or_run
from ..system.errors import InputMissing, SettingsError
from ..system.progress import Bar
from ..text.format_settings import TEXT_ERRORS, TEXT_FORMATS, TextSettings
from .commands import add_command, count, print_text, report
from .console import prediction_lines


def _predict(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.predict import Predictor, strongest
    from ..evaluation.thresholds import recorded_threshold

    settings = TextSettings(
        **{field.name: getattr(options, field.name) for field in fields(TextSettings)}
    )
    if options.texts and options.file:
        raise SettingsError("texts were given, and a --file too; expected one of them")
    predictor = Predictor(options.run)
    threshold = options.threshold
    if threshold == "run":
        threshold = recorded_threshold(options.run)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    number = 0
    for texts in _blocks_of_texts(options, settings):
        lines = []
        for prediction in predictor.predict(texts, threshold=threshold, explain=options.explain):
            number += 1
            if options.explain:
                effects = strongest(prediction.effects, options.words)
                prediction = prediction._replace(effects=effects)
            if options.json:
                lines.append(json.dumps({"number": number, **prediction.as_dict()}))
            else:
                lines += prediction_lines(prediction, colour)
        print_text("\n".join(lines))


def _blocks_of_texts(options: argparse.Namespace, settings: TextSettings) -> Iterator[list[bytes]]:
    from ..text.texts import read_texts

    if options.texts:
        return iter([[os.fsencode(text) for text in options.texts]])
    if options.file and str(options.file) != "-":
        return read_texts(options.file, settings)
    if sys.stdin is None:
        raise InputMissing("there are no texts: standard input is closed; name some, or a --file")
    if sys.stdin.isatty():
        report("reading texts from standard input, one a line; Ctrl-D ends")
    return read_texts(sys.stdin.buffer, settings)


def add_predict(commands: Any) -> None:
    predict = add_command(commands, "predict", _predict, "say what label texts have", json_=False)
    add, default = predict.add_argument, TextSettings
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
    add("--file", type=Path, metavar="FILE", help="texts in a file, .gz or not; -: standard input")
    add("--format", choices=TEXT_FORMATS, default=default.format, help="of --file or standard "
        "input; auto: by the file's name, a text a line where it says nothing")  # fmt: skip
    add("--text-column", default=default.text_column, metavar="COLUMN", help="of CSV and TSV: a name "
        "in the first row, or a number from 1 where there is no header")  # fmt: skip
    add("--text-field", default=default.text_field, metavar="FIELD", help="of JSON Lines")
    add("--encoding", default=default.encoding, metavar="NAME", help="of --file or standard input")
    add("--errors", choices=TEXT_ERRORS, default=default.errors, help="what to do with bytes that are "
        "not in the encoding")  # fmt: skip
