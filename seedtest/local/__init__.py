"""The embedded stack, and the ways data get into it."""
