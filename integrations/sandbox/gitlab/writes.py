"""Write to bare repositories without a checkout. Every function blocks: call them in a thread."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pygit2

from integrations.sandbox.gitlab.git import ENVIRONMENT, ZEROS, GitError, Person, Repository

DRAFTS = "refs/sandbox"

# GitLab's own hooks refuse and record pushes; these do the same with what the HTTP bridge hands them.
UPDATE_HOOK = """#!/bin/sh
for name in $SANDBOX_PROTECTED; do
  if [ "$1" = "refs/heads/$name" ]; then
    echo "GitLab: You are not allowed to push code to protected branches on this project." >&2
    exit 1
  fi
done
"""
POST_RECEIVE_HOOK = """#!/bin/sh
if [ -n "$SANDBOX_PUSH_LOG" ]; then cat >> "$SANDBOX_PUSH_LOG"; fi
"""
SETTINGS = {
    "http.receivepack": "true",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "transfer.hideRefs": DRAFTS,
    "receive.advertisePushOptions": "true",
    "gc.auto": "0",
    "receive.autogc": "false",
}


@dataclass(frozen=True)
class FileChange:
    """One file's next state: its bytes, or an existing blob's id, or (both None) its absence."""

    path: str
    content: bytes | None = None
    blob: str | None = None
    executable: bool = False


def create_repository(path: Path, default_branch: str) -> Repository:
    """Make a bare repository that smart HTTP can serve."""
    pygit2.init_repository(str(path), bare=True, initial_head=default_branch)
    with (path / "config").open("a") as config:
        for key, value in SETTINGS.items():
            section, name = key.split(".")
            config.write(f"[{section}]\n\t{name} = {value}\n")
    for name, text in (("update", UPDATE_HOOK), ("post-receive", POST_RECEIVE_HOOK)):
        hook = path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(text)
        hook.chmod(0o755)
    return Repository(path)


def quoted(path: str) -> bytes:
    """Quote a path for fast-import."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()


def data_block(content: bytes) -> bytes:
    """Frame bytes for fast-import."""
    return b"data %d\n%s\n" % (len(content), content)


def signature(role: str, person: Person, when: int) -> bytes:
    """Write an author, committer or tagger line; characters Git forbids in names are dropped."""
    name, email = ("".join(c for c in text if c not in "<>\n") for text in (person.name, person.email))
    return f"{role} {name} <{email}> {when} +0000\n".encode()


def file_lines(changes: Iterable[FileChange]) -> bytes:
    """Write the file commands of one commit for fast-import."""
    lines = []
    for change in changes:
        mode = b"100755" if change.executable else b"100644"
        if change.content is not None:
            lines.append(b"M %s inline %s\n%s" % (mode, quoted(change.path), data_block(change.content)))
        elif change.blob is not None:
            lines.append(b"M %s %s %s\n" % (mode, change.blob.encode(), quoted(change.path)))
        else:
            lines.append(b"D %s\n" % quoted(change.path))
    return b"".join(lines)


def draft_commit(
    repository: Repository,
    parent: str | None,
    changes: Iterable[FileChange],
    *,
    message: str,
    author: Person,
    committer: Person,
) -> str:
    """Make a commit that no ref names yet, and return its id.

    One fast-import process, which loads only the trees along the changed paths: as fast in a repository
    of 20,000 files as in one of ten. Unchanged content makes an empty commit, as GitLab does.
    """
    now = int(time.time())
    draft = f"{DRAFTS}/{uuid.uuid4().hex}"
    start = f"from {parent}\n".encode() if parent else b""
    stream = (
        f"commit {draft}\nmark :1\n".encode()
        + signature("author", author, now)
        + signature("committer", committer, now)
        + data_block(message.encode())
        + start
        + file_lines(changes)
        + b"get-mark :1\n"
    )
    commit = repository.run("fast-import", "--quiet", data=stream).decode().strip()
    # The object stays (automatic garbage collection is off); the name was only fast-import's need.
    (repository.path / draft).unlink()
    return commit


def move_ref(repository: Repository, ref: str, new: str, old: str | None) -> bool:
    """Compare and swap a ref: ZEROS as `new` deletes it, None as `old` means it must not exist."""
    line = f"update {ref} {new} {old or ZEROS}\n" if new != ZEROS else f"delete {ref} {old}\n"
    return repository.run_raw("update-ref", "--stdin", data=line.encode()).returncode == 0


def commit_tree(
    repository: Repository,
    tree: str,
    parents: Iterable[str],
    *,
    message: str,
    author: Person,
    committer: Person,
) -> str:
    """Make a commit of an existing tree (or revision^{tree}): merges and squashes."""
    now = int(time.time())
    # Resolved first: a revision such as "main^{tree}" may move under us.
    found = repository.find(tree)
    if found is None:
        raise GitError(f"fatal: Needed a single revision: {tree}")
    tree = str(found.id)
    lines = [f"tree {tree}\n".encode(), *(f"parent {parent}\n".encode() for parent in parents)]
    lines += [
        signature("author", author, now),
        signature("committer", committer, now),
        b"\n",
        message.encode(),
    ]
    return (
        repository.run("hash-object", "-t", "commit", "-w", "--stdin", data=b"".join(lines)).decode().strip()
    )


def annotated_tag(repository: Repository, name: str, commit: str, message: str, tagger: Person) -> str:
    """Make a tag object and return its id."""
    head = f"object {commit}\ntype commit\ntag {name}\n".encode() + signature(
        "tagger", tagger, int(time.time())
    )
    # mktag refuses a message without a final line end.
    text = message if message.endswith("\n") else f"{message}\n"
    return repository.run("mktag", data=head + b"\n" + text.encode()).decode().strip()


def rebased(repository: Repository, commit: str, onto: str, committer: Person) -> str | None:
    """Replay a branch's commits on another commit; None where they conflict.

    The one write that needs a checkout: Git 2.39's merge-tree cannot be told the merge base.
    """
    folder = Path(tempfile.mkdtemp(prefix="rebase-", dir=repository.path.parent))
    names = {"GIT_COMMITTER_NAME": committer.name, "GIT_COMMITTER_EMAIL": committer.email}
    try:
        repository.run("worktree", "add", "--quiet", "--force", "--detach", str(folder), commit)
        command = ["git", "-C", str(folder), "rebase", "--quiet", onto]
        done = subprocess.run(command, env=ENVIRONMENT | names, capture_output=True, check=False)
        # In conflict: the half-done rebase goes with its folder.
        if done.returncode != 0:
            return None
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], env=ENVIRONMENT, capture_output=True, check=True
        )
        return head.stdout.decode().strip()
    except GitError:
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        repository.run("worktree", "prune", accept=(0, 1, 128))
