"""The floor: this software's network trained on one constant batch, no input pipeline, as many steps.

Keras' own `train_step`, in executions of as many steps as `lowmem-sentiment train` has, on a tensor that
is a constant of the graph. Nothing is learned and nothing evaluated: it is what no pipeline can beat.
"""

import time

import task

arguments = task.options(__doc__)

import numpy as np  # noqa: E402

from lowmem_sentiment import build_model  # noqa: E402
from lowmem_sentiment.model.tensorflow import set_threads, tf  # noqa: E402
from lowmem_sentiment.training.step import STEPS_PER_EXECUTION  # noqa: E402

STEPS = 40_000 // task.BATCH_SIZE
WORDS_A_REVIEW = 135  # known words in a row, as IMDb's have in the mean

generator = np.random.default_rng(arguments.seed)
rows = np.zeros((task.BATCH_SIZE, task.NUM_WORDS), np.float32)
for row in rows:
    row[generator.choice(task.NUM_WORDS, WORDS_A_REVIEW, replace=False)] = 1
labels = generator.integers(0, 2, task.BATCH_SIZE)

# As many threads as `train` takes for such a step.
set_threads(task.multiplications())
network = build_model(task.NUM_WORDS, seed=arguments.seed)
network.train_on_batch(rows, labels)  # makes the optimizer's and the metrics' variables
batch = tf.constant(rows), tf.constant(labels)


@tf.function
def execution():
    """Run STEPS_PER_EXECUTION steps, and give the metrics after the last."""
    for _ in tf.range(STEPS_PER_EXECUTION - 1):
        network.train_step(batch)
    return network.train_step(batch)


epoch_seconds = []
for _ in range(task.EPOCHS):
    begun = time.monotonic()
    for _ in range(STEPS // STEPS_PER_EXECUTION):
        metrics = {name: float(value) for name, value in execution().items()}
    epoch_seconds.append(time.monotonic() - begun)
task.answer(epoch_seconds=epoch_seconds)
