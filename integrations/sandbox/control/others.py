"""The plays of scenarios B to E: what builds, tools and people do there without asking Slipway."""

from __future__ import annotations

import re

from integrations.sandbox.control.plays import CannotPlay, Json, Stage
from integrations.sandbox.faults import take
from integrations.sandbox.gitlab.refs import version_key
from integrations.sandbox.gitlab.state import person
from integrations.sandbox.gitlab.web import ApiError, blocking
from integrations.sandbox.gitlab.writes import annotated_tag, move_ref
from integrations.sandbox.registry import Registry
from integrations.sandbox.scenarios import b, c, d, e
from integrations.sandbox.scenarios.a import SOURCE
from integrations.sandbox.world import World

# How long each of the three stages of scenario B's pipeline takes.
STAGE_SECONDS = 2.0
UPDATER = "argocd-image-updater"


def _registry(world: World) -> Registry:
    if not isinstance(world.images, Registry):
        raise CannotPlay("There is no simulated registry.")
    return world.images


async def _edit(stage: Stage, project: str, path: str, text: tuple[str, str], message: str, by: str) -> str:
    """Push a replacement in one file as a person or tool; `text` is a pattern and what takes its place."""

    def edit(old: str) -> str:
        new = re.sub(text[0], text[1], old, count=1)
        # A push that changes nothing would start no build and look like a lost webhook.
        if new == old:
            raise CannotPlay(f"{path} says that already.")
        return new

    branch = b.BRANCH if project in (b.SOURCE, b.CHART) else "main"
    try:
        return await stage.gitlab.push_edit(project, branch, path, edit, message=message, username=by)
    except KeyError as error:
        raise CannotPlay(f"There is no {error.args[0]}: its scenario is not loaded.") from error


def _count(stage: Stage, what: str) -> int:
    """Count a play's turns, so that each makes another change."""
    memory = stage.world.store("control")
    memory[what] = int(memory.get(what, 0)) + 1
    return int(memory[what])


async def pipeline(stage: Stage) -> Json:
    """Start a GitLab pipeline on a ref, or move one (`id`) to a `status`.

    Without `status` it lives its whole life. A successful one of scenario B's source pushed the image.
    """
    default = b.SOURCE if stage.gitlab.state.project(b.SOURCE) and "b" in stage.world.scenarios else SOURCE
    project = stage.project(default)
    is_b = project["path_with_namespace"] == b.SOURCE
    ref = stage.text("ref", b.BRANCH if is_b else "dev")
    rows: list[Json] = project["pipelines"]
    row = next((item for item in rows if str(item["id"]) == str(stage.given.get("id"))), None)
    if row is None:
        user = stage.gitlab.state.user_named("aiko")
        try:
            row = await stage.gitlab.pipelines.create(project, ref, user, stages=b.STAGES)
        except ApiError as error:
            raise CannotPlay(f"There is no ref {ref}.") from error
    status = stage.text("status", "" if is_b else "running")
    if not status:
        stage.world.spawn(_live(stage, project, row), name=f"gitlab pipeline {row['id']}")
    else:
        await _move(stage, project, row, status)
    return {"pipeline": row["id"], "sha": row["sha"], "ref": ref, "status": status or "running"}


async def _live(stage: Stage, project: Json, row: Json) -> None:
    await stage.gitlab.pipelines.set_status(project, row, "running")
    await stage.world.pause(STAGE_SECONDS)
    if take(stage.world, "build", "fail_next"):
        await stage.gitlab.pipelines.set_status(project, row, "failed")
        return
    # The image is there when the first stage ends; the pipeline is green only after the last.
    _push(stage, row)
    await stage.world.pause(STAGE_SECONDS * (len(row["stages"]) - 1))
    await stage.gitlab.pipelines.set_status(project, row, "success")


async def _move(stage: Stage, project: Json, row: Json, status: str) -> None:
    # A build that is told green by hand must have left its image, too.
    if status == "success" and project["path_with_namespace"] == b.SOURCE:
        _push(stage, row)
    await stage.gitlab.pipelines.set_status(project, row, status)


def _push(stage: Stage, row: Json) -> None:
    """Push the build's image once: a plain `docker build` writes no label that names the commit."""
    registry, tag = _registry(stage.world), b.tag_of(row["sha"], row["ref"])
    if registry.digest(b.IMAGE, tag) is None:
        registry.push(b.IMAGE, tag, revision="")


