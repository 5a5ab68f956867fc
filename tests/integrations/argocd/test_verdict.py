"""The verdict against the reference's application states (argocd-api.md section 8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from integrations.argocd.reading import snapshot
from integrations.argocd.types import ApplicationSnapshot, Condition, Operation
from integrations.argocd.verdict import Verdict, judge, repository_path
from integrations.shape import mapping
from tests.integrations.loopback import fixture, raw_fixture

NEW = "9b7e1d4c2a6f8035be91c4d7a0f3e6258c1b9d47"
OLD = "3f1c9a6b0d7e4c52a8b1f0e6d9c3a7b45e2f8d10"
LATER = "c" * 40
OURS = ("promotion-id", "prm-7f3a")
REPO = "https://gitlab.example.com/platform/deploy-config.git"


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-08-20T{time}").replace(tzinfo=UTC)


COMMITTED = at("10:02:31")


def state(name: str) -> ApplicationSnapshot:
    return snapshot(mapping(fixture(f"argocd/application-{name}.json")), "https://argocd.example.com")


def verdict(app: ApplicationSnapshot, now: str = "10:30:00", **changes: object) -> Verdict:
    known: Mapping[str, set[str]] = {NEW: {NEW, LATER}, LATER: {LATER}}
    arguments: dict[str, object] = {
        "accepts": lambda revision: revision in known[NEW],
        "committed_at": COMMITTED,
        "repo_url": REPO,
        "our_info": OURS,
        "now": at(now),
    }
    return judge(app, **(arguments | changes))  # type: ignore[arg-type]


def running(app: ApplicationSnapshot, **changes: object) -> ApplicationSnapshot:
    assert app.operation is not None
    return replace(app, operation=replace(app.operation, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "now", "expected", "words", "needs_refresh"),
    [
        ("outofsync", "10:03:30", "waiting", "OutOfSync: it waits for a sync", False),
        ("refresh-requested", "10:03:30", "waiting", "OutOfSync", False),
        ("operation-requested", "10:03:39", "waiting", "A sync is queued", False),
        ("sync-running", "10:03:42", "waiting", "The sync is running", False),
        ("terminating", "10:03:50", "waiting", "is being stopped", False),
        ("stale-after-sync", "10:03:44", "waiting", "has not looked at the cluster since the sync", True),
        ("progressing", "10:03:50", "waiting", "progressing", False),
        ("synced-healthy", "10:06:10", "arrived", "Synced and healthy at 9b7e1d4c", False),
        ("degraded", "10:14:00", "waiting", "may recover", False),
        ("degraded", "10:16:00", "failed", "exceeded its progress deadline", False),
        ("sync-failed", "10:06:40", "failed", "must be less than or equal to cpu limit", False),
        ("retry-backoff", "10:04:05", "waiting", "being retried", False),
        ("comparison-error", "11:00:30", "waiting", "kustomize build", False),
        ("comparison-error", "11:05:00", "failed", "ComparisonError", False),
        ("multi-source", "10:06:10", "arrived", "9b7e1d4c", False),
    ],
)
def test_every_state_of_the_reference_has_its_verdict(
    name: str, now: str, expected: str, words: str, needs_refresh: bool
) -> None:
    """argocd-api.md section 8, fixtures/argocd/application-*.json."""
    found = verdict(state(name), now)
    assert (found.state, found.needs_refresh) == (expected, needs_refresh)
    assert words in found.reason


def test_a_whole_promotion_arrives_only_with_its_last_frame() -> None:
    """argocd-api.md section 8, on fixtures/argocd/stream-promotion-shop-prod.ndjson."""
    frames = [
        json.loads(line) for line in raw_fixture("argocd/stream-promotion-shop-prod.ndjson").splitlines()
    ]
    apps = [snapshot(frame["result"]["application"], "") for frame in frames]
    states = [verdict(app, "10:05:10").state for app in apps]
    assert states == ["waiting"] * 7 + ["arrived"]


def test_race_1_health_from_before_the_sync_does_not_count() -> None:
    stale = replace(state("stale-after-sync"), sync_status="Synced")
    assert verdict(stale).state == "waiting"
    assert verdict(stale).needs_refresh


@pytest.mark.parametrize(("now", "expected"), [("10:03:48", "waiting"), ("10:03:49", "arrived")])
def test_race_2_an_equal_second_counts_only_after_five_quiet_seconds(now: str, expected: str) -> None:
    same = replace(state("synced-healthy"), reconciled_at=at("10:03:44"), health_since=at("10:00:00"))
    assert verdict(same, now).state == expected


def test_race_3_a_health_event_does_not_move_the_time_of_the_last_look() -> None:
    """Health may be newer than reconciledAt; while that is before the sync's end it proves nothing."""
    app = replace(state("synced-healthy"), reconciled_at=at("10:03:40"), health_since=at("10:04:21"))
    assert verdict(app).state == "waiting"


