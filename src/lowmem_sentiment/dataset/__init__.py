"""The dataset directory: prepare it, read it, look at it, check it."""
