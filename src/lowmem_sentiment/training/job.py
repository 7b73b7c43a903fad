"""The definition of a training run, the same on every worker."""

import contextlib
import math
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..model.keras_model import build_model
from ..model.optimizer import FusedAdam, TableAdam
from ..model.tensorflow import keras, set_threads, tf
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import count_parameters, distinct_words
from ..system.errors import SettingsError
from .input_pipeline import batches, encoder, sparse_encoder
from .single_process import SingleProcess
from .step import STEPS_PER_EXECUTION, predict_on_own_words

LARGE_BATCH = 16 << 20
"""Bytes of dense rows; a batch that takes more has nearly all words, and is dense."""


@dataclass(frozen=True)
class Job:
    """A dataset, the settings of a run on it, and the strategy that trains it."""

    dataset: Dataset
    settings: TrainingSettings
    """With `num_words` filled in."""
    strategy: SingleProcess
    own_model: bool = False
    """Whether the model is the caller's, which takes rows over all words."""
    steps_per_execution: int = STEPS_PER_EXECUTION
    """Steps that TensorFlow runs between two calls of the callbacks."""

    def __post_init__(self) -> None:
        """Raise SettingsError if no reviews are left to train or validate on, or for the optimizer."""
        if self.settings.optimizer == "lazy-adam" and not self.sparse:
            why = (
                "a model of your own brings its own optimizer"
                if self.own_model
                else "it requires a single process and device"
            )
            raise SettingsError(f"optimizer is lazy-adam, expected adam: {why}")
        if not all(self.reviews.values()):
            train, validation = self.reviews.values()
            raise SettingsError(
                f"validation_split is {self.settings.validation_split}, which leaves {train} reviews "
                f"to train and {validation} to validate on; expected some of both"
            )

    @property
    def num_words(self) -> int:
        """Ids below it are known words."""
        return self.settings.num_words_for(self.dataset)

    @property
    def reviews(self) -> dict[str, int]:
        """The number of training and validation reviews, by split."""
        splits = ("train", self.settings.validated_on)
        share = self.settings.validation_split
        return {split: num_reviews(self.dataset, split, share) for split in splits}

    @property
    def sparse(self) -> bool:
        """Whether batches are rows over their own words instead of all words.

        Several workers have different words, and add up dense gradients. A large batch has nearly all
        words: with 1,024 reviews and 10,000 words an epoch on dense rows takes 3/4 of the time, and
        190 MB less.
        """
        if self.own_model or self.strategy.share is not None:
            return False
        settings, words = self.settings, self.num_words
        large = 4 * words * settings.batch_size >= LARGE_BATCH
        has_all = distinct_words(self.dataset, settings.batch_size) >= words
        return settings.optimizer == "lazy-adam" or not (large and has_all)

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return math.ceil(self.reviews["train"] / self.settings.batch_size)

    @property
    def validation_steps(self) -> int:
        """The number of steps in a validation pass."""
        return math.ceil(self.reviews[self.settings.validated_on] / self.settings.batch_size)

    @property
    def class_weight(self) -> list[float] | None:
        """Each label's weight in the loss, so that all labels have the same total weight."""
        if self.settings.class_weight != "balanced":
            return None
        counts = self.dataset.manifest["splits"]["train"]["labels"]
        mean = sum(counts) / len(counts)
        return [mean / max(count, 1) for count in counts]

    @property
    def conditions(self) -> dict[str, str]:
        """Conditions besides the settings that change the bits of a result."""
        found = {
            "dataset": self.dataset.fingerprint,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "oneDNN": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
            "processor": _processor(),
        }
        if self.sparse:  # the order of summation, and when other words are moved
            found["input"] = "own words"
        if self.strategy.share:  # a run of one process does not mention workers
            counts = {"workers": self.strategy.workers, "replicas": self.strategy.replicas}
            found |= {name: str(count) for name, count in counts.items()}
        return found

    def require_same_on_all_workers(self) -> None:
        """Raise DataError or SettingsError if a worker has other data, software or settings."""
        shared = {name: self.conditions[name] for name in ("dataset", "tensorflow", "keras")}
        settings = {name: value for name, value in asdict(self.settings).items() if name != "prefetch"}
        self.strategy.require_same({**shared, **settings})

    def reviews_in(self, steps: int) -> int:
        """Return the number of reviews in an epoch's first `steps` steps."""
        return min(steps * self.settings.batch_size, self.reviews["train"])

    def set_threads(self) -> None:
        """Set TensorFlow's threads by the size of a step, unless the model is the caller's."""
        if self.own_model or self.strategy.replicas > 1:
            return
        words = min(self.num_words, distinct_words(self.dataset, self.settings.batch_size))
        parameters = count_parameters(self.settings, words, len(self.dataset.labels))
        set_threads(self.settings.batch_size * parameters)

    def build_model(self) -> keras.Model:
        """Return the compiled model that the settings describe."""
        settings, scales = self.settings, self.dataset.input_scales(self.num_words)

        def build() -> keras.Model:
            return build_model(
                self.num_words,
                len(self.dataset.labels),
                hidden=settings.hidden,
                dropout=settings.dropout,
                seed=settings.seed,
                optimizer=self._make_optimizer(scales),
                input_scales=scales,
            )

        return self.strategy.build(build)

    def _make_optimizer(self, row_scales: np.ndarray | None) -> keras.optimizers.Optimizer:
        """Return Adam for a table if batches have rows over their own words, otherwise for dense rows."""
        settings = self.settings
        rate: Any = settings.learning_rate
        if settings.learning_rate_schedule == "linear":
            rate = keras.optimizers.schedules.PolynomialDecay(rate, settings.epochs * self.steps, 0.0)
        if self.sparse:
            return TableAdam(rate, lazy=settings.optimizer == "lazy-adam", row_scales=row_scales)
        return FusedAdam(rate, row_scales=row_scales)

    def call(self, model: keras.Model) -> Callable[..., tf.Tensor]:
        """Return a function that predicts from the `x` of these batches."""
        return partial(predict_on_own_words, model) if self.sparse else model

    def batches(self, split: str, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """Return this worker's batches of a split, from a step of an epoch on."""
        make_encoder = sparse_encoder if self.sparse else encoder
        encode = make_encoder(self.num_words, len(self.dataset.labels), self.dataset.inputs)
        return batches(
            self.dataset,
            split,
            self.settings,
            encode=encode,
            first_epoch=first_epoch,
            first_step=first_step,
            share=self.strategy.share,
        )


def _processor() -> str:
    """Return the instruction set, which decides the order of summation."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                known = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")
                return " ".join(sorted(set(known) & set(line.split())))
    return platform.machine()
