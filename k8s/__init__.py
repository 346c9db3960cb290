"""Kubernetes as code: manifests, the work pools' templates, and what checks them."""
