"""The tutorial's approach, from its description: every review a dense float64 row, made at once.

Batches of 500 and two epochs, as the tutorial has them. `--split described` trains on 40,000 reviews, as
its text says; `--split tutorial` on 10,000, as its printed code does.
"""

import os

import task

arguments = task.options(__doc__, "--split")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no notes about oneDNN and GPUs

import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, models  # noqa: E402
from keras.src.datasets import imdb  # noqa: E402


def load() -> tuple[np.ndarray, np.ndarray]:
    """Return all 50,000 reviews as Keras loads them; from the file that is given, where one is."""
    if given := os.environ.get("LOWMEM_SENTIMENT_IMDB_NPZ"):
        imdb.get_file = lambda **_: given  # it would be fetched otherwise
    (train_x, train_y), (test_x, test_y) = imdb.load_data(num_words=task.NUM_WORDS)
    return np.concatenate((train_x, test_x)), np.concatenate((train_y, test_y))


def vectorize(sequences: np.ndarray) -> np.ndarray:
    """Return float64[reviews, num_words] multi-hot rows."""
    rows = np.zeros((len(sequences), task.NUM_WORDS))
    for row, sequence in enumerate(sequences):
        rows[row, sequence] = 1
    return rows


keras.utils.set_random_seed(arguments.seed)
begun = time.monotonic()
data, targets = load()
data = vectorize(data)
targets = targets.astype("float32")
first = 10_000 if arguments.split == "described" else 40_000
test_x, test_y = data[:10_000], targets[:10_000]
train_x, train_y = data[first:], targets[first:]
preparation_seconds = time.monotonic() - begun

model = models.Sequential()
model.add(keras.Input((task.NUM_WORDS,)))
model.add(layers.Dense(50, activation="relu"))
model.add(layers.Dropout(0.3))
model.add(layers.Dense(50, activation="relu"))
model.add(layers.Dropout(0.2))
model.add(layers.Dense(50, activation="relu"))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
clock = task.epoch_clock()
results = model.fit(
    train_x,
    train_y,
    epochs=task.EPOCHS,
    batch_size=500,
    validation_data=(test_x, test_y),
    callbacks=[clock],
    verbose=0,
)
task.answer(
    preparation_seconds=preparation_seconds,
    epoch_seconds=clock.seconds,
    test_accuracy=results.history["val_accuracy"][-1],
)
