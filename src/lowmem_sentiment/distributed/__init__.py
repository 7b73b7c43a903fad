"""Training by several processes or devices; a single process does not use this folder."""
