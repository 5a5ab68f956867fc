"""Merge requests' lives: prepared, checked, merged, closed, rebased (gitlab-api.md, "Merge requests")."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integrations.sandbox.gitlab import payloads
from integrations.sandbox.gitlab.git import ZEROS, Repository
from integrations.sandbox.gitlab.state import Json, may, next_iid, person, stamp
from integrations.sandbox.gitlab.views import user_json
from integrations.sandbox.gitlab.web import UNAUTHORIZED, ApiError, blocking
from integrations.sandbox.gitlab.writes import commit_tree, move_ref, rebased

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab

# Simulated seconds a fresh merge request is `preparing`, and then `checking`.
PREPARING = 1.0
CHECKING = 2.0
# Auto-merge may be armed while one of these stands in the way.
ARMABLE = {
    "preparing",
    "checking",
    "unchecked",
    "ci_still_running",
    "ci_must_pass",
    "not_approved",
    "draft_status",
}
REBASE_FAILED = "Rebase failed: Rebase locally, resolve all conflicts, then push the branch."


@dataclass(frozen=True)
class MergeOptions:
    """What a merge call may say."""

    sha: str = ""
    message: str = ""
    squash: bool | None = None
    squash_message: str = ""
    remove_source_branch: bool | None = None
    auto: bool = False


@dataclass(frozen=True)
class Merged:
    """What a merge made; `merge_commit` is None for a fast-forward."""

    old: str
    new: str
    merge_commit: str | None
    squash_commit: str | None


class Merging:
    """The merge requests of one GitLab."""

    def __init__(self, gitlab: GitLab) -> None:
        self.gitlab = gitlab
        self.world = gitlab.world
        self._locks: dict[int, asyncio.Lock] = {}

    def resume(self) -> None:
        """Wait again for the merges that were armed when the last run ended."""
        for project in self.gitlab.state.projects.values():
            for mr in self.gitlab.state.merge_requests(project):
                if mr["state"] == "opened" and mr["merge_when_pipeline_succeeds"]:
                    self._watch(project, mr)

    # Making and telling.

    async def create(self, project: Json, author: Json, fields: Json) -> Json:
        """Open a merge request; 409 while another is open for the same branches."""
        repository = self.gitlab.open(project)
        source, target = fields["source_branch"], fields["target_branch"]
        head, base = await blocking(repository.tip, source), await blocking(repository.tip, target)
        if source == target:
            # A list of sentences, as the model's validations give them.
            raise ApiError(422, ["You can't use same project/branch for source and target"])
        if head is None or base is None:
            kind, name = ("Source", source) if head is None else ("Target", target)
            raise ApiError(400, [f'{kind} branch "{name}" does not exist'])
        for mr in self.gitlab.state.merge_requests(project):
            if (mr["state"], mr["source_branch"], mr["target_branch"]) == ("opened", source, target):
                text = f"Another open merge request already exists for this source branch: !{mr['iid']}"
                # The number stands in the sentence alone: clients look for the open one instead of reading
                # it.
                raise ApiError(409, [text])
        fork = await blocking(repository.merge_base, base, head) or base
        mr = self._new(project, author, fields, head, fork)
        project["merge_requests"][str(mr["iid"])] = mr
        self.announce(project, mr, author, "open")
        return mr

    def _new(self, project: Json, author: Json, fields: Json, head: str, fork: str) -> Json:
        now, started = stamp(self.world.now()), time.time()
        return {
            "id": self.gitlab.state.next_id("merge_request"),
            "iid": next_iid(project, "merge_request"),
            "state": "opened",
            "created_at": now,
            "updated_at": now,
            "author_id": author["id"],
            "sha": head,
            "diff_refs": {"base_sha": fork, "head_sha": head, "start_sha": fork},
            "prepared_until": started + PREPARING / self.world.speed,
            "checked_until": started + (PREPARING + CHECKING) / self.world.speed,
            "merged_at": None,
            "closed_at": None,
            "merge_user": None,
            "closed_by": None,
            "merge_commit_sha": None,
            "squash_commit_sha": None,
            "should_remove_source_branch": None,
            "merge_when_pipeline_succeeds": False,
            "merge_options": {},
            "merge_error": None,
            "rebase_in_progress": False,
            "approved_by": [],
            "hook_status": "preparing",
            **fields,
            "draft": is_draft(fields["title"]),
        }

    def announce(self, project: Json, mr: Json, user: Json, action: str, **extra: object) -> None:
        """Send the hook of a change and tell the other vendors."""
        mr["updated_at"] = stamp(self.world.now())
        # Hooks carry the status as it was stored, not as a GET would compute it.
        mr["hook_status"] = "not_open" if mr["state"] != "opened" else mr["hook_status"]
        self.world.touch()
        iid = mr["iid"]
        self.world.spawn(
            self._hook(project, dict(mr), user, action, dict(extra)), name=f"hook !{iid} {action}"
        )
        path = project["path_with_namespace"]
        self.world.emit("merge_request.changed", project=path, iid=iid, action=action)

    async def _hook(self, project: Json, mr: Json, user: Json, action: str, extra: Json) -> None:
        last = await blocking(self.gitlab.open(project).commit, mr["sha"])
        author = self.gitlab.state.users[mr["author_id"]]
        body = payloads.merge_request(self.gitlab.base_url, project, mr, last, user, action, extra, author)
        self.gitlab.webhooks.fire(project, "merge_request", body)

    # May it be merged.

    def status(self, project: Json, mr: Json) -> str:
        """Return `detailed_merge_status`: one reason only, as GitLab gives. Blocks: asks Git."""
        repository, now = self.gitlab.open(project), time.time()
        if mr["state"] != "opened":
            return "not_open"
        if now < mr["checked_until"] or mr["rebase_in_progress"]:
            return "preparing" if now < mr["prepared_until"] else "checking"
        if mr["draft"]:
            return "draft_status"
        source, target = repository.tip(mr["source_branch"]), repository.tip(mr["target_branch"])
        # Nothing to merge, or nothing to merge from.
        if source is None or target is None or repository.is_ancestor(source, target):
            return "commits_status"
        return self._blocked(project, mr, source) or _joins(repository, project, source, target)

    def _blocked(self, project: Json, mr: Json, source: str) -> str:
        pipeline = self.gitlab.pipelines.last_of(project, source)
        if project["only_allow_merge_if_pipeline_succeeds"] and (
            not pipeline or pipeline["status"] != "success"
        ):
            running = pipeline and pipeline["status"] in ("created", "pending", "running")
            return "ci_still_running" if running else "ci_must_pass"
        return "not_approved" if len(mr["approved_by"]) < project["approvals_before_merge"] else ""

    # Merging.

    async def merge(self, project: Json, mr: Json, user: Json, options: MergeOptions) -> None:
        """Merge or arm; the checks come in GitLab's order: permission, state, mergeability, sha."""
        if not may(project, self.gitlab.state.level(user), "merge", mr["target_branch"]):
            raise ApiError(*UNAUTHORIZED)
        async with self._locks.setdefault(project["id"], asyncio.Lock()):
            status = await blocking(self.status, project, mr)
            # On a train also what could be merged at once waits for its turn.
            waits = self._running(project, mr) or project["merge_trains_enabled"]
            if options.auto and (status in ARMABLE or (status == "mergeable" and waits)):
                self._arm(project, mr, user, options)
                return
            if status not in ("mergeable", "conflict", "need_rebase"):
                # Says nothing of the reason: that is in detailed_merge_status.
                raise ApiError(405, "405 Method Not Allowed")
            if status != "mergeable":
                raise ApiError(422, "Branch cannot be merged")
            await self._merge(project, mr, user, options)

    async def _merge(self, project: Json, mr: Json, user: Json, options: MergeOptions) -> None:
        repository = self.gitlab.open(project)
        head = await blocking(repository.tip, mr["source_branch"])
        # Last of the checks: a stale sha on a draft is told as 405.
        if options.sha and options.sha != head:
            raise ApiError(409, f"SHA does not match HEAD of source branch: {head}")
        author = self.gitlab.state.users[mr["author_id"]]
        done = await blocking(merge_now, repository, project, mr, str(head), (author, user), options)
        if done is None:
            mr["merge_error"] = "Merge failed: Something went wrong during merge. Please try again."
            raise ApiError(422, "Branch cannot be merged")
        mr["sha"], mr["merge_commit_sha"], mr["squash_commit_sha"] = (
            head,
            done.merge_commit,
            done.squash_commit,
        )
        self._close_as_merged(project, mr, user)
        self.gitlab.pushed(project, {f"refs/heads/{mr['target_branch']}": (done.old, done.new)}, user)
        remove = options.remove_source_branch
        if mr["force_remove_source_branch"] if remove is None else remove:
            await self._remove_source(project, mr, str(head), user)

    def _close_as_merged(self, project: Json, mr: Json, user: Json) -> None:
        mr["state"], mr["merged_at"] = "merged", stamp(self.world.now())
        mr["merge_user"] = user_json(self.gitlab.base_url, user)
        mr["merge_when_pipeline_succeeds"], mr["merge_error"] = False, None
        self.announce(project, mr, user, "merge")

    async def _remove_source(self, project: Json, mr: Json, head: str, user: Json) -> None:
        branch = mr["source_branch"]
        # Asked to remove one of these, GitLab keeps it without a word.
        if branch == project["default_branch"] or branch in project["protected_branches"]:
            return
        if await blocking(move_ref, self.gitlab.open(project), f"refs/heads/{branch}", ZEROS, head):
            self.gitlab.pushed(project, {f"refs/heads/{branch}": (head, None)}, user)

    # Auto-merge.

    def _running(self, project: Json, mr: Json) -> bool:
        pipeline = self.gitlab.pipelines.last_of(project, mr["sha"])
        return pipeline is not None and pipeline["status"] in ("created", "pending", "running")

    def _arm(self, project: Json, mr: Json, user: Json, options: MergeOptions) -> None:
        mr["merge_when_pipeline_succeeds"] = True
        mr["merge_user"] = user_json(self.gitlab.base_url, user)
        mr["merge_options"] = {
            "message": options.message,
            "squash": options.squash,
            "squash_message": options.squash_message,
            "remove_source_branch": options.remove_source_branch,
        }
        self.announce(project, mr, user, "update")
        self._watch(project, mr)

    def _watch(self, project: Json, mr: Json) -> None:
        self.world.spawn(self._merge_when_ready(project, mr), name=f"auto-merge !{mr['iid']}")

    async def _merge_when_ready(self, project: Json, mr: Json) -> None:
        while mr["merge_when_pipeline_succeeds"] and mr["state"] == "opened":
            ready = await blocking(self.status, project, mr) == "mergeable" and not self._running(project, mr)
            if ready:
                user = self.gitlab.state.users[mr["merge_user"]["id"]]
                try:
                    await self.merge(project, mr, user, MergeOptions(**mr["merge_options"]))
                except ApiError:
                    self.disarm(mr)
                return
            # A real fifth of a second at least: asking Git more often would only load the machine.
            await asyncio.sleep(max(0.2, 0.5 / self.world.speed))

    def disarm(self, mr: Json) -> None:
        """Cancel auto-merge."""
        mr["merge_when_pipeline_succeeds"], mr["merge_user"] = False, None
        self.world.touch()

    # What happens to it from outside.

    def recheck(self, project: Json, ref: str) -> None:
        """Have the open merge requests of a moved branch checked anew, before anybody can ask."""
        for mr in self.gitlab.state.merge_requests(project):
            branches = (f"refs/heads/{mr['source_branch']}", f"refs/heads/{mr['target_branch']}")
            if mr["state"] == "opened" and ref in branches:
                soon = time.time() + CHECKING / 2 / self.world.speed
                mr["checked_until"] = max(mr["checked_until"], soon)

    async def on_push(self, project: Json, ref: str, old: str | None, new: str | None, user: Json) -> None:
        """Follow a moved branch: new head, or a new target to be checked against, or merged outside."""
        if not ref.startswith("refs/heads/") or new is None:
            return
        branch = ref.removeprefix("refs/heads/")
        for mr in list(self.gitlab.state.merge_requests(project)):
            if mr["state"] == "opened" and mr["source_branch"] == branch:
                await self._new_head(project, mr, old, new, user)
            elif mr["state"] == "opened" and mr["target_branch"] == branch:
                await self._new_target(project, mr, old, new, user)

    async def _new_head(self, project: Json, mr: Json, old: str | None, new: str, user: Json) -> None:
        repository = self.gitlab.open(project)
        base = await blocking(repository.tip, mr["target_branch"])
        fork = await blocking(repository.merge_base, base, new) if base else None
        if mr["state"] != "opened":
            return
        mr["sha"] = new
        mr["diff_refs"] = {"base_sha": fork or base, "head_sha": new, "start_sha": fork or base}
        # Approvals were for the old head.
        mr["approved_by"] = []
        if mr["merge_when_pipeline_succeeds"]:
            self.disarm(mr)  # GitLab aborts auto-merge when the source branch moves
        self.announce(project, mr, user, "update", oldrev=old or ZEROS)

    async def _new_target(self, project: Json, mr: Json, old: str | None, new: str, user: Json) -> None:
        repository = self.gitlab.open(project)
        held = await blocking(repository.is_ancestor, mr["sha"], new)
        already = old is not None and await blocking(repository.is_ancestor, mr["sha"], old)
        if mr["state"] != "opened":
            return
        if held and not already:
            # Somebody merged with git and pushed: GitLab notices and marks the merge request.
            self._close_as_merged(project, mr, user)

    async def rebase(self, project: Json, mr: Json, user: Json) -> None:
        """Replay the source branch on the target in the background."""
        await self.world.pause(1)
        repository = self.gitlab.open(project)
        onto, head = (
            await blocking(repository.tip, mr["target_branch"]),
            await blocking(repository.tip, mr["source_branch"]),
        )
        new = await blocking(rebased, repository, str(head), str(onto), person(user))
        ref = f"refs/heads/{mr['source_branch']}"
        if new and new != head and await blocking(move_ref, repository, ref, new, head):
            self.gitlab.pushed(project, {ref: (head, new)}, user)
        mr["rebase_in_progress"], mr["merge_error"] = False, None if new else REBASE_FAILED
        self.world.touch()


