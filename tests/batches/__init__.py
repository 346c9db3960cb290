"""Batches: what changed is computed, and comes out as if everything were."""
