"""Scenario B: GitLab CI builds, the chart's appVersion selects the tag, a person merges in GitLab."""

from __future__ import annotations

from tests.scenarios import drive
from tests.scenarios.elsewhere import Target, syncs_of_automated
from tests.system import System

CHART = "gitlab/gitops-demo-chart"


def waiting_for_a_person(system: System, number: int) -> drive.Json:
    return system.wait_for(
        lambda: drive.promotion(system, number),
        lambda seen: any("Waiting for a person" in step["message"] for step in seen["steps"]),
        seconds=60,
        what="the wait for a person",
    )


def branches(system: System) -> list[str]:
    return system.git("gitops-demo-chart", "for-each-ref", "--format=%(refname:short)", "refs/heads/").split()


def test_a_build_of_gitlab_ci_arrives_when_a_person_has_merged_it(system: System) -> None:
    webapp = Target(system, "gitops-demo-app", "gitops-demo-chart", "master")
    old = webapp.settled()
    built = system.play("push-app")
    # Neither a label nor a webhook of the registry names the commit: the tag does, and GitLab knows it.
    assert webapp.version(built["tag"])["commit"] == built["commit"]

    run = system.wait_for(
        lambda: [run for run in system.get("runs/")["results"] if run["commit"] == built["commit"]],
        lambda runs: bool(runs) and runs[0]["status"] == "succeeded",
        seconds=60,
        what="the green pipeline",
    )[0]
    assert run["web_url"].endswith(f"/gitlab/gitops-demo-app/-/pipelines/{built['pipeline']}")
    assert webapp.version(built["tag"])["built_by"] == run["id"]

    asked = webapp.request(built["tag"])
    drive.approve(system, asked)
    waiting = waiting_for_a_person(system, asked["id"])
    assert waiting["status"] == "running"
    assert webapp.commits(asked) == []
    assert branches(system) == ["master", f"update-image-tag-{built['tag']}"]
    merged = system.play("merge-request-merge", project=CHART)
    ended = webapp.succeed(asked)

    assert [step["step"] for step in ended["steps"]] == ["write", "merge", "arrive"]
    assert f"!{merged['merge_request']} was merged by priya" in ended["steps"][1]["message"]
    commit = webapp.the_commit(asked)
    assert webapp.diff(commit) == [f'-appVersion: "{old}"', f'+appVersion: "{built["tag"]}"']
    assert webapp.settled() == built["tag"]
    assert branches(system) == ["master"]
    assert syncs_of_automated(system) == []
