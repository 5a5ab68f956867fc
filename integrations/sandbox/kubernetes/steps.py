"""What the steps do: the catalogue tasks the demo uses, and a few shell words for everything else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from integrations.sandbox import gitinfo
from integrations.sandbox.faults import take
from integrations.sandbox.world import World

Object = dict[str, Any]
# The path behind $(results.NAME.path), as substituted before.
_RESULT_FILE = re.compile(r"/tekton/results/([^\s\"']+)")
_LABEL = re.compile(r"--label=?\s*(?:org\.opencontainers\.image\.)(revision|source)=(\S+)")


@dataclass
class Step:
    """One step's surroundings: its spec with variables replaced, the task's parameters, its log."""

    world: World
    task_run: Object
    spec: Object
    params: dict[str, Any]
    log: Callable[[str], None]
    results: dict[str, str]

    async def say(self, *lines: str, seconds: float = 0.25) -> None:
        """Write log lines, each after a simulated while."""
        for line in lines:
            await self.world.pause(seconds)
            self.log(line)


Behaviour = Callable[[Step], Awaitable[int]]


def behaviour(task: str, step: str) -> Behaviour:
    """Return what runs for a step of a named task; unknown ones interpret their script."""
    return _BEHAVIOURS.get((task, step), script)


async def script(step: Step) -> int:
    """Interpret the script's `echo`, `sleep`, `exit` and `echo ... > result` lines; ignore the rest."""
    # Without `set -e` a shell goes on after a failed line; `exit` alone ends it.
    code = 0
    for line in step.spec.get("script", "").splitlines():
        words = shlex.split(line, comments=True)
        match words[:1]:
            case ["sleep"]:
                await step.world.pause(float(words[1]))
            case ["exit"]:
                return int(words[1])
            case ["false"]:
                code = 1
            case ["echo" | "printf"]:
                _echo(step, line, words)
    return code


def _echo(step: Step, line: str, words: list[str]) -> None:
    target = _RESULT_FILE.search(line) if ">" in line else None
    text = " ".join(word for word in words[1 : words.index(">") if ">" in words else None] if word != "-n")
    if target is None:
        step.log(text)
    else:
        step.results[target[1]] = text if words[0] == "printf" or "-n" in words else text + "\n"


async def git_clone(step: Step) -> int:
    url, revision = step.params["url"], step.params.get("revision", "")
    await step.say(f"+ git init /workspace/output/ && git remote add origin {url}", seconds=0.4)
    found = await gitinfo.resolve(step.world, url, revision)
    if found is None:
        await step.say(f"fatal: couldn't find remote ref {revision}", "Error fetching source")
        return 1
    # git-clone prints the short name whichever form it was given.
    for prefix in ("refs/heads/", "refs/tags/"):
        revision = revision.removeprefix(prefix)
    await step.say(
        f"Successfully cloned {url} @ {found.commit} (grafted, HEAD, origin/{revision}) "
        "in path /workspace/output",
        "Successfully initialized and updated submodules in path /workspace/output",
        f"+ RESULT_SHA={found.commit}",
        seconds=0.6,
    )
    step.results.update({"commit": found.commit, "url": url, "committer-date": found.committed})
    return 0


async def kaniko_build(step: Step) -> int:
    image = step.params["IMAGE"]
    await step.say(
        "INFO[0000] Retrieving image manifest docker.io/library/python:3.12-slim",
        "INFO[0001] Built cross stage deps: map[]",
        "INFO[0001] Executing 0 build triggers",
        "INFO[0001] COPY requirements.txt /app/",
        "INFO[0002] RUN pip install --no-cache-dir -r /app/requirements.txt",
        seconds=0.5,
    )
    if take(step.world, "build", "fail_next"):
        await step.say(
            "ERROR: Could not find a version that satisfies the requirement flask==3.9.9",
            "ERROR: No matching distribution found for flask==3.9.9",
            "error building image: error building stage: failed to execute command: "
            "waiting for process to exit: exit status 1",
        )
        return 1
    await step.say("INFO[0005] COPY . /app", "INFO[0006] Taking snapshot of full filesystem...", seconds=0.5)
    await step.say(f"INFO[0006] Pushing image to {image}", seconds=0.6)
    repository, tag = split_image(image)
    labels = dict(_LABEL.findall(" ".join(step.params.get("EXTRA_ARGS", []))))
    digest = step.world.images.push(
        repository, tag, revision=labels.get("revision", ""), source=labels.get("source", "")
    )
    step.log(f"INFO[0007] Pushed {image.rsplit(':', 1)[0]}@{digest}")
    # The type hints by which Chains and Slipway know a build's image (tekton-api.md section 8).
    step.results["IMAGE_DIGEST"] = digest
    return 0


