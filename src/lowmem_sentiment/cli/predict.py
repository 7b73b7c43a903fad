"""``predict``."""

import argparse
import functools
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..decisions.settings import DecisionSettings
from ..monitoring.terminal_text import MOST, cut, wrapped
from ..system.errors import (
    DataError,
    InputMissing,
    LowmemError,
    SettingsError,
    listed,
    plural,
    printable,
    quoted,
)
from ..system.progress import Bar
from ..system.settings import Settings, setting
from ..text.reader_settings import BAD_ROWS, ReaderSettings
from ..text.rows import BadRow, Row
from .options import RUN_OR_EXPORT, add_flags, add_lists, add_paths, add_settings, given
from .output import LINE, print_text, report, room, warn

if TYPE_CHECKING:  # NumPy takes 0.1 s, and --help does not need it
    from ..evaluation.drift import Profile
    from ..evaluation.predict import Prediction
    from ..evaluation.predictions import AnswerForm
    from ..model.decision import Decision

OTHERS = 5
"""How many labels besides the predicted one are shown; --json and --csv have them all."""


@dataclass(frozen=True)
class _Options(Settings):
    skip_bad_rows: int = setting(
        0,
        "report and skip bad rows of up to N lines, or all of them",
        at_least=0,
        read=BAD_ROWS,
    )
    workers: int = setting(1, "processes that answer a --file, of 20 to 30 MB each", at_least=1)
    words: int = setting(5, "how many words --explain shows in each direction", at_least=0)


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.predict import Predictor
    from ..evaluation.predictions import prediction_form
    from ..system.files import check_output

    settings = ReaderSettings(**given(options, ReaderSettings))
    vars(options).update(vars(_Options(**given(options, _Options))))
    if options.texts and (options.file or options.keep):
        other = "--keep names columns" if options.keep else "a --file too"
        raise SettingsError(f"texts were given, and {other}; expected one of them")
    if options.csv and options.explain:
        raise SettingsError("--explain has no columns in CSV; expected --json or neither")
    if options.drift:
        check_output(options.drift, r'\{\s+"texts": \d+,\s+"test_texts": ')
    predictor = Predictor(options.run)
    decision = predictor.decision(DecisionSettings(**given(options, DecisionSettings)))
    form = prediction_form(options.keep, predictor.labels, decision, csv=options.csv)
    lines_of, lines = _line_maker(options, form, decision), []
    if form.header:
        lines.append(printable(form.header, LINE) if sys.stdout.isatty() else form.header)
    profile = predictor.profile() if options.file or options.drift else None

    blocks = _numbered(_blocks_of_rows(options, settings))

    def answered(block: tuple[int, list[Row] | LowmemError]) -> tuple[int, str, "Profile | None"]:
        first, rows = block
        if isinstance(rows, LowmemError):
            raise rows
        seen = profile and predictor.profile()
        texts = [row.text for row in rows]
        predictions = predictor.predict(texts, decision, explain=options.explain, profile=seen)
        answers = map(lines_of, itertools.count(first), rows, predictions)
        return first + len(rows), "\n".join(itertools.chain.from_iterable(answers)), seen

    for number, text, seen in _answers(answered, blocks, options):
        if not print_text("\n".join([*lines, text])):
            return  # nobody reads any more
        if not sys.stdout.isatty():
            bar("predict", number, None, unit="texts")
        if profile and seen:
            profile.merge(seen)
        lines = []
    if lines:  # the header, if there are no rows
        print_text(lines[0])
    bar.clear()
    if profile:
        _report_drift(options, profile)


def _numbered(blocks: Iterable[list[Row]]) -> Iterator[tuple[int, list[Row] | LowmemError]]:
    """Yield each block with its first row's number, as evaluate --predictions counts; last an error."""
    number = 0
    try:
        for rows in blocks:
            yield number, rows
            number += len(rows)
    except LowmemError as error:  # comes after the answers to the rows before it
        yield number, error


def _answers(
    answered: Callable[[Any], Any], blocks: Iterator[Any], options: argparse.Namespace
) -> Iterator[Any]:
    """Yield the answers to each block, in order: from `workers` for a file, or as the texts come."""
    if options.workers > 1 and options.file and options.file.is_file():
        from ..system import workers  # 20 ms, which one process need not wait for

        return workers.in_order(answered, blocks, options.workers)
    return map(answered, blocks)


def _report_drift(options: argparse.Namespace, profile: "Profile") -> None:
    """Report whether the texts are like the test split; with --drift also as JSON."""
    from ..evaluation.drift import FEW, compare
    from ..runs.run_directory import RunDirectory
    from ..system.files import replace_file

    drift = compare(RunDirectory(options.run), profile)
    if options.drift:
        if not drift:
            missing = f"{options.run} has no record of its test split"
            raise InputMissing(f"{missing}; make it: lowmem-sentiment evaluate {quoted(options.run)}")
        with replace_file(options.drift) as file:
            file.write(json.dumps(drift.to_json(), indent=1).encode() + b"\n")
    if drift and drift.texts >= FEW:
        report(f"{plural(drift.texts, 'text')}: {drift.in_words()}")
        if warning := drift.warning():
            warn(warning)


