"""A GitHost over real bare repositories, for tests of the vendors that read Git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class LocalGit:
    """Bare repositories below one folder, and the plumbing to commit into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repository(self, project: str) -> Path:
        return self.folder / f"{project}.git"

    def tip(self, project: str, branch: str) -> str | None:
        shown = self._git(project, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", check=False)
        return shown or None

    def files(self, project: str, revision: str, folder: str = "") -> dict[str, bytes]:
        listed = self._git(project, "ls-tree", "-r", "--name-only", revision, "--", folder or ".")
        return {path: self._show(project, revision, path) for path in listed.splitlines()}

    def commit(self, project: str, branch: str, files: dict[str, str], message: str = "change") -> str:
        """Write files on the branch's tip (made where absent) and return the new commit."""
        if not self.repository(project).exists():
            self.repository(project).mkdir(parents=True)
            self._git(project, "init", "-q", "--bare", "-b", "main")
        parent = self.tip(project, branch)
        self._git(project, "read-tree", parent or "--empty")
        for path, text in files.items():
            blob = self._git(project, "hash-object", "-w", "--stdin", text=text)
            self._git(project, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = self._git(project, "write-tree")
        parents = ["-p", parent] if parent else []
        commit = self._git(project, "commit-tree", tree, *parents, "-m", message)
        self._git(project, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def tag(self, project: str, name: str, commit: str) -> None:
        self._git(project, "tag", name, commit)

    def _show(self, project: str, revision: str, path: str) -> bytes:
        command = ["git", "-C", str(self.repository(project)), "cat-file", "blob", f"{revision}:{path}"]
        return subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT).stdout

    def _git(self, project: str, *arguments: str, text: str = "", check: bool = True) -> str:
        command = ["git", "-C", str(self.repository(project)), *arguments]
        done = subprocess.run(
            command, check=check, capture_output=True, env=ENVIRONMENT, input=text.encode() or None
        )
        return done.stdout.decode().strip()
