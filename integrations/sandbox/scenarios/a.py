"""Scenario A, the Git side: two projects, their past, and the hooks that make things move."""

from __future__ import annotations

from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.scenarios import a_sources as text
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.scenarios.parts import add_project, people
from integrations.sandbox.world import World

SOURCE = "gitlab/flask-k8s-example"
MANIFEST = "gitlab/flask-k8s-manifest"
LISTENERS = {
    SOURCE: ("flask-app/flask-app-dev", "flask-app/flask-app-prod"),
    MANIFEST: ("flask-app/merge-manifest",),
}


def seed(world: World) -> None:
    """Make both projects; change nothing where they exist. Blocks for a few git processes."""
    everybody = people(world)
    for path, past in ((SOURCE, source_history(everybody)), (MANIFEST, manifest_history(everybody))):
        # The team's branch dev outlives every merge.
        stays = path == MANIFEST
        about = f"Scenario A: {path.rsplit('/', 1)[1]}"
        add_project(
            world,
            path,
            past,
            about=about,
            listeners=LISTENERS[path],
            remove_source_branch_after_merge=not stays,
        )


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
    # dev begins at the first code, so that the merge below has two real sides.
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
    # An older version in the past gives the history something to show.
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
