"""A simulated GitLab: REST v4, smart HTTP and webhooks over real bare repositories."""

from integrations.sandbox.gitlab.app import GitLab

__all__ = ["GitLab"]
