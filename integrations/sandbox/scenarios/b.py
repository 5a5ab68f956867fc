"""Scenario B: GitLab CI builds, a Helm chart's appVersion selects the tag, people merge in GitLab."""

from __future__ import annotations

from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.scenarios import b_sources as text
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

SOURCE = "gitlab/gitops-demo-app"
CHART = "gitlab/gitops-demo-chart"
BRANCH = "master"
HUB = "docker.io"
IMAGE = "centre/gitops-demo-app"
STAGES = ["build", "update_manifest", "open_MR"]
APPLICATION = "webapp"


def tag_of(commit: str, branch: str = BRANCH) -> str:
    """Return the tag the CI gives: GitLab's CI_COMMIT_REF_SLUG and CI_COMMIT_SHORT_SHA, eight characters."""
    return f"{branch.replace('/', '-')}-{commit[:8]}"


async def seed(world: World) -> None:
    """Make both projects, the image of the source's tip on "Docker Hub", and webapp at rest."""
    everybody = people(world)
    about = "Scenario B: built by GitLab CI"
    add_project(world, SOURCE, source_history(everybody), about=about, branch=BRANCH)
    # A second start must not take the tip for the version that the chart began with.
    first = (await commit_of(world, SOURCE, "refs/tags/started")).commit
    past = chart_history(everybody, tag_of(first))
    add_project(world, CHART, past, about="Scenario B: the chart", branch=BRANCH)
    # Harbor's hooks must not speak of Docker Hub's images, though one storage holds both.
    _, registry, _ = cluster_side(world)
    elsewhere: list[str] = registry.storage.state.setdefault("elsewhere", [])
    if IMAGE not in elsewhere:
        elsewhere.append(IMAGE)
    await stored_image(world, IMAGE, tag_of(first), project=SOURCE, revision=first, labelled=False)
    source = {"repoURL": url_of(world, CHART), "path": ".", "targetRevision": BRANCH}
    await add_application(world, APPLICATION, source, namespace="webapp")


def source_history(everybody: dict[str, Person]) -> History:
    """Return the past of the source project; the tag `started` marks what runs at first."""
    past = History()
    past.commit(BRANCH, 33, everybody["daniel"], "Serve a page\n", {"app.js": text.APP})
    past.commit(BRANCH, 32, everybody["daniel"], "Build in GitLab CI\n", {".gitlab-ci.yml": text.CI})
    last = past.commit(BRANCH, 30, everybody["aiko"], "Add an image\n", {"Dockerfile": text.DOCKERFILE})
    past.tag("started", last, 30, everybody["aiko"], "What the chart began with\n")
    return past


def chart_history(everybody: dict[str, Person], tag: str) -> History:
    """Return the past of the chart, whose appVersion ends at `tag`."""
    past = History()
    files = {
        "values.yaml": text.VALUES,
        "templates/deployment.yaml": text.DEPLOYMENT,
        "templates/service.yaml": text.SERVICE,
    }
    older = {"Chart.yaml": text.CHART.format(tag="master-0000000a")}
    past.commit(BRANCH, 31, everybody["priya"], "Add the chart\n", files | older)
    now = {"Chart.yaml": text.CHART.format(tag=tag)}
    past.commit(BRANCH, 29.9, everybody["priya"], f"Update image tag to {tag}\n", now)
    return past
