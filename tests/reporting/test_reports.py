"""The pages of --html: read strictly, compared with --json, and opened in a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers import run_cli, write_run

from lowmem_sentiment.decisions.abstention import Abstention
from lowmem_sentiment.evaluation.drift import Difference, Drift
from lowmem_sentiment.evaluation.evaluate import evaluate_runs
from lowmem_sentiment.evaluation.labelled_texts import TextFiles
from lowmem_sentiment.evaluation.results import Answers, Comparison, Correction
from lowmem_sentiment.evaluation.settings import EvaluationSettings
from lowmem_sentiment.reporting.evaluation_report import evaluation_page
from lowmem_sentiment.reporting.mistakes import marked
from lowmem_sentiment.reporting.tuning_report import folds_page, tuning_page
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.search.cross_validation import CrossValidation, Estimate, FoldResult, Point
from lowmem_sentiment.search.results import Candidate, TuningResult
from lowmem_sentiment.search.settings import TuneSettings
from lowmem_sentiment.search.state import Result
from lowmem_sentiment.sources.settings import FilesSettings

SCRIPT = "<script>alert(1)</script>"
VOID = {"meta", "link"}


class Page(HTMLParser):
    """Read a page strictly: every element is closed in order; keep its tables and texts."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def evaluated(folder, labels, count=300, runs=1, **settings):
    """Return the comparison of untrained runs on texts in a file."""
    generator = np.random.default_rng(1)
    words = np.array(["film", "great", "awful", "plot", "😀", "café", SCRIPT])
    with open(folder / "texts.jsonl", "w") as file:
        for nth in range(count):
            text = " ".join(generator.choice(words, 6))
            file.write(json.dumps({"text": text, "label": labels[nth % len(labels)]}) + "\n")
    made = [
        write_run(folder / f"{len(labels)}-{nth}{SCRIPT[:8]}", labels, seed=nth).path
        for nth in range(runs)
    ]
    texts = TextFiles([str(folder / "texts.jsonl")], FilesSettings())
    return evaluate_runs(made, texts, EvaluationSettings(explained=5, **settings))


def test_the_numbers_are_those_of_the_json(trained, tmp_path):
    run, page = shutil.copytree(trained, tmp_path / "run"), tmp_path / "page.html"
    plain = run_cli("evaluate", run, "--json")
    with_page = run_cli("evaluate", run, "--json", "--html", page)
    report, again = json.loads(plain.stdout), json.loads(with_page.stdout)
    assert {**report, "time": ""} == {**again, "time": ""}
    read = Page(page.read_text())
    rows = {row[0].split(" ")[0].lower(): row for row in reversed(read.rows) if row}
    for name in ("accuracy", "precision", "recall", "f1", "auc", "loss", "brier"):
        assert rows[name][1] == f"{report[name]:.4f}"
    assert rows["accuracy"][2] == "{:.4f} to {:.4f}".format(*report["intervals"]["accuracy"])
    of_label = [f"{report['by_label']['positive'][n]:.4f}" for n in ("precision", "recall", "f1")]
    assert ["positive", str(report["by_label"]["positive"]["reviews"]), *of_label] in read.rows
    assert any(row[0] == "1" and len(row) == 3 for row in read.rows)  # the learning curve's first epoch
    assert read.names.count("svg") > read.names.count("figure") == read.names.count("desc") == 8
    assert read.names.count("details") == 8 + 2


def test_nothing_is_loaded_and_text_from_data_is_escaped(tmp_path):
    labels = [SCRIPT, "ב" * 300, "\x1b[2J"]
    page = evaluation_page(evaluated(tmp_path, labels, runs=1))
    page.encode()
    read = Page(page)
    assert {"script", "img", "iframe", "object"} & set(read.names) == set()
    assert "&lt;script&gt;" in page and "\x1b" not in page
    links = [value for name, value in read.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links == ["data:,"] and not re.search(r"url\(|@import", page)
    assert not [name for name, _ in read.attributes if name.startswith("on")]


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3])
def test_a_thousand_long_labels_stay_below_a_megabyte(tmp_path, runs):
    labels = [f"{nth} " + "标" * 2_000 for nth in range(1_000)]
    page = evaluation_page(evaluated(tmp_path, labels, count=1_500, runs=runs))
    assert len(page.encode()) < 1_000_000
    assert len(Page(page).rows) < 2_000


def test_several_runs_are_compared_in_one_page(tmp_path):
    (comparison,) = comparisons = evaluated(tmp_path, ["no", "yes"], runs=3)
    read = Page(evaluation_page(comparisons))
    tests = [each.baseline for each in comparison.evaluations[1:]]
    for test in tests:
        assert any(
            row[-2:] == [str(test.only_run_right), str(test.only_baseline_right)] for row in read.rows
        )
    accuracies = {f"{each.accuracy:.4f}" for each in comparison.evaluations}
    assert accuracies <= {cell for row in read.rows for cell in row}


