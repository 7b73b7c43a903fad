"""The processor time of a command by phase, each without the phases inside it.

The functions of `PHASES` are replaced by ones that read the clock; `--workers 1` keeps all work of
`prepare` in the process that is measured.
"""

import argparse
import functools
import importlib
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

PHASES = {
    "reading the npz": ["sources.keras_npz:KerasNpz.read"],
    "reading and unpacking files": ["sources.files:FilesSource.chunks"],
    "parsing rows, hashing texts": ["sources.chunks:LabelledBlock.reviews"],
    "words: cutting texts": ["text.tokenizers:_unicode_words"],
    "words: numbering": [
        "preparation.chunk_tasks:tokenise_chunk",
        "preparation.chunk_tasks:ChunkEncoder.__call__",
    ],
    "words: counting, vocabulary": [
        "preparation.lossy_counting:WordCounts.add",
        "preparation.lossy_counting:WordCounts.vocabulary",
        "sources.keras_datasets:read_word_index",
        "text.vocabulary:Vocabulary.sha256",
        "text.vocabulary:Vocabulary.save",
    ],
    "spill file": ["preparation.chunk_tasks:Spill.append", "preparation.chunk_tasks:Spill.read"],
    "n-grams: counting": [
        "preparation.feature_selection:CountTask.count",
        "preparation.lossy_counting:DocumentCounts.add",
        "preparation.lossy_counting:DocumentCounts.finish",
    ],
    "n-grams: ranking": ["preparation.feature_selection:select_features"],
    "n-grams: finding": ["text.encoders:FeatureTable.find", "text.encoders:FeatureTable.__init__"],
    "records: encoding": ["dataset.records:encode"],
    "records: decoding": ["dataset.records:decode", "dataset.records:read"],
    "records: CRC": ["system.tfrecord:crc32c"],
    "writing and SHA-256": ["dataset.writer:OpenShard.append", "dataset.writer:_SplitWriter.append"],
    "fsync": ["os:fsync"],
}


TRAINING = {
    "building the model": ["training.job:Job.build_model", "training.checkpoint:make_variables"],
    "graphs of the input pipeline": ["training.job:Job.batches"],
    "training, from the second execution on": ["training.loop:train_epoch"],
    "validation, from the second execution on": ["training.loop:validate"],
    "saving states": ["training.checkpoint:save"],
    "saving the model": [
        "training.train:save_model",
        "runs.run_directory:RunDirectory.write_weights",
    ],
    "TensorBoard, after an epoch and at the end": [
        "training.tensorboard_callback:Curves.on_epoch_end",
        "training.train:write_result",
    ],
}


class _Clock:
    """Add up the processor time of phases; time counts for the innermost one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside, self._since = ["start, imports and the rest"], 0.0

    def turn(self, *inside: str) -> None:
        """Enter a phase, or leave the innermost one."""
        now = time.process_time()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now
        self._inside = [*self._inside, *inside] if inside else self._inside[:-1]

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time, also in an iterator that it returns, is added to a phase."""

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            self.turn(phase)
            try:
                result = function(*args, **options)
            finally:
                self.turn()
            return self._iterated(phase, result) if isinstance(result, Iterator) else result

        return call

    def _iterated(self, phase: str, items: Iterator[Any]) -> Iterator[Any]:
        following = self.timed(phase, lambda: next(items, self))
        while (item := following()) is not self:
            yield item


class _NoThread(ThreadPoolExecutor):
    """Runs what is submitted at once, in the calling thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(call(*args, **options))
        return done


def _time_first_executions(clock: _Clock) -> None:
    """Count tracing, and the first call of each compiled execution, as a phase, in one thread."""
    loop: Any = importlib.import_module("lowmem_sentiment.training.loop")
    loop.ThreadPoolExecutor = _NoThread
    single_process: Any = importlib.import_module("lowmem_sentiment.training.single_process")
    phase = "tracing, and the first execution of each graph"
    compile_execution = clock.timed(phase, single_process.compile_execution)

    def compile_and_time(*arguments: Any, **options: Any) -> Any:
        execute = compile_execution(*arguments, **options)
        calls = iter([clock.timed(phase, execute)])
        return lambda *arguments: next(calls, execute)(*arguments)

    single_process.compile_execution = compile_and_time


def _replace(clock: _Clock, phases: dict[str, list[str]]) -> None:
    for phase, places in phases.items():
        for place in places:
            module, _, path = place.partition(":")
            owner = importlib.import_module(module if module == "os" else f"lowmem_sentiment.{module}")
            *classes, name = path.split(".")
            for each in classes:
                owner = getattr(owner, each)
            found = vars(owner)[name]
            if isinstance(found, property):
                setattr(owner, name, property(clock.timed(phase, found.__get__)))
            else:
                setattr(owner, name, clock.timed(phase, found))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="prepare imdb --npz ... (without --out), or train DATASET (without --run)",
    )


def run(options: argparse.Namespace) -> None:
    """Print a table of a command's phases."""
    clock = _Clock()
    if options.command[0] == "train":
        clock.timed("importing TensorFlow and Keras", importlib.import_module)(
            "lowmem_sentiment.model.tensorflow"
        )
        _time_first_executions(clock)
        _replace(clock, TRAINING)
    else:
        _replace(clock, PHASES)
    from lowmem_sentiment.cli import main

    folder = tempfile.mkdtemp()
    out = ["--run"] if options.command[0] == "train" else ["--workers", "1", "--out"]
    try:
        main([*options.command, *out, f"{folder}/out"])
    finally:
        shutil.rmtree(folder)
    clock.turn()
    total = sum(clock.seconds.values())
    print("\n| phase | processor time | share |\n| --- | --- | --- |")
    for phase, seconds in sorted(clock.seconds.items(), key=lambda each: -each[1]):
        print(f"| {phase} | {seconds:.2f} s | {seconds / total:.0%} |")
    print(f"| whole | {total:.2f} s | 100% |")
