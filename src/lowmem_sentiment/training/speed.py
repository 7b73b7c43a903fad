"""Measure how fast this machine trains."""

import time
from dataclasses import replace

from ..dataset.reader import Dataset
from ..runs.configuration import TrainingSettings
from .checkpoint import make_variables
from .job import Job
from .loop import epoch_executions, train_step
from .single_process import SingleProcess

_STEPS = 10  # in an execution


def measure_speed(dataset: Dataset, settings: TrainingSettings, seconds: float = 1.0) -> float:
    """Return the training reviews a second, from `seconds` of training; the model is thrown away."""
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    job = Job(dataset, settings, SingleProcess())
    model = job.build_model()
    make_variables(model, job.num_words)
    train = job.strategy.compile_execution(model, train_step(job, model))
    batches, steps, begun = job.batches("train"), 0, None
    while True:
        iterator = iter(batches)
        for _, count in epoch_executions(job, model, 0, _STEPS):
            train(iterator, count).logs["loss"].numpy()  # wait for it
            if begun is None:  # the first execution is the tracing of the graph
                begun = time.monotonic()
                continue
            steps += count
            if (spent := time.monotonic() - begun) >= seconds:
                return steps * settings.batch_size / spent
