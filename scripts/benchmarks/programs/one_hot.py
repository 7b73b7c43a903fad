"""Stock Keras with the encoder that is thought of first: `one_hot` and `reduce_max` a batch.

A batch of 32 is float32[32, longest review, 10,000] for a moment. An epoch takes minutes, so `--steps`
measures that many of its steps, once the graph is traced; the epoch's time is extrapolated from them.
"""

import task

arguments = task.options(__doc__, "--dataset", "--steps")

from lowmem_sentiment import Dataset, build_model  # noqa: E402
from lowmem_sentiment.model.tensorflow import keras, tf  # noqa: E402


def encode(records):
    """string[batch] -> float32[batch, num_words], int64[batch]"""
    features = {
        "label": tf.io.FixedLenFeature((), tf.int64),
        "tokens": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }
    examples = tf.io.parse_example(records, features)
    ids = examples["tokens"].to_tensor(default_value=-1)  # the one_hot of -1 is all zeros
    known = tf.where(ids < task.NUM_WORDS, ids, task.OUT_OF_VOCABULARY_ID)
    return tf.reduce_max(tf.one_hot(known, task.NUM_WORDS), axis=1), examples["label"]


dataset, steps = Dataset(arguments.dataset), int(arguments.steps)
reviews = dataset.num_reviews("train")
records = tf.data.TFRecordDataset(list(map(str, dataset.paths("train"))))
batches = records.shuffle(reviews, seed=arguments.seed).batch(task.BATCH_SIZE).map(encode)
network = build_model(task.NUM_WORDS, seed=arguments.seed)
network.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", metrics=["accuracy"])
clock = task.epoch_clock()
network.fit(batches.take(1), callbacks=[clock], verbose=0)  # traces
network.fit(batches.take(steps).prefetch(1), callbacks=[clock], verbose=0)
whole = -(-reviews // task.BATCH_SIZE)
task.answer(
    epoch_seconds=[clock.seconds[-1] / steps * whole],
    extrapolated=f"an epoch from {steps} of its {whole:,} steps",
)
