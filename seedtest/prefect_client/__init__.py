"""A client of Prefect's REST API: the core starts and watches runs without importing Prefect."""
