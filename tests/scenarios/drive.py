"""What the scenarios do and look at, through the API only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.system import System

APPLICATION = "flask-k8s-example"
MANIFESTS = "gitlab/flask-k8s-manifest"
PLACE = "overlays/prod/deployment.yml"
ENDED = ("succeeded", "failed", "errored", "rejected", "aborted", "superseded")
Json = dict[str, Any]


def stage(system: System, environment: str) -> Json:
    found = system.get(f"stages/?application={APPLICATION}&environment={environment}")["results"]
    assert len(found) == 1
    return dict(found[0])


def runs_label(system: System, environment: str) -> str:
    """Return the label of the version that runs, "" while unknown."""
    version = (stage(system, environment)["running"] or {}).get("version")
    return version["label"] if version else ""


def image_line(label: str) -> str:
    """Return the manifest's line that names a version."""
    return f"image: harbor.centre.com/k8s/flask-k8s-example:{label}"


def wait_for_start(system: System) -> str:
    """Wait until Git and the cluster agree on prod's version, and return its label."""

    def look() -> tuple[str, str, str]:
        seen = stage(system, "prod")
        running, desired = seen["running"] or {}, seen["desired"] or {}
        labels = [(part.get("version") or {}).get("label", "") for part in (running, desired)]
        return labels[0], labels[1], running.get("health_status", "")

    label, _same, _health = system.wait_for(
        look, lambda seen: seen[0] == seen[1] != "" and seen[2] == "Healthy", what="a settled prod"
    )
    return label


def build_next(system: System) -> str:
    """Tag the next version; return its label once Slipway knows the build."""
    label = system.play("tag")["tag"].removeprefix("v")
    version(system, label)
    return str(label)


def begin(system: System) -> Json:
    """Have the next version requested for prod."""
    wait_for_start(system)
    return request(system, build_next(system))


def version(system: System, label: str) -> Json:
    def look() -> list[Json]:
        results = system.get(f"versions/?application={APPLICATION}")["results"]
        return [found for found in results if found["label"] == label and found["commit"]]

    return system.wait_for(look, bool, seconds=60, what=f"version {label}")[0]


def request(system: System, label: str, *, by: str = "dana", reason: str = "It is time") -> Json:
    """Preview and request a promotion to prod, as a person does; return the promotion."""
    stage_id, version_id = stage(system, "prod")["id"], version(system, label)["id"]
    preview = system.get(f"stages/{stage_id}/preview/?version={version_id}", by)
    assert preview["refusals"] == [], preview
    body = {
        "stage": stage_id,
        "version": version_id,
        "reason": reason,
        "change_hash": preview["change"]["hash"],
    }
    answer = system.post("promotions/", by, **body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def approve(system: System, promotion: Json, *, by: str = "riku") -> None:
    answer = system.post(
        f"promotions/{promotion['id']}/approve/", by, change_hash=promotion["change_hash"], comment="Go"
    )
    assert answer.status_code == 200, answer.text


def promotion(system: System, number: int) -> Json:
    return dict(system.get(f"promotions/{number}/"))


def wait_for_end(system: System, number: int, *, seconds: float = 60) -> Json:
    return system.wait_for(
        lambda: promotion(system, number),
        lambda seen: seen["status"] in ENDED,
        seconds=seconds,
        what=f"the end of promotion {number}",
    )


def last_success(system: System) -> str:
    """Return the label of the version that was promoted to prod with success last, "" if none was."""
    query = f"application={APPLICATION}&environment=prod&status=succeeded"
    found = system.get(f"promotions/?{query}")["results"]
    return str(found[0]["version"]["label"]) if found else ""


def succeed(system: System) -> str:
    """Bring the next version to prod; return its label."""
    asked = begin(system)
    approve(system, asked)
    ended = wait_for_end(system, asked["id"])
    assert ended["status"] == "succeeded", ended["message"]
    return str(asked["version"]["label"])


def wait_for_step(system: System, number: int, step: str, *, seconds: float = 60) -> Json:
    """Wait until the promotion has begun a step."""
    return system.wait_for(
        lambda: promotion(system, number),
        lambda seen: any(result["step"] == step for result in seen["steps"]) or seen["status"] in ENDED,
        seconds=seconds,
        what=f"step {step} of promotion {number}",
    )


def commits_with_trailer(system: System, promotion: Json, *, ref: str = "main") -> list[str]:
    """Return the ids of the commits on a branch that carry this promotion's trailer."""
    log = system.git(
        "flask-k8s-manifest", "log", ref, "--format=%H", f"--grep=Promotion-Id: {promotion['key']}"
    )
    return log.split()


def changed_lines(system: System, commit: str) -> list[str]:
    """Return a commit's added and removed lines, stripped of indentation."""
    diff = system.git("flask-k8s-manifest", "show", "--format=", "--unified=0", commit)
    return [
        line[0] + line[1:].strip()
        for line in diff.splitlines()
        if line[:1] in "+-" and not line.startswith(("+++", "---"))
    ]


def push_to_manifests(system: System, folder: Path, edit: Callable[[str], str], path: str = PLACE) -> str:
    """Push a stranger's edit of a manifest to main with Git, as a person would; return the commit."""
    url = system.urls["gitlab"].replace("http://", "http://stranger:glpat-sandbox-slipway-0001@")

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=Stranger", "-c", "user.email=s@example.com", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    git("clone", "-q", f"{url}/{MANIFESTS}.git", "clone")
    target = folder / "clone" / path
    target.write_text(edit(target.read_text()))
    git("-C", "clone", "commit", "-qam", "A stranger was here")
    git("-C", "clone", "push", "-q", "origin", "HEAD:main")
    return git("-C", "clone", "rev-parse", "HEAD").strip()
