"""The merge request endpoints (reference gitlab-api.md, "Merge requests")."""

from __future__ import annotations

from starlette.responses import Response

from integrations.sandbox.gitlab.git import Repository
from integrations.sandbox.gitlab.merging import MergeOptions, is_draft
from integrations.sandbox.gitlab.mr_views import full_json, short_json
from integrations.sandbox.gitlab.state import Json, stamp
from integrations.sandbox.gitlab.views import commit_json, diff_json, user_json
from integrations.sandbox.gitlab.web import (
    UNAUTHORIZED,
    Access,
    ApiError,
    Call,
    answer,
    blocking,
    page,
    route,
)

REBASE_BUSY = (
    "Failed to enqueue the rebase operation, possibly due to a long-lived transaction. Try again later."
)


def _mr(call: Call) -> Json:
    found: Json | None = call.project["merge_requests"].get(call.path("iid"))
    if found is None:
        # By iid, the project's own number: an instance-wide id finds nothing or a stranger's.
        raise ApiError(404, "404 Merge Request Not Found")
    return found


async def _answer(call: Call, mr: Json, status: int = 200) -> Response:
    return answer(await blocking(full_json, call.gitlab, call.project, mr, rebase=True), status)


async def create(call: Call) -> Response:
    """POST .../merge_requests."""
    call.require("source_branch", "target_branch", "title")
    labels = call.params.get("labels") or []
    fields = {
        "source_branch": call.text("source_branch"),
        "target_branch": call.text("target_branch"),
        "title": call.text("title"),
        "description": call.text("description"),
        # A comma list in forms, an array in JSON.
        "labels": labels.split(",") if isinstance(labels, str) else labels,
        # The project's setting is the default, and `always` wins at the merge whatever is asked for here.
        "squash": call.flag("squash", default=call.project["squash_option"] in ("always", "default_on")),
        "force_remove_source_branch": call.flag(
            "remove_source_branch", default=call.project["remove_source_branch_after_merge"]
        ),
    }
    mr = await call.gitlab.merging.create(call.project, call.actor, fields)
    return await _answer(call, mr, 201)


async def get(call: Call) -> Response:
    """GET .../merge_requests/:iid."""
    return await _answer(call, _mr(call))


async def list_all(call: Call) -> Response:
    """GET .../merge_requests, newest first."""
    rows = [mr for mr in call.gitlab.state.merge_requests(call.project) if _wanted(call, mr)]
    rows.sort(key=lambda mr: mr[_order(call)], reverse=call.text("sort", "desc") == "desc")
    shown = [await blocking(short_json, call.gitlab, call.project, mr) for mr in rows]
    return page(call, shown)


def _order(call: Call) -> str:
    return "updated_at" if call.text("order_by") == "updated_at" else "created_at"


def _wanted(call: Call, mr: Json) -> bool:
    # Iids come as iids[]=1&iids[]=2, the one list that clients send in a query.
    for name in ("source_branch", "target_branch"):
        if name in call.params and mr[name] != call.text(name):
            return False
    iids = call.request.query_params.getlist("iids[]")
    if iids and str(mr["iid"]) not in iids:
        return False
    if call.text("updated_after") and mr["updated_at"] < call.text("updated_after"):
        return False
    if call.text("search").lower() not in f"{mr['title']} {mr['description']}".lower():
        return False
    return call.text("state", "all") in ("all", mr["state"])


async def update(call: Call) -> Response:
    """PUT .../merge_requests/:iid: title, description, state_event ..."""
    mr, old = _mr(call), dict(_mr(call))
    for name in ("title", "description", "target_branch"):
        if name in call.params:
            mr[name] = call.text(name)
    for name, field in (("squash", "squash"), ("remove_source_branch", "force_remove_source_branch")):
        if name in call.params:
            mr[field] = call.flag(name)
    # There is no field to set: "Draft:" in the title is what makes one.
    mr["draft"] = is_draft(mr["title"])
    if call.text("state_event"):
        _change_state(call, mr, call.text("state_event"))
    else:
        changed = ("title", "description", "target_branch", "draft")
        changes = {
            name: {"previous": old[name], "current": mr[name]} for name in changed if old[name] != mr[name]
        }
        call.gitlab.merging.announce(call.project, mr, call.actor, "update", changes=changes)
    return await _answer(call, mr)


