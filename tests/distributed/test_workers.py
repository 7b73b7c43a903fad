"""Training by several processes on 127.0.0.1, and by several devices of one."""

import json
import os
import re
import shutil
import signal
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from forks import Fork
from helpers import free_addresses, wait_for
from verify_resume import digests

from lowmem_sentiment.distributed.strategy import DistributedStrategy
from lowmem_sentiment.distributed.tf_config import Cluster
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.system.errors import DataError, LowmemError, SettingsError
from lowmem_sentiment.training.job import Job
from lowmem_sentiment.training.train import train

pytestmark = pytest.mark.slow

# Of an epoch's 160 reviews the last batch has one: with 3 workers two of them get none of it.
EXACT = TrainingSettings(epochs=4, batch_size=3, hidden=(6, 4), dropout=(0.0,), learning_rate=0.005)
# 128 of the reviews in 19 steps an epoch; of 7 reviews 2 workers get 3 and 4.
RANDOM = TrainingSettings(epochs=6, batch_size=7, hidden=(6, 4), learning_rate=0.02, validation_split=0.2)

WORKER = """
import functools, os, sys
import numpy as np
from lowmem_sentiment import cli
from lowmem_sentiment.distributed import strategy
from lowmem_sentiment.training import train as train_module
train_module.train = functools.partial(train_module.train, steps_per_execution=3)
build, networks = strategy.DistributedStrategy.build, []

def keep(self, build_model):
    networks.append(build(self, build_model))
    return networks[-1]

strategy.DistributedStrategy.build = keep
code = cli.main(sys.argv[2:])
if networks and code == 0:
    np.savez(sys.argv[1], **{each.path: each.numpy() for each in networks[0].variables})
sys.exit(code)
"""


def with_cluster(cluster, index):
    """Return the environment of a worker."""
    config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    return {**os.environ, "TF_CONFIG": json.dumps(config)}


