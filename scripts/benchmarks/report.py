"""The figures of both README files, from the JSON under results/: a block between markers is a template.

A template (templates/NAME.md) has only words, and $names for what the functions below make from the
block's JSON.
"""

import argparse
import datetime
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from operator import itemgetter
from pathlib import Path
from string import Template
from typing import Any

from lowmem_sentiment.monitoring.markdown import markdown_table
from lowmem_sentiment.system.memory import MB

from . import limits
from .contenders import OURS
from .measuring import RESULTS, ROOT
from .scaling import LIKE_IMDB, TITLES

# The packages whose versions are shown.
OWN = {"tensorflow": "TensorFlow"}
PEERS = {
    "torch": "PyTorch",
    "scikit-learn": "scikit-learn",
    "fasttext-community": "fastText",
    "vowpalwabbit": "Vowpal Wabbit",
}
TEMPLATES = Path(__file__).parent / "templates"
FILES = [ROOT / "README.md", Path(__file__).with_name("README.md")]
FIRST = ("tutorial", "ours-500", OURS, "tutorial-printed", "ours-printed")
CHARTED = {
    "tutorial": "the tutorial's way",
    OURS: "lowmem-sentiment",
    "tutorial-printed": "the tutorial as printed",
}
"""README's bars of peak memory, in this order, by contender."""
ACCURATE = (
    OURS, "ours-bigrams", "ours-recipe", "ours-recipe-400", "ours-wide", "ours-wide-lazy", "nb-svm",
    "vw-bigrams", "tfidf-logistic", "fasttext-bigrams",
)  # fmt: skip


Cell = Callable[[dict[str, Any]], str]

Columns = dict[str, Cell]
"""The columns of a table: what makes a row's cell, by title."""


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--check", action="store_true", help="write nothing; exit code 1 if a file differs from the JSON")
    add("--readme", type=Path, nargs="+", default=FILES, metavar="FILE", help="where the markers are")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON is")


def run(options: argparse.Namespace) -> None:
    before = [file.read_text() for file in options.readme]
    if missing := [name for name in BLOCKS if not any(begin_of(name) in text for text in before)]:
        raise ValueError(f"expected one line {begin_of(missing[0]).strip()} in {options.readme}")
    for file, text in zip(options.readme, before, strict=True):
        after = fill(text, options.results)
        if not options.check:
            file.write_text(after)
        elif text != after:
            sys.exit(
                f"benchmark: {file} is not what {options.results} gives; run: "
                "python scripts/benchmark.py report"
            )


def begin_of(name: str) -> str:
    """Return the line that a block begins with."""
    return f"<!-- {name}: begin, made by: python scripts/benchmark.py report -->\n"


def fill(text: str, results: Path) -> str:
    """Return the text with every block made again; ValueError for a block that has no end."""
    for name in BLOCKS:
        begin, end = begin_of(name), f"<!-- {name}: end -->"
        if text.count(begin) != text.count(end) or text.count(begin) > 1:
            raise ValueError(f"expected one line {begin.strip()} and one {end}")
        if begin in text:
            head, rest = text.split(begin)
            _, tail = rest.split(end)
            text = f"{head}{begin}{block(name, results)}\n{end}{tail}"
    return text


def block(name: str, results: Path) -> str:
    """Return a block's Markdown, or a line that says that it was not measured."""
    needed, _ = BLOCKS[name]
    file = results / f"{needed}.json"
    if not file.exists():
        return f"Not measured yet: `python scripts/benchmark.py {needed}`."
    return text_of(name, json.loads(file.read_text()), results)


def text_of(name: str, result: dict[str, Any], results: Path = RESULTS) -> str:
    """Return the Markdown of one result's block."""
    _, values = BLOCKS[name]
    template = Template((TEMPLATES / f"{name}.md").read_text().strip())
    return template.substitute(values(result, results))


# --- contenders ---


def _first(result: dict[str, Any], results: Path) -> dict[str, str]:
    """The table of README's first screen."""
    rows = _measured(result)
    lines, peaks = [], []
    for name in FIRST:
        if name in rows:
            lines.append(_in_short(rows[name]))
            if name in CHARTED:
                peaks.append((CHARTED[name], rows[name]["peak_resident_bytes"]["median"]))
        if name == OURS and (limited := _limited(results)):
            lines.append(limited[1])
            peaks.append(("lowmem-sentiment, limited", limited[0]))
    data = "40,000 training and 10,000 test reviews, 2 epochs"
    ours = rows[OURS]
    resident, anonymous = (ours[f"peak_{kind}_bytes"]["median"] for kind in ("resident", "anonymous"))
    return {
        "chart": _bars(sorted(peaks, key=lambda each: -each[1])),
        "table": markdown_table([data, "peak memory", "whole time", "test accuracy"], lines),
        "pages": f"{(resident - anonymous) / MB:,.0f} of the {_mb(resident)}",
        "seeds": str(_runs(result)),
        "circumstances": _circumstances(result),
    }


