import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE, run_cli

from lowmem_sentiment.cli import main
from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.optimizer import TableAdam
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.memory_plan import LIBRARIES, WORKER, count_parameters, fit_to, plan
from lowmem_sentiment.system.errors import SettingsError
from lowmem_sentiment.system.memory import MB, Limit
from lowmem_sentiment.training.input_pipeline import batches


def test_parameters_are_those_of_the_network():
    for settings, words, labels in (
        (TrainingSettings(), 10_000, 2),
        (TrainingSettings(hidden=(7, 3), dropout=()), 20, 2),
        (TrainingSettings(hidden=(), dropout=()), 20, 4),
    ):
        network = build_model(words, labels, hidden=settings.hidden, dropout=settings.dropout)
        assert count_parameters(settings, words, labels) == network.count_params()


def test_a_plan_grows_with_what_it_is_made_of(dataset):
    least = plan(dataset, TrainingSettings(batch_size=8))
    more = plan(dataset, TrainingSettings(batch_size=16))
    assert more.batches == 2 * least.batches
    assert more.needed - least.needed == least.batches
    smaller = plan(dataset, TrainingSettings(batch_size=8, window_bytes=1))
    assert 0 < smaller.window < least.window / 4
    assert least.needed < least.resident


@pytest.mark.slow
def test_the_plan_is_what_training_takes_with_few_labels_and_with_many_long_ones(tmp_path):
    """Only anonymous memory is compared: the machine decides how many pages of libraries stay."""
    over = {}
    for count, length in ((2, 1), (1_000, 2_000)):
        names = [f"{nth:04d}{'n' * length}" for nth in range(count)]
        rows = [f"some words of text {nth},{names[nth % count]}" for nth in range(5_000)]
        file, data = tmp_path / "rows.csv", tmp_path / f"{count}-{length}"
        file.write_text("\n".join(["text,label", *rows]))
        assert main(["prepare", "files", str(file), "--split", "stratified", "--out", str(data)]) == 0
        options = ("--epochs", 2, "--validation-split", 0.1, "--keep-best", "--memory-limit", "2G")
        run = tmp_path / f"run-{count}-{length}"
        user = {name: os.environ[name] for name in ("HOME", "PATH")}
        done = run_cli("train", data, "--run", run, *options, "--json", env=user)
        summary = json.loads(done.stdout)
        predicted, peak = (summary[f"{name}_anonymous_bytes"] for name in ("predicted", "peak"))
        over[count] = peak - predicted
        if count == 2:
            assert predicted == pytest.approx(peak, rel=0.1)
            assert summary["predicted_resident_bytes"] == predicted + LIBRARIES
            assert "limit 2000 MB (--memory-limit); training needs 3" in done.stderr
    assert over[1_000] < over[2] + 8 * MB


def test_a_worker_takes_its_share_of_a_batch_and_what_speaking_takes(dataset):
    one, worker = (plan(dataset, TrainingSettings(batch_size=8), workers) for workers in (1, 2))
    assert worker.batches == pytest.approx(one.batches / 2, abs=1)
    gradients = worker.weights - one.weights
    assert gradients > 0 and one.weights % gradients == 0
    assert worker.anonymous - one.anonymous == WORKER + gradients + worker.batches - one.batches
    limit = Limit(worker.needed - 1, "a test")
    assert fit_to(limit, dataset, TrainingSettings(batch_size=8), 2) != TrainingSettings(batch_size=8)


def test_a_limit_is_kept_by_the_window_and_the_prefetch_alone(dataset):
    whole = TrainingSettings()
    assert fit_to(Limit(10_000 * MB, "a test"), dataset, whole) == whole
    tight = plan(dataset, whole).needed - 1
    fitted = fit_to(Limit(tight, "a test"), dataset, whole)
    assert plan(dataset, fitted).needed <= tight
    changed = {name for name in vars(whole) if getattr(whole, name) != getattr(fitted, name)}
    assert changed
    assert changed <= {"window_bytes", "prefetch"}


