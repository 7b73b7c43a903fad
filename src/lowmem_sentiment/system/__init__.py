"""Shared by every other folder: errors, files, memory, processes, progress."""
