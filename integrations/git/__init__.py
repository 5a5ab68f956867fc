"""Plain Git over HTTPS and SSH: read one commit's files, write one commit, without a checkout.

It uses the `git` program on a local copy without file contents (a blobless bare mirror), and writes with
a compare-and-swap of the branch (reference measurements.md, "Git").
"""

from integrations.git.folder import Folder
from integrations.git.lines import merge_lines
from integrations.git.mirror import Mirror
from integrations.git.remote import Remote
from integrations.git.types import Commit, Entry, Person, Signing

__all__ = ["Commit", "Entry", "Folder", "Mirror", "Person", "Remote", "Signing", "merge_lines"]