async def kaniko_write_url(step: Step) -> int:
    await step.say(step.params["IMAGE"], seconds=0.3)
    # Tekton keeps results verbatim: the shell's `echo` leaves a newline at the end.
    step.results["IMAGE_URL"] = step.params["IMAGE"] + "\n"
    return 0


async def argocd_sync(step: Step) -> int:
    name = step.params["application-name"]
    await step.say(f"+ argocd app sync {name} && argocd app wait {name} --health", seconds=0.4)
    # By name and without a revision, so that automated applications take it too.
    step.world.argocd.request_sync(name)
    # The task's own patience, as `argocd app wait --timeout 300`.
    arrived = await step.world.wait_until(
        lambda: step.world.argocd.verdict(name) == ("Synced", "Healthy"), seconds=300
    )
    sync, health = step.world.argocd.verdict(name)
    step.log(f"Name: argocd/{name}  Sync Status: {sync}  Health Status: {health}")
    if not arrived:
        step.log(f'FATA[0300] timed out (300s) waiting for app "{name}" match desired state')
        # The exit code of `argocd app wait` when its patience ends.
        return 20
    return 0


async def smoke(step: Step) -> int:
    """A pipeline's smoke test; red when the control page asked for a failed verification."""
    address = f"http://{step.params.get('application', 'application')}"
    await step.say(f"GET {address}/healthz -> 200", f"GET {address}/ -> 200", seconds=0.7)
    pipeline = step.task_run["metadata"].get("labels", {}).get("tekton.dev/pipeline")
    if pipeline == "integration-test" and take(step.world, "verification", "fail_next"):
        await step.say(
            f"GET {address}/orders -> 500", "FAILED: 1 of 12 checks: orders answered 500", seconds=0.5
        )
        return 1
    await step.say(f"GET {address}/version -> 200 {step.params.get('version', '')}", "12 passed", seconds=0.7)
    step.results["summary"] = "12 passed"
    return 0


async def git_push(step: Step) -> int:
    """Push the manifest that names the new build, as scenario C's pipeline does after `sed`."""
    path, image, tag = step.params["path"], step.params["image"], step.params["tag"]
    line = re.compile(re.escape(image) + r":\S+")
    commit = await step.world.git.push_edit(
        gitinfo.project_of(step.params["url"]),
        "main",
        path,
        lambda text: line.sub(f"{image}:{tag}", text),
        # Code and manifests share the branch: without the mark this commit would start the next build.
        message=f"Run {tag[:8]} in dev [skip ci]\n",
        username="tekton",
    )
    await step.say(f"[main {commit[:7]}] Run {tag[:8]} in dev [skip ci]", "To origin: main -> main")
    return 0


_BEHAVIOURS: dict[tuple[str, str], Behaviour] = {
    ("git-clone", "clone"): git_clone,
    ("kaniko", "build-and-push"): kaniko_build,
    ("kaniko", "write-url"): kaniko_write_url,
    ("argocd-sync", "sync"): argocd_sync,
    ("smoke-test", "smoke"): smoke,
    ("git-push", "push"): git_push,
}


def split_image(image: str) -> tuple[str, str]:
    """Return repository (without the registry's host) and tag of an image reference."""
    path = image.split("/", 1)[1] if "." in image.split("/")[0] or ":" in image.split("/")[0] else image
    repository, _, tag = path.partition(":")
    return repository, tag or "latest"