class Workers:
    """Processes that train together, each given the same command."""

    def __init__(self, server, count, dataset, folder, settings, *options):
        self.folder, self.run = folder, folder / "run"
        addresses = free_addresses(count)
        self.processes = []
        folder.mkdir(exist_ok=True)
        for index in range(count):
            arguments = [str(self._file(index)), "train", str(dataset.directory), "--run", str(self.run)]
            arguments += [*settings.options(), *map(str, options)]
            environment = with_cluster({"worker": addresses}, index)
            self.processes.append(Fork(server, WORKER, arguments, environment))

    def _file(self, index):
        return self.folder / f"worker-{index}.npz"

    def end(self, index, code=0):
        """Wait for a worker, check its exit code, and return what it wrote to standard error.

        It also writes that it waits for another, if that one is slow to start.
        """
        out, errors = self.processes[index].communicate()
        assert self.processes[index].returncode == code, errors
        assert code == 0 or out == ""
        return re.sub("lowmem-sentiment: waiting for worker .*\n", "", errors)

    def end_all(self, code=0):
        return [self.end(index, code) for index in range(len(self.processes))]

    def kill(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def variables(self, index):
        with np.load(self._file(index)) as arrays:
            return dict(arrays)

    def until_saved(self):
        wait_for((self.run / "state.npz").exists, self.processes[0])


@pytest.fixture(scope="module")
def pair(server, dataset, tmp_path_factory):
    """Two workers that have trained with dropout."""
    workers = Workers(server, 2, dataset, tmp_path_factory.mktemp("pair"), RANDOM, "--save-every", 3)
    workers.end_all()
    return workers


@pytest.fixture(scope="module")
def one_process(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("one") / "run"
    train(dataset, run, EXACT, steps_per_execution=3)
    return run


def history(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def network_weights(run):
    with np.load(run / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays if arrays[name].dtype.kind == "f"}


def points(run):
    """Return each curve's points, but for those that tell time and memory."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    told = {}
    for writer, folder in (("train", "."), ("validation", "validation")):
        events = EventAccumulator(str(run / "tensorboard" / folder)).Reload()
        for tag in events.Tags()["tensors"]:
            arrays = [tensor_util.make_ndarray(event.tensor_proto) for event in events.Tensors(tag)]
            told[writer, tag] = [event.step for event in events.Tensors(tag)], arrays
    return told


def test_workers_agree_with_one_process_at_the_same_batch_size(server, dataset, one_process, tmp_path):
    workers = Workers(server, 3, dataset, tmp_path, EXACT)
    workers.end_all()
    first = workers.variables(0)
    for index in (1, 2):
        for name, theirs in workers.variables(index).items():
            np.testing.assert_array_equal(theirs, first[name])
    ours, theirs = network_weights(workers.run), network_weights(one_process)
    assert history(one_process)[-1]["step"] == 216
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-6)
    for mine, expected in zip(history(workers.run), history(one_process), strict=True):
        assert mine == pytest.approx(expected, abs=1e-6)
        accuracies = ("accuracy", "val_accuracy")
        assert {name: mine[name] for name in accuracies} == {name: expected[name] for name in accuracies}
    mine, expected = points(workers.run), points(one_process)
    # Workers wait for each other too, and the norm is that of one process: of them neither is measured.
    not_theirs = {"process/share_of_time_waiting_for_data", "optimizer/gradient_norm"}
    assert mine.keys() == {key for key in expected if key[1] not in not_theirs}
    for name in mine:
        assert mine[name][0] == expected[name][0], name
        timed = name[1].startswith(("process/", "result/seconds", "result/peak_"))
        if expected[name][1][0].dtype.kind == "f" and not timed:
            np.testing.assert_allclose(mine[name][1], expected[name][1], atol=2e-6, err_msg=str(name))
    kept = [state_of(run).position.kept for run in (workers.run, one_process)]
    assert kept[0]["measures"] == pytest.approx(kept[1]["measures"], abs=1e-6)
    assert [each[:2] for each in kept[0]["most_wrong"]] == [each[:2] for each in kept[1]["most_wrong"]]


def state_of(run):
    from lowmem_sentiment.training import checkpoint

    return checkpoint.load(RunDirectory(run))


def test_dropout_masks_differ_and_weights_do_not(pair):
    ours, theirs = pair.variables(0), pair.variables(1)
    seeds = [name for name in ours if name.endswith("seed_generator_state")]
    assert len(seeds) == 2
    for name in seeds:
        assert ours[name][0] != theirs[name][0]
        assert ours[name][1] == theirs[name][1] == 114  # draws
    for name in set(ours) - set(seeds):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_run_directory_is_that_of_one_machine(pair, one_process):
    assert {path.name for path in pair.run.iterdir()} == {path.name for path in one_process.iterdir()}
    assert [epoch["step"] for epoch in history(pair.run)] == [19 * nth for nth in range(1, 7)]
    summary = RunDirectory(pair.run).summary()
    assert summary.reviews == {"train": 128, "validation": 32}
    assert sorted(path.name for path in pair.folder.iterdir()) == ["run", "worker-0.npz", "worker-1.npz"]


def assert_one_error(errors, index):
    """The chief's error has a warning before it, and the epochs that ended before it was disturbed."""
    *before, error = errors.splitlines()
    before = [line for line in before if not line.startswith("epoch ")]
    assert error.startswith("lowmem-sentiment: error: ")
    assert len(before) == (index == 0)
    for line in before:
        assert line.startswith("lowmem-sentiment: warning: the validation split has 32 reviews: ")


def test_whatever_ends_a_worker_ends_all_and_the_same_command_resumes(
    server, dataset, pair, tmp_path, request
):
    """The others say who it was, and end with the bits of a cluster that nobody disturbed."""

    def start(name):
        workers = Workers(server, 2, dataset, tmp_path / name, RANDOM, "--save-every", 3)
        request.addfinalizer(workers.kill)  # a frozen one would stay after a failure
        return workers

    lost = {"killed": (signal.SIGKILL, 1), "frozen chief": (signal.SIGSTOP, 0)}
    clusters = {name: start(name) for name in (*lost, "told to stop")}
    clusters["told to stop"].until_saved()
    clusters["told to stop"].processes[1].send_signal(signal.SIGTERM)
    for index, errors in enumerate(clusters["told to stop"].end_all(75)):
        assert re.search(
            r"error: stopped at epoch \d+, step \d+ of 19, saved; resume with the same", errors
        )
        assert_one_error(errors, index)
    for name, (number, index) in lost.items():
        clusters[name].until_saved()
        clusters[name].processes[index].send_signal(number)
    for name, (_, index) in lost.items():
        errors = clusters[name].end(1 - index, 75)
        assert_one_error(errors, 1 - index)
        assert f"error: worker {index} (127.0.0.1:" in errors
        assert "is lost" in errors and "resume with the same command on every worker" in errors
    resumed = start("killed")
    resumed.end_all()
    assert digests(resumed.run) == digests(pair.run)
    seeds = resumed.variables(1)
    for variable, expected in pair.variables(1).items():
        np.testing.assert_array_equal(seeds[variable], expected)


class Sums:
    """The sum over all workers, where they are threads."""

    def __init__(self, workers):
        self._parts, self._barrier = [None] * workers, threading.Barrier(workers)

    def add(self, worker, array):
        self._parts[worker] = array
        self._barrier.wait()
        total = sum(self._parts)
        self._barrier.wait()
        return total


def train_in_threads(datasets, run, settings):
    """Train with workers that are threads of this process, as far as they need no tensors.

    Return what each ends with: its summary, or the error that it raised.
    """
    cluster, sums, ends = free_addresses(len(datasets)), Sums(len(datasets)), {}

    class Worker(DistributedStrategy):
        def all_reduce(self, array):
            return sums.add(self.worker, array)

    def work(index, dataset):
        replicas = SimpleNamespace(num_replicas_in_sync=len(datasets))
        try:
            ends[index] = train(
                dataset, run, settings, strategy=Worker(replicas, Cluster(cluster, index))
            )
        except LowmemError as error:
            ends[index] = error

    threads = [threading.Thread(target=work, args=each) for each in enumerate(datasets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ends[index] for index in range(len(datasets))]


def test_the_same_command_answers_when_the_run_is_finished(dataset, pair):
    one, other = train_in_threads([dataset] * 2, pair.run, RANDOM)
    assert one == other and one.epochs == 6


def test_other_data_on_one_worker_is_refused_by_all(imdb_files, dataset, tmp_path):
    other = prepare(ImdbSource(*imdb_files, split="tutorial"), tmp_path / "other")
    for error in train_in_threads([dataset, other], tmp_path / "run", RANDOM):
        assert type(error) is DataError
        assert re.match(r"worker 1 \(127.0.0.1:\d+\) has a different dataset: ", str(error))
    assert not (tmp_path / "run").exists()


def test_a_mistake_that_the_chief_finds_is_told_by_all(dataset, pair):
    for error in train_in_threads([dataset] * 2, pair.run, replace(RANDOM, batch_size=8)):
        assert type(error) is SettingsError
        assert str(error) == "batch_size is 8, the run to resume has 7"


def test_another_number_of_workers_is_refused_unless_forced(dataset, pair, tmp_path):
    run, longer = shutil.copytree(pair.run, tmp_path / "run"), replace(RANDOM, epochs=7)
    with pytest.raises(
        DataError, match=r"workers \(2 then, 1 now\), replicas \(2 then, 1 now\).*--force"
    ):
        train(dataset, run, longer, resume=True)
    said = []
    assert train(dataset, run, longer, resume=True, force=True, report=said.append).epochs == 7
    assert "the result is not exact" in said[0]


def test_a_worker_that_never_comes_ends_the_start(server, dataset, tmp_path):
    cluster = {"worker": free_addresses(2)}
    arguments = [
        "train",
        str(dataset.directory),
        "--run",
        str(tmp_path / "run"),
        "--cluster-timeout",
        "1",
    ]
    worker = Fork(server, WORKER, [str(tmp_path / "none"), *arguments], with_cluster(cluster, 1))
    _, errors = worker.communicate()
    assert worker.returncode == 69
    assert f"error: worker 0 ({cluster['worker'][0]}) did not answer within 1 s" in errors
    assert not (tmp_path / "run").exists()


MIRRORED = """
import sys
from lowmem_sentiment.model.tensorflow import tf
from lowmem_sentiment.training.train import train
from lowmem_sentiment.training.job import Job
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.distributed.strategy import DistributedStrategy
from lowmem_sentiment.runs.configuration import TrainingSettings
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
Job.class_weight = [0.5, 2.0]
settings = TrainingSettings(epochs=4, batch_size=3, hidden=(6, 4), dropout=(0.0,), learning_rate=0.005,
                            class_weight="balanced")
strategy = DistributedStrategy(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
train(sys.argv[1], sys.argv[2], settings, strategy=strategy, steps_per_execution=3)

from lowmem_sentiment.model.keras_model import build_model
network = strategy.build(lambda: build_model(10))
strategy.vary_dropout_seeds(network)
for variable in network.variables:
    if "seed" in variable.path:
        replicas = strategy.strategy.experimental_local_results(variable.value)
        print(*(int(each.numpy()[0]) for each in replicas))
"""


def test_two_devices_of_one_process_agree_with_one(server, dataset, tmp_path, monkeypatch):
    """Logical processors stand in for GPUs; class weights are those of a dataset of another balance."""
    done = Fork(server, MIRRORED, [str(dataset.directory), str(tmp_path / "two")], os.environ)
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    seeds = [line.split() for line in output.splitlines()]
    assert len(seeds) == 2 and all(one != other for one, other in seeds)
    monkeypatch.setattr(Job, "class_weight", [0.5, 2.0])
    settings = replace(EXACT, class_weight="balanced")
    train(dataset, tmp_path / "one", settings, steps_per_execution=3)
    ours, theirs = network_weights(tmp_path / "two"), network_weights(tmp_path / "one")
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-6)
    for mine, expected in zip(history(tmp_path / "two"), history(tmp_path / "one"), strict=True):
        assert mine == pytest.approx(expected, abs=1e-6)
    kept = [state_of(tmp_path / name).position.kept for name in ("two", "one")]
    assert [each[:2] for each in kept[0]["most_wrong"]] == [each[:2] for each in kept[1]["most_wrong"]]
