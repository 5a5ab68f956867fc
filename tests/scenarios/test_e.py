"""Scenario E: the Image Updater and people write beside us: noticed, named, and no promotion suffers."""

from __future__ import annotations

import html

from tests.scenarios import drive
from tests.scenarios.elsewhere import Target, syncs_of_automated
from tests.system import System


def billing(system: System, environment: str = "prod") -> Target:
    return Target(system, "billing", "billing-manifest", environment=environment)


def last_commit(target: Target, tag: str) -> drive.Json:
    """Wait until the newest commit in the Stage's history asks for a tag, and return it."""
    history = target.system.wait_for(
        lambda: target.stage()["manifest_commits"],
        lambda found: bool(found) and found[0]["tag"] == tag,
        what=f"{tag} in the history of {target.environment}",
    )
    return dict(history[0])


def test_what_the_image_updater_writes_is_noticed_with_its_author(system: System) -> None:
    dev = billing(system, "dev")
    dev.settled()
    version = system.play("billing-release")["version"]
    done = system.play("image-updater")
    system.wait_for(dev.settled, lambda label: label == version, seconds=60, what=f"{version} in dev")
    seen = last_commit(dev, version)
    assert (seen["author"], seen["sha"], seen["promotion"]) == ("argocd-image-updater", done["commit"], "")
    assert seen["title"] == "build: automatic update of billing-dev"
    assert dev.stage()["promoted"] is None


def test_an_edit_by_hand_is_shown_as_such_beside_what_was_promoted(system: System) -> None:
    prod = billing(system)
    old = prod.settled()
    version = system.play("billing-release")["version"]
    asked = prod.request(version)
    drive.approve(system, asked)
    prod.succeed(asked)
    commit = prod.the_commit(asked)
    assert prod.diff(commit) == [
        f'-  newTag: "{old}" # by Slipway, as a rule',
        f'+  newTag: "{version}" # by Slipway, as a rule',
    ]
    assert last_commit(prod, version)["promotion"] == asked["key"]

    done = system.play("hand-edit", version="2.0.0")
    system.wait_for(prod.settled, lambda label: label == "2.0.0", seconds=60, what="the edit by hand")
    seen = last_commit(prod, "2.0.0")
    assert (seen["author"], seen["sha"], seen["promotion"]) == ("Tomás Silva", done["commit"], "")
    assert prod.stage()["promoted"]["promotion"] == asked["id"]
    page = html.unescape(system.page("/applications/billing/"))
    assert f"Git was changed outside Slipway: it asks for 2.0.0, last promoted was {version}." in page
    assert "Run 2.0.0 in production, it is urgent" in page
    assert "Tomás Silva" in page
    assert f"promotion #{asked['id']}" in page
    assert syncs_of_automated(system) == []


def test_a_promotion_goes_on_when_others_moved_only_its_surroundings(system: System) -> None:
    prod = billing(system)
    prod.settled()
    version = system.play("billing-release")["version"]
    asked = prod.request(version)
    others = [system.play("image-updater")["commit"], system.play("hand-edit")["commit"]]
    drive.approve(system, asked)
    ended = prod.succeed(asked)
    assert ended["change_hash"] == asked["change_hash"]
    prod.the_commit(asked)
    kept = system.git("billing-manifest", "log", "main", "--format=%H").split()
    assert set(others) < set(kept)
    assert prod.settled() == version


def test_a_changed_key_lets_the_approval_fall_and_the_page_says_why(system: System) -> None:
    prod = billing(system)
    prod.settled()
    version = system.play("billing-release")["version"]
    asked = prod.request(version)
    system.play("image-updater", application="billing-prod", version="2.1.0")
    seen = system.wait_for(
        lambda: drive.promotion(system, asked["id"]),
        lambda found: found["change_hash"] != asked["change_hash"],
        what="the new change",
    )
    stale = system.post(f"promotions/{asked['id']}/approve/", "riku", change_hash=asked["change_hash"])
    assert stale.status_code == 409
    assert '-  newTag: "2.1.0" # by Slipway, as a rule' in seen["diff"]
    page = html.unescape(system.page(f"/promotions/{asked['id']}/"))
    assert "The manifests changed" in page
    drive.approve(system, seen)
    prod.succeed(asked)
    assert len(prod.commits(asked)) == 1
    assert prod.settled() == version