def is_draft(title: str) -> bool:
    """Tell whether a title marks a draft."""
    return title.lower().startswith(("draft:", "[draft]", "(draft)"))


def _joins(repository: Repository, project: Json, source: str, target: str) -> str:
    if repository.merged_tree(target, source) is None:
        return "conflict"
    straight = project["merge_method"] in ("ff", "rebase_merge")
    return "need_rebase" if straight and not repository.is_ancestor(target, source) else "mergeable"


def merge_now(
    repository: Repository,
    project: Json,
    mr: Json,
    head: str,
    people: tuple[Json, Json],
    options: MergeOptions,
) -> Merged | None:
    """Merge as the project's method says; None when the target moved or the merge conflicts. Blocks."""
    author, user = (person(one) for one in people)
    old = repository.resolve(f"refs/heads/{mr['target_branch']}")
    if old is None:
        return None
    squashed = None
    if project["squash_option"] == "always" or (mr["squash"] if options.squash is None else options.squash):
        base = repository.merge_base(old, head) or old
        # Without a message of ours a squash drops the commits' trailers.
        text = options.squash_message or mr["title"]
        squashed = commit_tree(
            repository, f"{head}^{{tree}}", [base], message=text, author=author, committer=user
        )
    new, merge_commit = squashed or head, None
    if project["merge_method"] != "ff":
        tree = repository.merged_tree(old, new)
        if tree is None:
            return None
        text = options.message or merge_message(project, mr)
        new = commit_tree(repository, tree, [old, new], message=text, author=user, committer=user)
        merge_commit = new
    # Somebody pushed in between: compare and swap, and the caller hears of a failed merge.
    if not move_ref(repository, f"refs/heads/{mr['target_branch']}", new, old):
        return None
    return Merged(old, new, merge_commit, squashed)


def merge_message(project: Json, mr: Json) -> str:
    """Return GitLab's default merge commit message."""
    head = f"Merge branch '{mr['source_branch']}' into '{mr['target_branch']}'"
    return f"{head}\n\n{mr['title']}\n\nSee merge request {project['path_with_namespace']}!{mr['iid']}"
