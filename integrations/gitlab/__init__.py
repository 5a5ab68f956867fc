"""GitLab: code, manifests, merge requests, webhooks."""

from integrations.gitlab.client import GitLabClient, NotMergeable

__all__ = ["GitLabClient", "NotMergeable"]
