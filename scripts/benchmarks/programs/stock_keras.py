"""Stock Keras on this software's batches: Keras' own Adam, one step an execution."""

import task

arguments = task.options(__doc__, "--dataset")

from lowmem_sentiment.training import tensorflow_startup  # noqa: E402

tensorflow_startup.start()

import keras  # noqa: E402

from lowmem_sentiment import Dataset, batches, build_model  # noqa: E402

dataset = Dataset(arguments.dataset)
train = batches(dataset, "train", batch_size=task.BATCH_SIZE, seed=arguments.seed)
test = batches(dataset, "test", batch_size=task.BATCH_SIZE)
network = build_model(task.NUM_WORDS, seed=arguments.seed)
network.compile(
    optimizer=keras.optimizers.Adam(),
    loss="binary_crossentropy",
    metrics=["accuracy"],
    steps_per_execution=1,
)
clock = task.epoch_clock()
results = network.fit(train, epochs=task.EPOCHS, validation_data=test, callbacks=[clock], verbose=0)
task.answer(epoch_seconds=clock.seconds, test_accuracy=results.history["val_accuracy"][-1])
