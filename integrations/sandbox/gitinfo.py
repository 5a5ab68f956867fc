"""Questions to the simulated GitLab's bare repositories that several vendors ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from integrations.sandbox.world import World


@dataclass(frozen=True)
class Commit:
    """One commit: id, author "Name <address>", committer date (unix seconds), subject and body."""

    commit: str
    author: str
    committed: str
    message: str


def project_of(url: str) -> str:
    """Return "group/name" of a repository's address (http, ssh or scp form)."""
    # "git@host:group/name.git" is no URL: what follows the colon is the path.
    path = urlsplit(url).path if "://" in url else url.partition(":")[2] or url
    return path.strip("/").removesuffix(".git")


async def resolve(world: World, url: str, revision: str) -> Commit | None:
    """Return the commit a branch, tag or id stands for in the repository at `url`, or None."""
    repository = world.git.repository(project_of(url))
    shown = await git(
        repository, "log", "-1", "--format=%H%x00%an <%ae>%x00%ct%x00%B", revision or "HEAD", "--"
    )
    if shown is None:
        return None
    # NUL, for every other letter may stand in a message.
    commit, author, committed, message = shown.split("\0", 3)
    return Commit(commit, author, committed, message.strip())


async def tags_at(world: World, url: str, commit: str) -> list[str]:
    listed = await git(world.git.repository(project_of(url)), "tag", "--points-at", commit)
    return (listed or "").split()


async def git(repository: Path, *arguments: str) -> str | None:
    """Return what git prints, or None when it fails."""
    process = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        str(repository),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        # An unknown revision is an answer here, not a trouble to log.
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await process.communicate()
    finally:
        # The request that asked may be gone: its git must not outlive it.
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode() if process.returncode == 0 else None
