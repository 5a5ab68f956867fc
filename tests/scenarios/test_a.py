"""Scenario A over the API alone, in the three ways a change can reach the manifest branch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.scenarios import drive
from tests.system import ROOT, System


@pytest.mark.parametrize(
    ("mode", "team_branch"), [("team-branch", "dev"), ("own-branch", ""), ("direct", "")]
)
def test_a_version_goes_from_tag_to_verified_with_one_commit_of_one_line(
    system: System, mode: str, team_branch: str
) -> None:
    """Scenario A, steps 2 to 5."""
    system.set_write_mode(mode, team_branch)
    old = drive.wait_for_start(system)
    before = system.git("flask-k8s-manifest", "show", f"main:{drive.PLACE}")
    system.play("push-dev")
    system.play("merge-dev")
    new = drive.build_next(system)
    tagged = system.git("flask-k8s-example", "rev-parse", f"v{new}^{{commit}}").strip()
    assert drive.version(system, new)["commit"] == tagged

    asked = drive.request(system, new, reason="Customers wait for it")
    assert asked["status"] == "requested"
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"])

    assert ended["status"] == "succeeded", (ended["message"], ended["steps"])
    steps = ["write", "arrive", "verify"] if mode == "direct" else ["write", "merge", "arrive", "verify"]
    assert [(step["step"], step["status"]) for step in ended["steps"]] == [(s, "succeeded") for s in steps]
    (commit,) = drive.commits_with_trailer(system, asked)
    assert drive.changed_lines(system, commit) == ["-" + drive.image_line(old), "+" + drive.image_line(new)]
    after = system.git("flask-k8s-manifest", "show", f"main:{drive.PLACE}")
    assert after == before.replace(f":{old}", f":{new}")
    message = system.git("flask-k8s-manifest", "log", "-1", "--format=%an%n%B", commit)
    assert message.startswith("Dana")
    assert f"Promotion-Id: {asked['key']}" in message
    assert "Requested-by: Dana" in message
    assert "Approved-by: Riku" in message
    assert "Customers wait for it" in message
    assert drive.runs_label(system, "prod") == new
    assert drive.stage(system, "prod")["promoted"]["promotion"] == asked["id"]
    link = f"{system.base}/promotions/{asked['id']}/"
    told = system.wait_for(
        lambda: [said["title"] for said in system.chat() if said["message"].endswith(link)],
        lambda titles: len(titles) >= 3,
        what="the chat's three messages",
    )
    assert [title.rpartition(": ")[2] for title in told] == ["waiting for approval", "approved", "succeeded"]


def test_a_push_to_dev_shows_the_new_build_in_dev_and_leaves_prod_alone(system: System) -> None:
    """Scenario A, step 1: the tag `latest` stays, so the digest and the commit tell the builds apart."""
    drive.wait_for_start(system)
    old = system.wait_for(
        lambda: drive.stage(system, "dev")["running"]["version"], bool, what="the version in dev"
    )
    prod = drive.stage(system, "prod")["running"]["version"]

    system.play("push-dev")
    tip = system.git("flask-k8s-example", "rev-parse", "dev").strip()
    new = system.wait_for(
        lambda: drive.stage(system, "dev")["running"]["version"],
        lambda version: bool(version) and version["commit"] == tip,
        seconds=60,
        what="the new build in dev",
    )

    assert new["digest"] != old["digest"]
    assert new["tag"] == old["tag"] == "latest"
    assert drive.stage(system, "prod")["running"]["version"] == prod
    (run,) = [run for run in system.get("runs/")["results"] if run["commit"] == tip]
    assert run["status"] == "succeeded"


def test_a_second_click_and_a_duplicated_webhook_change_nothing(system: System) -> None:
    asked = drive.begin(system)
    stage_id = drive.stage(system, "prod")["id"]
    body = {"stage": stage_id, "version": asked["version"]["id"], "reason": "again"}
    again = system.post("promotions/", "dana", **body)
    assert again.json()["id"] == asked["id"]
    system.faults(hooks={"duplicate": 20})
    drive.approve(system, asked)
    twice = system.post(f"promotions/{asked['id']}/approve/", "riku", change_hash=asked["change_hash"])
    assert twice.status_code == 200
    assert len(twice.json()["approvals"]) == 1
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "succeeded", ended["message"]
    assert len(drive.commits_with_trailer(system, asked)) == 1
    same = [p for p in system.get("promotions/")["results"] if p["version"] == asked["version"]]
    assert [p["id"] for p in same] == [asked["id"]]
    the_trail_says_who_and_from_where(system, asked["id"])


def the_trail_says_who_and_from_where(system: System, promotion_id: int) -> None:
    entries = system.get(f"audit/?promotion={promotion_id}")["results"]
    told = {entry["action"]: (entry["actor_username"], entry["via"]) for entry in entries}
    assert told["promotion.requested"] == ("dana", "token")
    assert told["approval.approved"] == ("riku", "token")
    assert told["promotion.running"] == told["promotion.succeeded"] == ("", "worker")
    assert {entry["address"] for entry in entries if entry["via"] == "token"} == {"127.0.0.1"}
    assert all(entry["number"] and entry["tag"] and entry["commit"] for entry in entries)
    command = [sys.executable, "manage.py", "verify_audit"]
    done = subprocess.run(command, cwd=ROOT, env=system.environ, capture_output=True, text=True, check=True)
    assert "entries are as they were written" in done.stdout


def test_who_requests_cannot_approve_and_outsiders_can_do_nothing(system: System) -> None:
    drive.wait_for_start(system)
    asked = drive.request(system, drive.build_next(system), by="riku")
    for person in ("riku", "dana", "vera"):
        refused = system.post(f"promotions/{asked['id']}/approve/", person, change_hash=asked["change_hash"])
        assert refused.status_code == 409, (person, refused.text)
        assert {"gate", "message", "who_can_fix_it", "waits", "until"} == set(refused.json()["refusals"][0])
    assert drive.promotion(system, asked["id"])["status"] == "requested"
