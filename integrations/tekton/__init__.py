"""Tekton: builds and verification runs.

Nothing is imported here: `client` brings the Kubernetes client, which takes about a second and 44 MB
to import (reference measurements.md, "Packages"), and most processes need only `types` and `results`.
"""
