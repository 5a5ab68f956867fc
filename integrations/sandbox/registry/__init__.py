"""An OCI registry with Harbor's API and hooks (reference registry-and-harbor.md)."""

from integrations.sandbox.registry.registry import HOST, Registry

__all__ = ["HOST", "Registry"]