def test_runs_on_different_reviews_have_a_part_each(tmp_path):
    comparisons = [*evaluated(tmp_path, ["no", "yes"]), *evaluated(tmp_path, ["a", "b", "c"], runs=2)]
    page = evaluation_page(comparisons)
    parts = [tag[:3] for tag in re.findall(r'<h2 class="part"><bdi>([^<]*)', page)]
    assert parts == ["2-0", "2 r"] and "2 runs compared" in page and Page(page).rows


def test_words_are_marked_in_any_script_and_a_long_text_is_cut_to_what_is_near_them():
    text = "Great FILM，1个半小时! " + "then nothing happens " * 100 + "<b>great</b>"
    parts = list(map(str, marked(text, {"great": 2.0, "半": -1.0})))
    found = re.findall("<mark[^>]*>[^<]*</mark>", "".join(parts))
    assert found == [
        '<mark class="for s4">Great</mark>',
        '<mark class="against s2">半</mark>',
        '<mark class="for s4">great</mark>',
    ]
    assert len("".join(parts)) < 600 and parts.count(" … ") == 1


def test_a_temperature_abstaining_and_other_text_are_shown_beside_what_they_change(tmp_path):
    ((evaluation,),) = (each.evaluations for each in evaluated(tmp_path, ["no", "yes"]))
    correction = Correction(2.5, {"loss": 0.75}, {"loss": [0.7, 0.8]})
    limits = Abstention("data", "", 0.05, 0.95, 1.0, 3, 0.5, 100, 60, 1)
    answers = Answers(limits, 150, 147, 100, 50, 0.02, [0.01, 0.06])
    shown = replace(
        evaluation,
        intervals=evaluation.intervals | {"loss": [0.1, 0.9]},
        correction=correction,
        uncorrected=evaluation.tally,
        answers=answers,
        drift=Drift(300, 400, [Difference("known words", 0.5, 0.9, True)], []),
    )
    page = evaluation_page([Comparison([shown], {})])
    rows, loss = Page(page).rows, evaluation.loss
    assert ["Loss", "0.7500 (0.7000 to 0.8000)", f"{loss:.4f} (0.1000 to 0.9000)"] in rows
    assert ["when it abstains", "0.5", "0.0200"] in rows
    assert ["known words", "0.5000", "0.9000", "differs"] in rows
    assert any("without it" in row for row in rows) and "150 (50.0%)" in page


def test_only_a_report_is_replaced(trained, tmp_path):
    run, page = shutil.copytree(trained, tmp_path / "run"), tmp_path / "page.html"
    page.write_text("<p>mine</p>")
    refused = run_cli("evaluate", run, "--html", page)
    assert refused.returncode == 73 and "is not replaced" in refused.stderr
    assert page.read_text() == "<p>mine</p>" and refused.stdout == ""
    search = run_cli("tune", tmp_path / "no-dataset", "--out", tmp_path / "out", "--html", page)
    assert search.returncode == 73 and not (tmp_path / "out").exists()  # refused before hours of training
    page.unlink()
    for _ in range(2):
        assert run_cli("evaluate", run, "--html", page).returncode == 0
    assert run_cli("evaluate", run, "--html", tmp_path / "no" / "page.html").returncode == 74
    failed = run_cli("evaluate", run, "--html", page, "--fail-under", "loss=0")
    assert failed.returncode == 1 and "Failed: " in page.read_text()


def searched(folder, count):
    """Return the result of a search with `count` candidates, better the more words they have."""
    rows = [
        Candidate(
            rank=nth + 1,
            candidate=nth + 1,
            kind="random",
            value=0.9 - nth / 1_000,
            deviation=None,
            standard_error=0.01,
            epochs=1 + nth % 3,
            settings=TrainingSettings(num_words=90_000 - 1_000 * nth, hidden=((8,), (16, 8))[nth % 2]),
            metrics={"accuracy": 0.9, "loss": 0.5, "macro_f1": 0.7},
            epoch_seconds=1.5,
            peak_resident_bytes=700_000_000,
            model_bytes=30_000_000 - nth * 100_000,
            runs=1,
        )
        for nth in range(count)
    ]
    ((evaluation,),) = (each.evaluations for each in evaluated(folder, ["no", SCRIPT]))
    return TuningResult(
        dataset=f"data/{SCRIPT[:8]}",
        data=SCRIPT,
        settings=TuneSettings(runs=count),
        validated_on="10% of the training reviews",
        ranked_with_validation=False,
        rungs=[1, 2],
        trained=count,
        candidates=rows,
        failed=[],
        not_tried={"ngrams": "too large"},
        winner=rows[1],
        cheapest=rows[-1],
        seconds=570.0,
        test=evaluation,
        run="out/winner",
        command="lowmem-sentiment train data --run out/winner",
        measured=[Result(row.candidate, row.epochs, value=row.value) for row in rows[::-1]],
    )


