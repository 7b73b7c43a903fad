import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import VOCABULARY, run_config

from lowmem_sentiment.dataset.manifest import DATASET
from lowmem_sentiment.evaluation.drift import FILE as PROFILE
from lowmem_sentiment.evaluation.evaluate import evaluate_runs
from lowmem_sentiment.evaluation.predict import predict
from lowmem_sentiment.model.decision import CHOICE_FILES
from lowmem_sentiment.runs.run_directory import RUN, RunDirectory
from lowmem_sentiment.system.errors import DataError, InputMissing, OutputExists
from lowmem_sentiment.system.files import locked
from lowmem_sentiment.system.schema import read_json, write_json


def create(path, **options) -> RunDirectory:
    run = RunDirectory(path)
    run.create(run_config(), VOCABULARY, overwrite=False, **options)
    return run


def test_a_new_run_has_its_config_vocabulary_and_their_checksums(tmp_path):
    run = create(tmp_path / "run")
    assert run.settings().num_words == VOCABULARY.num_ids
    assert run.vocabulary().words == VOCABULARY.words
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checksums.json", "config.json", "vocabulary.txt"
    ]  # fmt: skip
    assert not run.finished


def test_overwrite_knows_every_file_of_a_run_and_of_a_dataset(trained, dataset):
    assert all(RUN.made(each.name) for each in trained.iterdir())
    own = [each for each in vars(RunDirectory(trained)).values() if isinstance(each, Path)]
    names = [*(each.name for each in own if each != trained), *CHOICE_FILES, PROFILE]
    assert len(names) == 15 and all(map(RUN.made, names))
    assert all(DATASET.made(each.name) for each in dataset.directory.iterdir())
    assert not (RUN.made("notes.txt") or DATASET.made("notes.txt") or RUN.made("report.html"))


def test_a_new_run_is_held_until_the_stack_ends(tmp_path):
    with ExitStack() as held:
        run = create(tmp_path / "run", held=held)
        for overwrite in (False, True):
            with pytest.raises(OutputExists, match="in use by another process"):
                run.create(run_config(), VOCABULARY, overwrite=overwrite)
    with locked(run.path):
        pass
    with pytest.raises(OutputExists, match="holds an unfinished run; resume it with --resume"):
        run.create(run_config(), VOCABULARY, overwrite=False)


@pytest.mark.parametrize("name", ["model.keras", "weights.npz", "summary.json", "config.json"])
def test_a_file_of_another_run_is_refused(trained, tmp_path, name):
    """Both files are whole, and of the same shapes."""
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    if name.endswith(".json"):
        content = read_json(run.path / name)
        content["data" if name == "summary.json" else "remark"] = "another"
        write_json(run.path / name, {key: value for key, value in content.items() if key != "checksum"})
    else:
        (run.path / name).write_bytes((run.path / name).read_bytes() + b"\0")
    from lowmem_sentiment.model.keras_model import load_model

    readers = {
        "model.keras": lambda: load_model(run),
        "weights.npz": lambda: predict(run.path, ["a"]),
        "summary.json": run.summary,
        "config.json": run.config,
    }
    with pytest.raises(DataError, match=rf"{name} is damaged, or another run's"):
        readers[name]()