def test_race_4_a_commit_that_changes_nothing_here_arrives_without_an_operation() -> None:
    app = replace(state("synced-healthy"), operation=None, history=())
    assert verdict(app).state == "arrived"


def test_race_4_the_last_look_must_be_after_the_commit() -> None:
    app = replace(state("synced-healthy"), operation=None, reconciled_at=at("10:02:30"))
    found = verdict(app)
    assert (found.state, found.needs_refresh) == ("waiting", True)


def test_race_5_a_later_commit_is_an_arrival_too() -> None:
    assert verdict(replace(state("synced-healthy"), revisions=(LATER,))).state == "arrived"


def test_race_5_an_older_revision_is_not_and_asks_for_a_refresh() -> None:
    app = replace(state("synced-healthy"), revisions=(OLD,))
    assert verdict(app) == Verdict("waiting", "Argo CD has not seen the commit yet", needs_refresh=True)
    assert not verdict(replace(app, refreshing=True)).needs_refresh


def test_race_6_a_failure_of_somebodys_older_operation_is_not_ours() -> None:
    app = running(state("sync-failed"), revisions=(OLD,), infos={})
    assert verdict(replace(app, conditions=())).state == "waiting"


def test_race_6_our_tag_makes_a_failure_ours_whatever_revision_it_shows() -> None:
    """An ambiguous revision stays in the result when manifests could not be generated (section 7)."""
    app = running(replace(state("sync-failed"), conditions=()), revisions=("main",), infos=dict([OURS]))
    assert verdict(app).state == "failed"


@pytest.mark.parametrize(("started", "expected"), [("10:02:00", "waiting"), ("10:03:00", "failed")])
def test_race_6_an_untagged_ambiguous_failure_counts_if_it_began_after_the_commit(
    started: str, expected: str
) -> None:
    app = running(
        replace(state("sync-failed"), conditions=()), revisions=("main",), infos={}, started_at=at(started)
    )
    assert verdict(app).state == expected


def test_race_7_a_retry_loop_on_an_old_revision_is_told_apart() -> None:
    app = running(state("retry-backoff"), revisions=(OLD,))
    found = verdict(app)
    assert found.state == "waiting"
    assert "another revision" in found.reason


def test_race_7_the_failed_automatic_sync_is_final() -> None:
    """Automation does not try the same revision again."""
    app = running(replace(state("sync-failed"), automated=True), infos={})
    assert verdict(app).state == "failed"


def test_race_8_a_stale_manifest_that_looks_synced_still_needs_a_look_after_the_commit() -> None:
    app = replace(state("synced-healthy"), reconciled_at=at("10:02:00"), operation=None)
    assert verdict(app).needs_refresh


@pytest.mark.parametrize("flaw", [{"dry_run": True}, {"partial": True}])
def test_race_9_dry_runs_and_partial_syncs_prove_nothing(flaw: dict[str, bool]) -> None:
    app = running(state("synced-healthy"), **flaw)
    assert verdict(replace(app, sync_status="OutOfSync")).state == "waiting"
    assert verdict(running(state("sync-failed"), **flaw), "10:06:40").state == "waiting"


def test_race_9_self_healing_after_us_does_not_hold_us_up() -> None:
    assert verdict(running(state("synced-healthy"), partial=True, infos={})).state == "arrived"


