"""Argo CD: what runs where, and has it arrived."""

from integrations.argocd.client import ArgoCDClient

__all__ = ["ArgoCDClient"]
