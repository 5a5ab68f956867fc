"""Tekton: builds and verification runs."""

from integrations.tekton.client import TektonClient

__all__ = ["TektonClient"]
