"""Train a model: the loop, its input pipeline, its checkpoints."""
