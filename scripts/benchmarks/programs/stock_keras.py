"""Stock Keras' `fit` on this software's batches, 50 steps per execution as ours.

`--adam keras` is Keras' own optimizer and TensorFlow's own threads. `--adam fused` is this software's
optimizer for dense rows and, as `train` has it for such a step, one thread: what remains is the loop.
"""

import task

arguments = task.options(__doc__, "--dataset", "--adam")

from lowmem_sentiment import Dataset, TrainingSettings, batches, build_model  # noqa: E402
from lowmem_sentiment.model.optimizer import FusedAdam  # noqa: E402
from lowmem_sentiment.model.tensorflow import keras, set_threads  # noqa: E402
from lowmem_sentiment.training.step import STEPS_PER_EXECUTION  # noqa: E402

if arguments.adam == "fused":
    set_threads(task.multiplications())

dataset = Dataset(arguments.dataset)
train = batches(dataset, "train", TrainingSettings(batch_size=task.BATCH_SIZE, seed=arguments.seed))
test = batches(dataset, "test", TrainingSettings(batch_size=task.BATCH_SIZE))
network = build_model(task.NUM_WORDS, seed=arguments.seed)
network.compile(
    optimizer=FusedAdam() if arguments.adam == "fused" else keras.optimizers.Adam(),
    loss="binary_crossentropy",
    metrics=["accuracy"],
    steps_per_execution=STEPS_PER_EXECUTION,
)
clock = task.epoch_clock()
results = network.fit(train, epochs=task.EPOCHS, validation_data=test, callbacks=[clock], verbose=0)
task.answer(epoch_seconds=clock.seconds, test_accuracy=results.history["val_accuracy"][-1])
