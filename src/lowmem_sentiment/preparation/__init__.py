"""Labelled text becomes a dataset: tokenising, counting, choosing features, writing shards."""
