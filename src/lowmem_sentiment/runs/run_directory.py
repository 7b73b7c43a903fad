"""The run directory: every file name in it, and what reads and writes them.

config.json      settings, dataset, labels, versions: written first
vocabulary.txt   the words that the network knows, a word a line
metrics.jsonl    a line an epoch
tensorboard/     event files
state.npz        what a resumed run goes on from (and state.previous.npz)
best.npz         the best epoch's weights, with keep_best
model.keras      the network, for any Keras
weights.npz      the network, for prediction with NumPy alone
summary.json     accuracy, times, memory: written last, so a run without it is unfinished
evaluation.json  the last evaluation
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..system import npz
from ..system.errors import DataError, InputMissing, OutputExists
from ..system.files import clear_directory, replace_file, replace_path
from ..system.schema import read_json, write_json
from ..text.vocabulary import Vocabulary
from .configuration import TrainingSettings

FORMAT = "lowmem-sentiment run"

VERSION = 1


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

    def create(self, config: dict[str, Any], vocabulary: Vocabulary, *, overwrite: bool) -> None:
        """Fill the directory with its config and the vocabulary that its ids belong to.

        Raises OutputExists when there is a run already and `overwrite` is false.
        """
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise OutputExists(self._explain_existing())
        clear_directory(self.path)
        vocabulary.save(self.vocabulary_file)
        sealed = {"sha256": vocabulary.sha256, "words": len(vocabulary)}
        self.write_config({"format": FORMAT, "version": VERSION, "vocabulary": sealed, **config})

    def _explain_existing(self) -> str:
        if not self.config_file.exists():
            return f"{self.path} exists and is not empty; choose another name or pass --overwrite"
        if self.finished:
            return (
                f"{self.path} holds a finished run; train it on with --resume {self.path} "
                "--epochs N, choose another name, or pass --overwrite"
            )
        return (
            f"{self.path} holds an unfinished run; go on with --resume {self.path} in place of "
            f"--run {self.path}, or start over with --overwrite"
        )

    @property
    def finished(self) -> bool:
        """Whether training has ended and everything of it is written."""
        return self.summary_file.exists()

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json."""
        write_json(self.config_file, config)

    def config(self) -> dict[str, Any]:
        """Read config.json; InputMissing or DataError when this is no run of ours."""
        if not self.path.is_dir():
            raise InputMissing(f"{self.path} is no run directory; make one: lowmem-sentiment train")
        if not self.config_file.exists():
            raise InputMissing(f"{self.path} holds no run: it has no {self.config_file.name}")
        config = read_json(self.config_file)
        if config.get("format") != FORMAT or config.get("version") != VERSION:
            raise DataError(
                f"{self.config_file} has format {config.get('format')!r} version "
                f"{config.get('version')!r}, expected {FORMAT!r} version {VERSION}"
            )
        return config

    def settings(self) -> TrainingSettings:
        """Read the run's settings; DataError where this version does not know one of them."""
        return TrainingSettings.from_json(self.config()["settings"], f"{self.config_file}: settings")

    def vocabulary(self) -> Vocabulary:
        """Load the run's vocabulary, checked against its config."""
        return Vocabulary.load(self.vocabulary_file, self.config()["vocabulary"]["sha256"])

    def require_words_of(self, dataset: Dataset) -> None:
        """Raise DataError unless ids and labels mean in `dataset` what they mean to the network."""
        config = self.config()
        num_words = config["settings"]["num_words"]
        if dataset.vocabulary().truncate(num_words).words != self.vocabulary().words:
            raise DataError(
                f"{dataset.directory} has another vocabulary than {self.path} was trained with; "
                f"expected the dataset {config['dataset']['path']} or one with its vocabulary"
            )
        if dataset.labels != config["labels"]:
            raise DataError(
                f"{dataset.directory} has the labels {', '.join(dataset.labels)}; "
                f"{self.path} was trained with {', '.join(config['labels'])}"
            )

    def write_metrics(self, epochs: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl: what training measured, a line an epoch."""
        with replace_file(self.metrics_file) as file:
            for epoch in epochs:
                file.write(json.dumps(epoch).encode() + b"\n")

    def event_file_sizes(self) -> dict[str, int]:
        """Give each TensorBoard event file's bytes, by its path in the run directory."""
        files = sorted(self.tensorboard.rglob("*tfevents*"))
        return {str(file.relative_to(self.path)): file.stat().st_size for file in files}

    def trim_event_files(self, sizes: dict[str, int]) -> None:
        """Cut event files back to `sizes`, and remove those that are not in it.

        So a resumed run draws each step once: what the killed one wrote after its last saved state
        is written again.
        """
        for name, size in self.event_file_sizes().items():
            file = self.path / name
            if name in sizes:
                os.truncate(file, min(size, sizes[name]))
            else:
                file.unlink()

    def write_best(self, epoch: int, weights: list[np.ndarray]) -> None:
        """Write best.npz: an epoch's weights, in the network's order."""
        with replace_file(self.best_file) as file:
            np.savez(file, epoch, *weights)

    def best(self) -> tuple[int, list[np.ndarray]]:
        """Read best.npz: the epoch and its weights; DataError if it is missing or damaged."""
        try:
            with np.load(self.best_file, allow_pickle=False) as arrays:  # each CRC-32 is checked
                epoch, *weights = (arrays[f"arr_{nth}"] for nth in range(len(arrays.files)))
            return int(epoch), weights
        except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds
            raise DataError(
                f"{self.best_file}, the best epoch's weights, cannot be read ({error}); start over "
                "with --overwrite"
            ) from error

    def write_model(self, save: Callable[[Path], None]) -> None:
        """Write model.keras, which `save` writes to the path that it is given."""
        with replace_path(self.model_file) as path:
            save(path)

    def write_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Write weights.npz."""
        with replace_file(self.weights_file) as file:
            npz.write_arrays(file, weights.items())

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write summary.json: the run is finished."""
        write_json(self.summary_file, summary)

    def summary(self) -> dict[str, Any]:
        """Read summary.json."""
        return read_json(self.summary_file)

    def write_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Write evaluation.json."""
        write_json(self.evaluation_file, evaluation)

    def load_model(self) -> Any:
        """Load model.keras, not compiled; InputMissing or DataError if it is not there or damaged."""
        import keras  # 2 s and 540 MB: only who asks for the model pays

        self.config()
        if not self.model_file.exists():
            raise InputMissing(f"{self.path} is not finished: it has no {self.model_file.name}")
        try:
            return keras.models.load_model(self.model_file, compile=False)
        except Exception as error:  # Keras, h5py and zipfile raise many kinds on a damaged file
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self.model_file} cannot be loaded: {reason}") from error


class NoRunDirectory(RunDirectory):
    """What stands for the run directory in a worker that is not the chief: it writes nothing."""

    def write_metrics(self, epochs: list[dict[str, Any]]) -> None:
        """Leave it to the chief."""

    def write_best(self, epoch: int, weights: list[np.ndarray]) -> None:
        """Leave it to the chief."""