@pytest.mark.parametrize(("now", "expected"), [("10:05:59", "waiting"), ("10:06:31", "failed")])
def test_race_10_degraded_must_last(now: str, expected: str) -> None:
    assert verdict(state("degraded"), now, degraded_since=at("10:05:00")).state == expected


def test_degraded_from_before_the_commit_is_what_the_commit_may_cure() -> None:
    app = replace(state("degraded"), health_since=at("08:00:00"), reconciled_at=at("10:03:50"))
    assert verdict(app, "10:04:30").state == "waiting"
    assert verdict(app, "10:06:00").state == "failed"


def test_degraded_at_an_older_revision_is_not_our_failure() -> None:
    assert verdict(replace(state("degraded"), revisions=(OLD,))).state == "waiting"


def test_an_error_condition_from_before_the_commit_gets_its_grace() -> None:
    condition = Condition("ComparisonError", "missing file", at("09:00:00"))
    app = replace(state("synced-healthy"), conditions=(condition,))
    assert verdict(app, "10:03:30").state == "waiting"
    assert verdict(app, "10:10:00").state == "failed"


def test_a_warning_condition_does_not_block() -> None:
    warning = Condition("OrphanedResourceWarning", "2 orphaned", None)
    assert verdict(replace(state("synced-healthy"), conditions=(warning,))).state == "arrived"


@pytest.mark.parametrize(
    ("health", "words"),
    [("Suspended", "paused"), ("Missing", "missing"), ("Unknown", "Unknown"), ("", "not known")],
)
def test_other_healths_wait_with_a_reason(health: str, words: str) -> None:
    found = verdict(replace(state("synced-healthy"), health_status=health))
    assert found.state == "waiting"
    assert words in found.reason


@pytest.mark.parametrize(("now", "expected"), [("10:06:05", "waiting"), ("10:06:07", "arrived")])
def test_health_must_settle(now: str, expected: str) -> None:
    app = replace(state("synced-healthy"), health_since=at("10:06:02"))
    assert verdict(app, now).state == expected


def test_an_application_of_another_repository_can_never_arrive() -> None:
    found = verdict(state("synced-healthy"), repo_url="https://gitlab.example.com/other/config.git")
    assert found.state == "failed"
    assert "does not use the repository" in found.reason


def test_a_source_may_be_named_by_its_index() -> None:
    app = state("multi-source")
    assert verdict(app, repo_url=None, source_index=1).state == "arrived"
    assert verdict(app, repo_url=None, source_index=0).state == "waiting"  # the chart's version is no commit
    assert verdict(app, repo_url=None, source_index=7).state == "failed"


def test_a_sync_without_any_revision_yet_waits() -> None:
    app = replace(state("synced-healthy"), revisions=(), sync_status="", reconciled_at=None, operation=None)
    assert verdict(app).state == "waiting"


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.example.com/platform/deploy-config.git",
        "https://GitLab.Example.com:8443/platform/deploy-config",
        "git@gitlab.example.com:platform/deploy-config.git",
        "ssh://git@gitlab.example.com:2222/platform/deploy-config.git",
        "http://gitlab-internal/platform/deploy-config/",
    ],
)
def test_a_repository_is_recognised_in_every_form(url: str) -> None:
    """argocd-api.md section 6, "Matching"."""
    assert repository_path(url) == "platform/deploy-config"


def test_settling_uses_the_given_durations() -> None:
    app = replace(state("synced-healthy"), health_since=at("10:06:02"))
    assert verdict(app, "10:06:05", settle=timedelta(seconds=1)).state == "arrived"
    assert verdict(state("degraded"), "10:14:00", grace=timedelta(seconds=5)).state == "failed"


def test_an_operation_knows_when_it_is_complete() -> None:
    phases = ["Running", "Terminating", "Succeeded", "Failed", "Error"]
    operations = [Operation(phase, "", None, None, 0, (), False, False) for phase in phases]
    assert [operation.completed for operation in operations] == [False, False, True, True, True]
