"""A Kubernetes API with Tekton's resources (reference kubernetes-watch.md and tekton-api.md)."""

from integrations.sandbox.kubernetes.cluster import Cluster, kubeconfig

__all__ = ["Cluster", "kubeconfig"]
