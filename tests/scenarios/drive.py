"""What the scenarios do and look at, through the API only."""

from __future__ import annotations

from typing import Any

from tests.system import System, wait_for

APPLICATION = "flask-k8s-example"
MANIFESTS = "gitlab/flask-k8s-manifest"
OLD = "image: harbor.centre.com/k8s/flask-k8s-example:1.0.0"
NEW = "image: harbor.centre.com/k8s/flask-k8s-example:1.1.0"
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


def wait_for_start(system: System) -> None:
    """Wait until Slipway has seen 1.0.0 run in prod, and something in dev."""
    wait_for(lambda: runs_label(system, "prod"), lambda label: label == "1.0.0", what="1.0.0 in prod")
    wait_for(
        lambda: (stage(system, "prod")["desired"] or {}).get("version"), bool, what="the desired version"
    )


def build_1_1_0(system: System) -> Json:
    """Merge dev into main and tag v1.1.0; return the version once Slipway knows it."""
    system.play("push-dev")
    system.play("merge-dev")
    system.play("tag", version="1.1.0")
    return version(system, "1.1.0")


def version(system: System, label: str) -> Json:
    def look() -> list[Json]:
        results = system.get(f"versions/?application={APPLICATION}")["results"]
        return [found for found in results if found["label"] == label and found["commit"]]

    return wait_for(look, bool, seconds=60, what=f"version {label}")[0]


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
    return wait_for(
        lambda: promotion(system, number),
        lambda seen: seen["status"] in ENDED,
        seconds=seconds,
        what=f"the end of promotion {number}",
    )


def wait_for_step(system: System, number: int, step: str, *, seconds: float = 60) -> Json:
    """Wait until the promotion has begun a step."""
    return wait_for(
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
