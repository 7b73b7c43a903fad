"""Shards -> shuffled batches of multi-hot rows, with `tf.data` and Keras' `CategoryEncoding`.

Serialised reviews (400 bytes each) are shuffled, skipped and held. Only the few batches in flight become
rows: over all words (40 KB each at 10,000 words) for any Keras model, or over the batch's own words (7 KB
each, whatever the number of words) for the tutorial's.
"""

import itertools
import math
from collections.abc import Callable

from ..dataset.reader import Dataset
from ..dataset.splits import is_held_out, num_reviews, split_on_disk
from ..model.tensorflow import keras, tf
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import window_width
from ..system.errors import DataError
from ..system.workarounds import ignore_global_seed
from ..text.vocabulary import OUT_OF_VOCABULARY_ID
from .step import no_autograph

# The narrowest encoding of sparse batches: 32 rows take 262 KB.
LEAST_WIDTH = 2048


def batches(
    dataset: Dataset,
    split: str = "train",
    settings: TrainingSettings | None = None,
    *,
    shuffle: bool | None = None,
    first_epoch: int = 0,
    first_step: int = 0,
    encode: Callable | None = None,
    share: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Return (float32[batch, num_words], int64[batch]): multi-hot rows and labels.

    `split` is "train", "test", or "validation": every n-th review of the training split, a share of
    the setting `validation_split`, which "train" then leaves out.

    "train" is shuffled unless `shuffle` is false; the others are in order unless it is true. The
    order depends only on the seed and the epoch; each iteration over the result is the next epoch, from
    `first_epoch` on. `first_step` batches are left out of every iteration: for the first epoch of a
    resumed run.

    Ids from `num_words` on become 2, out of vocabulary, as in `imdb.load_data`. If the dataset was
    prepared with n-grams, the columns are its features, and those from `num_words` on are left out.

    A batch takes 4 * batch_size * num_words bytes, 1.3 MB by default, and `prefetch` of them are made
    ahead; `window_bytes` of records on disk are shuffled together. The last batch may be smaller. A
    damaged record raises tf.errors.DataLossError while batches are made.

    `encode` makes a batch from string[batch] of records (default: `encoder`). With a `share`, (worker,
    workers), return one worker's part of each batch, and int32[], the number of reviews in the whole
    batch. The batches are the same as in one process: a worker takes the reviews whose number modulo
    workers is its own; a batch may contain none of them. Each worker reads all records, 400 bytes each,
    and parses and encodes only its own.
    """
    settings = settings or TrainingSettings()
    encode = encode or encoder(settings.num_words_for(dataset), len(dataset.labels), dataset.inputs)
    batch_size = settings.batch_size
    shuffle = split == "train" if shuffle is None else shuffle
    records = _records_in_order(dataset, split, settings, first_epoch, shuffle).batch(batch_size)
    if share is None:
        rows = records.skip(first_step).map(encode)
    else:
        worker, workers = share

        @no_autograph
        def encode_part(step, records):
            first = (worker - step * batch_size) % workers
            return encode(records[first::workers]), tf.size(records)

        rows = records.enumerate().skip(first_step).map(encode_part)
    steps = math.ceil(num_reviews(dataset, split, settings.validation_split) / batch_size)
    # Without it Keras runs an extra, empty step per epoch, which advances the dropout seeds.
    cardinality = tf.data.experimental.assert_cardinality(steps - first_step)
    return rows.prefetch(settings.prefetch).apply(cardinality).with_options(_options())


def encoder(num_words: int, num_labels: int, inputs: str = "tokens") -> Callable:
    """Return the function from string[batch] of records to (float32[batch, num_words], int64[batch]).

    `inputs` is the list of ids in the records that becomes rows: "tokens" or "features".
    """
    encoding = keras.layers.CategoryEncoding(num_words, output_mode="multi_hot")

    @no_autograph
    def encode(records):
        ids, labels = _parse(records, num_words, num_labels, inputs)
        return encoding(ids), labels

    return encode


def sparse_encoder(
    num_words: int, num_labels: int, inputs: str = "tokens", least_width: int = LEAST_WIDTH
) -> Callable:
    """Return the function from string[batch] of records to a batch's own words, rows and labels.

    They are ((int64[words], float32[batch, width]), int64[batch]). The rows are the columns of
    `encoder`'s rows for the batch's words, and columns of zeros up to the next multiple of 128. 32 IMDb
    reviews have 1,800 different words of 10,000, and 2,150 of 88,584.

    `CategoryEncoding` has a fixed width. There are a few, each four times as wide as the one before
    (twice as many take 2 MB more). The narrowest that suffices encodes the batch, and most of its empty
    columns are cut off: 0.03 ms per batch. Some stay, because oneDNN keeps the compiled code of its last
    1,024 products by shape: 36 MB if nearly every batch had a width of its own.
    """
    widths = [*itertools.takewhile(num_words.__gt__, (least_width << 2 * n for n in itertools.count()))]
    widths.append(num_words)
    encodings = [keras.layers.CategoryEncoding(width, output_mode="multi_hot") for width in widths]

    @no_autograph
    def encode(records):
        ids, labels = _parse(records, num_words, num_labels, inputs)
        words, positions = tf.unique(ids.values, out_idx=tf.int64)
        ids = ids.with_values(positions)
        width = tf.size(words)
        least = tf.searchsorted(tf.constant(widths), width[None])[0]
        # Bound as a default: each branch has an encoding of its own.
        rows = tf.switch_case(least, [lambda encoding=each: encoding(ids) for each in encodings])
        # oneDNN ends the process at a product of width 0.
        steps = tf.maximum(-(-width // _WIDTH_STEP), 1)
        return (words, rows[:, : steps * _WIDTH_STEP]), labels

    return encode


# The batches of an epoch have about ten widths, with 4 % of zeros.
_WIDTH_STEP = 128


def _parse(
    records: tf.Tensor, num_words: int, num_labels: int, inputs: str
) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Return int64[batch, None] ids below `num_words`, and int64[batch] labels below `num_labels`."""
    features = {
        "label": tf.io.FixedLenFeature((), tf.int64),
        # int64 splits: RaggedBincount fails on int32 ones when the batch size is static
        inputs: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }
    examples = tf.io.parse_example(records, features)
    ids = examples[inputs]
    # An out-of-range label would be trained on silently; a gather refuses it, and costs 1 us a batch.
    labels = tf.gather(tf.range(num_labels, dtype=tf.int64), examples["label"])
    if inputs == "features":  # the model does not know n-grams of lower rank
        return tf.ragged.boolean_mask(ids, ids < num_words), labels
    # CategoryEncoding would silently drop these ids
    known = tf.where(ids.values < num_words, ids.values, OUT_OF_VOCABULARY_ID)
    return ids.with_values(known), labels


def _records_in_order(
    dataset: Dataset, split: str, settings: TrainingSettings, first_epoch: int, shuffle: bool
) -> tf.data.Dataset:
    """Return string[] of each serialised review: random shards, shuffled in windows of several."""
    shards, records = _part(dataset, split, settings.validation_split)
    count, width = len(shards), window_width(shards, settings.window_bytes)
    if not shuffle:
        return records(tf.range(count))
    buffer = width * max(shard.records for shard in shards)
    windows = -(-count // width)
    # tf.data does not say which iteration this is: a variable counts them.
    epochs = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False)

    @no_autograph
    def window_records(window):
        epoch = epochs.assign_add(tf.where(window == 0, tf.constant(1, tf.int64), 0))
        draw = tf.stack([tf.constant(settings.seed, tf.int64), epoch])
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(count), draw)
        seeds = tf.random.stateless_uniform([windows], draw, minval=None, maxval=None, dtype=tf.int64)
        ignore_global_seed(window)
        here = shuffled[window * width : (window + 1) * width]
        return records(here).shuffle(buffer, seed=seeds[window])

    return tf.data.Dataset.range(windows).flat_map(window_records)


