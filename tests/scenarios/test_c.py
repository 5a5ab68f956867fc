"""Scenario C: plain manifests beside the code, the commit's hash as tag, a direct commit."""

from __future__ import annotations

from tests.scenarios import drive
from tests.scenarios.elsewhere import Target, syncs_of_automated
from tests.system import System, wait_for

IMAGE = "harbor.centre.com/ns/go-sampleapp"


def test_a_build_named_by_its_commit_reaches_production_with_a_direct_commit(system: System) -> None:
    """The catalogue has the manifests written through plain Git: no call of GitLab's API."""
    prod = Target(system, "go-sampleapp", "go-sampleapp")
    dev = Target(system, "go-sampleapp", "go-sampleapp", environment="dev")
    old = prod.settled()
    before = len([sync for sync in system.syncs() if sync["application"] == "go-sampleapp-prod"])
    pushed = system.play("push-go")["commit"]
    assert prod.version(pushed)["commit"] == pushed
    # The pipeline's own commit brings dev along; nobody promoted it.
    wait_for(dev.settled, lambda label: label == pushed, seconds=60, what="the build in dev")
    assert dev.stage()["promoted"] is None

    asked = prod.request(pushed)
    drive.approve(system, asked)
    ended = prod.succeed(asked)

    assert [step["step"] for step in ended["steps"]] == ["write", "arrive"]
    commit = prod.the_commit(asked)
    assert prod.diff(commit) == [
        f"-        image: {IMAGE}:{old}  # the commit it was built from",
        f"+        image: {IMAGE}:{pushed}  # the commit it was built from",
    ]
    assert prod.settled() == pushed
    # Nothing is automated in production, so Argo CD was told, and of exactly our commit.
    told = [sync["revisions"] for sync in system.syncs() if sync["application"] == "go-sampleapp-prod"]
    assert told[before:] == [[commit]]
    assert syncs_of_automated(system) == []
    # Our commit to the shared branch starts no build.
    (run,) = [run for run in system.get("runs/")["results"] if run["commit"] == pushed]
    assert run["status"] == "succeeded"
    assert not [run for run in system.get("runs/")["results"] if run["commit"] == commit]
