"""The real git client against the simulated GitLab; reference gitlab-api.md "Tokens", gitlab-webhooks.md."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from integrations.sandbox import invented
from integrations.sandbox.server import InThread
from tests.integrations.sandbox.gitlab.conftest import SOURCE, Api, Receiver, until

QUIET = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Aiko",
    "GIT_AUTHOR_EMAIL": "aiko@centre.com",
    "GIT_COMMITTER_NAME": "Aiko",
    "GIT_COMMITTER_EMAIL": "aiko@centre.com",
}


def git(*arguments: str, where: Path | None = None, fails: bool = False) -> str:
    """Run git; return its output, or what it complained of when it should fail."""
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=QUIET, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout


def remote(box: InThread, token: str) -> str:
    """Return the clone address with a token as password."""
    credentials = f"oauth2:{token}@" if token else ""
    return f"{box.urls['gitlab'].replace('://', f'://{credentials}')}/{SOURCE}.git"


@pytest.fixture
def clone(box: InThread, tmp_path: Path) -> Path:
    """Clone the source project as Slipway's bot."""
    git("clone", "-q", remote(box, invented.GITLAB_TOKEN), str(tmp_path / "clone"))
    return tmp_path / "clone"


def write(clone: Path, name: str, text: str) -> None:
    """Commit one file."""
    (clone / name).write_text(text)
    git("add", name, where=clone)
    git("commit", "-q", "-m", f"Add {name}", where=clone)


def test_a_clone_has_branches_and_tags(clone: Path) -> None:
    """Smart HTTP, protocol v2, Basic with the token as password."""
    assert git("tag", where=clone).split() == ["v1.0.0"]
    assert "origin/dev" in git("branch", "-r", where=clone)


def test_a_blobless_clone_works(box: InThread, tmp_path: Path) -> None:
    """GitLab allows filters and wants by id: partial clones fetch on demand."""
    url, target = remote(box, invented.GITLAB_TOKEN), str(tmp_path / "partial")
    git("clone", "-q", "--filter=blob:none", "--no-checkout", url, target)
    assert "Flask" in git("show", "origin/dev:app.py", where=tmp_path / "partial")


def test_a_push_moves_the_branch_and_fires_the_hook(
    box: InThread, clone: Path, source: Api, receiver: Receiver
) -> None:
    """A push over HTTP is a push like any other."""
    box.world.hook_base = receiver.url
    git("checkout", "-q", "dev", where=clone)
    write(clone, "big.bin", "0123456789abcdef" * 200_000)
    git("push", "-q", "origin", "dev", where=clone)
    head = git("rev-parse", "HEAD", where=clone).strip()
    assert source.tip("dev") == head
    body = until(lambda: receiver.events("push"))[0]
    assert (body["after"], body["ref"]) == (head, "refs/heads/dev")


def test_more_than_three_refs_in_one_push_fire_no_hook(
    box: InThread, clone: Path, source: Api, receiver: Receiver
) -> None:
    """gitlab-webhooks.md, "Other limits": git push --tags of 4 tags is invisible."""
    box.world.hook_base = receiver.url
    for number in range(4):
        git("tag", f"v2.{number}.0", where=clone)
    git("push", "-q", "--tags", where=clone)
    assert len(source.get("/repository/tags").json()) == 5
    git("tag", "v3.0.0", where=clone)
    git("push", "-q", "origin", "v3.0.0", where=clone)
    until(lambda: receiver.requests)
    assert [body["ref"] for body in receiver.events("tag_push")] == ["refs/tags/v3.0.0"]


def test_a_stale_lease_is_refused(clone: Path, source: Api) -> None:
    """Compare and swap by --force-with-lease."""
    old = git("rev-parse", "origin/dev", where=clone).strip()
    source.commit("dev", "README.md", "changed\n")
    git("checkout", "-q", "dev", where=clone)
    write(clone, "x.txt", "x")
    complaint = git(
        "push", f"--force-with-lease=refs/heads/dev:{old}", "origin", "dev", where=clone, fails=True
    )
    assert "stale info" in complaint or "rejected" in complaint


def test_a_protected_branch_takes_no_push_from_a_developer(box: InThread, clone: Path) -> None:
    """Section "Tokens": pushing to a protected branch needs the right."""
    write(clone, "x.txt", "x")
    complaint = git("push", remote(box, invented.GITLAB_PERSON_TOKEN), "HEAD:main", where=clone, fails=True)
    assert "You are not allowed to push code to protected branches on this project." in complaint
    git("push", "-q", remote(box, invented.GITLAB_PERSON_TOKEN), "HEAD:refs/heads/mine", where=clone)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_private_project_wants_a_token(box: InThread, tmp_path: Path, token: str) -> None:
    """Section "Tokens": Basic challenge for the anonymous, refusal for a wrong password."""
    complaint = git("clone", remote(box, token), str(tmp_path / "none"), fails=True)
    assert "could not read Username" in complaint or "Authentication failed" in complaint


def test_a_reading_token_may_fetch_but_not_push(box: InThread, clone: Path) -> None:
    """Section "Tokens": read_repository covers fetching alone."""
    write(clone, "x.txt", "x")
    git("fetch", "-q", remote(box, invented.GITLAB_READER_TOKEN), where=clone)
    complaint = git(
        "push", remote(box, invented.GITLAB_READER_TOKEN), "HEAD:refs/heads/x", where=clone, fails=True
    )
    assert "403" in complaint
