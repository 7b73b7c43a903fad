"""What every other folder stands on: errors, files, memory, processes, progress."""
