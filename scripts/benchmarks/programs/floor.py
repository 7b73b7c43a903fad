"""The floor: this software's network on one constant batch, no input pipeline, as many steps.

`from_tensors(...).repeat()` hands the same tensor to every step; it is not copied. Nothing is
learned and nothing evaluated: it is what no pipeline can beat in time, and none can be below in memory.
"""

import task

arguments = task.options(__doc__)

from lowmem_sentiment import runtime  # noqa: E402

runtime.start()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from lowmem_sentiment import build_network  # noqa: E402
from lowmem_sentiment.training import STEPS_PER_EXECUTION  # noqa: E402

STEPS = 40_000 // task.BATCH_SIZE
WORDS_A_REVIEW = 135  # known words in a row, as IMDb's have in the mean

generator = np.random.default_rng(arguments.seed)
rows = np.zeros((task.BATCH_SIZE, task.NUM_WORDS), np.float32)
for row in rows:
    row[generator.choice(task.NUM_WORDS, WORDS_A_REVIEW, replace=False)] = 1
labels = generator.integers(0, 2, task.BATCH_SIZE)

options = tf.data.Options()
options.autotune.enabled = False
options.experimental_optimization.apply_default_optimizations = False
batch = tf.data.Dataset.from_tensors((tf.constant(rows), tf.constant(labels))).repeat(STEPS)
network = build_network(task.NUM_WORDS, seed=arguments.seed)
network.steps_per_execution = STEPS_PER_EXECUTION
clock = task.epoch_clock()
network.fit(batch.with_options(options), epochs=task.EPOCHS, callbacks=[clock], shuffle=False, verbose=0)
task.answer(epoch_seconds=clock.seconds)
