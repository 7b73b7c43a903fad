"""Curves: written, read, drawn, served."""
