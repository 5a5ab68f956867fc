"""Scenario A, the Git side: two projects, their past, and the hooks that make things move."""

from __future__ import annotations

from integrations.sandbox import invented
from integrations.sandbox.gitlab.app import GitLab
from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.gitlab.hooks import new_hook
from integrations.sandbox.gitlab.state import MAINTAINER, Json, person, stamp
from integrations.sandbox.scenarios import a_sources as text
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.world import World

SOURCE = "gitlab/flask-k8s-example"
MANIFEST = "gitlab/flask-k8s-manifest"
LISTENERS = {SOURCE: ("flask-app-dev", "flask-app-prod"), MANIFEST: ("merge-manifest",)}


def seed(world: World) -> None:
    """Make both projects; change nothing where they exist. Blocks for a few git processes."""
    gitlab = world.git
    if not isinstance(gitlab, GitLab):
        raise TypeError("scenario A needs the simulated GitLab")
    people = {name: person(gitlab.state.user_named(name)) for name in ("aiko", "daniel", "priya", "tomas")}
    for path, past in ((SOURCE, source_history(people)), (MANIFEST, manifest_history(people))):
        if gitlab.state.project(path) is None:
            project = gitlab.create_project(path, description=f"Scenario A: {path.rsplit('/', 1)[1]}")
            if path == MANIFEST:
                project["remove_source_branch_after_merge"] = False  # dev stays
            past.write(gitlab.open(project))
            _hooks(world, gitlab, project)
    world.touch()


def source_history(people: dict[str, Person]) -> History:
    """Return the past of the source project, up to v1.0.0 on main and dev."""
    aiko, daniel, priya, tomas = people["aiko"], people["daniel"], people["priya"], people["tomas"]
    past = History()
    past.commit(
        "main", 61, aiko, "Start the greeting service\n", {"README.md": text.README, ".gitignore": "*.pyc\n"}
    )
    first = past.commit(
        "main",
        60.8,
        aiko,
        "Answer / with a greeting\n",
        {"app.py": text.APP_FIRST, "requirements.txt": "flask==3.1.0\n"},
    )
    past.branch("dev", first)
    past.commit(
        "dev", 55, daniel, "Build an image\n", {"Dockerfile": text.DOCKERFILE, ".dockerignore": ".git\n"}
    )
    past.commit(
        "dev",
        50,
        priya,
        "Add a health endpoint\n\nThe cluster asks it before it sends traffic.\n",
        {"app.py": text.APP_HEALTH, "test_app.py": text.TESTS},
    )
    last = past.commit(
        "dev",
        44,
        tomas,
        "Serve with gunicorn\n",
        {"gunicorn.conf.py": text.GUNICORN, "requirements.txt": text.REQUIREMENTS},
    )
    everything = {
        "Dockerfile": text.DOCKERFILE,
        ".dockerignore": ".git\n",
        "app.py": text.APP_HEALTH,
        "test_app.py": text.TESTS,
        "gunicorn.conf.py": text.GUNICORN,
        "requirements.txt": text.REQUIREMENTS,
    }
    merge = past.commit(
        "main",
        42,
        priya,
        "Merge branch 'dev' into 'main'\n\nFirst release\n",
        everything,
        parents=(first, last),
    )
    past.tag("v1.0.0", merge, 42, priya, "First release\n")
    past.branch("dev", merge)
    return past


def manifest_history(people: dict[str, Person]) -> History:
    """Return the past of the manifest project: dev and main are equal."""
    past = History()
    base = {
        "README.md": text.MANIFEST_README,
        "base/deployment.yml": text.BASE_DEPLOYMENT,
        "base/service.yml": text.BASE_SERVICE,
        "base/kustomization.yml": text.BASE_KUSTOMIZATION,
    }
    dev = {
        "overlays/dev/deployment.yml": text.DEV_DEPLOYMENT,
        "overlays/dev/kustomization.yml": text.OVERLAY_KUSTOMIZATION,
    }
    older = text.PROD_DEPLOYMENT.replace(":1.0.0", ":0.9.0")
    prod = {
        "overlays/prod/deployment.yml": older,
        "overlays/prod/kustomization.yml": text.OVERLAY_KUSTOMIZATION,
    }
    past.commit("main", 58, people["daniel"], "Add base manifests\n", base)
    past.commit("main", 57, people["daniel"], "Add the dev cluster\n", dev)
    past.commit("main", 48, people["priya"], "Add the production cluster\n", prod)
    current = {"overlays/prod/deployment.yml": text.PROD_DEPLOYMENT}
    last = past.commit("main", 41.9, people["priya"], "Bring 1.0.0 to production\n", current)
    past.branch("dev", last)
    return past


def _hooks(world: World, gitlab: GitLab, project: Json) -> None:
    """Register Slipway and the EventListeners; their addresses are placeholders until a hook is sent."""
    created = stamp(world.now())
    every = {"tag_push_events": True, "merge_requests_events": True, "token": invented.GITLAB_HOOK_TOKEN}
    more = {"pipeline_events": True, "deployment_events": True, "releases_events": True}
    slipway = every | more | {"signing_token": invented.GITLAB_SIGNING_TOKEN, "name": "Slipway"}
    slipway["url"] = f"{{hook_base}}/webhooks/gitlab/{invented.GITLAB_SOURCE}"
    rows = [slipway]
    for name in LISTENERS[project["path_with_namespace"]]:
        rows.append(
            every
            | {"auto_disable": False, "name": name, "url": f"{{kubernetes}}/listeners/flask-app/el-{name}"}
        )
    for options in rows:
        project["hooks"].append(new_hook(gitlab.state.next_id("hook"), "", created, options))
    project["protected_branches"] = {"main": {"push": MAINTAINER, "merge": MAINTAINER}}
