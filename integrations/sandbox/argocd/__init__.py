"""Argo CD's API and application controller (reference argocd-api.md)."""

from integrations.sandbox.argocd.argocd import ArgoCD

__all__ = ["ArgoCD"]