def test_a_limit_in_which_training_is_slow_is_taken_down_to_the_least(dataset):
    least = plan(dataset, TrainingSettings(window_bytes=1 << 20, prefetch=1))
    for limit in (least.needed - 1, least.least):
        fitted = fit_to(Limit(limit, "a test"), dataset, TrainingSettings())
        assert plan(dataset, fitted) == least
    with pytest.raises(SettingsError, match="training needs"):
        fit_to(Limit(least.least - 1, "a test"), dataset, TrainingSettings())


def test_a_limit_that_cannot_be_kept_is_refused_with_the_figure(dataset):
    with pytest.raises(
        SettingsError, match=r"training needs 3\d\d MB, and the limit is 100 MB \(a test\)"
    ):
        fit_to(Limit(100 * MB, "a test"), dataset, TrainingSettings())


def test_prefetch_changes_no_result(dataset):
    one, three = (
        [
            labels.numpy().tolist()
            for _, labels in batches(dataset, settings=TrainingSettings(num_words=10, prefetch=prefetch))
        ]
        for prefetch in (1, 3)
    )
    assert one == three


def test_plan_answers_without_tensorflow(dataset):
    code = f"""
import sys
from lowmem_sentiment.cli import main
assert main(["train", {str(dataset.directory)!r}, "--plan", "--batch-size", "64", "--json"]) == 0
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["anonymous_bytes"] < answer["resident_bytes"]
    assert answer["parameters"] == count_parameters(TrainingSettings(), dataset.num_ids, 2)


@pytest.mark.slow
def test_plan_measures_more_steps_than_a_row_may_miss(dataset, monkeypatch):
    from lowmem_sentiment.training.loop import measure_speed

    monkeypatch.setattr(TableAdam, "MOST_MISSED", 4)
    assert measure_speed(dataset, TrainingSettings(batch_size=1), seconds=0.3) > 0


@pytest.mark.slow
def test_the_guard_saves_and_stops_in_a_real_cgroup(dataset, tmp_path):
    root = Path("/sys/fs/cgroup/memory")
    if not (root / "memory.limit_in_bytes").exists() or os.geteuid():
        pytest.skip("no version 1 memory cgroup can be made here")
    group, run = root / f"lowmem-guard-{os.getpid()}", tmp_path / "run"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("600000000")
        # Something else in the container takes memory once training has begun.
        code = f"""
import sys, threading, time, os
from lowmem_sentiment.system.memory import find_limit
open("{group}/cgroup.procs", "w").write("0")
def eat():
    while not os.path.exists("{run}/state.npz"):
        time.sleep(0.1)
    limit, hog = find_limit(), []
    while limit.used() < 0.94 * limit.bytes:  # the alarm is given at 0.92
        hog.append(bytearray(b"x" * 2_000_000))
    time.sleep(600)
threading.Thread(target=eat, daemon=True).start()
from lowmem_sentiment.cli import main
sys.exit(main(["train", "{dataset.directory}", "--run", "{run}", "--epochs", "100000",
               "--memory-limit", "auto"]))
"""
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    finally:
        group.rmdir()
    assert done.returncode == 75, done.stderr
    assert "MB of cgroup" in done.stderr
    assert "stopped before the kernel does it" in done.stderr
    assert f"--resume {run}" in done.stderr


@pytest.mark.slow
def test_train_from_python_is_as_lean_as_the_command_and_does_not_grow_with_the_epochs(
    dataset, tmp_path, monkeypatch
):
    for name in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    code = f"""
import gc
from lowmem_sentiment import TrainingSettings, train
from lowmem_sentiment.system import memory
seen = {{}}
def progress(what, done, total, note=""):
    if what.startswith("epoch"):
        seen[what] = memory.resident_and_anonymous()[0]
run = {str(tmp_path / "run")!r}
train({str(dataset.directory)!r}, run, TrainingSettings(epochs=25), progress=progress)
import tensorflow as tf
threads = tf.config.threading
print(gc.get_freeze_count() > 100_000)
print(threads.get_inter_op_parallelism_threads(), threads.get_intra_op_parallelism_threads())
print(seen["epoch 25/25"] - seen["epoch 5/25"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lean, grown = done.stdout.splitlines()
    assert lean == ["True", "1 1"]
    assert int(grown) < 5 * MB