def _change_state(call: Call, mr: Json, event: str) -> None:
    if event == "close" and mr["state"] == "opened":
        mr["state"], mr["closed_at"] = "closed", stamp(call.gitlab.world.now())
        mr["closed_by"] = user_json(call.gitlab.base_url, call.actor)
        # Closing takes the auto-merge back, and reopening does not bring it again.
        mr["merge_when_pipeline_succeeds"] = False
        call.gitlab.merging.announce(call.project, mr, call.actor, "close")
    elif event == "reopen" and mr["state"] == "closed":
        mr["state"], mr["closed_at"], mr["closed_by"] = "opened", None, None
        call.gitlab.merging.announce(call.project, mr, call.actor, "reopen")


async def merge(call: Call) -> Response:
    """PUT .../merge: 200 also when auto-merge was only armed; the state tells."""
    mr = _mr(call)
    remove = (
        call.flag("should_remove_source_branch") if "should_remove_source_branch" in call.params else None
    )
    options = MergeOptions(
        sha=call.text("sha"),
        message=call.text("merge_commit_message"),
        squash=call.flag("squash") if "squash" in call.params else None,
        squash_message=call.text("squash_commit_message"),
        remove_source_branch=remove,
        # GitLab renamed it; newer versions take both names.
        auto=call.flag("auto_merge") or call.flag("merge_when_pipeline_succeeds"),
    )
    await call.gitlab.merging.merge(call.project, mr, call.actor, options)
    return await _answer(call, mr)


async def cancel_auto_merge(call: Call) -> Response:
    """POST .../cancel_merge_when_pipeline_succeeds."""
    mr = _mr(call)
    if not mr["merge_when_pipeline_succeeds"]:
        # Nothing is armed.
        raise ApiError(406, "406 Not Acceptable")
    call.gitlab.merging.disarm(mr)
    return await _answer(call, mr, 201)


async def rebase(call: Call) -> Response:
    """PUT .../rebase: 202, then poll."""
    mr = _mr(call)
    # The lock's answer is 409, with a sentence that speaks of something else.
    if mr["rebase_in_progress"]:
        raise ApiError(409, REBASE_BUSY)
    if not call.may("push", mr["source_branch"]):
        raise ApiError(403, "Cannot push to source branch")
    mr["rebase_in_progress"] = True
    call.gitlab.world.spawn(
        call.gitlab.merging.rebase(call.project, mr, call.actor), name=f"rebase !{mr['iid']}"
    )
    # Accepted is not done: a rebase in conflict shows only as merge_error in a later GET.
    return answer({"rebase_in_progress": True}, 202)


async def commits(call: Call) -> Response:
    """GET .../merge_requests/:iid/commits, newest first."""
    mr = _mr(call)
    found = await blocking(call.repository.log, f"{mr['diff_refs']['base_sha']}..{mr['sha']}")
    return page(call, [commit_json(call.gitlab.base_url, call.project, item) for item in found])


def _diffs(repository: Repository, mr: Json) -> list[Json]:
    return [diff_json(item) for item in repository.diff(mr["diff_refs"]["base_sha"], mr["sha"])]


async def diffs(call: Call) -> Response:
    """GET .../merge_requests/:iid/diffs."""
    return page(call, await blocking(_diffs, call.repository, _mr(call)))


async def changes(call: Call) -> Response:
    """GET .../merge_requests/:iid/changes: the merge request with its differences (deprecated)."""
    mr = _mr(call)
    rows = await blocking(_diffs, call.repository, mr)
    body = await blocking(full_json, call.gitlab, call.project, mr, rebase=False)
    return answer(body | {"changes": rows, "overflow": False})


