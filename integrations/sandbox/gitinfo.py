"""Questions to the simulated GitLab's bare repositories that several vendors ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import pygit2

from integrations.sandbox.gitlab.git import Repository
from integrations.sandbox.world import World

TAGS = "refs/tags/"


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
    return await asyncio.to_thread(_resolve, _repository(world, url), revision or "HEAD")


def _resolve(repository: Repository, revision: str) -> Commit | None:
    found = repository.find(f"{revision}^{{commit}}")
    if not isinstance(found, pygit2.Commit):
        return None
    author = f"{found.author.name} <{found.author.email}>"
    return Commit(str(found.id), author, str(found.commit_time), found.message.strip())


async def tags_at(world: World, url: str, commit: str) -> list[str]:
    """Return the names of the tags that stand for a commit."""
    refs = await asyncio.to_thread(_repository(world, url).refs, TAGS)
    return [ref.name.removeprefix(TAGS) for ref in refs if ref.commit == commit]


def _repository(world: World, url: str) -> Repository:
    return Repository(world.git.repository(project_of(url)))
