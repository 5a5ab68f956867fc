"""Registries: which images exist under which tags."""

from integrations.registry.client import RegistryClient

__all__ = ["RegistryClient"]
