"""What scenarios are put together from: projects with hooks, images of the past, Applications at rest.

Everything here may be repeated: what exists stays as it is, so that a sandbox can be started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.sandbox import gitinfo, invented
from integrations.sandbox.argocd import ArgoCD
from integrations.sandbox.gitlab.app import GitLab
from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.gitlab.hooks import new_hook
from integrations.sandbox.gitlab.state import MAINTAINER, Json, person, stamp
from integrations.sandbox.kubernetes import Cluster
from integrations.sandbox.registry import Registry
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.world import World

Object = dict[str, Any]
AUTOMATED: Mapping[str, Any] = {"automated": {"prune": True, "selfHeal": True}}


def gitlab_of(world: World) -> GitLab:
    """Return the simulated GitLab; TypeError where another one plays."""
    if not isinstance(world.git, GitLab):
        raise TypeError("scenarios need the simulated GitLab")
    return world.git


def cluster_side(world: World) -> tuple[Cluster, Registry, ArgoCD]:
    """Return the simulated cluster, registry and Argo CD; TypeError where others play."""
    cluster, registry, argocd = world.cluster, world.images, world.argocd
    if not (isinstance(cluster, Cluster) and isinstance(registry, Registry) and isinstance(argocd, ArgoCD)):
        raise TypeError("scenarios need the simulated cluster, registry and Argo CD")
    return cluster, registry, argocd


def people(world: World) -> dict[str, Person]:
    """Return the developers by user name, as Git names them."""
    users = gitlab_of(world).state
    return {name: person(users.user_named(name)) for name in ("aiko", "daniel", "priya", "tomas")}


def url_of(world: World, project: str) -> str:
    """Return a project's clone address; before the servers listen a made-up one."""
    return f"{world.urls.get('gitlab', 'https://gitlab.centre.com')}/{project}.git"


def add_project(
    world: World,
    path: str,
    past: History,
    *,
    about: str,
    branch: str = "main",
    listeners: tuple[str, ...] = (),
    **options: object,
) -> None:
    """Make a project with its past, its protected branch and its hooks. Blocks for a few git processes.

    `listeners` are EventListeners as "namespace/name". Nothing is changed where the project exists.
    """
    gitlab = gitlab_of(world)
    if gitlab.state.project(path) is not None:
        return
    project = gitlab.create_project(path, description=about, default_branch=branch, **options)
    # The past is written without hooks: nobody reacts to what happened long ago.
    past.write(gitlab.open(project))
    project["hooks"] = _hooks(world, gitlab, listeners)
    project["protected_branches"] = {branch: {"push": MAINTAINER, "merge": MAINTAINER}}
    world.touch()


def _hooks(world: World, gitlab: GitLab, listeners: tuple[str, ...]) -> list[Json]:
    """Return the hooks to Slipway and the EventListeners.

    Their addresses are placeholders until a hook is sent: the ports differ from run to run.
    """
    created = stamp(world.now())
    every = {"tag_push_events": True, "merge_requests_events": True, "token": invented.GITLAB_HOOK_TOKEN}
    # GitLab sends push events unless told otherwise; all others must be asked for.
    more = {"pipeline_events": True, "deployment_events": True, "releases_events": True}
    slipway = every | more | {"signing_token": invented.GITLAB_SIGNING_TOKEN, "name": "Slipway"}
    slipway["url"] = f"{{hook_base}}/webhooks/gitlab/{invented.GITLAB_SOURCE}"
    rows = [slipway]
    for listener in listeners:
        namespace, _, name = listener.partition("/")
        url = f"{{kubernetes}}/listeners/{namespace}/el-{name}"
        rows.append(every | {"auto_disable": False, "name": name, "url": url})
    return [new_hook(gitlab.state.next_id("hook"), "", created, options) for options in rows]


async def commit_of(world: World, project: str, revision: str) -> gitinfo.Commit:
    """Return the commit of a branch or tag; LookupError where the Git side was not seeded."""
    commit = await gitinfo.resolve(world, url_of(world, project), revision)
    if commit is None:
        raise LookupError(f"{project} has no {revision}: seed the Git side first")
    return commit


async def stored_image(
    world: World, repository: str, tag: str, *, project: str, revision: str, labelled: bool = True
) -> str:
    """Store an image built four minutes after its commit, and return its digest.

    `labelled` says whether the build wrote the OCI labels: a plain `docker build` writes none.
    """
    _, registry, _ = cluster_side(world)
    known = registry.digest(repository, tag)
    if known is not None:
        return known
    commit = await commit_of(world, project, revision)
    # In the past, so that the newest build is the one that somebody plays.
    built = datetime.fromtimestamp(int(commit.committed), UTC) + timedelta(minutes=4)
    labels = (commit.commit, url_of(world, project)) if labelled else ("", "")
    return registry.store(repository, tag, revision=labels[0], source=labels[1], created=built)


async def add_application(
    world: World,
    name: str,
    source: Mapping[str, Any],
    *,
    namespace: str,
    sync_policy: Mapping[str, Any] = AUTOMATED,
) -> None:
    """Create an Application that is synced and healthy since its last commit."""
    _, _, argocd = cluster_side(world)
    # A second start must not undo what happened to it since.
    is_new = name not in argocd.apps.items
    argocd.apply(
        {
            "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": namespace}},
            "spec": {
                "project": "default",
                "source": dict(source),
                "destination": {"name": name, "namespace": namespace},
                "syncPolicy": dict(sync_policy),
                "revisionHistoryLimit": 10,
            },
        }
    )
    if is_new:
        await argocd.settle(name)
