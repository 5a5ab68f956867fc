"""Repositories through plain Git, over HTTPS or SSH, without any host's API."""

from integrations.git.mirror import Mirror
from integrations.git.remote import Remote
from integrations.git.types import Commit, Entry, Person, Signing

__all__ = ["Commit", "Entry", "Mirror", "Person", "Remote", "Signing"]
