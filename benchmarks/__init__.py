"""Measurements against named rivals and limits, in the same run: `make bench`."""
