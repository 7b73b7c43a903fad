"""`train()` called from a program of one's own, which sets nothing before."""

import task

arguments = task.options(__doc__, "--dataset")

from lowmem_sentiment import TrainingSettings, train  # noqa: E402
from lowmem_sentiment.runs.run_directory import RunDirectory  # noqa: E402

run = arguments.work / "run"
train(arguments.dataset, run, TrainingSettings(epochs=task.EPOCHS, seed=arguments.seed))
task.answer(**RunDirectory(run).summary())
