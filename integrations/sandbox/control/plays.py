"""What a newcomer may do in the other people's place; each play tells what it did."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.gitlab.merging import MergeOptions
from integrations.sandbox.gitlab.refs import version_key
from integrations.sandbox.gitlab.state import person, stamp
from integrations.sandbox.gitlab.views import user_json
from integrations.sandbox.gitlab.web import ApiError, blocking
from integrations.sandbox.gitlab.writes import FileChange, annotated_tag, draft_commit, move_ref
from integrations.sandbox.scenarios.a import MANIFEST, SOURCE
from integrations.sandbox.scenarios.a_sources import NEXT_WORK

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab
    from integrations.sandbox.world import World

Json: TypeAlias = dict[str, Any]
# The person who merges, tags and closes: a maintainer.
MAINTAINER = "priya"
VENDORS = ("gitlab", "kubernetes", "argocd", "registry")


class CannotPlay(Exception):
    """The play makes no sense now; the message is a sentence for the page."""


@dataclass(frozen=True)
class Stage:
    """What a play works on: the world, its GitLab, and the parameters given."""

    world: World
    gitlab: GitLab
    given: Json

    def text(self, name: str, default: str) -> str:
        """Return a parameter, or the default where it is missing or empty."""
        return str(self.given.get(name) or default)

    def number(self, name: str, default: float) -> float:
        """Return a number; a sentence where it is none."""
        try:
            return float(self.given.get(name) or default)
        except (TypeError, ValueError):
            raise CannotPlay(f"“{self.given.get(name)}” is not a number.") from None

    def project(self, default: str) -> Json:
        """Return the project named by the parameter `project`."""
        found = self.gitlab.state.project(self.text("project", default))
        if found is None:
            raise CannotPlay(f"There is no project {self.text('project', default)}.")
        return found


async def push_dev(stage: Stage) -> Json:
    """Commit the next piece of work to dev of the source project."""
    project, memory = stage.project(SOURCE), stage.world.store("control")
    # Kept on disk: a restarted demo goes on with the next piece of work.
    number = int(memory.get("pushes", 0))
    memory["pushes"] = number + 1
    note = {"CHANGES.md": f"Change number {number + 1}\n"}
    author, message, files = (
        NEXT_WORK[number] if number < len(NEXT_WORK) else ("aiko", f"Work on change {number + 1}\n", note)
    )
    user = stage.gitlab.state.user_named(author)
    changes = [FileChange(path, content=text.encode()) for path, text in files.items()]
    commit = await _commit(
        stage, project, stage.text("branch", "dev"), changes, stage.text("message", message), user
    )
    return {
        "commit": commit,
        "branch": stage.text("branch", "dev"),
        "author": user["name"],
        "title": message.split("\n")[0],
    }


async def _commit(
    stage: Stage, project: Json, branch: str, changes: list[FileChange], message: str, user: Json
) -> str:
    repository, author = stage.gitlab.open(project), person(user)
    old = await blocking(repository.tip, branch)
    if old is None:
        raise CannotPlay(f"There is no branch {branch}.")
    commit = await blocking(
        draft_commit, repository, old, changes, message=message, author=author, committer=author
    )
    if not await blocking(move_ref, repository, f"refs/heads/{branch}", commit, old):
        raise CannotPlay(f"The branch {branch} moved meanwhile; play it again.")
    stage.gitlab.pushed(project, {f"refs/heads/{branch}": (old, commit)}, user)
    return commit


async def merge_dev(stage: Stage) -> Json:
    """Open a merge request dev -> main in the source project, where there is none, and merge it."""
    project = stage.project(SOURCE)
    repository = stage.gitlab.open(project)
    dev, main = await blocking(repository.tip, "dev"), await blocking(repository.tip, "main")
    if not dev or not main or await blocking(repository.is_ancestor, dev, main):
        raise CannotPlay("main already holds everything that is in dev: push something to dev first.")
    mr = _open_one(stage, project)
    # One that is open already is merged instead: GitLab allows one for a pair of branches.
    if mr is None:
        commit = await blocking(repository.commit, dev)
        fields = {
            "source_branch": "dev",
            "target_branch": "main",
            "title": commit.title if commit else "Bring dev to main",
            "description": "",
            "labels": [],
            "squash": False,
            "force_remove_source_branch": False,
        }
        author = stage.gitlab.state.user_named("daniel")
        mr = await stage.gitlab.merging.create(project, author, fields)
    return await _merge(stage, project, mr)


def _open_one(stage: Stage, project: Json) -> Json | None:
    rows = [mr for mr in stage.gitlab.state.merge_requests(project) if mr["state"] == "opened"]
    wanted = str(stage.given.get("iid") or "")
    return next((mr for mr in reversed(rows) if wanted in ("", str(mr["iid"]))), None)


async def _merge(stage: Stage, project: Json, mr: Json) -> Json:
    user = stage.gitlab.state.user_named(MAINTAINER)
    # Whoever clicks merge in GitLab waits for the check as well.
    await stage.world.wait_until(lambda: time.time() >= mr["checked_until"], seconds=30)
    try:
        await stage.gitlab.merging.merge(project, mr, user, MergeOptions(remove_source_branch=None))
    except ApiError as error:
        status = await blocking(stage.gitlab.merging.status, project, mr)
        raise CannotPlay(f"GitLab does not merge !{mr['iid']}: {status}.") from error
    made = mr["merge_commit_sha"] or mr["squash_commit_sha"] or mr["sha"]
    return {
        "project": project["path_with_namespace"],
        "merge_request": mr["iid"],
        "commit": made,
        "by": user["name"],
    }


async def merge_request_merge(stage: Stage) -> Json:
    """Merge the newest open merge request, of the manifest project if it has one, as a person."""
    return await _merge(stage, *_required(stage))


async def merge_request_close(stage: Stage) -> Json:
    """Close the newest open merge request, of the manifest project if it has one, as a person."""
    project, mr = _required(stage)
    user = stage.gitlab.state.user_named(MAINTAINER)
    mr["state"], mr["closed_at"] = "closed", stamp(stage.world.now())
    mr["closed_by"] = user_json(stage.gitlab.base_url, user)
    # Closing disarms auto-merge.
    mr["merge_when_pipeline_succeeds"] = False
    stage.gitlab.merging.announce(project, mr, user, "close")
    return {"project": project["path_with_namespace"], "merge_request": mr["iid"], "by": user["name"]}


def _required(stage: Stage) -> tuple[Json, Json]:
    """Return the merge request that is meant, with its project."""
    everywhere = sorted(
        stage.gitlab.state.projects.values(), key=lambda row: row["path_with_namespace"] != MANIFEST
    )
    asked = [stage.project(MANIFEST)] if stage.given.get("project") else everywhere
    for project in asked:
        if (mr := _open_one(stage, project)) is not None:
            return project, mr
    raise CannotPlay("No merge request is open there.")


async def tag(stage: Stage) -> Json:
    """Tag main of the source project with the next version."""
    project = stage.project(SOURCE)
    repository = stage.gitlab.open(project)
    name = stage.text("version", await blocking(next_version, stage.gitlab, project))
    name = name if name.startswith("v") else f"v{name}"
    if not re.fullmatch(r"v[0-9A-Za-z.+-]+", name):
        raise CannotPlay(f"“{name}” is no version.")
    user = stage.gitlab.state.user_named(MAINTAINER)
    commit = await blocking(repository.tip, stage.text("branch", "main"))
    tagger: Person = person(user)
    target = await blocking(annotated_tag, repository, name, str(commit), f"Release {name[1:]}", tagger)
    # GitLab refuses to move a tag; only delete and create does.
    if not await blocking(move_ref, repository, f"refs/tags/{name}", target, None):
        raise CannotPlay(f"The tag {name} exists already.")
    stage.gitlab.pushed(project, {f"refs/tags/{name}": (None, target)}, user)
    return {"tag": name, "commit": commit, "by": user["name"]}


def next_version(gitlab: GitLab, project: Json) -> str:
    """Return the tag after the highest release: its middle number counted up. Blocks: asks Git."""
    names = [ref.name.removeprefix("refs/tags/") for ref in gitlab.open(project).refs("refs/tags/")]
    releases = sorted((name for name in names if re.fullmatch(r"v\d+\.\d+\.\d+", name)), key=version_key)
    if not releases:
        return "v1.0.0"
    major, minor, _ = releases[-1].lstrip("v").split(".")
    return f"v{major}.{int(minor) + 1}.0"


async def stranger_commit(stage: Stage) -> Json:
    """Push a commit to the manifest project that Slipway knows nothing of."""
    branch, path = stage.text("branch", "dev"), str(stage.given.get("path") or "")
    commit = await stage.gitlab.stranger_commit(stage.project(MANIFEST), branch, path)
    return {"commit": commit, "branch": branch, "author": "Tomás Silva"}


async def resend(stage: Stage) -> Json:
    """Send a logged webhook once more (`id`; the newest to Slipway otherwise): the same key."""
    for project in stage.gitlab.state.projects.values():
        for row in reversed(project["deliveries"]):
            wanted = str(stage.given.get("id") or "")
            # A hook may have been deleted since: its deliveries stay in the log.
            hook = next((hook for hook in project["hooks"] if hook["id"] == row["hook_id"]), None)
            if hook and (wanted == str(row["id"]) or (not wanted and "{hook_base}" in hook["url"])):
                stage.gitlab.webhooks.resend(project, hook, row)
                return {"delivery": row["id"], "event": row["trigger"], "key": row["idempotency_key"]}
    raise CannotPlay("No webhook was sent yet.")


def _count_up(part: str, key: str, default: int = 1) -> Callable[[Stage], Awaitable[Json]]:
    async def play(stage: Stage) -> Json:
        counts = stage.world.faults.setdefault(part, {})
        counts[key] = int(counts.get(key) or 0) + int(stage.number("count", default))
        return {part: dict(counts)}

    return play


fail_build = _count_up("build", "fail_next")
fail_verification = _count_up("verification", "fail_next")
drop_hooks = _count_up("hooks", "drop")
duplicate_hooks = _count_up("hooks", "duplicate")
reorder_hooks = _count_up("hooks", "reorder")


async def degrade(stage: Stage) -> Json:
    """Make an Argo CD application unhealthy until it is told to recover."""
    names: list[str] = stage.world.faults.setdefault("degraded", [])
    name = stage.text("application", "flask-prod")
    if name not in names:
        names.append(name)
    return {"degraded": list(names)}


async def recover(stage: Stage) -> Json:
    """Let an application be healthy again."""
    name = stage.text("application", "flask-prod")
    names = [one for one in stage.world.faults.get("degraded", []) if one != name]
    stage.world.faults["degraded"] = names
    return {"degraded": names}


async def slow_down(stage: Stage) -> Json:
    """Delay every vendor's answers."""
    seconds = stage.number("seconds", 2)
    stage.world.faults["latency"] = dict.fromkeys(VENDORS, seconds)
    return {"latency": seconds}


async def stop_stream(stage: Stage) -> Json:
    """Break off a vendor's streams and refuse new ones for a while."""
    vendor, seconds = stage.text("vendor", "argocd"), stage.number("seconds", 10)
    mode = stage.text("mode", "refuse")
    until = time.time() + seconds
    stage.world.faults.setdefault("streams", {})[vendor] = {"mode": mode, "until": until}
    return {"vendor": vendor, "mode": mode, "seconds": seconds}


async def outage(stage: Stage) -> Json:
    """Answer 500 (or another status) for a while."""
    vendor, seconds = stage.text("vendor", "gitlab"), stage.number("seconds", 20)
    row = {"vendor": vendor, "status": int(stage.number("status", 500)), "until": time.time() + seconds}
    stage.world.faults.setdefault("errors", []).append(row)
    return {"vendor": vendor, "status": row["status"], "seconds": seconds}


async def calm(stage: Stage) -> Json:
    """Take all faults away."""
    stage.world.faults.clear()
    return {"faults": {}}
