"""Deployment as code: brings a cluster and a Prefect server to what the files say, and tells what changed."""
