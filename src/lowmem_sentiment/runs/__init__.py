"""The run directory, what configures a run, and what it will take."""
