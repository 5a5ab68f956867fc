"""GitLab's REST API v4 through python-gitlab (reference gitlab-api.md)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from gitlab.utils import EncodedId

from integrations.errors import Conflict, IntegrationError, Rejected, Unavailable
from integrations.gitlab import reading
from integrations.gitlab.transport import Query, Transport
from integrations.gitlab.types import (
    Branch,
    Commit,
    CommitStatus,
    Comparison,
    FileDiff,
    FileUpdate,
    FreezePeriod,
    MergeRequest,
    Pipeline,
    Project,
    RepositoryFile,
    Tag,
    TreeEntry,
)
from integrations.http import Retry
from integrations.shape import moment


class NotMergeable(Rejected):
    """GitLab cannot merge it now (405): `detailed_status` is its detailed_merge_status, `state` the
    merge request's, both as read just after the refusal and "" when that failed."""

    detailed_status: str = ""
    state: str = ""


class GitLabClient:
    """One GitLab with one token; use one client per thread and close it.

    `project` is the full path or the numeric id as text, everywhere. All methods raise IntegrationError:
    reads are repeated on transient failures, writes never; after Unavailable a write may have happened.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 10.0,
        ca_file: str | None = None,
        retry: Retry | None = None,
    ) -> None:
        self._url = url
        self._api = Transport(url, token, timeout=timeout, ca_file=ca_file, retry=retry)

    def __repr__(self) -> str:
        return f"<GitLabClient {self._url}>"

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    # Projects, branches, files

    def project(self, path: str) -> Project:
        """The project, or NotFound: GitLab hides what the token may not see."""
        return reading.project(self._api.get(_project(path)))

    def branch(self, project: str, name: str) -> Branch:
        """The branch and its tip."""
        return reading.branch(self._api.get(f"{_repository(project)}/branches/{EncodedId(name)}"))

    def create_branch(self, project: str, name: str, ref: str) -> Branch:
        """A new branch at `ref`. Raises Conflict when it exists."""
        try:
            return reading.branch(
                self._api.post(f"{_repository(project)}/branches", {"branch": name, "ref": ref})
            )
        except Rejected as error:
            raise _conflict_if(error, "already exists") from error

    def delete_branch(self, project: str, name: str) -> None:
        """Remove the branch."""
        self._api.delete(f"{_repository(project)}/branches/{EncodedId(name)}")

    def tree(
        self, project: str, ref: str, path: str = "", *, recursive: bool = True, limit: int | None = None
    ) -> list[TreeEntry]:
        """Everything below `path`, or directly in it: all pages, or as many as hold `limit` entries.

        NotFound when it does not exist at `ref`. GitLab gives 100 entries a page, so a large folder takes
        many requests.
        """
        query: Query = {"ref": ref, "path": path, "recursive": recursive, "pagination": "keyset"}
        found = self._api.entries(f"{_repository(project)}/tree", query, limit=limit)
        return [reading.tree_entry(entry) for entry in found]

    def read_file(self, project: str, path: str, ref: str) -> RepositoryFile:
        """One file; read all files of one change at one commit id, not at a branch's name."""
        url = f"{_repository(project)}/files/{EncodedId(path)}"
        return reading.repository_file(self._api.get(url, {"ref": ref}))

    def tags(self, project: str, search: str | None = None) -> list[Tag]:
        """All tags; `search` takes GitLab's forms such as `^v1`."""
        query = {"search": search} if search else {}
        return [reading.tag(entry) for entry in self._api.entries(f"{_repository(project)}/tags", query)]

    # Commits

    def create_commit(
        self,
        project: str,
        *,
        branch: str,
        message: str,
        files: Sequence[FileUpdate],
        author_name: str,
        author_email: str,
        start_sha: str | None = None,
        start_branch: str | None = None,
    ) -> Commit:
        """One commit that updates existing files, all or nothing.

        Raises Conflict when a file or the branch moved. GitLab's lock fails open (gitlab-api.md,
        "Commits"): the caller must check that `parent_ids[0]` is the head it computed from. A commit
        without any difference would be made too: compare first. `start_sha` or `start_branch` create the
        branch.
        """
        body: dict[str, object] = {
            "branch": branch,
            "commit_message": message,
            "author_name": author_name,
            "author_email": author_email,
            "actions": [_update(file) for file in files],
        }
        start = {"start_sha": start_sha, "start_branch": start_branch}
        body |= {key: value for key, value in start.items() if value}
        try:
            created = reading.commit(self._api.post(f"{_repository(project)}/commits", body))
        except Rejected as error:
            raise _conflict_if(error, "A branch called") from error
        if not created.id:
            raise Unavailable("GitLab did not name the commit it made", vendor="gitlab")
        return created

    def commits(
        self,
        project: str,
        *,
        ref: str,
        path: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        first_parent: bool = False,
    ) -> list[Commit]:
        """The newest `limit` commits of a ref or of a range `a..b`, with trailers."""
        query: dict[str, str | int | bool] = {"ref_name": ref, "trailers": True}
        if path:
            query["path"] = path
        if since:
            query["since"] = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if first_parent:
            query["first_parent"] = True
        found = self._api.entries(f"{_repository(project)}/commits", query, limit=limit)
        return [reading.commit(entry) for entry in found]

    def find_commit_by_trailer(
        self, project: str, *, ref: str, base: str, key: str, value: str, limit: int = 200
    ) -> Commit | None:
        """Our commit on `ref` since `base`, or None; how a write is found again after a time-out."""
        for commit in self.commits(project, ref=f"{base}..{ref}", limit=limit):
            if any(name.lower() == key.lower() and found == value for name, found in commit.trailers.items()):
                return commit
        return None

    def commit(self, project: str, sha: str) -> Commit:
        """One commit by id, tag or branch."""
        return reading.commit(self._api.get(f"{_repository(project)}/commits/{EncodedId(sha)}"))

    def commit_diff(self, project: str, sha: str) -> list[FileDiff]:
        """What one commit changed against its first parent."""
        found = self._api.entries(f"{_repository(project)}/commits/{EncodedId(sha)}/diff")
        return [reading.file_diff(entry) for entry in found]

    def compare(self, project: str, base: str, head: str) -> Comparison:
        """What `head` has beyond its merge base with `base`; empty for a roll-back unless swapped."""
        query: Query = {"from": base, "to": head, "straight": False}
        return reading.comparison(self._api.get(f"{_repository(project)}/compare", query))

    def is_ancestor(self, project: str, ancestor: str, descendant: str) -> bool:
        """Whether `descendant` holds `ancestor` (or is it). NotFound when either is unknown."""
        if ancestor == descendant:
            return True
        # Commits are never cut off in a comparison, only diffs are: no commits means nothing is missing.
        return not self.compare(project, descendant, ancestor).commits

    def commit_statuses(self, project: str, sha: str) -> list[CommitStatus]:
        """The latest status of each name on a commit."""
        found = self._api.entries(f"{_repository(project)}/commits/{EncodedId(sha)}/statuses")
        return [reading.commit_status(entry) for entry in found]

    def pipelines(self, project: str, sha: str) -> list[Pipeline]:
        """GitLab CI's pipelines of a commit, newest first."""
        found = self._api.entries(f"{_project(project)}/pipelines", {"sha": sha}, limit=100)
        return [reading.pipeline(entry) for entry in found]

    def pipeline(self, project: str, number: int) -> Pipeline:
        """One pipeline of GitLab CI by its id."""
        return reading.pipeline(self._api.get(f"{_project(project)}/pipelines/{number}"))

    def commit_merge_requests(self, project: str, sha: str) -> list[MergeRequest]:
        """The merge requests that brought a commit."""
        found = self._api.entries(f"{_repository(project)}/commits/{EncodedId(sha)}/merge_requests")
        return [reading.merge_request(entry) for entry in found]

    # Merge requests

    def create_merge_request(
        self,
        project: str,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
        remove_source_branch: bool = False,
        squash: bool | None = None,
    ) -> MergeRequest:
        """A new merge request. Raises Conflict when an open one exists for the branches: adopt that one."""
        body: dict[str, object] = {
            "source_branch": source_branch,
            "target_branch": target_branch,
            "title": title,
            "description": description,
            "remove_source_branch": remove_source_branch,
        }
        if squash is not None:
            body["squash"] = squash
        return reading.merge_request(self._api.post(f"{_project(project)}/merge_requests", body))

    def find_merge_requests(
        self, project: str, *, source_branch: str, target_branch: str | None = None, state: str = "opened"
    ) -> list[MergeRequest]:
        """Merge requests from a branch, newest first; lists may hold stale merge statuses."""
        query: dict[str, str | int | bool] = {"source_branch": source_branch, "state": state}
        if target_branch:
            query["target_branch"] = target_branch
        found = self._api.entries(f"{_project(project)}/merge_requests", query)
        return [reading.merge_request(entry) for entry in found]

    def merge_request(self, project: str, iid: int) -> MergeRequest:
        """One merge request, with a merge status that is current."""
        return reading.merge_request(self._api.get(f"{_project(project)}/merge_requests/{iid}"))

    def merge(
        self,
        project: str,
        iid: int,
        *,
        sha: str,
        squash_message: str | None = None,
        squash: bool | None = None,
        remove_source_branch: bool = False,
        auto_merge: bool = False,
    ) -> MergeRequest:
        """Merge it, if its head still is `sha`. The answer's state says whether it was merged or only
        armed (opened, `auto_merge`). Where the project squashes, `squash_message` is the commit's.

        Raises NotMergeable (405: checks, draft, still checking; bounded repetition makes sense), Conflict
        (409: the head moved), Unauthorized (GitLab says 401 when the user may not merge), Rejected (422).
        """
        body: dict[str, object] = {"sha": sha, "should_remove_source_branch": remove_source_branch}
        if squash_message is not None:
            # A squash leaves this one commit; a merge commit brings ours along, trailers and all.
            body["squash_commit_message"] = squash_message
        if squash is not None:
            body["squash"] = squash
        if auto_merge:
            # The second name is the one that GitLab before 17.11 knows.
            body |= {"auto_merge": True, "merge_when_pipeline_succeeds": True}
        try:
            return reading.merge_request(
                self._api.put(f"{_project(project)}/merge_requests/{iid}/merge", body)
            )
        except Rejected as error:
            if error.status != 405:
                raise
            raise self._not_mergeable(project, iid) from error

    def close_merge_request(self, project: str, iid: int) -> MergeRequest:
        """Close it without merging."""
        return reading.merge_request(
            self._api.put(f"{_project(project)}/merge_requests/{iid}", {"state_event": "close"})
        )

    def rebase(self, project: str, iid: int) -> None:
        """Have GitLab replay the source branch on its target; it takes a while and may fail in silence.

        The head moves: read the merge request again. Raises Conflict (409) while it is locked.
        """
        self._api.put(f"{_project(project)}/merge_requests/{iid}/rebase", {})

    def _not_mergeable(self, project: str, iid: int) -> NotMergeable:
        """405 says nothing, so the reason is read from the merge request."""
        state = status = ""
        try:
            current = self.merge_request(project, iid)
            state, status = current.state, current.detailed_merge_status
        except IntegrationError:
            pass  # the refusal itself is what counts
        found = NotMergeable(
            f"GitLab cannot merge !{iid} now: {status or state or 'no reason given'}",
            vendor="gitlab",
            status=405,
        )
        found.detailed_status, found.state = status, state
        return found

    # Around it

    def freeze_periods(self, project: str) -> list[FreezePeriod]:
        """The project's deploy freezes: advice only, GitLab's API refuses nothing."""
        return [
            reading.freeze_period(entry) for entry in self._api.entries(f"{_project(project)}/freeze_periods")
        ]

    def token_expires_at(self) -> datetime | None:
        """The start of the day our token ends, None for a token without end."""
        return moment(self._api.get("/personal_access_tokens/self").get("expires_at"))


def _project(project: str) -> str:
    return f"/projects/{EncodedId(project)}"


def _repository(project: str) -> str:
    return f"{_project(project)}/repository"


def _update(file: FileUpdate) -> dict[str, object]:
    return {
        "action": "update",
        "file_path": file.path,
        # base64 keeps every byte; as text GitLab would have to guess.
        "content": base64.b64encode(file.content).decode(),
        "encoding": "base64",
        "last_commit_id": file.last_commit_id,
    }


def _conflict_if(error: Rejected, sentence: str) -> IntegrationError:
    """GitLab answers 400 where something is in the way already; the sentence tells."""
    if error.status != 400 or sentence not in error.message:
        return error
    return Conflict(error.message, vendor=error.vendor, status=400)