@pytest.mark.parametrize("count", [1, 40])
def test_a_search_shows_its_candidates_and_which_settings_matter(tmp_path, count):
    result = searched(tmp_path, max(2, count))
    page = tuning_page(result)
    read = Page(page)
    ranked = [row for row in read.rows if len(row) > 6 and row[1] == "0.8990" and "winner" in row[0]]
    assert len(ranked) == (2 if count > 20 else 1)  # a long table is there whole, folded
    dots = [path.count("M") for path in re.findall('d="([^"]*)" class="mark"', page)]
    assert dots.count(len(result.candidates)) >= 4  # costs, and the search: each candidate is drawn
    learnt = page.partition("What makes a better score")[2].partition("The winner on the test split")[0]
    assert re.findall("<b>(Num words|Hidden)</b>", learnt) == (
        ["Num words", "Hidden"] if count > 1 else []
    )
    assert "measured" not in result.to_json() and "&lt;script&gt;" in page


def folded(points):
    """Return a cross-validation with `points` shares of the data."""
    made = [
        Point(share, round(1_000 * share), {
            name: Estimate(0.5 + share / 10, 0.01, [0.4 + share / 10, 0.6 + share / 10])
            for name in ("accuracy", "macro_f1", "loss")
        })
        for share in (0.1, 0.7, 1.0)[-points:]
    ]  # fmt: skip
    results = [
        FoldResult(1.0, fold, 1_000, 250, {"accuracy": 0.7 + fold / 100, "macro_f1": 0.6, "loss": 0.5})
        for fold in range(5)
    ]
    gain = Estimate(0.03, 0.01, [0.01, 0.05]) if points > 1 else None
    return CrossValidation("data/x", SCRIPT, 5, 0, [], 1_250, True, made, gain, results, "p.csv")


@pytest.mark.parametrize("points", [1, 3])
def test_a_cross_validation_shows_its_folds_and_whether_more_data_helps(points):
    page = folds_page(folded(points))
    read = Page(page)
    assert ["3", "1,000", "250", "0.7200", "0.6000", "0.5000"] in read.rows
    assert ("changed the accuracy by +0.0300 (+0.0100 to +0.0500)" in page) is (points > 1)
    assert ("0.6000 (0.5000 to 0.7000)" in page) is (points > 1) and "&lt;script&gt;" in page


MEASURE = """<script>
const found = [], box = (each) => each.getBoundingClientRect();
if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window");
for (const group of document.querySelectorAll("svg[role=img], .legend")) {
  const texts = [...group.querySelectorAll("text, li")].filter((each) => each.textContent);
  texts.forEach((one, nth) => texts.slice(nth + 1).forEach((other) => {
    const a = box(one), b = box(other);
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      found.push(`${one.textContent} on ${other.textContent}`);
  }));
  found.push(...texts.filter((each) => box(each).right > innerWidth + 1).map((each) => each.textContent));
}
document.body.innerHTML = "";
document.title = `found ${JSON.stringify(found)} charts ${document.fonts.size}`;
</script>"""


def measured(page, folder, width):
    """Return the faults that a browser measures in a page."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no browser is installed: chromium or google-chrome")
    file = folder / "measured.html"
    assert "default-src 'none'" in page  # which keeps a browser from running a script
    page = page.replace("Content-Security-Policy", "none")
    file.write_text(page.replace("</body>", f"{MEASURE}</body>"))
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"),
        *(f"--user-data-dir={folder / 'browser'}", f"--window-size={width},900", "--dump-dom"),
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<title>found (.*) charts", done.stdout)
    assert found, done.stderr
    return json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overlaps_in_a_browser(trained, tmp_path, width):
    run, page = shutil.copytree(trained, tmp_path / "run"), tmp_path / "page.html"
    assert run_cli("evaluate", run, "--html", page).returncode == 0
    assert measured(page.read_text(), tmp_path, width) == []
    assert measured(folds_page(folded(3)), tmp_path, width) == []
    assert measured(tuning_page(searched(tmp_path, 30)), tmp_path, width) == []
    labels = [f"label {nth} {'long ' * (nth % 9)}end" for nth in range(20)]
    assert measured(evaluation_page(evaluated(tmp_path, labels, runs=2)), tmp_path, width) == []
