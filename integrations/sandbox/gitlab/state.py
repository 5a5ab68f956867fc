"""GitLab's rows: people, tokens, projects. Plain JSON objects in the world's store `gitlab`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from integrations.sandbox import invented
from integrations.sandbox.gitlab.git import Person

Json: TypeAlias = dict[str, Any]

DEVELOPER = 30
MAINTAINER = 40
OWNER = 50

PEOPLE: tuple[tuple[int, str, str, int], ...] = (
    (1, "root", "Administrator", OWNER),
    (2, "slipway", "Slipway", MAINTAINER),
    (3, "reader", "Read-only bot", 20),
    (4, "aiko", "Aiko Tanaka", DEVELOPER),
    (5, "daniel", "Daniel Weber", DEVELOPER),
    (6, "priya", "Priya Nair", MAINTAINER),
    (7, "tomas", "Tomás Silva", DEVELOPER),
    # Tools that push as themselves: scenario C's pipeline, scenario E's Image Updater.
    (8, "tekton", "Tekton", MAINTAINER),
    (9, "argocd-image-updater", "argocd-image-updater", MAINTAINER),
)
TOKENS: tuple[tuple[str, int, str, tuple[str, ...]], ...] = (
    (invented.GITLAB_TOKEN, 2, "slipway", ("api",)),
    (invented.GITLAB_READER_TOKEN, 3, "reader", ("read_api", "read_repository")),
    (invented.GITLAB_PERSON_TOKEN, 4, "aiko's laptop", ("api",)),
)


def stamp(moment: datetime) -> str:
    """Write a moment as GitLab's API does: milliseconds and Z."""
    # Three digits: GitLab cuts microseconds off, and the filters here compare times as text.
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def hook_stamp(text: str) -> str:
    """Rewrite an API time stamp as the pipeline and merge request hooks do: not ISO 8601."""
    return text[:19].replace("T", " ") + " UTC"


class State:
    """Typed access to the store; whoever changes a row calls `world.touch()`."""

    def __init__(self, store: Json) -> None:
        self.store = store
        store.setdefault("counters", {})
        store.setdefault("projects", {})
        self.projects: dict[str, Json] = store["projects"]
        self.users = {number: _user(number, name, full) for number, name, full, _ in PEOPLE}
        self.levels = {number: level for number, _, _, level in PEOPLE}

    def next_id(self, kind: str) -> int:
        """Count up one of the instance-wide sequences."""
        counters: dict[str, int] = self.store["counters"]
        counters[kind] = counters.get(kind, 0) + 1
        return counters[kind]

    def project(self, key: str) -> Json | None:
        """Find a project by numeric id or full path."""
        if key.isdigit():
            return self.projects.get(key)
        return next((row for row in self.projects.values() if row["path_with_namespace"] == key), None)

    def user_named(self, username: str) -> Json:
        """Return a person by user name; KeyError for a stranger."""
        return next(row for row in self.users.values() if row["username"] == username)

    def token(self, secret: str) -> Json | None:
        """Return a token's row, or None for an unknown one."""
        for number, (value, user_id, name, scopes) in enumerate(TOKENS, start=1):
            if value == secret:
                return _token(number, user_id, name, scopes)
        return None

    def level(self, user: Json | None) -> int:
        """Return a person's role in every project: 0 for the anonymous."""
        return self.levels[user["id"]] if user else 0

    def merge_requests(self, project: Json) -> Iterator[Json]:
        """Walk a project's merge requests, oldest first."""
        yield from project["merge_requests"].values()


def _user(number: int, name: str, full: str) -> Json:
    return {"id": number, "username": name, "name": full, "state": "active", "email": f"{name}@centre.com"}


def _token(number: int, user_id: int, name: str, scopes: tuple[str, ...]) -> Json:
    return {
        "id": number,
        "name": name,
        "revoked": False,
        "created_at": "2026-01-05T08:00:00.000Z",
        "description": "",
        "scopes": list(scopes),
        "user_id": user_id,
        "last_used_at": None,
        "active": True,
        # Tokens end after a year at most, at the start of a day (gitlab-api.md, "Tokens").
        "expires_at": f"{datetime.now(UTC).year + 1}-01-04",
    }


def person(user: Json) -> Person:
    """Return a user as Git names them."""
    return Person(user["name"], user["email"])


def next_iid(project: Json, kind: str) -> int:
    """Count up one of the project's sequences."""
    counters: dict[str, int] = project["counters"]
    counters[kind] = counters.get(kind, 0) + 1
    return counters[kind]


def new_project(number: int, path: str, created: str, options: Json) -> Json:
    """Make a project's row; `options` overrides any setting."""
    return {
        "id": number,
        "path_with_namespace": path,
        "path": path.rsplit("/", 1)[1],
        "name": path.rsplit("/", 1)[1],
        "description": "",
        "default_branch": "main",
        "visibility": "private",
        "created_at": created,
        "last_activity_at": created,
        "merge_method": "merge",
        "squash_option": "default_off",
        "merge_trains_enabled": False,
        "only_allow_merge_if_pipeline_succeeds": False,
        # GitLab's default; who keeps a branch like dev must say so.
        "remove_source_branch_after_merge": True,
        "approvals_before_merge": 0,
        # The bot that opens must not be the one that approves.
        "merge_requests_author_approval": False,
        # Roles that may push to and merge into a protected branch.
        "protected_branches": {"main": {"push": MAINTAINER, "merge": MAINTAINER}},
        "counters": {},
        "merge_requests": {},
        "environments": [],
        "deployments": [],
        "freeze_periods": [],
        "hooks": [],
        "deliveries": [],
        "pipelines": [],
        "statuses": [],
        "releases": [],
    } | options


def may(project: Json, level: int, act: str, branch: str) -> bool:
    """Tell whether a role may "push" to or "merge" into a branch."""
    # Without a rule a developer suffices; with one GitLab's default asks for a maintainer.
    rule = project["protected_branches"].get(branch)
    needed = int(rule[act]) if rule else DEVELOPER
    return level >= needed
