"""What goes wrong on the way, and the sentence it ends with."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.scenarios import drive
from tests.system import System


def last_step(ended: drive.Json) -> tuple[str, str]:
    return ended["steps"][-1]["step"], ended["steps"][-1]["status"]


def test_a_red_build_gives_no_version_and_says_which_step_failed(system: System) -> None:
    drive.wait_for_start(system)
    system.play("break-build")
    label = system.play("tag")["tag"].removeprefix("v")

    def red() -> list[drive.Json]:
        runs = system.get("runs/")["results"]
        return [run for run in runs if run["status"] == "failed" and run["pipeline"] == "build-prod-image"]

    (run,) = system.wait_for(red, bool, seconds=60, what="the red run")
    assert "Failed: 1" in run["message"]
    versions = system.get(f"versions/?application={drive.APPLICATION}")["results"]
    assert versions
    assert not [v for v in versions if v["tag"] == label]


def test_a_red_verification_fails_the_promotion_and_offers_the_way_back(system: System) -> None:
    old = drive.wait_for_start(system)
    asked = drive.request(system, drive.build_next(system))
    system.play("fail-verification")
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "failed"
    assert last_step(ended) == ("verify", "failed")
    assert "integration-test" in ended["message"]

    back = system.post(f"promotions/{asked['id']}/roll-back/", "dana", reason="The checks are red")
    assert back.status_code == 201, back.text
    rollback = drive.promotion(system, back.json()["id"])
    assert rollback["kind"] == "rollback"
    assert rollback["version"]["label"] == old
    assert "+        " + drive.image_line(old) in rollback["diff"]
    drive.approve(system, rollback)
    assert drive.wait_for_end(system, rollback["id"])["status"] == "succeeded"
    assert drive.runs_label(system, "prod") == old
    assert len(drive.commits_with_trailer(system, rollback)) == 1


def test_a_red_verification_is_taken_back_by_slipway_itself_where_the_environment_says_so(
    system: System,
) -> None:
    # Back goes to what succeeded here last; what runs may have been red in another test.
    good = drive.last_success(system) or drive.succeed(system)
    drive.wait_for_start(system)
    system.set_policy(rollback={"automatic": ["verification"], "required_approvals": 0})
    asked = drive.request(system, drive.build_next(system))
    # This one is red, and the next one of the roll-back green again.
    system.play("fail-verification")
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"])
    assert last_step(ended) == ("verify", "failed")
    decided = system.wait_for(
        lambda: drive.promotion(system, asked["id"])["automatic_rollback"],
        lambda seen: bool(seen) and seen["state"] != "waiting",
        what="the automatic roll-back",
    )
    assert decided["state"] == "requested", decided
    rollback = drive.wait_for_end(system, decided["rollback"])
    assert rollback["status"] == "succeeded", rollback["message"]
    assert (rollback["kind"], rollback["requested_by"], rollback["version"]["label"]) == (
        "rollback",
        "Slipway",
        good,
    )
    assert drive.runs_label(system, "prod") == good
    assert len(drive.commits_with_trailer(system, rollback)) == 1


def test_a_degraded_application_fails_the_promotion_in_argo_cds_words(system: System) -> None:
    asked = drive.begin(system)
    system.play("degrade")
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"], seconds=150)
    assert ended["status"] == "failed"
    assert last_step(ended) == ("arrive", "failed")
    assert "Degraded" in ended["message"] or "degraded" in ended["message"]


def test_a_merge_request_closed_by_a_person_fails_the_promotion_with_their_name(system: System) -> None:
    asked = drive.begin(system)
    # Held open for a moment, as GitLab's own checks do, so that a person can be faster.
    system.faults(errors=[{"vendor": "gitlab", "status": 405, "match": "PUT /merge", "count": 1000}])
    drive.approve(system, asked)
    drive.wait_for_step(system, asked["id"], "merge")
    system.wait_for(
        lambda: drive.promotion(system, asked["id"])["merge_request_url"], bool, what="merge request"
    )
    system.play("merge-request-close")
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "failed"
    assert last_step(ended) == ("merge", "failed")
    assert "closed by" in ended["message"]


def test_a_merge_request_merged_by_a_person_is_noticed(system: System) -> None:
    asked = drive.begin(system)
    system.faults(errors=[{"vendor": "gitlab", "status": 405, "match": "PUT /merge", "count": 1000}])
    drive.approve(system, asked)
    system.wait_for(
        lambda: drive.promotion(system, asked["id"])["merge_request_url"],
        bool,
        seconds=60,
        what="merge request",
    )
    system.play("merge-request-merge")
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "succeeded", ended["message"]


def test_approvals_fall_when_the_tip_moved_and_the_change_differs(system: System, tmp_path: Path) -> None:
    system.set_write_mode("direct")
    old = drive.wait_for_start(system)
    asked = drive.request(system, drive.build_next(system))
    drive.push_to_manifests(system, tmp_path, lambda text: text.replace(f":{old}", ":0.9.9"))
    seen = system.wait_for(
        lambda: drive.promotion(system, asked["id"]),
        lambda promotion: promotion["change_hash"] != asked["change_hash"],
        what="the new change",
    )
    stale = system.post(f"promotions/{asked['id']}/approve/", "riku", change_hash=asked["change_hash"])
    assert stale.status_code == 409
    assert stale.json()["stale"] is True
    assert "-        " + drive.image_line("0.9.9") in seen["diff"]
    assert "-        " + drive.image_line(old) in seen["previous_diff"]
    drive.approve(system, seen)
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "succeeded", ended["message"]


def test_a_tip_that_moved_elsewhere_keeps_the_approval(system: System, tmp_path: Path) -> None:
    system.set_write_mode("direct")
    old = drive.wait_for_start(system)
    asked = drive.request(system, new := drive.build_next(system))
    drive.push_to_manifests(system, tmp_path, lambda text: text.replace('"128Mi"', '"256Mi"'))
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"])
    assert ended["status"] == "succeeded", ended["message"]
    assert ended["change_hash"] == asked["change_hash"]
    (commit,) = drive.commits_with_trailer(system, asked)
    assert drive.changed_lines(system, commit) == ["-" + drive.image_line(old), "+" + drive.image_line(new)]


def test_a_webhook_with_a_wrong_secret_is_refused_and_counted(system: System) -> None:
    source = "6b1f0a52-6c53-4d5e-9f0e-7d7b0c5a1a01"
    answer = httpx.post(
        f"{system.base}/webhooks/gitlab/{source}",
        content=b'{"object_kind": "push"}',
        headers={"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "guessed", "User-Agent": "nobody"},
        trust_env=False,
    )
    assert (answer.status_code, answer.content) == (401, b"")
    listed = system.get("deliveries/", "ada")["results"]
    kept = [system.get(f"deliveries/{delivery['id']}/", "ada") for delivery in listed]
    assert all(delivery["headers"].get("user-agent") != "nobody" for delivery in kept)


def test_gitlab_answering_500_is_waited_for_and_the_write_happens_once(system: System) -> None:
    system.set_write_mode("direct")
    asked = drive.begin(system)
    # The first write is carried out, but its answer is lost; then GitLab is down for a while.
    system.faults(
        errors=[
            {
                "vendor": "gitlab",
                "status": 500,
                "match": "POST /repository/commits",
                "count": 1,
                "after": True,
            },
            {"vendor": "gitlab", "status": 500, "match": "GET /", "count": 6},
        ]
    )
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"], seconds=90)
    assert ended["status"] == "succeeded", ended["message"]
    assert len(drive.commits_with_trailer(system, asked)) == 1


def test_argo_cds_stream_may_drop_for_ten_seconds(system: System) -> None:
    asked = drive.begin(system)
    system.faults(streams={"argocd": {"mode": "drop", "until": time.time() + 10}})
    drive.approve(system, asked)
    ended = drive.wait_for_end(system, asked["id"], seconds=90)
    assert ended["status"] == "succeeded", ended["message"]
    label = asked["version"]["label"]
    system.wait_for(
        lambda: drive.runs_label(system, "prod"), lambda seen: seen == label, what=f"{label} in prod"
    )


@pytest.mark.parametrize("moment", ["write", "merge", "arrive", "verify"])
def test_a_worker_killed_at_any_step_leaves_one_commit_and_the_right_end(system: System, moment: str) -> None:
    asked = drive.begin(system)
    drive.approve(system, asked)
    drive.wait_for_step(system, asked["id"], moment)
    system.kill("worker")
    system.start_worker()
    ended = drive.wait_for_end(system, asked["id"], seconds=90)
    assert ended["status"] == "succeeded", (ended["message"], ended["steps"])
    assert len(drive.commits_with_trailer(system, asked)) == 1
    # The next worker takes over the watch when the dead one's lease has run out.
    runs = system.wait_for(
        lambda: drive.promotion(system, asked["id"])["verification_runs"], bool, what="the run's record"
    )
    assert len(runs) == 1
