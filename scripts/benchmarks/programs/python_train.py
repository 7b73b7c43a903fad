"""`train()` called from a program of one's own, which sets nothing before."""

import task

arguments = task.options(__doc__, "--dataset")

from lowmem_sentiment import TrainingSettings, train  # noqa: E402

settings = TrainingSettings(epochs=task.EPOCHS, seed=arguments.seed)
task.answer(**train(arguments.dataset, arguments.work / "run", settings).to_json())
