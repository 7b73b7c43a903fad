"""What one training run is about: the same object on every worker, and for everything that trains."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..model.keras_model import build_model, call_on_own_words
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import distinct_words
from ..system.errors import SettingsError
from . import checkpoint
from .input_pipeline import Order, batches, sparse_batches, worker_batches
from .single_process import SingleProcess

LARGE_BATCH = 16 << 20
"""Bytes of dense rows; a batch that takes more, and has nearly all words anyway, is dense."""


@dataclass(frozen=True)
class Job:
    """A dataset, the settings of a run on it, and where it is trained."""

    dataset: Dataset
    settings: TrainingSettings
    """With `num_words` filled in."""
    strategy: SingleProcess
    own_model: bool = False
    """Whether the model is the caller's, which takes rows over all words."""

    def __post_init__(self) -> None:
        """Raise SettingsError if no reviews are left to train or validate on, or for the optimizer."""
        if self.settings.optimizer == "lazy-adam" and not self.sparse:
            why = (
                "a model of your own has its own"
                if self.own_model
                else "one process on one device has it"
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
        """The number of reviews that are trained and validated on, by split."""
        splits = ("train", self.settings.validated_on)
        share = self.settings.validation_split
        return {split: num_reviews(self.dataset, split, share) for split in splits}

    @property
    def sparse(self) -> bool:
        """Whether batches are rows over their own words, not over all.

        Several workers, whose words are not the same, add up dense gradients. A large batch has nearly
        all words: with 1,024 reviews of 10,000 words an epoch takes 0.75 of the time on rows over all,
        and 190 MB less.
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
        """Each label's weight in the loss, so that all labels weigh the same together."""
        if self.settings.class_weight != "balanced":
            return None
        counts = self.dataset.manifest["splits"]["train"]["labels"]
        mean = sum(counts) / len(counts)
        return [mean / max(count, 1) for count in counts]

    @property
    def conditions(self) -> dict[str, str]:
        """What changes the bits of a result beside the settings."""
        found = checkpoint.conditions(self.dataset)
        if self.sparse:  # the order in which sums are taken, and when other words are moved
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

    def build_model(self) -> keras.Model:
        """Return the compiled model that the settings describe."""
        settings = self.settings
        options: dict[str, Any] = {
            name: getattr(settings, name)
            for name in ("hidden", "dropout", "learning_rate", "seed", "optimizer")
        }
        return self.strategy.build(
            lambda: build_model(self.num_words, len(self.dataset.labels), **options)
        )

    def call(self, model: keras.Model) -> Callable[..., tf.Tensor]:
        """Return what predicts from the `x` of these batches."""
        return partial(call_on_own_words, model) if self.sparse else model

    def batches(self, split: str, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """Return this worker's batches of a split, from a step of an epoch on."""
        settings, share = self.settings, self.strategy.share
        order = Order(
            settings.batch_size,
            None,
            settings.seed,
            settings.validation_split,
            first_epoch,
            first_step,
            settings.window_bytes,
        )
        size: dict[str, Any] = {"num_words": self.num_words, "prefetch": settings.prefetch}
        if share:
            return worker_batches(self.dataset, split, share, order, **size)
        if self.sparse:
            return sparse_batches(self.dataset, split, order, **size)
        return batches(self.dataset, split, **order._asdict(), **size)