async def push_app(stage: Stage) -> Json:
    """Push a change of scenario B's application; GitLab CI starts by itself."""
    number = _count(stage, "app")
    commit = await _edit(
        stage,
        b.SOURCE,
        "app.js",
        (r"Hello[^\\]*", f"Hello number {number} "),
        f"Greet anew ({number})\n",
        "aiko",
    )
    done = await pipeline(Stage(stage.world, stage.gitlab, {"project": b.SOURCE}))
    return {"commit": commit, "tag": b.tag_of(commit), "pipeline": done["pipeline"]}


async def push_go(stage: Stage) -> Json:
    """Push a change of scenario C's code; Tekton tests, builds and writes the dev manifest."""
    number = _count(stage, "go")
    text = (r'Fprintln\(w, "[^"]*"\)', f'Fprintln(w, "hello {number}")')
    commit = await _edit(stage, c.PROJECT, "main.go", text, f"Say hello ({number})\n", "tomas")
    return {"commit": commit, "branch": "main", "image": f"{c.IMAGE}:{commit}"}


async def shop_release(stage: Stage) -> Json:
    """Tag the next version of scenario D's shop, and push its three images."""
    return await _release(stage, d.SOURCE, "shop.py", d.IMAGES)


async def billing_release(stage: Stage) -> Json:
    """Tag the next version of scenario E's billing, and push its image."""
    return await _release(stage, e.SOURCE, "billing.py", (e.IMAGE,))


async def _release(stage: Stage, source: str, path: str, images: tuple[str, ...]) -> Json:
    registry = _registry(stage.world)
    newest = max(_tags(registry, images[0]), key=version_key, default="1.0.0")
    major, minor, _ = newest.split(".")
    version = f"{major}.{int(minor) + 1}.0"
    text = (r"\Z", f"# {version}\n")
    commit = await _edit(stage, source, path, text, f"Work for {version}\n", "daniel")
    project = stage.gitlab.state.project(source)
    if project is None:
        raise CannotPlay(f"There is no project {source}.")
    repository, user = stage.gitlab.open(project), stage.gitlab.state.user_named("priya")
    tag = await blocking(annotated_tag, repository, f"v{version}", commit, version, person(user))
    await blocking(move_ref, repository, f"refs/tags/v{version}", tag, None)
    stage.gitlab.pushed(project, {f"refs/tags/v{version}": (None, tag)}, user)
    url = f"{stage.gitlab.base_url}/{source}.git"
    for image in images:
        registry.push(image, version, revision=commit, source=url)
    return {"version": version, "commit": commit}


def _tags(registry: Registry, image: str) -> list[str]:
    held = registry.storage.repositories.get(image, {"tags": {}})
    return [tag for tag in held["tags"] if re.fullmatch(r"\d+\.\d+\.\d+", tag)]


async def image_updater(stage: Stage) -> Json:
    """Let Argo CD Image Updater write the newest image: to its own file, or to prod's kustomization."""
    name = stage.text("application", "billing-dev")
    path = e.UPDATED.get(name)
    if path is None:
        raise CannotPlay(f"The Image Updater does not look after {name}.")
    tags = _tags(_registry(stage.world), e.IMAGE)
    version = stage.text("version", max(tags, key=version_key, default=""))
    if name == "billing-dev":
        text = (r"(billing/billing):\S+", rf"\g<1>:{version}")
    else:
        text = (r'newTag: "[^"]*"', f'newTag: "{version}"')
    # The tool's own default message template.
    message = f"build: automatic update of {name}\n\nupdates image {e.IMAGE} tag to '{version}'\n"
    commit = await _edit(stage, e.MANIFEST, path, text, message, UPDATER)
    return {"commit": commit, "application": name, "version": version, "author": UPDATER}


async def hand_edit(stage: Stage) -> Json:
    """Push an edit of scenario E's production by hand: its version, or (without one) its replicas."""
    version = str(stage.given.get("version") or "")
    if version and not re.fullmatch(r"[\w.-]+", version):
        raise CannotPlay(f"“{version}” is no version.")
    if version:
        path, text = e.UPDATED["billing-prod"], (r'newTag: "[^"]*"', f'newTag: "{version}"')
        message = f"Run {version} in production, it is urgent\n"
    else:
        number = 2 + _count(stage, "replicas") % 5
        path, text = "overlays/prod/replicas.yaml", (r"replicas: \d+", f"replicas: {number + 1}")
        message = f"Scale billing to {number + 1}\n"
    commit = await _edit(stage, e.MANIFEST, path, text, message, "tomas")
    return {"commit": commit, "author": "Tomás Silva", "path": path, "title": message.strip()}
