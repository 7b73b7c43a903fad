"""The arithmetic and the texts of scripts/benchmark.py, on made-up figures; nothing is measured."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import benchmark
import pytest
from benchmarks import contenders, limits, measuring, report
from helpers import write

MB = 1_000_000
CIRCUMSTANCES = {
    "date": "2026-03-01",
    "machine": {"processors": 2, "model": "Test CPU", "memory_bytes": 8e9, "kernel": "6"},
    "versions": {"python": "3.11", "tensorflow": "2.21.0"},
}


def record(seconds: float, epoch: float, peak_mb: float, accuracy: float | None = 0.9) -> dict:
    costs = {"seconds": seconds, "cpu_seconds": seconds, "peak_resident_bytes": peak_mb * MB,
             "peak_anonymous_bytes": peak_mb * MB / 2}  # fmt: skip
    made = {**costs, "disk_bytes": 40 * MB, "phases": {"train": costs}}
    made["epoch_seconds"] = [9.0, epoch]  # the first epoch is not the one that counts
    return made if accuracy is None else {**made, "test_accuracy": accuracy}


def contender(name: str) -> contenders.Contender:
    return next(each for each in contenders.CONTENDERS if each.name == name)


@pytest.fixture
def measured() -> dict:
    """The content of contenders.json after two runs of this software, one of each of three others."""
    rows = contenders.summarise(
        [
            (contender(contenders.OURS), [record(4, 1.0, 600, 0.88), record(6, 1.2, 700, 0.90)], None),
            (contender("tutorial"), [record(40, 2.2, 9750, 0.89)], None),
            (contender("floor"), [record(3, 1.0, 500, None)], None),
            (contender("pytorch"), [], "the package torch is not installed (extra: benchmark)"),
        ]
    )
    return {**read("contenders"), **CIRCUMSTANCES, "contenders": rows}


def read(name: str) -> dict:
    """Return the real results of a benchmark."""
    return json.loads((measuring.RESULTS / f"{name}.json").read_text())


def limit_runs() -> dict:
    def run(seconds: float, completed: bool = True) -> dict:
        ended = {} if completed else {"ended": "train: killed by the kernel, out of memory"}
        return {"seconds": seconds, "completed": completed, **ended}

    return {
        None: [run(10), run(12), run(8)],
        512: [run(12), run(14), run(13)],
        384: [run(15), run(15), run(14)],
        320: [run(19), run(19), run(19)],
        288: [run(20, completed=False)],
        256: [],
    }


@pytest.fixture
def results(tmp_path, measured) -> Path:
    """A directory with a JSON file of each benchmark: real ones with other figures."""
    limited, scaling = {**read("limits"), "rows": limits.summarise(limit_runs())}, read("scaling")
    names = ("at", "reviews", "prepare_peak_resident_bytes", "second_epoch_reviews_per_second")
    rows = (50_000, 50_000, 650 * MB, 20_000), (1_000_000, 1_000_000, 700 * MB, 19_000)
    scaling["series"]["reviews"] = [
        {**whole, **dict(zip(names, row, strict=True)), "disk_bytes": 450 * row[0],
         "prepare_reviews_per_second": 5_000.0}
        for whole, row in zip(scaling["series"]["reviews"], rows, strict=False)
    ]  # fmt: skip
    for name, content in {"contenders": measured, "limits": limited, "scaling": scaling}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def readme() -> str:
    """Return both files with figures in them, one after the other."""
    return "".join(file.read_text() for file in report.FILES)


# --- figures ---


def test_medians_ranges_and_ratios_to_ours(measured):
    ours, tutorial, floor, _ = measured["contenders"]
    assert ours["seconds"] == {"median": 5, "least": 4, "most": 6}
    assert ours["epoch_seconds"]["median"] == pytest.approx(1.1)
    assert ours["test_accuracy"] == pytest.approx(0.89)
    assert set(ours["ratio"].values()) == {1.0}
    assert tutorial["ratio"]["seconds"] == 8
    assert tutorial["ratio"]["peak_resident_bytes"] == 15
    assert "test_accuracy" not in floor


def test_extrapolated_epoch_has_no_whole_time():
    runs = [{**record(20, 66, 5000, None), "extrapolated": "an epoch from 40 of its 1,250 steps"}]
    (row,) = contenders.summarise([(contender("one-hot"), runs, None)])
    assert "seconds" not in row
    assert row["epoch_seconds"]["median"] == 66


def test_contender_without_its_package_is_skipped_with_the_reason():
    torch = contender("pytorch")
    assert "torch is not installed" in torch.reason_to_skip({"scikit-learn": "1.9"})
    assert torch.reason_to_skip({"torch": "2.13"}) is None
    assert contender(contenders.OURS).reason_to_skip({}) is None


def test_contenders_programs_are_there():
    commands = [command for each in contenders.CONTENDERS for command in each.phases.values()]
    programs = {part for command in commands for part in command if part.endswith(".py")}
    assert programs and all(Path(program).is_file() for program in programs)


def test_whole_time_is_that_of_all_phases_and_memory_of_the_largest(monkeypatch):
    costs = {
        "prepare": measuring.Measured(0, "{}", "", 2.0, 2.0, 200 * MB, 100 * MB, False),
        "train": measuring.Measured(0, '{"test_accuracy": 0.9}', "", 3.0, 4.0, 90 * MB, 150 * MB, False),
    }
    monkeypatch.setattr(contenders, "measure", lambda command: costs[command[0]])
    two = contenders.Contender("two", "two phases", ("train",), ("prepare",))
    made = contenders.measure_contender(two, 0, None)
    assert (made["seconds"], made["cpu_seconds"], made["preparation_seconds"]) == (5, 6, 2)
    assert (made["peak_resident_bytes"], made["peak_anonymous_bytes"]) == (200 * MB, 150 * MB)
    assert made["test_accuracy"] == 0.9


def test_contender_that_fails_is_told_and_the_others_go_on(monkeypatch):
    def fail_or_measure(each, *_):
        if each.name == "tutorial":
            raise SystemExit("python tutorial.py ended with -9: ")
        return record(5, 1, 600)

    monkeypatch.setattr(contenders, "measure_contender", fail_or_measure)
    monkeypatch.setattr(contenders, "_data", lambda: {})
    names = [contenders.OURS, "tutorial"]
    options = SimpleNamespace(runs=2, only=names, skip=[], directory=None, peers=sys.executable)
    ours, tutorial = contenders.run(options)["contenders"]
    assert len(ours["runs"]) == 2
    assert tutorial["skipped"] == "python tutorial.py ended with -9: "


# --- limits ---


def test_least_limit_is_where_it_completes_within_the_bearable_time():
    rows = limits.summarise(limit_runs())
    assert [row["limit_bytes"] for row in rows] == [None, *(n * MB for n in (512, 384, 320, 288))]
    assert [row["ratio"] for row in rows] == [1, 1.3, 1.5, 1.9, None]
    assert not rows[-1]["completed"]
    assert limits.least_bearable({"rows": rows, "bearable": 1.5}) == 384 * MB


def test_limits_are_skipped_with_the_reason_without_root(monkeypatch):
    monkeypatch.setattr(limits.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="skipped: .* need root"):
        limits.run(SimpleNamespace())


@pytest.mark.parametrize("version", [1, 2])
def test_memory_hierarchy_of_either_version_is_found(tmp_path, version):
    root = tmp_path / "memory"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu memory\n")
    kind = {1: "cgroup {} cgroup rw,memory 0 0", 2: "cgroup2 {} cgroup2 rw,nosuid 0 0"}[version]
    (tmp_path / "mounts").write_text(f"tmpfs /sys/fs/cgroup tmpfs rw 0 0\n{kind.format(root)}\n")
    found = limits.find_hierarchy(tmp_path / "mounts")
    assert (found.root, found.version) == (root, version)
    (tmp_path / "mounts").write_text("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n")
    assert limits.find_hierarchy(tmp_path / "mounts") is None


# --- README ---


def test_readme_is_what_the_measured_results_give():
    assert report.fill(readme(), measuring.RESULTS) == readme()


def test_report_fills_readme_and_check_finds_a_changed_figure(results, tmp_path):
    file = write(tmp_path / "README.md", readme())

    def run(*options: str) -> None:
        benchmark.main(["report", *options, "--readme", str(file), "--results", str(results)])

    with pytest.raises(SystemExit, match="python scripts/benchmark.py report"):
        run("--check")
    run()
    run("--check")
    file.write_text(file.read_text().replace("9,750 MB", "9,751 MB"))
    with pytest.raises(SystemExit, match="python scripts/benchmark.py report"):
        run("--check")


def test_report_says_machine_date_runs_and_what_was_not_measured(results):
    text = report.block("contenders", results)
    assert "2 cores (Test CPU), 8 GB, TensorFlow 2.21.0" in text
    assert "medians of 1 to 2 runs, 1 March 2026" in text
    assert "40.0 s (8.00)" in text and "9,750 MB (15)" in text
    assert re.search(r"Not measured: PyTorch.*torch is not installed", text)
    assert "Largest distance of a run from its median: 20%." in text


def test_first_screen_has_the_least_limit_that_it_runs_well_in(results):
    text = report.block("first", results)
    assert "in a memory cgroup of 384 MB, page cache cold | 384 MB | 15.0 s |" in text
    (results / "limits.json").unlink()
    assert "cgroup" not in report.block("first", results)


def test_scale_is_extrapolated_from_the_larger_row(results):
    text = report.block("scale", results)
    assert "20 times the reviews take 50 MB more to prepare" in text
    assert "0.95 times as many" in text
    assert "take 45 GB for the dataset" in text and "5.6 hours to prepare" in text


def test_missing_marker_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="scale: end"):
        report.fill(readme().replace("<!-- scale: end -->", ""), tmp_path)


def test_templates_hold_no_figures():
    for template in report.TEMPLATES.glob("*.md"):
        text = re.sub(r"100 million|80 million|\$\w+", "", template.read_text())
        assert not re.search(r"\d", text), template.name
