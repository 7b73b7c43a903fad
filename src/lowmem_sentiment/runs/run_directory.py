"""The run directory: the names of its files, and the functions that read and write them.

config.json      settings, dataset, labels, versions: written first
vocabulary.txt   the words, or n-grams, that the model knows, one per line
metrics.jsonl    one line per epoch
tensorboard/     event files
state.npz        the state that a resumed run starts from (and state.previous.npz)
best.npz         the best epoch's weights, with keep_best
model.keras      the model, for any Keras
weights.npz      the model, for prediction with NumPy
summary.json     accuracy, times, memory: written last, so a run without it is unfinished
evaluation.json  the last evaluation
profile.json     the words, confidence and labels of the test split
threshold.json   the threshold that an evaluation chose
calibration.json the temperature that an evaluation chose
abstention.json  the limits for abstaining that an evaluation chose
checksums.json   the SHA-256 of all these, except event files and the files that evaluate writes
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..system.directories import Kind, new_directory, no_directory, refuse_existing
from ..system.errors import DataError, InputMissing, LowmemError, OutputExists, listed, quoted
from ..system.files import locked, read_regular
from ..system.npz import Rows, read_arrays, write_arrays
from ..system.schema import MAX_JSON_BYTES, parse, parse_json, read_json, to_json, write_json
from ..text.vocabulary import KERAS, Vocabulary
from .checksums import Checksums
from .configuration import TrainingSettings
from .schemas import FORMAT, VERSION, check_config
from .summary import TrainingSummary

RUN = Kind(
    "run",
    "config.json",
    FORMAT,
    r"vocabulary\.txt|metrics\.jsonl|tensorboard|(state|state\.previous|best|weights)\.npz|model\.keras|"
    r"(summary|evaluation|profile|threshold|calibration|abstention|checksums)\.json",
)


@dataclass(frozen=True)
class _Epochs:
    """The content of metrics.jsonl."""

    epochs: list[dict[str, float]]


class RunDirectory:
    """A run's directory; constructing it touches nothing."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.vocabulary_file = self.path / "vocabulary.txt"
        self.metrics_file = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.state_file = self.path / "state.npz"
        self.previous_state_file = self.path / "state.previous.npz"
        self.best_file = self.path / "best.npz"
        self.model_file = self.path / "model.keras"
        self.weights_file = self.path / "weights.npz"
        self.summary_file = self.path / "summary.json"
        self.evaluation_file = self.path / "evaluation.json"
        checked = (
            self.config_file, self.vocabulary_file, self.metrics_file, self.state_file,
            self.previous_state_file, self.best_file, self.model_file, self.weights_file,
            self.summary_file,
        )  # fmt: skip
        self.checksums = Checksums(self.path, tuple(file.name for file in checked))
        self._config: tuple[object, dict[str, Any]] | None = None

    def create(
        self,
        config: dict[str, Any],
        vocabulary: Vocabulary,
        *,
        overwrite: bool,
        inputs: Iterable[str | Path] = (),
        report: Callable[[str], None] = lambda line: None,
        held: ExitStack | None = None,
    ) -> None:
        """Make the directory, with its config and the vocabulary that its ids belong to.

        With `held` the run stays locked for this process until that stack closes. Raises OutputExists if
        the directory is in use, or exists and is not a run that `overwrite` replaces.
        """
        self.refuse_existing(overwrite=overwrite, inputs=inputs)
        place = os.path.relpath(config["dataset"]["path"], self.path.resolve())
        words = {"sha256": vocabulary.sha256, "words": len(vocabulary), **config.get("vocabulary", {})}
        whole = {"format": FORMAT, "version": VERSION, "vocabulary": words, **config}
        whole |= {"vocabulary": words, "dataset": {**config["dataset"], "relative_path": place}}
        with new_directory(
            self.path, RUN, overwrite=overwrite, inputs=inputs, report=report, held=held
        ) as directory:
            made = RunDirectory(directory)
            with made.checksums.replace(made.vocabulary_file) as path:
                path.write_bytes(vocabulary.to_bytes())
            made.write_json(made.config_file, whole)

    def refuse_existing(self, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
        """Raise OutputExists if `create` would."""
        if RUN.recognises(self.path) and not overwrite:
            with locked(self.path):
                raise OutputExists(self._explain_existing())
        refuse_existing(self.path, RUN, overwrite=overwrite, inputs=inputs)

    def _explain_existing(self) -> str:
        if self.finished:
            return (
                f"{self.path} holds a finished run; train it on with --resume {self.path} "
                "--epochs N, choose another name, or pass --overwrite"
            )
        return (
            f"{self.path} holds an unfinished run; resume it with --resume {self.path} instead of "
            f"--run {self.path}, or start over with --overwrite"
        )

    @property
    def finished(self) -> bool:
        """Whether training has ended and all files are written."""
        return os.path.lexists(self.summary_file)

    def write_json(self, file: Path, content: dict[str, Any]) -> None:
        """Write one of the run's JSON files: config.json first, and summary.json last."""
        with self.checksums.replace(file) as path:
            path.write_bytes(to_json(content))

    def config(self) -> dict[str, Any]:
        """Read config.json; InputMissing or DataError if this is not a run of ours.

        It is read again only after a change: with 1,000 labels of 5,000 characters it has 5 MB.
        """
        if not self.path.is_dir():
            raise no_directory(self.path, "run", "train")
        if not os.path.lexists(self.config_file):
            inside = sorted(str(file.parent) for file in self.path.glob(f"*/{self.config_file.name}"))
            runs = f"; the runs in it: {listed(inside, 5)}" if inside else ""
            raise InputMissing(f"{self.path} holds no run: it has no {self.config_file.name}{runs}")
        before = _identity(self.config_file)
        if self._config is None or self._config[0] != before:
            config = read_json(self.config_file)
            check_config(config, str(self.config_file))
            self.checksums.check(self.config_file)
            self._config = before, config
        return dict(self._config[1])

    def settings(self) -> TrainingSettings:
        """Read the run's settings; DataError if this version does not know one of them."""
        return parse(TrainingSettings, self.config()["settings"], f"{self.config_file}: settings")

    def vocabulary(self) -> Vocabulary:
        """Load the run's vocabulary, checked against its config."""
        return Vocabulary.load(self.vocabulary_file, self.config()["vocabulary"]["sha256"])

    def find_dataset(self, given: Dataset | str | Path | None = None) -> Dataset:
        """Return the given dataset, or find the one that the run was trained on.

        Looks in its place relative to the run, in its old place, and beside the run, for a dataset with
        the run's fingerprint, or else for one prepared again in the old place. Raises InputMissing if
        there is none.
        """
        if given is not None:
            return Dataset.of(given)
        recorded = self.config()["dataset"]
        for place in self._places(recorded):
            with contextlib.suppress(LowmemError):
                if (dataset := Dataset(place)).fingerprint == recorded["fingerprint"]:
                    return dataset
        if Path(recorded["path"]).is_dir():
            return Dataset(recorded["path"])
        raise InputMissing(
            f"{recorded['path']}, the dataset that {self.path} was trained on, is not there, nor is it "
            f"beside the run; name it: lowmem-sentiment evaluate {quoted(self.path)} --data DIR, or "
            f"lowmem-sentiment train DIR --resume {quoted(self.path)}"
        )

    def _places(self, recorded: dict[str, Any]) -> list[Path]:
        name, here = Path(recorded["path"]).name, self.path.resolve()
        return [
            (here / recorded["relative_path"]).resolve(),
            Path(recorded["path"]),
            here.parent / name,
            here.parent.parent / name,
            here.parent.parent / "data" / name,
        ]

    def require_own(self, dataset: Dataset) -> None:
        """Raise DataError unless a dataset is the one that the run was trained on, as it was then.

        Its config.json names one dataset; `evaluate` and comparisons of runs rely on that.
        """
        recorded = self.config()["dataset"]
        if dataset.fingerprint != recorded["fingerprint"]:
            raise DataError(
                f"{dataset.directory} is not the dataset that {self.path} was trained on, or was "
                f"prepared anew since; expected {recorded['path']} as it was. To train a finished run's "
                f"weights on other data: lowmem-sentiment train {quoted(dataset.directory)} --run NEW "
                f"--from {quoted(self.path)}"
            )

    def resume(self, settings: TrainingSettings, dataset: Dataset) -> None:
        """Write the new epochs and optimizer and the dataset's place to config.json."""
        config, path = self.config(), str(dataset.directory.resolve())
        place = {"path": path, "relative_path": os.path.relpath(path, self.path.resolve())}
        config["dataset"] = {**config["dataset"], **place}
        changed = {"epochs": settings.epochs, "optimizer": settings.optimizer}
        config["settings"] = {**config["settings"], **changed}
        self.write_json(self.config_file, config)

    def require_model(self) -> None:
        """Raise InputMissing if there is no model.keras, and DataError if it is damaged."""
        if not os.path.lexists(self.model_file):
            state, train = "is not finished", "resume it"
            if self.finished:
                state, train = "has only weights and curves left of what tune trained", "train it again"
            raise InputMissing(
                f"{self.path} {state}: {train} with lowmem-sentiment train --resume {quoted(self.path)}"
            )
        self.checksums.check(self.model_file)

    def remove_states(self) -> None:
        """Remove model.keras and the states, which only further training needs: nine tenths of the bytes.

        The run can still be predicted with and evaluated, and `train --resume` trains it from the start.
        """
        for file in (self.state_file, self.previous_state_file, self.best_file, self.model_file):
            file.unlink(missing_ok=True)

    def ngrams(self) -> int | None:
        """Return the most words in an n-gram of the vocabulary; None for a vocabulary of words."""
        ngrams: int | None = self.config()["vocabulary"].get("ngrams")
        return ngrams

    def parent(self) -> str | None:
        """Return the path of the run whose weights this one started from."""
        return (self.config().get("parent") or {}).get("path")

    def tokenizer(self) -> str:
        """Return the vocabulary's tokenizer; for an older run, Keras'."""
        return str(self.config()["vocabulary"].get("tokenizer", KERAS))

    def require_words_of(self, dataset: Dataset, as_inputs: bool = False) -> None:
        """Raise DataError unless ids and labels mean the same in `dataset` as to the model.

        A model that reads words can also read the words of a dataset with n-grams, except to train
        (`as_inputs`).
        """
        config, reads_ngrams = self.config(), bool(self.ngrams())
        read = dataset.input_vocabulary if reads_ngrams else dataset.vocabulary
        prepared, differs = str(dataset.directory), ""
        if reads_ngrams != bool(dataset.features) and (reads_ngrams or as_inputs):
            has, reads = ("n-grams" if each else "words" for each in (dataset.features, reads_ngrams))
            differs = f"{prepared} was prepared for {has}, {self.path} was trained on {reads}"
        elif dataset.tokenizer != self.tokenizer():
            differs = f"{prepared} was prepared with --tokenizer {dataset.tokenizer}, {self.path} was "
            differs += f"trained with {self.tokenizer()}"
        elif read().truncate(config["settings"]["num_words"]).words != self.vocabulary().words:
            differs = f"{prepared} has a different vocabulary than {self.path} was trained with"
        if differs:
            trained_on = config["dataset"]["path"]
            if trained_on == str(dataset.directory.resolve()):
                other = " (it was prepared anew since); expected data"
            else:
                other = f"; expected {trained_on}, or data"
            raise DataError(
                f"{differs}{other} prepared with its vocabulary: prepare ... --vocabulary {self.path}"
            )
        if dataset.labels != config["labels"]:
            raise DataError(
                f"{dataset.directory} has the labels {', '.join(dataset.labels)}; "
                f"{self.path} was trained with {', '.join(config['labels'])}: prepare the data with "
                "these (--label-map, --labels)"
            )

    def write_metrics(self, epochs: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl: the metrics of training, one line per epoch."""
        with self.checksums.replace(self.metrics_file) as path:
            path.write_bytes(b"".join(json.dumps(epoch).encode() + b"\n" for epoch in epochs))

    def metrics(self) -> list[dict[str, float]]:
        """Read metrics.jsonl: the metrics of each epoch.

        Raises InputMissing or DataError if it is missing, or damaged.
        """
        file, where = self.metrics_file, str(self.metrics_file)
        self.checksums.check(file)
        lines = read_regular(file, MAX_JSON_BYTES).splitlines()
        epochs = [parse_json(line, where) for line in lines]
        return parse(_Epochs, {"epochs": epochs}, where).epochs

    def event_file_sizes(self) -> dict[str, int]:
        """Return each TensorBoard event file's bytes, by its path in the run directory."""
        files = [file for file in sorted(self.tensorboard.rglob("*tfevents*")) if file.is_file()]
        return {str(file.relative_to(self.path)): file.stat().st_size for file in files}

    def trim_event_files(self, sizes: dict[str, int]) -> None:
        """Cut event files back to `sizes`, and remove files that are not in it.

        So a resumed run draws each step once: it repeats the steps after the last saved state.
        """
        for name, size in self.event_file_sizes().items():
            file = self.path / name
            if name in sizes:
                os.truncate(file, min(size, sizes[name]))
            else:
                file.unlink()

    def write_best(self, epoch: int, weights: list[np.ndarray]) -> None:
        """Write best.npz: an epoch's weights, in the model's order."""
        arrays = [np.asarray(epoch), *weights]
        with self.checksums.replace(self.best_file) as path:
            write_arrays(path, ((f"arr_{nth}", array) for nth, array in enumerate(arrays)))

    def best(self, epoch: int, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """Read best.npz: an epoch's weights; DataError if it is damaged or has different weights."""
        try:
            arrays = read_arrays(self.best_file, str(self.best_file))
            self.checksums.check(self.best_file)
            kept, *weights = (arrays[f"arr_{nth}"] for nth in range(len(arrays)))
            if kept.shape != () or kept != epoch or [each.shape for each in weights] != shapes:
                raise DataError(f"expected the weights of epoch {epoch}, as this model has them")
        except (LowmemError, KeyError, ValueError) as error:
            raise DataError(
                f"{self.best_file}, the best epoch's weights, cannot be read ({error}): they were "
                "changed, or training was resumed with --force; start over with --overwrite"
            ) from error
        return weights

    def write_weights(self, weights: dict[str, np.ndarray | Rows]) -> None:
        """Write weights.npz."""
        with self.checksums.replace(self.weights_file) as path:
            write_arrays(path, weights.items())

    def summary(self) -> TrainingSummary:
        """Read summary.json; InputMissing or DataError if it is missing or was changed."""
        summary = TrainingSummary.from_json(read_json(self.summary_file), str(self.summary_file))
        self.checksums.check(self.summary_file)
        return summary

    def write_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Write evaluation.json, which has its own checksum instead of an entry in checksums.json.

        It may be written while another process trains in the run, and two processes must not write
        checksums.json.
        """
        write_json(self.evaluation_file, evaluation)


def _identity(file: Path) -> object:
    """Return a value that changes with a file; None if it cannot be read."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