def test_a_run_without_checksums_is_read_and_gets_them_when_it_is_written(trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    run.path.joinpath("checksums.json").unlink()
    assert run.summary().epochs == 3
    assert predict(run.path, ["great"])
    run.write_metrics([])
    files = read_json(run.path / "checksums.json")["files"]
    assert {"config.json", "weights.npz", "model.keras", "metrics.jsonl"} <= files.keys()
    RunDirectory(run.path).checksums.check(run.weights_file)


def test_a_damaged_checksums_file_is_damaged_data(tmp_path):
    run = create(tmp_path / "run")
    file = run.path / "checksums.json"
    for content in (b"", b"[]", b"[" * 200_000, file.read_bytes()[:-9], b'{"files": {"config.json": 3}}'):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"checksums\.json"):
            run.config()
    write_json(file, {"files": {"config.json": 3}})
    with pytest.raises(DataError, match=r"files\.config\.json is 3, expected a list"):
        run.config()


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_kill_between_the_renames_of_a_state_leaves_one_that_is_known(tmp_path, rename):
    """The renames: of checksums.json, of the state to the previous one, of the new one."""
    run = create(tmp_path / "run")
    for content in (b"one", b"two"):
        with run.checksums.replace(run.state_file, run.previous_state_file) as path:
            path.write_bytes(content)
    code = f"""
import os
from pathlib import Path
from lowmem_sentiment.runs.run_directory import RunDirectory
renames = []
def replace(old, new, whole=os.replace):
    renames.append(new)
    if len(renames) == {rename}:
        os.kill(os.getpid(), 9)
    whole(old, new)
os.replace = replace
run = RunDirectory({str(run.path)!r})
with run.checksums.replace(run.state_file, run.previous_state_file) as path:
    path.write_bytes(b"three")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    for again in (False, True):
        if again:
            anew = RunDirectory(run.path).checksums
            with anew.replace(run.state_file, run.previous_state_file) as path:
                path.write_bytes(b"four")
        present = [file for file in (run.state_file, run.previous_state_file) if file.exists()]
        assert present
        for file in present:
            RunDirectory(run.path).checksums.check(file)
    assert run.state_file.read_bytes() == b"four"


def change(config: dict, *keys, to):
    *path, last = keys
    inner = config
    for key in path:
        inner = inner[key]
    inner[last] = to
    return config


@pytest.mark.parametrize(
    ("keys", "to", "message"),
    [
        (("settings", "momentum"), 0.9, "settings.momentum is not known to this version"),
        (("settings", "epochs"), 1 << 70, "settings.epochs is .*, expected a whole number of 64 bits"),
        (("settings", "epochs"), 0, "settings: epochs is 0, expected 1 or more"),
        (("settings", "num_words"), 5, "settings.num_words is 5, expected 29"),
        (("settings",), None, "settings is null, expected an object"),
        (("labels",), [["a"], "b"], r"labels\[0\] is .*, expected a text"),
        (("labels",), ["a", "a"], "expected two or more that differ"),
        (("labels",), ["a"], "expected two or more"),
        (("vocabulary", "words"), "25", "vocabulary.words is .*, expected a whole number"),
        (("dataset", "path"), 3, "dataset.path is 3, expected a text"),
        (("versions",), {"keras": 3}, "versions.keras is 3"),
        (("version",), 2, "has format and version .*2"),
        (("version",), [1], "has format and version"),
        (("format",), {}, "has format and version"),
    ],
)
def test_a_config_that_cannot_be_is_damaged_data(tmp_path, keys, to, message):
    run = create(tmp_path / "run")
    config = {key: value for key, value in run.config().items() if key != "checksum"}
    (run.path / "checksums.json").unlink()
    write_json(run.config_file, change(config, *keys, to=to))
    with pytest.raises(DataError, match=message):
        run.config()


@pytest.mark.parametrize("key", ["seconds", "epochs", "peak_resident_bytes"])
def test_a_summary_that_cannot_be_is_damaged_data(trained, tmp_path, key):
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    summary = run.summary().to_json()
    run.path.joinpath("checksums.json").unlink()
    for value in (None, "much", [1], {"training": []}):
        write_json(run.summary_file, {**summary, key: value})
        with pytest.raises(DataError, match=rf"summary\.json: {key}"):
            run.summary()
    del summary[key]
    write_json(run.summary_file, summary)
    with pytest.raises(DataError, match=f"{key} is missing"):
        run.summary()


def test_a_metric_of_a_summary_that_is_not_a_number_is_damaged_data(trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    summary = run.summary().to_json()
    *written, _ = json.loads(run.summary_file.read_bytes()).items()  # the last is the checksum
    assert written == [*summary.items()]
    run.path.joinpath("checksums.json").unlink()
    write_json(run.summary_file, {**summary, "val_accuracy": "much"})
    with pytest.raises(DataError, match=r"summary\.json: metrics\.val_accuracy is"):
        run.summary()


def test_best_weights_come_back_and_hold_numbers_alone(tmp_path):
    run = create(tmp_path / "run")
    weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]
    run.write_best(4, weights)
    shapes = [each.shape for each in weights]
    read = run.best(4, shapes)
    for one, other in zip(weights, read, strict=True):
        np.testing.assert_array_equal(one, other)
    for arrays in ([], [np.zeros(2)], [np.array([{}], object)]):
        (run.path / "checksums.json").unlink(missing_ok=True)
        np.savez(run.best_file, *arrays)
        with pytest.raises(DataError, match="cannot be read"):
            run.best(4, shapes)


def moved(dataset, trained, tmp_path, data: str, run: str):
    """Copy a dataset and a run that was trained on it, as if both had been made there, to be moved."""
    shutil.copytree(dataset.directory, tmp_path / "old" / "data" / "imdb")
    copy = RunDirectory(shutil.copytree(trained, tmp_path / "old" / "runs" / "first"))
    config = {key: value for key, value in copy.config().items() if key != "checksum"}
    config["dataset"] |= {
        "path": str(tmp_path / "old" / "data" / "imdb"), "relative_path": "../../data/imdb"
    }  # fmt: skip
    copy.write_json(copy.config_file, config)
    (tmp_path / run).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / data).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(copy.path, tmp_path / run)
    shutil.move(tmp_path / "old" / "data" / "imdb", tmp_path / data)
    return RunDirectory(tmp_path / run), tmp_path / data


@pytest.mark.parametrize(
    ("data", "run"),
    [
        ("new/data/imdb", "new/runs/first"),  # together
        ("old/data/imdb", "elsewhere/first"),  # the run alone
        ("new/imdb", "new/first"),
        ("new/imdb", "new/runs/first"),
    ],
)
def test_a_moved_dataset_is_found(dataset, trained, tmp_path, data, run):
    found, place = moved(dataset, trained, tmp_path, data, run)
    assert found.find_dataset().directory.resolve() == place.resolve()
    (comparison,) = evaluate_runs([found.path])
    assert comparison.evaluations[0].dataset == str(place.resolve())


def test_a_dataset_that_is_nowhere_is_asked_for(dataset, trained, tmp_path):
    run, place = moved(dataset, trained, tmp_path, "far/away/imdb", "new/runs/first")
    with pytest.raises(
        InputMissing,
        match="is not there, nor is it beside the run; name it: lowmem-sentiment evaluate .* --data",
    ):
        run.find_dataset()
    assert run.find_dataset(place).fingerprint == dataset.fingerprint
    run.resume(replace(run.settings(), epochs=5), run.find_dataset(place))
    assert run.find_dataset().directory == place
    assert run.settings().epochs == 5


def test_another_dataset_beside_the_run_is_not_taken_for_its_own(dataset, trained, tmp_path):
    run, place = moved(dataset, trained, tmp_path, "new/imdb", "new/first")
    manifest = json.loads((place / "dataset.json").read_text())
    del manifest["checksum"]
    write_json(place / "dataset.json", {**manifest, "name": "another"})
    with pytest.raises(InputMissing, match="name it: lowmem-sentiment evaluate .* --data"):
        run.find_dataset()


@pytest.mark.parametrize(
    ("path", "word"), [("my runs/a", "'my runs/a'"), ("-run", "./-run"), ("runs/a", "runs/a")]
)
def test_a_command_in_a_message_works_as_printed(path, word):
    with pytest.raises(InputMissing) as error:
        RunDirectory(path).require_model()
    assert str(error.value).endswith(f"lowmem-sentiment train --resume {word}")