def _most_accurate(result: dict[str, Any], results: Path) -> dict[str, str]:
    """The table of README's section on accuracy."""
    rows = _measured(result)
    shown = [_in_short(rows[name]) for name in ACCURATE if name in rows]
    lines = [[title, accuracy, seconds, memory] for title, memory, seconds, accuracy in shown]
    return {
        "table": markdown_table(["", "test accuracy", "whole time", "peak memory"], lines),
        "seeds": str(_runs(result)),
    }


def _measured(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the contenders that were measured, by name."""
    return {row["name"]: row for row in result["contenders"] if "skipped" not in row}


def _in_short(row: dict[str, Any]) -> list[str]:
    """Return a contender's title, peak memory, whole time and test accuracy."""
    memory, seconds = _mb(row["peak_resident_bytes"]["median"]), row["seconds"]["median"]
    return [row["title"], memory, f"{seconds:.1f} s", _accuracy(row)]


def _bars(sizes: list[tuple[str, float]]) -> str:
    """Return a line per size in bytes, with a bar of at most 40 characters, eighths of one at its end."""
    most, width = max(size for _, size in sizes), max(len(name) for name, _ in sizes)
    lines = []
    for name, size in sizes:
        whole, eighths = divmod(round(320 * size / most), 8)
        bar = "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()
        lines.append(f"{name:{width}}  {bar} {_mb(size)}")
    return "\n".join(lines)


def _limited(results: Path) -> tuple[int, list[str]] | None:
    """The least memory in bytes that it runs well in and its row, if that was measured."""
    file = results / "limits.json"
    if not file.exists():
        return None
    result = json.loads(file.read_text())
    if not (least := limits.least_bearable(result)):
        return None
    row = next(row for row in result["rows"] if row["limit_bytes"] == least)
    title = f"the same in a memory cgroup of {_mb(least)}, page cache cold"
    return least, [title, _mb(least), f"{row['seconds']:.1f} s", "the same"]


def _contenders(result: dict[str, Any], results: Path) -> dict[str, str]:
    columns: Columns = {
        "": itemgetter("title"),
        "whole time": _figure("seconds", 1, 1, " s"),
        "preparing": _figure("preparation_seconds", 1, 1, " s", ratio=False),
        "an epoch": _figure("epoch_seconds", 1, 2, " s"),
        "peak memory": _figure("peak_resident_bytes", MB, 0, " MB"),
        "anonymous": _figure("peak_anonymous_bytes", MB, 0, " MB", ratio=False),
        "disk": _figure("disk_bytes", MB, 0, " MB", ratio=False),
        "test accuracy": _accuracy,
    }
    notes, spreads = [], []
    for row in result["contenders"]:
        if "skipped" in row:
            notes.append(f"Not measured: {row['title']}: {row['skipped']}.")
            continue
        if "extrapolated" in row:
            notes.append(f"~: {row['extrapolated']}; its memory was measured in these steps.")
        training = _training_memory(row)
        if training < 0.95 * row["peak_resident_bytes"]["median"]:
            notes.append(f"{row['title']}: {_mb(training)} while it trains, the rest is for `imdb.npz`.")
        if "seconds" in row:
            least, median, most = (row["seconds"][name] for name in ("least", "median", "most"))
            spreads.append(max(most - median, median - least) / median)
    return {
        "table": _columns(columns, _measured(result).values()),
        "notes": "\n".join(notes),
        "circumstances": _circumstances(result, OWN | PEERS),
        "spread": f"{max(spreads, default=0):.0%}",
    }


def _training_memory(row: dict[str, Any]) -> float:
    return max(run["phases"]["train"]["peak_resident_bytes"] for run in row["runs"])


def _figure(name: str, unit: float, digits: int, suffix: str, *, ratio: bool = True) -> Cell:
    """Return a column of medians such as "9.3 s (1.00)", with their ratios to ours."""

    def cell(row: dict[str, Any]) -> str:
        if name not in row:
            return ""
        about = "~" if "extrapolated" in row and name == "epoch_seconds" else ""
        text = f"{about}{row[name]['median'] / unit:,.{digits}f}{suffix}"
        if not ratio or name not in row["ratio"]:
            return text
        times = row["ratio"][name]
        return f"{text} ({times:.2f})" if times < 10 else f"{text} ({times:.0f})"

    return cell


def _accuracy(row: dict[str, Any]) -> str:
    """Return "0.8909 ± 0.0015": mean and standard deviation over the seeds, if they differ."""
    values = [run["test_accuracy"] for run in row["runs"] if "test_accuracy" in run]
    if not values:
        return ""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{row['test_accuracy']:.4f}" + (f" ± {deviation:.4f}" if deviation >= 0.00005 else "")


# --- limits, scale, scaling ---


def _limits(result: dict[str, Any], results: Path) -> dict[str, str]:
    rows = []
    for row in result["rows"]:
        size = _mb(row["limit_bytes"]) if row["limit_bytes"] else "none"
        if row["completed"]:
            rows.append([size, f"{row['seconds']:.1f} s", f"{row['ratio']:.2f}"])
        elif row["ended"]:
            rows.append([size, row["ended"], ""])
    least = limits.least_bearable(result)
    return {
        "table": markdown_table(["limit", "whole time", "of no limit"], rows),
        "version": str(result["cgroup_version"]),
        "bearable": f"{result['bearable']:g}",
        "least": f"down to {_mb(least)}" if least else "at none of these sizes",
        "circumstances": _circumstances(result),
    }


def _scale(result: dict[str, Any], results: Path) -> dict[str, str]:
    points = result["series"]["reviews"]
    first, last = next(point for point in points if point["at"] == LIKE_IMDB), points[-1]
    columns: Columns = {
        "reviews": lambda row: f"{row['reviews']:,}",
        "tokens": lambda row: f"{row['tokens']:,}",
        "on disk": lambda row: _mb(row["disk_bytes"]),
        "prepare": lambda row: f"{row['prepare_reviews_per_second']:,.0f}/s",
        "memory": lambda row: _mb(row["prepare_peak_resident_bytes"]),
        "first epoch": lambda row: f"{row['first_epoch_reviews_per_second']:,.0f}/s",
        "second epoch": lambda row: f"{row['second_epoch_reviews_per_second']:,.0f}/s",
        **PEAKS,
    }
    hundred_million = 100_000_000
    rate = last["second_epoch_reviews_per_second"]
    return {
        "table": _columns(columns, (first, last)),
        "times": f"{last['reviews'] / first['reviews']:g} times",
        "prepare_difference": _difference(*(row["prepare_peak_resident_bytes"] for row in (first, last))),
        "train_difference": _difference(*(row["peak_resident_bytes"] for row in (first, last))),
        "second_epoch": f"{rate / first['second_epoch_reviews_per_second']:.2f} times as many",
        "disk_100m": f"{last['disk_bytes'] / last['reviews'] * hundred_million / 1e9:.0f} GB",
        "prepare_100m": _hours(hundred_million / last["prepare_reviews_per_second"]),
        "cpu_million": f"{last['prepare_cpu_seconds'] / last['reviews'] * 1e6:.0f}",
        "epoch_80m": _hours(0.8 * hundred_million / rate),
        "circumstances": _circumstances(result),
    }


def _scaling(result: dict[str, Any], results: Path) -> dict[str, str]:
    tables = dict.fromkeys(TITLES, "Not measured yet: `python scripts/benchmark.py scaling`.")
    for name, points in result["series"].items():
        columns: Columns = {
            TITLES[name]: lambda point: f"{point['at']:,}",
            "a step": lambda point: f"{point['step_seconds'] * 1000:.2f} ms",
            "an epoch": lambda point: f"{point['epoch_seconds']:.2f} s",
            **PEAKS,
        }
        tables[name] = _columns(columns, points)
    return {
        **tables,
        "words_data": result["data"]["words"],
        "reviews_data": result["data"]["reviews"],
        "circumstances": _circumstances(result),
    }


BLOCKS: dict[str, tuple[str, Callable[[dict[str, Any], Path], dict[str, str]]]] = {
    "first": ("contenders", _first),
    "accuracy": ("contenders", _most_accurate),
    "scale": ("scaling", _scale),
    "contenders": ("contenders", _contenders),
    "limits": ("limits", _limits),
    "scaling": ("scaling", _scaling),
}


# --- words for figures ---


PEAKS: Columns = {
    "peak memory": lambda row: _mb(row["peak_resident_bytes"]),
    "anonymous": lambda row: _mb(row["peak_anonymous_bytes"]),
}


def _columns(columns: Columns, rows: Iterable[dict[str, Any]]) -> str:
    return markdown_table([*columns], [[cell(row) for cell in columns.values()] for row in rows])


def _mb(size: float) -> str:
    return f"{size / MB:,.0f} MB"


def _difference(before: float, after: float) -> str:
    return f"{abs(after - before) / MB:,.0f} MB {'more' if after >= before else 'less'}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours"


def _circumstances(result: dict[str, Any], packages: dict[str, str] = OWN) -> str:
    """Return the machine, versions, data, number of runs and date, as a sentence."""
    machine, versions = result["machine"], {**result["versions"], **result.get("peer_versions", {})}
    date = datetime.date.fromisoformat(result["date"])
    parts = [
        f"{machine['processors']} cores ({machine['model']})",
        f"{machine['memory_bytes'] / 1e9:.0f} GB",
        *(f"{name} {versions[package]}" for package, name in packages.items() if package in versions),
    ]
    if "name" in result.get("data", {}):
        parts.append(f"{result['data']['name']}, sha256 {result['data']['sha256'][:12]}")
    if runs := _runs(result):
        parts.append("one run" if runs == "1" else f"medians of {runs} runs")
    return f"{', '.join(parts)}, {date.day} {date:%B %Y}."


def _runs(result: dict[str, Any]) -> str | None:
    """Return how often the rows were measured: "5", or "2 to 3" if not all as often."""
    if "contenders" not in result:
        return str(result["runs"]) if "runs" in result else None
    counts = sorted({len(row["runs"]) for row in result["contenders"] if "runs" in row})
    return " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else None