def _part(dataset: Dataset, split: str, validation_split: float) -> tuple[list, Callable]:
    """Return the shards that hold "train", "test", or "validation", and a function to read them.

    It maps int32[n], indices of shards, to string[] of each review of the split in them.
    """
    on_disk, share = split_on_disk(dataset, split, validation_split)
    shards = dataset.shards(on_disk)
    every_path = tf.constant([str(path) for path in dataset.paths(on_disk)])
    before = itertools.accumulate((shard.records for shard in shards[:-1]), initial=0)
    every_first = tf.constant([*before], tf.int64)
    size = 256

    @no_autograph
    def choose(path, first):
        """Return the reviews of one shard that belong to the split, a few hundred at a time."""

        @no_autograph
        def choose_some(nth, records):
            index = first + nth * size + tf.range(tf.size(records, tf.int64))
            held_out = is_held_out(index, share)
            return tf.boolean_mask(records, held_out if split != on_disk else ~held_out)

        return tf.data.TFRecordDataset(path).batch(size).enumerate().map(choose_some).unbatch()

    def records(indices):
        paths = tf.gather(every_path, indices)
        if not share:
            return tf.data.TFRecordDataset(paths)
        firsts = tf.gather(every_first, indices)
        return tf.data.Dataset.from_tensor_slices((paths, firsts)).flat_map(choose)

    return shards, records


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Nothing tunes itself upward at run time, and a single private thread, whose kernels wake no others,
    # keeps the pipeline off the core that the step needs: 7 % faster than TensorFlow's shared pools here.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return options


def damaged_shard(dataset: Dataset, error: Exception) -> DataError | None:
    """Return the DataError that names the damaged shard behind TensorFlow's error.

    None if it is not a DataLossError and no shard is damaged: a user's own model may have raised it.
    """
    try:
        for split in dataset.splits:
            for _ in dataset.read(split):
                pass
    except DataError as found:
        return DataError(f"{found}; prepare the data again")
    if not isinstance(error, tf.errors.DataLossError):
        return None
    return DataError(f"{dataset.directory} is damaged: {error}; prepare the data again")
