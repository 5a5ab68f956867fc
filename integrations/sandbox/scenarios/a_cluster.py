"""Scenario A, the cluster side: Tekton's objects, the images of 1.0.0, two Applications at rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from integrations.sandbox import gitinfo
from integrations.sandbox.argocd import ArgoCD
from integrations.sandbox.kubernetes import Cluster
from integrations.sandbox.registry import Registry
from integrations.sandbox.scenarios import a_tekton
from integrations.sandbox.scenarios.finished import finished_run
from integrations.sandbox.world import World

Object = dict[str, Any]
SOURCE = "gitlab/flask-k8s-example"
MANIFEST = "gitlab/flask-k8s-manifest"
NAMESPACE = "flask-app"
PROD_IMAGE = "k8s/flask-k8s-example"
DEV_IMAGE = "k8s/flask-k8s-example-dev"
# Application: overlay (its folder in the manifest project) and the order it is shown in.
APPLICATIONS = {"flask-dev": "overlays/dev", "flask-prod": "overlays/prod"}


async def seed(world: World) -> None:
    """Make what is missing; an existing object is only brought to its manifest."""
    cluster, registry, argocd = world.cluster, world.images, world.argocd
    if not (isinstance(cluster, Cluster) and isinstance(registry, Registry) and isinstance(argocd, ArgoCD)):
        raise TypeError("scenario A needs the simulated cluster, registry and Argo CD")
    for text in (a_tekton.TASKS, a_tekton.PIPELINES, a_tekton.TRIGGERS):
        for manifest in yaml.safe_load_all(text):
            cluster.apply(manifest)
    await _image(world, registry, cluster, "build-prod-image", PROD_IMAGE, "1.0.0", "v1.0.0")
    await _image(world, registry, cluster, "build-dev-image", DEV_IMAGE, "latest", "dev")
    for name, overlay in APPLICATIONS.items():
        new = name not in argocd.apps.items
        argocd.apply(application(_url(world, MANIFEST), name, overlay))
        # Settled before it is followed: a first comparison would find everything missing and sync.
        if new:
            await argocd.settle(name)


def _url(world: World, project: str) -> str:
    return f"{world.urls.get('gitlab', 'https://gitlab.centre.com')}/{project}.git"


async def _image(
    world: World,
    registry: Registry,
    cluster: Cluster,
    pipeline: str,
    repository: str,
    tag: str,
    revision: str,
) -> None:
    """Store an image built from a revision, with the finished PipelineRun that built it."""
    if registry.digest(repository, tag) is not None:
        return
    url = _url(world, SOURCE)
    commit = await gitinfo.resolve(world, url, revision)
    if commit is None:
        raise LookupError(f"{SOURCE} has no {revision}: seed the Git side first")
    # A build ends some minutes after its commit, never at the moment of the seed.
    built = datetime.fromtimestamp(int(commit.committed), UTC) + timedelta(minutes=4)
    digest = registry.store(repository, tag, revision=commit.commit, source=url, created=built)
    image = f"{registry.host}/{repository}:{tag}"
    results = {
        "git-clone": {"commit": commit.commit, "url": url, "committer-date": commit.committed},
        "build": {"IMAGE_DIGEST": digest, "IMAGE_URL": f"{image}\n"},
    }
    params = {"repo-url": url, "revision": commit.commit, "image": image}
    finished_run(cluster, NAMESPACE, pipeline, params, results, started=built - timedelta(seconds=15))


def application(url: str, name: str, overlay: str) -> Object:
    """Return the Application manifest: automated with prune and self-heal, on branch main."""
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "flask-k8s-example"}},
        "spec": {
            "project": "default",
            "source": {"repoURL": url, "path": overlay, "targetRevision": "main"},
            "destination": {"name": name, "namespace": NAMESPACE},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
            "revisionHistoryLimit": 10,
        },
    }
