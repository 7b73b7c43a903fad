"""The run directory, the configuration of a run, and its memory plan."""
