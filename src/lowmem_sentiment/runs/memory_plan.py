"""The memory and disk that a training run will take, before anything is allocated.

The constants were measured on TensorFlow 2.21 and Keras 3.15 (x86-64, glibc): the peak resident set of
training with 5,000 to 500,000 words is linear in the bytes of weights, of a batch, and of the shuffle
window, within 3 %. `train` writes prediction and measurement side by side into its summary. It measures
anonymous memory every 20 ms, and so misses brief copies of large weights while they are saved: 20 % at
500,000 words, nothing at 10,000.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..dataset.manifest import Shard
from ..dataset.reader import Dataset
from ..system.errors import SettingsError
from ..system.memory import MB, Limit
from .configuration import TrainingSettings

# Anonymous memory of a process that trains an empty model on no data: the interpreter,
# TensorFlow's and Keras' objects (147 MB after the import), the traced graphs, the allocator's slack.
FLOOR = 202 * MB

# Library pages that are resident when memory is plentiful. The kernel drops most of them when it is
# short, and reads them again: with LIBRARIES_WELL training takes half as long again, with
# LIBRARIES_AT_LEAST twice as long, and with 100 MB it never finishes.
LIBRARIES = 367 * MB

LIBRARIES_WELL = 165 * MB

LIBRARIES_AT_LEAST = 120 * MB

# Copies of the weights: the weights, Adam's two moments, and copies that the allocator keeps or that
# saving makes.
WEIGHT_COPIES = 6

# Further copies in a worker: gradients of all words, and their sum over the workers.
GRADIENT_COPIES_OF_WORKER = 2

# Batches in memory during a step besides the prefetched ones: the batch in use, and memory that grows
# with it, such as the layers' outputs.
BATCH_COPIES_BESIDE_PREFETCH = 1.4

# Each record in the shuffle window is a tensor: its bytes and the objects around them.
RECORD_OVERHEAD = 300

# A worker takes this much more than a single process: gradients in transit, gRPC.
WORKER = 46 * MB

# Copies of the counts of validation reviews by true and predicted label, int32[labels, labels], and of
# their picture: 24 MB at 1,000 labels, as measured.
COUNT_COPIES = 6

# Copies of the labels' names.
NAME_COPIES = 2

# The smaller windows that `fit_to` tries.
_WINDOWS = [1 << shift for shift in range(25, 19, -1)]  # 32 MiB down to 1 MiB


@dataclass(frozen=True)
class Plan:
    """The bytes that a run takes."""

    weights: int
    """Weights, gradients and Adam's moments."""
    batches: int
    """Rows in flight."""
    window: int
    """Serialised reviews that are shuffled together."""
    labels: int
    """Counts of validation reviews by label, their picture, and the labels' names."""
    disk: int
    """The run directory, without event files."""
    workers: int = 0
    """For training together with other workers."""

    @property
    def anonymous(self) -> int:
        """The bytes that the kernel cannot reclaim."""
        return FLOOR + self.weights + self.batches + self.window + self.labels + self.workers

    @property
    def resident(self) -> int:
        """Peak resident set when memory is plentiful."""
        return self.anonymous + LIBRARIES

    @property
    def needed(self) -> int:
        """The smallest limit (a cgroup's, or a server's free memory) in which training runs well."""
        return self.anonymous + LIBRARIES_WELL

    @property
    def least(self) -> int:
        """The smallest limit in which training completes, at half the usual speed."""
        return self.anonymous + LIBRARIES_AT_LEAST


def count_parameters(settings: TrainingSettings, num_words: int, num_labels: int) -> int:
    """Return how many weights and biases the model has."""
    units = [num_words, *settings.hidden, 1 if num_labels == 2 else num_labels]
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(units))


def plan(dataset: Dataset, settings: TrainingSettings, workers: int = 1) -> Plan:
    """Return the plan of each worker for training on `dataset`. Imports no TensorFlow."""
    num_words = settings.num_words_for(dataset)
    parameters = 4 * count_parameters(settings, num_words, len(dataset.labels))
    reviews = min(settings.batch_size, dataset.num_reviews("train"))
    words = num_words if workers > 1 else min(num_words, distinct_words(dataset, reviews))
    batch = 4 * words * math.ceil(reviews / workers)
    records, size = window_content(dataset, settings.window_bytes)
    return Plan(
        weights=(WEIGHT_COPIES + (GRADIENT_COPIES_OF_WORKER if workers > 1 else 0)) * parameters,
        batches=round((settings.prefetch + BATCH_COPIES_BESIDE_PREFETCH) * batch),
        window=size + RECORD_OVERHEAD * records,
        labels=COUNT_COPIES * 4 * len(dataset.labels) ** 2 + NAME_COPIES * sum(map(len, dataset.labels)),
        disk=2 * 3 * parameters + 3 * parameters + parameters,  # two states, model, weights
        workers=WORKER if workers > 1 else 0,
    )


def distinct_words(dataset: Dataset, reviews: int) -> int:
    """Estimate how many different words a number of reviews have, by Heaps' law.

    The estimate is 9 * words ** 0.62. On IMDb: 2,260 for 32 reviews (actual: 2,217); 19,400 for 1,024
    (19,363).
    """
    tokens = reviews * dataset.manifest["length"]["mean"]
    return math.ceil(9 * float(tokens**0.62))


def window_content(dataset: Dataset, window_bytes: int) -> tuple[int, int]:
    """Return the maximum of reviews and bytes in a shuffle window over the training shards."""
    shards = dataset.shards("train")
    largest = sorted(shards, key=lambda shard: -shard.bytes)[: window_width(shards, window_bytes)]
    return sum(shard.records for shard in largest), sum(shard.bytes for shard in largest)


def window_width(shards: Sequence[Shard], window_bytes: int) -> int:
    """Return how many shards are shuffled together, at least one."""
    largest = max(shard.bytes for shard in shards)
    return max(1, min(len(shards), window_bytes // largest))


def fit_to(
    limit: Limit, dataset: Dataset, settings: TrainingSettings, workers: int = 1
) -> TrainingSettings:
    """Return `settings` with the largest shuffle window and prefetch that fit into `limit`.

    Nothing else is changed: batch size, words and layers change the result. Validation batches are as
    large as training batches, and never in memory together with them. If training does not run well even
    with the smallest ones, return those if it can complete; SettingsError if it cannot.
    """
    windows = [settings.window_bytes, *(size for size in _WINDOWS if size < settings.window_bytes)]
    choices = [
        replace(settings, window_bytes=size, prefetch=prefetch)
        for prefetch in range(settings.prefetch, 0, -1)
        for size in windows
    ]
    for choice in choices:
        if plan(dataset, choice, workers).needed <= limit.bytes:
            return choice
    if reason := too_large(plan(dataset, choices[-1], workers), limit):
        raise SettingsError(reason)
    return choices[-1]


def too_large(planned: Plan, limit: Limit) -> str | None:
    """Return why a run cannot complete within a limit; None if it can."""
    if planned.least <= limit.bytes:
        return None
    return (
        f"training needs {math.ceil(planned.least / MB)} MB, and the limit is {limit.bytes // MB} MB "
        f"({limit.source}); lower --num-words, --hidden or --batch-size"
    )
