"""The control API and its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox.control.menu import PLAYS
from integrations.sandbox.server import InThread, Options
from tests.integrations.sandbox.gitlab.conftest import MANIFEST, PROD, SOURCE, until


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InThread]:
    """Run scenario A fifty times as fast as a demonstration."""
    with InThread(Options(tmp_path / "sandbox", speed=50, seed=1)) as running:
        yield running


@pytest.fixture
def control(box: InThread) -> Iterator[httpx.Client]:
    """Talk to the control API."""
    with httpx.Client(base_url=box.urls["control"], timeout=20, trust_env=False, verify=False) as client:
        yield client


def play(control: httpx.Client, action: str, **given: Any) -> dict[str, Any]:
    """Play, and return what was done."""
    answer = control.post(f"/api/play/{action}", json=given)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def project(control: httpx.Client, path: str) -> dict[str, Any]:
    """Return a project's part of the state."""
    return next(row for row in control.get("/api/state").json()["projects"] if row["path"] == path)


def tips(control: httpx.Client, path: str) -> dict[str, str]:
    """Return a project's branches and their commits."""
    return {row["name"]: row["commit"] for row in project(control, path)["branches"]}


def test_the_developers_part_of_scenario_a_can_be_played(control: httpx.Client) -> None:
    """Push to dev, merge into main, tag the next version: each says what it did."""
    pushed = play(control, "push-dev")
    assert tips(control, SOURCE)["dev"] == pushed["commit"]
    merged = play(control, "merge-dev")
    assert tips(control, SOURCE)["main"] == merged["commit"]
    assert project(control, SOURCE)["merge_requests"][0]["state"] == "merged"
    tagged = play(control, "tag")
    assert (tagged["tag"], tagged["commit"]) == ("v1.1.0", merged["commit"])
    assert project(control, SOURCE)["tags"] == ["v1.0.0", "v1.1.0"]
    assert control.post("/api/play/tag", json={"version": "v1.1.0"}).status_code == 409


def test_every_push_brings_another_change(control: httpx.Client) -> None:
    """The prepared work runs out; small notes follow."""
    commits = {play(control, "push-dev")["commit"] for _ in range(6)}
    assert len(commits) == 6


def test_a_play_that_makes_no_sense_says_why(control: httpx.Client) -> None:
    """409 with a sentence."""
    for action in ("merge-dev", "merge-request-close", "merge-request-merge", "no-such-play"):
        answer = control.post(f"/api/play/{action}", json={})
        assert answer.status_code == 409
        assert answer.json()["message"].endswith(".")


def test_a_stranger_changes_the_very_file(box: InThread, control: httpx.Client) -> None:
    """With a path, that file gets another line; the rest stays."""
    done = play(control, "stranger-commit", path=PROD)
    assert tips(control, MANIFEST)["dev"] == done["commit"]
    text = box.world.git.files(MANIFEST, "dev", "overlays/prod")[PROD].decode()
    assert text.endswith("# looked at by hand\n")
    assert "flask-k8s-example:1.0.0" in text


def test_faults_are_counted_up_listed_and_taken_away(control: httpx.Client) -> None:
    """GET and PUT /api/faults are the whole of world.faults."""
    play(control, "drop-webhooks", count=2)
    play(control, "drop-webhooks")
    play(control, "degrade")
    play(control, "break-build")
    found = control.get("/api/faults").json()
    assert found == {"hooks": {"drop": 3}, "degraded": ["flask-prod"], "build": {"fail_next": 1}}
    play(control, "recover")
    assert control.get("/api/faults").json()["degraded"] == []
    play(control, "calm")
    assert control.get("/api/faults").json() == {}
    control.put("/api/faults", json={"latency": {"gitlab": 0.1}})
    assert control.get("/api/state").json()["faults"] == {"latency": {"gitlab": 0.1}}


def test_an_outage_ends_by_itself(box: InThread, control: httpx.Client) -> None:
    """GitLab answers 500 for a while, then again as before."""
    play(control, "outage", seconds=0.5)
    url = f"{box.urls['gitlab']}/api/v4/version"
    assert httpx.get(url, verify=False).json() == {"message": "500 Internal Server Error"}
    until(lambda: httpx.get(url, verify=False).status_code == 401)


def test_the_hook_base_may_move_while_it_runs(control: httpx.Client) -> None:
    """PUT /api/hook-base."""
    control.put("/api/hook-base", json={"url": "http://127.0.0.1:9/"})
    assert control.get("/api/state").json()["hook_base"] == "http://127.0.0.1:9"


def test_the_page_has_a_form_for_every_play_and_nothing_inline(control: httpx.Client) -> None:
    """Complete without JavaScript; script and style come from files of the package."""
    page = control.get("/")
    for name in [name for name, play in PLAYS.items() if play.scenario in ("", "a") and name != "pipeline"]:
        assert f'action="/play/{name}"' in page.text
    assert 'value="v1.1.0"' in page.text
    assert "<style" not in page.text
    assert "style=" not in page.text
    assert "<script>" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    for name in ("control.css", "control.js"):
        assert control.get(f"/static/{name}").status_code == 200


def test_a_form_does_the_same_and_comes_back(control: httpx.Client) -> None:
    """POST /play/:action redirects to the page, which says what was done, escaped."""
    answer = control.post("/play/push-dev", data={"message": "<b>bold</b>"})
    assert answer.status_code == 303
    assert "Push to dev: commit" in control.get(answer.headers["location"]).text
    assert "<b>bold</b>" not in control.get("/").text
    refused = control.post("/play/merge-request-close")
    assert "No merge request is open there." in control.get(refused.headers["location"]).text


def test_another_sites_page_cannot_play(control: httpx.Client) -> None:
    """Any page the newcomer has open could post here otherwise."""
    answer = control.post("/api/play/push-dev", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 409
    assert tips(control, SOURCE)["dev"] == tips(control, SOURCE)["main"]
