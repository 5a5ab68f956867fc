"""Scenario E: Argo CD Image Updater and people write to the repository that Slipway writes to."""

from __future__ import annotations

from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.scenarios import e_sources as text
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.scenarios.parts import add_application, add_project, people, stored_image, url_of
from integrations.sandbox.world import World

SOURCE = "gitlab/billing"
MANIFEST = "gitlab/billing-manifest"
IMAGE = "billing/billing"
# Where the Image Updater writes: its own file for dev; for prod, if somebody lets it, the kustomization.
UPDATED = {
    "billing-dev": "overlays/dev/.argocd-source-billing-dev.yaml",
    "billing-prod": "overlays/prod/kustomization.yaml",
}


async def seed(world: World) -> None:
    """Make both projects, three images of which 2.0.0 runs, and both Applications at rest."""
    everybody = people(world)
    add_project(world, SOURCE, source_history(everybody), about="Scenario E: the code")
    for version in ("2.0.0", "2.1.0", "2.2.0"):
        await stored_image(world, IMAGE, version, project=SOURCE, revision=f"v{version}")
    add_project(world, MANIFEST, manifest_history(everybody), about="Scenario E: the manifests")
    for name in ("dev", "prod"):
        source = {"repoURL": url_of(world, MANIFEST), "path": f"overlays/{name}", "targetRevision": "main"}
        await add_application(world, f"billing-{name}", source, namespace="billing")


def source_history(everybody: dict[str, Person]) -> History:
    """Return the past of the code with three releases."""
    past = History()
    for number, age in enumerate((19, 5, 1)):
        note = {"billing.py": f"RELEASE = {number}\n"}
        mark = past.commit("main", age, everybody["daniel"], f"Bill better, part {number + 1}\n", note)
        past.tag(f"v2.{number}.0", mark, age, everybody["priya"], f"Release 2.{number}.0\n")
    return past


def manifest_history(everybody: dict[str, Person]) -> History:
    """Return the past of the manifests: 2.0.0 in both environments."""
    past = History()
    base = {"base/deployment.yaml": text.DEPLOYMENT, "base/kustomization.yaml": text.BASE}
    past.commit("main", 18.9, everybody["priya"], "Add the base\n", base)
    overlays = {
        "overlays/dev/kustomization.yaml": text.DEV,
        UPDATED["billing-dev"]: text.UPDATER,
        "overlays/prod/kustomization.yaml": text.PROD,
        "overlays/prod/replicas.yaml": text.REPLICAS,
    }
    # Both environments and the override file in one commit, as a team starts.
    past.commit("main", 18.8, everybody["priya"], "Run 2.0.0\n", overlays)
    return past
