"""Training by several processes or devices. One process needs nothing of this folder."""
