"""The core of seedtest analytics: measurement of learners and items, free of any orchestrator."""
