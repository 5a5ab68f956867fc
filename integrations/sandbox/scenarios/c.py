"""Scenario C: code and plain manifests in one repository, the commit's hash as tag, Tekton pushes too."""

from __future__ import annotations

import yaml

from integrations.sandbox.gitlab.git import Person, Repository
from integrations.sandbox.gitlab.writes import FileChange, draft_commit, move_ref
from integrations.sandbox.scenarios import c_sources as text
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.scenarios.parts import (
    add_application,
    add_project,
    cluster_side,
    commit_of,
    people,
    stored_image,
    url_of,
)
from integrations.sandbox.world import World

PROJECT = "gitlab/go-sampleapp"
IMAGE = "ns/go-sampleapp"
NAMESPACE = "go-sampleapp"
DEV_POD = "k8s/dev/pod.yml"


async def seed(world: World) -> None:
    """Make the repository, the image of its first build, the pipeline, and both Applications at rest."""
    everybody = people(world)
    about = "Scenario C: code and plain manifests"
    listeners = (f"{NAMESPACE}/go-sampleapp",)
    past = history(everybody)
    add_project(world, PROJECT, past, about=about, listeners=listeners)
    built = (await commit_of(world, PROJECT, "refs/tags/started")).commit
    await _name_the_first_build(world, everybody["priya"], built)
    cluster, _, _ = cluster_side(world)
    # Applied at every start: a newer sandbox brings its own pipelines along.
    for manifest in yaml.safe_load_all(text.TEKTON):
        cluster.apply(manifest)
    await stored_image(world, IMAGE, built, project=PROJECT, revision=built)
    for name in ("dev", "prod"):
        source = {"repoURL": url_of(world, PROJECT), "path": f"k8s/{name}", "targetRevision": "main"}
        # Production is told: nothing is automated there, so it may be sent a revision. Dev polls.
        policy = {"automated": {"prune": True}} if name == "dev" else {}
        await add_application(world, f"go-sampleapp-{name}", source, namespace=NAMESPACE, sync_policy=policy)


async def _name_the_first_build(world: World, by: Person, built: str) -> None:
    """Commit the manifests that name the first build: its hash is known only now."""
    if "k8s/prod/deployment.yml" in world.git.files(PROJECT, "main"):
        return
    files = {DEV_POD: text.POD, "k8s/prod/deployment.yml": text.DEPLOYMENT}
    changes = [FileChange(path, content=body.format(tag=built).encode()) for path, body in files.items()]
    message = f"Run {built[:8]}\n"
    repository = Repository(world.git.repository(PROJECT))
    commit = draft_commit(repository, built, changes, message=message, author=by, committer=by)
    move_ref(repository, "refs/heads/main", commit, built)


def history(everybody: dict[str, Person]) -> History:
    """Return the past up to the first build, which the tag `started` marks."""
    past = History()
    past.commit("main", 26, everybody["tomas"], "Start the service\n", {"go.mod": text.MOD})
    files = {"main.go": text.MAIN, "main_test.go": text.TEST, "Dockerfile": text.DOCKERFILE}
    last = past.commit("main", 25, everybody["tomas"], "Answer with a greeting\n", files)
    # A tag, not the tip: pushes move main, and a second start must find the same build.
    past.tag("started", last, 25, everybody["tomas"], "The first build\n")
    return past
