"""The Prefect flows: each resolves settings, reads, calls the core, writes and reports."""