def _line_maker(
    options: argparse.Namespace, form: "AnswerForm", decision: "Decision"
) -> Callable[[int, Row, "Prediction"], list[str]]:
    """Return a function that makes the lines of one answer, in the requested form."""
    from ..evaluation.predictions import kept_cells

    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR")

    def lines_of(number: int, row: Row, prediction: "Prediction") -> list[str]:
        prediction = prediction.with_strongest(options.words)
        if options.json or options.csv:
            line = form.line(number, row.kept, prediction.to_json(reason=decision.abstains))
            return [printable(line, LINE) if options.csv and terminal else line]
        first, *others = _prediction_lines(prediction, colour)
        return ["  ".join([*map(printable, kept_cells(row.kept)), first]), *others]

    return lines_of


def _blocks_of_rows(options: argparse.Namespace, settings: ReaderSettings) -> Iterator[list[Row]]:
    if options.texts:
        for text in options.texts:
            if os.path.isfile(text):
                warn(f"{text} is a file, and is read as a text; to predict what is in it: --file {text}")
        return iter([[Row(os.fsencode(text), None, "argument") for text in options.texts]])
    if options.keep and not options.file and not settings.format:
        raise SettingsError(
            "--keep was given without a --file; expected columns of one, and texts before --keep"
        )
    from ..evaluation.labelled_texts import recorded_source
    from ..runs.run_directory import RunDirectory
    from ..text.readers.formats import read_rows

    fields = recorded_source(RunDirectory(options.run)).fields
    read = functools.partial(
        read_rows,
        settings=settings,
        text_names=fields.text_names,
        label_names=fields.label_names,
        keep=options.keep,
        warn=warn,
        on_bad_row=_skipping(options.skip_bad_rows) if options.skip_bad_rows else None,
    )
    if options.file and str(options.file) != "-":
        return read(options.file)
    if sys.stdin is None:
        raise InputMissing("there are no texts: standard input is closed; name some, or a --file")
    if sys.stdin.isatty():
        report("reading texts from standard input, one per line; Ctrl-D ends")
    return read(sys.stdin.buffer)


def _skipping(limit: int) -> Callable[[BadRow], None]:
    """Return a function that reports a bad row, and raises DataError after more than `limit` lines."""
    lines = 0

    def skip(row: BadRow) -> None:
        nonlocal lines
        lines += row.lines
        if lines > limit:
            raise DataError(f"{row}; it is one too many for --skip-bad-rows {limit}")
        report(f"skipped: {row}")

    return skip


def _prediction_lines(prediction: Any, colour: bool) -> list[str]:
    """Return a line with label and probability, and if requested two with the words."""
    label, probabilities = prediction.label, prediction.probabilities
    answer = f"no label: {prediction.reason}" if label is None else cut(printable(label), MOST)
    line = f"{answer}  {prediction.probability:.4f}"
    if len(probabilities) > 2:
        others = sorted((-share, other) for other, share in probabilities.items() if other != label)
        shown = [f"{cut(printable(other), MOST)} {-share:.4f}" for share, other in others]
        line += f"  ({listed(shown, OTHERS)})"
    if not prediction.known:
        line += "  (no word that the model knows)"
    lines = [line]
    if prediction.effects is None:
        return lines
    for name, sign, code in (("for", 1, "32"), ("against", -1, "31")):
        shown = [
            f"{printable(each.word)} {each.effect:+.2f}{_left_out_with(each)}"
            for each in prediction.effects[::sign]
            if each.effect * sign > 0
        ]
        items = [*(f"{item}," for item in shown[:-1]), shown[-1] if shown else "-"]
        texts = wrapped(items, room(), " " * 11, f"  {name:8} ")
        lines += [f"\x1b[{code}m{text}\x1b[0m" if colour else text for text in texts]
    return lines


def _left_out_with(effect: Any) -> str:
    """Return the n-grams that are left out with a word, in brackets; empty if there are none."""
    others = [printable(ngram) for ngram in effect.ngrams or () if ngram != effect.word]
    return f" (in {listed(others, 3)})" if others else ""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help=RUN_OR_EXPORT)
    texts = "texts (default: standard input, one text per line, answered as they come)"
    parser.add_argument("texts", nargs="*", default=[], metavar="TEXT", help=texts)
    add_flags(
        parser.add_mutually_exclusive_group(),
        json="print one JSON object per text",
        csv="print CSV: a header, and one row per text; import cells kept from FILE that begin with "
        "= + - @ into a spreadsheet as text",
    )
    add_lists(parser, "COLUMN", keep="columns or fields of FILE, such as an id, to copy to each answer")
    add_settings(parser, DecisionSettings)
    add_flags(
        parser,
        explain="show the words that moved the probability most, with the change of the label's log-odds "
        "that each makes",
    )
    add_settings(parser, _Options)
    add_paths(
        parser,
        "FILE",
        drift="write as JSON how the texts differ from the test split, which evaluate recorded: known "
        "words and n-grams, confidence, labels; --file reports it in a line",
        file="texts in a file, compressed or not; -: standard input",
    )
    add_settings(parser, ReaderSettings, ("label_column",))
