"""Shards -> shuffled batches of multi-hot rows, with `tf.data` and Keras' `CategoryEncoding`.

What is shuffled, skipped and held are serialised reviews (400 bytes each). A batch becomes dense
rows (40 KB each at 10,000 words) at the end, and only the few batches in flight ever are.
"""

import itertools
import math
from fractions import Fraction

import keras
import tensorflow as tf

from ..dataset.reader import Dataset
from ..dataset.splits import _share, num_reviews
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import window_width
from ..system.errors import DataError
from ..text.vocabulary import OUT_OF_VOCABULARY_ID

# Nothing here has an `if` or a loop over tensors, and AutoGraph takes 0.2 s to find that out.
no_autograph = tf.autograph.experimental.do_not_convert


def batches(
    dataset: Dataset,
    split: str = "train",
    *,
    num_words: int = 10_000,
    batch_size: int = 32,
    shuffle: bool | None = None,
    seed: int = 0,
    validation_split: float = 0.0,
    first_epoch: int = 0,
    first_step: int = 0,
    window_bytes: int = TrainingSettings.window_bytes,
    prefetch: int = TrainingSettings.prefetch,
    share: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Give (float32[batch, num_words], int64[batch]): multi-hot rows and labels.

    `split` is "train", "test", or "validation": the share `validation_split` of the training
    split, every n-th of its reviews, which "train" then leaves out.

    "train" is shuffled unless `shuffle` is false; the others are in order unless it is true. The
    order is a function of `seed` and the epoch alone, where each iteration over the result is
    the next epoch, from `first_epoch` on. `first_step` batches are left out of every
    iteration: for the first epoch of a resumed run.

    Ids from `num_words` on become 2, out of vocabulary, as `imdb.load_data` does it.

    `share` (worker, workers) gives ((rows, labels), int32[]) instead: of each batch the reviews that
    are this worker's, of which there may be none, and how many it has over all workers.
    """
    part = _Part(dataset, split, validation_split)
    if shuffle or (shuffle is None and split == "train"):
        width = window_width(part.shards, window_bytes)
        records = _shuffled(part, seed, first_epoch, width)
    else:
        records = part.records(tf.range(len(part.shards)))
    grouped, encode = records.batch(batch_size), encoder(num_words)
    if share:
        grouped, encode = grouped.enumerate(), _share_encoder(encode, batch_size, *share)
    rows = grouped.skip(first_step).map(encode).prefetch(prefetch)
    steps = math.ceil(num_reviews(dataset, split, validation_split) / batch_size)
    # Without it Keras runs one more, empty, step an epoch: the dropout seeds move on.
    rows = rows.apply(tf.data.experimental.assert_cardinality(steps - first_step))
    return rows.with_options(_options())


def encoder(num_words: int):
    """Give the function from string[batch] of records to (float32[batch, num_words], int64[batch])."""
    features = {
        "label": tf.io.FixedLenFeature((), tf.int64),
        # int64 splits: RaggedBincount fails on int32 ones when the batch size is static
        "tokens": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }
    encoding = keras.layers.CategoryEncoding(num_words, output_mode="multi_hot")

    @no_autograph
    def encode(records):
        examples = tf.io.parse_example(records, features)
        # CategoryEncoding would drop these ids without a word
        known = tf.ragged.map_flat_values(
            lambda ids: tf.where(ids < num_words, ids, OUT_OF_VOCABULARY_ID), examples["tokens"]
        )
        return encoding(known), examples["label"]

    return encode


def _share_encoder(encode, batch_size: int, worker: int, workers: int):
    """Give `encode` for one worker's share: of all reviews, those whose number is its own modulo workers.

    The order, and with it every batch, is that of one process. Each worker reads all records, 400
    bytes each, and parses and encodes its own only.
    """

    @no_autograph
    def encode_share(step, records):
        first = (worker - step * batch_size) % workers
        return encode(records[first::workers]), tf.size(records)

    return encode_share


def damaged_shard(dataset: Dataset, error: Exception) -> DataError:
    """Give the DataError that names the damaged shard behind TensorFlow's error."""
    try:
        for split in ("train", "test"):
            for _ in dataset.read(split):
                pass
    except DataError as found:
        return DataError(f"{found}; prepare the data again")
    return DataError(f"{dataset.directory} is damaged: {error}; prepare the data again")


class _Part:
    """The serialised reviews of "train", "test", or "validation", shard by shard."""

    def __init__(self, dataset: Dataset, split: str, validation_split: float):
        on_disk = "test" if split == "test" else "train"
        self.shards = dataset.shards(on_disk)
        self._paths = tf.constant([str(path) for path in dataset.paths(on_disk)])
        counts = [shard.records for shard in self.shards]
        self._firsts = tf.constant([0, *itertools.accumulate(counts[:-1])], tf.int64)
        self._share = _share(validation_split) if on_disk == "train" else Fraction(0)
        self._held_out = split == "validation"

    def records(self, indices: tf.Tensor) -> tf.data.Dataset:
        """Give string[] of each review in the shards at `indices`, in order."""
        paths = tf.gather(self._paths, indices)
        if not self._share:
            return tf.data.TFRecordDataset(paths)
        firsts = tf.gather(self._firsts, indices)
        return tf.data.Dataset.from_tensor_slices((paths, firsts)).flat_map(self._choose)

    @no_autograph
    def _choose(self, path: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """Give the reviews of one shard that are, or are not, held out: a few hundred at a time."""
        size = 256
        top, bottom = self._share.numerator, self._share.denominator

        @no_autograph
        def choose(nth, records):
            index = first + nth * size + tf.range(tf.size(records, tf.int64))
            held_out = (index + 1) * top // bottom > index * top // bottom
            return tf.boolean_mask(records, held_out if self._held_out else ~held_out)

        return tf.data.TFRecordDataset(path).batch(size).enumerate().map(choose).unbatch()


def _shuffled(part: _Part, seed: int, first_epoch: int, width: int) -> tf.data.Dataset:
    """Give serialised reviews: shards in random order, shuffled in windows of `width` shards."""
    count = len(part.shards)
    buffer = width * max(shard.records for shard in part.shards)
    windows = -(-count // width)
    # tf.data has no word for "which iteration is this": a counter is the epoch.
    epochs = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False)

    @no_autograph
    def window_records(window):
        epoch = epochs.assign_add(tf.where(window == 0, tf.constant(1, tf.int64), 0))
        draw = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), draw)
        seeds = tf.random.stateless_uniform([windows], draw, minval=None, maxval=None, dtype=tf.int64)
        # Dataset.shuffle mixes a seed that the user set with tf.random.set_seed into ours.
        tf.compat.v1.get_default_graph().seed = None
        here = order[window * width : (window + 1) * width]
        return part.records(here).shuffle(buffer, seed=seeds[window])

    return tf.data.Dataset.range(windows).flat_map(window_records)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Nothing is left to tune itself upward at run time, and one thread of its own, whose kernels
    # wake no others, keeps the pipeline off the core that the step needs: 7 % faster than
    # TensorFlow's shared pools here.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return options
