"""Prefect blocks as code: what there is, how it is registered and checked, and what a run reads from it."""
