"""Projects, people, tokens, and what the instance says of itself."""

from __future__ import annotations

from starlette.responses import Response

from integrations.sandbox.gitlab.state import Json
from integrations.sandbox.gitlab.views import project_json, user_json
from integrations.sandbox.gitlab.web import Access, ApiError, Call, answer, page, route
from integrations.sandbox.gitlab.webhooks import VERSION


async def list_projects(call: Call) -> Response:
    """GET /projects."""
    wanted = call.text("search").lower()
    # Strangers see public projects alone: others do not even exist for them.
    rows = [row for row in call.gitlab.state.projects.values() if call.user or row["visibility"] == "public"]
    rows = [row for row in rows if wanted in row["path_with_namespace"].lower()]
    return page(call, [project_json(call.gitlab.base_url, row) for row in rows])


async def get_project(call: Call) -> Response:
    """GET /projects/:id."""
    return answer(project_json(call.gitlab.base_url, call.project))


async def update_project(call: Call) -> Response:
    """PUT /projects/:id: the settings that decide how merges go."""
    call.project.update(
        {name: call.text(name) for name in ("merge_method", "squash_option") if name in call.params}
    )
    # Any of these changes what a promotion's merge has to wait for.
    flags = (
        "only_allow_merge_if_pipeline_succeeds",
        "remove_source_branch_after_merge",
        "merge_trains_enabled",
    )
    call.project.update({name: call.flag(name) for name in flags if name in call.params})
    if "approvals_before_merge" in call.params:
        call.project["approvals_before_merge"] = call.number("approvals_before_merge", 0)
    call.gitlab.world.touch()
    return answer(project_json(call.gitlab.base_url, call.project))


def _full_user(call: Call, user: Json) -> Json:
    return user_json(call.gitlab.base_url, user) | {"email": user["email"], "public_email": user["email"]}


async def current_user(call: Call) -> Response:
    """GET /user."""
    # Project access tokens act as bot users: these two are Slipway's.
    return answer(_full_user(call, call.actor) | {"is_admin": False, "bot": call.actor["id"] in (2, 3)})


async def list_users(call: Call) -> Response:
    """GET /users?username=."""
    rows = [
        user for user in call.gitlab.state.users.values() if call.text("username") in ("", user["username"])
    ]
    return page(call, [user_json(call.gitlab.base_url, user) for user in rows])


async def get_user(call: Call) -> Response:
    """GET /users/:id."""
    user = call.gitlab.state.users.get(int(call.path("user"))) if call.path("user").isdigit() else None
    if user is None:
        raise ApiError(404, "404 User Not Found")
    return answer(user_json(call.gitlab.base_url, user))


async def own_token(call: Call) -> Response:
    """GET /personal_access_tokens/self."""
    # The one way for a token to learn when it ends (gitlab-api.md, "Tokens and least privilege").
    return answer(call.token)


async def members(call: Call) -> Response:
    """GET .../members/all: everybody, with the role."""
    state = call.gitlab.state
    rows = [
        user_json(call.gitlab.base_url, user) | {"access_level": state.level(user)}
        for user in state.users.values()
    ]
    return page(call, rows)


async def protected_branches(call: Call) -> Response:
    """GET .../protected_branches."""
    rows = [
        {
            "id": number,
            "name": name,
            # Lists, as Premium may name people and groups beside roles.
            "push_access_levels": [{"access_level": rule["push"]}],
            "merge_access_levels": [{"access_level": rule["merge"]}],
            "allow_force_push": False,
        }
        for number, (name, rule) in enumerate(call.project["protected_branches"].items(), start=1)
    ]
    return page(call, rows)


async def version(call: Call) -> Response:
    """GET /version."""
    del call
    # Enterprise, for merge trains and approvals are of its editions.
    return answer({"version": VERSION, "revision": "5a0d0b4e0c1", "enterprise": True})


ROUTES = [
    route("GET", "/projects", Access.READ, list_projects),
    route("GET", "/projects/{id}", Access.READ, get_project),
    route("PUT", "/projects/{id}", Access.MANAGE, update_project),
    route("GET", "/projects/{id}/members/all", Access.READ, members),
    route("GET", "/projects/{id}/protected_branches", Access.READ, protected_branches),
    route("GET", "/user", Access.ANYONE, current_user),
    route("GET", "/users", Access.ANYONE, list_users),
    route("GET", "/users/{user}", Access.ANYONE, get_user),
    route("GET", "/personal_access_tokens/self", Access.ANYONE, own_token),
    route("GET", "/version", Access.ANYONE, version),
    route("GET", "/metadata", Access.ANYONE, version),
]