def _approvals(call: Call, mr: Json) -> Json:
    people = [call.gitlab.state.users[number] for number in mr["approved_by"]]
    required = call.project["approvals_before_merge"]
    return {
        "id": mr["id"],
        "iid": mr["iid"],
        "project_id": call.project["id"],
        "title": mr["title"],
        "state": mr["state"],
        "approved": len(people) >= required,
        "approvals_required": required,
        "approvals_left": max(0, required - len(people)),
        "approved_by": [{"user": user_json(call.gitlab.base_url, user)} for user in people],
        "user_has_approved": call.user is not None and call.user["id"] in mr["approved_by"],
        "user_can_approve": _may_approve(call, mr),
    }


def _may_approve(call: Call, mr: Json) -> bool:
    if call.user is None or call.user["id"] in mr["approved_by"]:
        return False
    return call.user["id"] != mr["author_id"] or bool(call.project["merge_requests_author_approval"])


async def approvals(call: Call) -> Response:
    """GET .../approvals."""
    return answer(_approvals(call, _mr(call)))


async def approve(call: Call) -> Response:
    """POST .../approve {sha}: 409 on a stale sha, 401 for the author and for a second time."""
    mr = _mr(call)
    if call.text("sha") and call.text("sha") != mr["sha"]:
        raise ApiError(409, f"SHA does not match HEAD of source branch: {mr['sha']}")
    if not _may_approve(call, mr):
        raise ApiError(*UNAUTHORIZED)
    mr["approved_by"].append(call.actor["id"])
    # One person's yes is `approval`; the one that completes the number is `approved`.
    enough = len(mr["approved_by"]) >= call.project["approvals_before_merge"]
    call.gitlab.merging.announce(call.project, mr, call.actor, "approved" if enough else "approval")
    return answer(_approvals(call, mr), 201)


async def unapprove(call: Call) -> Response:
    """POST .../unapprove."""
    mr = _mr(call)
    if call.actor["id"] not in mr["approved_by"]:
        raise ApiError(404, "404 Not Found")
    # `unapproved` where the number was there before, `unapproval` where it was not.
    was_enough = len(mr["approved_by"]) >= call.project["approvals_before_merge"]
    mr["approved_by"].remove(call.actor["id"])
    call.gitlab.merging.announce(call.project, mr, call.actor, "unapproved" if was_enough else "unapproval")
    return answer(_approvals(call, mr), 201)


async def pipelines(call: Call) -> Response:
    """GET .../merge_requests/:iid/pipelines."""
    mr = _mr(call)
    rows = [row for row in call.project["pipelines"] if row["sha"] == mr["sha"]]
    return page(call, [call.gitlab.pipelines.short(call.project, row) for row in reversed(rows)])


ONE = "/projects/{id}/merge_requests/{iid}"
ROUTES = [
    route("POST", "/projects/{id}/merge_requests", Access.WRITE, create),
    route("GET", "/projects/{id}/merge_requests", Access.READ, list_all),
    route("GET", ONE, Access.READ, get),
    route("PUT", ONE, Access.WRITE, update),
    route("PUT", f"{ONE}/merge", Access.WRITE, merge),
    route("PUT", f"{ONE}/rebase", Access.WRITE, rebase),
    route("POST", f"{ONE}/cancel_merge_when_pipeline_succeeds", Access.WRITE, cancel_auto_merge),
    route("GET", f"{ONE}/commits", Access.READ, commits),
    route("GET", f"{ONE}/diffs", Access.READ, diffs),
    route("GET", f"{ONE}/changes", Access.READ, changes),
    route("GET", f"{ONE}/pipelines", Access.READ, pipelines),
    route("GET", f"{ONE}/approvals", Access.READ, approvals),
    route("POST", f"{ONE}/approve", Access.WRITE, approve),
    route("POST", f"{ONE}/unapprove", Access.WRITE, unapprove),
]
