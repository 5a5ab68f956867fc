"""Facts that let everything pass, and for each gate what is wrong when it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from promotions.policy.gates import (
    Act,
    Facts,
    OpenPromotion,
)
from promotions.policy.terms import (
    BlockFact,
    CheckFact,
    Evidence,
    FreezeFact,
    LockFact,
    ReleaseFact,
    ScheduleFact,
    Seat,
    UpstreamFact,
    Weight,
)

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
H = timedelta(hours=1)
STAGING = UpstreamFact("shop / Staging", True, healthy_since=NOON - 5 * H, verified=True)
GOOD = Facts(
    stage="shop / Production",
    version="1.1.0",
    actor="Rin Sato",
    actor_is_developer=True,
    actor_is_approver=True,
    actor_is_requester=False,
    actor_has_decided=False,
    approvers=("Ada Weber", "Mar Costa"),
    stage_is_promotable=True,
    stage_image="registry/shop",
    version_image="registry/shop",
    version_missing_since="",
    already_there=False,
    others_open=(),
    change_problem="",
    change_is_empty=False,
    required_approvals=1,
    approved_by=("Ada Weber",),
    approved_keys=("ada",),
    now=NOON,
    upstream=(STAGING,),
    soak=4 * H,
    verification_needed=True,
    seats=(Seat("qa", 1, ("Ada Weber", "Mar Costa"), ("ada", "mar")),),
    authors_are_barred=True,
    evidence=Evidence("Medium", "Success", "Low", True, "success", "1.1.0", True, False),
    checks=(CheckFact("tests", "passed", "", "QA"),),
)
RUNNING = OpenPromotion(number=7, label="1.0.9", status="running", requested_by="Olu Mensah", is_running=True)
WAITING = OpenPromotion(
    number=8, label="1.1.0", status="requested", requested_by="Olu Mensah", is_running=False
)
OTHER = replace(WAITING, label="1.0.8")
LOCK = LockFact("shop / Production", "An incident", "Mar Costa", NOON, ("Ada Weber", "Mar Costa"))
FREEZE = FreezeFact("Year's end", NOON + 2 * H)
EVERYWHERE = {Act.REQUEST, Act.APPROVE, Act.RUN}
BEFORE = {Act.REQUEST, Act.RUN}
E, D, W = Weight.ENDS, Weight.DEFERS, Weight.HOLDS
ON = "a developer, by trying it again or aborting the release"
LATE = "a developer, by trying it again or asking anew"
Row = tuple[set[Act], dict[str, Any], str, str, str, Weight, datetime | None]


def row(
    acts: set[Act],
    wrong: dict[str, Any],
    gate: str,
    sentence: str,
    fix: str,
    weight: Weight = E,
    until: datetime | None = None,
) -> Row:
    return acts, wrong, gate, sentence, fix, weight, until


def seen(**changes: Any) -> dict[str, Any]:
    return {"evidence": replace(GOOD.evidence, **changes)}


def staging(**changes: Any) -> dict[str, Any]:
    return {"upstream": (replace(STAGING, **changes),)}


# (acts it guards, what is wrong, its name, its sentence, who can fix it, its weight, until when)
TABLE: list[Row] = [
    row(
        {Act.REQUEST},
        {"actor_is_developer": False},
        "role",
        "Rin Sato is not a developer of shop / Production.",
        "an administrator",
    ),
    row(
        {Act.REQUEST},
        {"held_back": "shop / Production is pinned to 1.0.0 by Ada Weber because: the fair"},
        "automation",
        "shop / Production is pinned to 1.0.0 by Ada Weber because: the fair",
        "a developer",
        W,
    ),
    row(
        {Act.APPROVE},
        {"actor_is_approver": False},
        "role",
        "Rin Sato is not an approver of shop / Production.",
        "Ada Weber, Mar Costa",
    ),
    row(
        {Act.APPROVE},
        {"actor_is_approver": False, "approvers": ()},
        "role",
        "Rin Sato is not an approver of shop / Production.",
        "an administrator, by granting the role",
    ),
    row(
        {Act.APPROVE},
        {"actor_is_requester": True, "actor": "Ada Weber"},
        "four-eyes",
        "Who requests a promotion can't approve it.",
        "Mar Costa",
    ),
    row(
        {Act.APPROVE},
        {"actor_is_author": True, "actor": "Ada Weber"},
        "author",
        "Who wrote a commit of the change can't approve it.",
        "Mar Costa",
    ),
    row(
        {Act.APPROVE, Act.RUN},
        {"authors_known": False},
        "authors",
        "Whose commits are in 1.1.0 has not been read from GitLab yet.",
        "nobody: Slipway reads it; if it does not, whoever keeps GitLab",
        D,
    ),
    row(
        {Act.APPROVE},
        {"actor_has_decided": True, "actor": "Ada Weber"},
        "decided",
        "You have already decided on this change.",
        "Mar Costa",
    ),
    row(
        {Act.REQUEST},
        {"stage_is_promotable": False},
        "promotable",
        "shop / Production follows its builds by itself: nothing is promoted to it.",
        "whoever keeps the catalogue",
    ),
    row(
        BEFORE,
        {"version_image": "registry/other"},
        "image",
        "shop / Production runs registry/shop; this is a version of registry/other.",
        "whoever builds the image",
    ),
    row(
        EVERYWHERE,
        {"version_missing_since": "2 May 2026"},
        "exists",
        "The registry has not had 1.1.0 since 2 May 2026.",
        "whoever keeps the registry, by building it again",
    ),
    row(
        {Act.REQUEST},
        {"already_there": True},
        "already-there",
        "shop / Production already runs 1.1.0.",
        "nobody needs to",
    ),
    row(
        {Act.REQUEST},
        {"others_open": (RUNNING,)},
        "in-progress",
        "Promotion #7 of 1.0.9 to shop / Production is under way.",
        "Olu Mensah or an administrator, by aborting it",
    ),
    row(
        {Act.REQUEST},
        {"others_open": (WAITING,)},
        "requested",
        "1.1.0 is already requested for shop / Production: promotion #8.",
        "Ada Weber, Mar Costa",
    ),
    row(
        {Act.REQUEST},
        {"change_problem": "No place names the image."},
        "change",
        "No place names the image.",
        "whoever keeps the manifests or the catalogue",
    ),
    row(
        {Act.RUN},
        {"approved_by": (), "approved_keys": (), "seats": ()},
        "approvals",
        "1 approval is missing.",
        "Ada Weber, Mar Costa",
        W,
    ),
    row({Act.RUN}, {"required_approvals": 3}, "approvals", "2 approvals are missing.", "Mar Costa", W),
    row(
        {Act.RUN},
        {"seats": (*GOOD.seats, Seat("ops", 2, ("Mar Costa",), ("mar",)))},
        "approvals",
        "2 approvals are missing. Still needed: 2 × ops.",
        "Mar Costa",
        W,
    ),
    row(
        {Act.RUN},
        {"approved_by": (), "approved_keys": (), "seats": (), "expired": ("Ada Weber",)},
        "approvals",
        "1 approval is missing. Too old to count: Ada Weber.",
        "Ada Weber, Mar Costa",
        W,
    ),
    row(
        {Act.REQUEST, Act.RUN, Act.FOLLOW},
        {"locks": (LOCK,)},
        "lock",
        "Mar Costa locked shop / Production at May 2, 2026, noon: An incident",
        "Ada Weber, Mar Costa, by lifting the lock",
        W,
    ),
    row(
        BEFORE,
        {"freezes": (FREEZE,)},
        "freeze",
        "shop / Production is frozen until May 2, 2026, 2 p.m.: Year's end.",
        "Ada Weber, Mar Costa, by an exception for this promotion",
        D,
        NOON + 2 * H,
    ),
    row(
        BEFORE,
        {"freezes": (FREEZE, FreezeFact("GitLab's freeze", None))},
        "freeze",
        "shop / Production is frozen, and no end is in sight: Year's end, GitLab's freeze.",
        "Ada Weber, Mar Costa, by an exception for this promotion",
        D,
    ),
    row(
        EVERYWHERE,
        {"block": BlockFact("It loses orders", "Mar Costa", NOON)},
        "blocked",
        "Mar Costa marked 1.1.0 as bad at May 2, 2026, noon: It loses orders",
        "an approver, by taking the mark away; or a developer, with another version",
    ),
    row(
        BEFORE,
        staging(was_there=False),
        "order",
        "1.1.0 has not been in shop / Staging yet.",
        "a developer, by promoting it there first",
        W,
    ),
    row(
        BEFORE,
        staging(healthy_since=NOON - H),
        "soak",
        "By May 2, 2026, 3 p.m. 1.1.0 will have been healthy in shop / Staging for the 4 h it must be.",
        "nobody: time does it",
        D,
        NOON + 3 * H,
    ),
    row(
        BEFORE,
        staging(healthy_since=None, soaked=3 * H),
        "soak",
        "1.1.0 is not healthy in shop / Staging; it must be for 4 h without a break.",
        "whoever runs it there",
        W,
    ),
    row(
        BEFORE,
        staging(verified=False),
        "verification",
        "No verification of 1.1.0 has succeeded in shop / Staging.",
        "a developer, by promoting it there again",
        W,
    ),
    row(
        {Act.RUN},
        seen(tag_moved=True),
        "tag",
        "The tag 1.1.0 no longer names this build: it was pushed again or deleted.",
        "whoever pushed it, or whoever keeps the catalogue, by pinning digests",
    ),
    row(
        BEFORE,
        seen(scan_severity="Critical"),
        "scan",
        "The scan of 1.1.0 found something Critical; at most Medium may go to shop / Production.",
        "whoever builds the image, with a mended one",
    ),
    row(
        BEFORE,
        seen(scan_status="Running"),
        "scan",
        "The registry has no finished scan of 1.1.0 (Running).",
        "whoever keeps the registry, by scanning it",
        D,
    ),
    row(
        BEFORE,
        seen(pipeline_status="failed"),
        "pipeline",
        "GitLab's pipeline of the commit of 1.1.0 is not green: failed.",
        "whoever wrote the commit, by mending it or running it again",
        W,
    ),
    row(
        BEFORE,
        seen(pipeline_status=""),
        "pipeline",
        "GitLab's pipeline of the commit of 1.1.0 is not green: unknown.",
        "whoever wrote the commit, by mending it or running it again",
        D,
    ),
    row(
        {Act.RUN},
        {"checks": (CheckFact("tests", "pending", "", "QA"), CheckFact("ticket", "failed", "closed", "CAB"))},
        "checks",
        "Outside checks have not passed: tests: pending; ticket: failed (closed).",
        "QA, CAB",
        W,
    ),
    row(
        {Act.RUN},
        {"release": ReleaseFact(3, stopped=(("#8 worker / Production", "The checks are red."),))},
        "release",
        "Release #3 has stopped: #8 worker / Production did not succeed. The checks are red.",
        ON,
        W,
    ),
    row(
        {Act.RUN},
        {"release": ReleaseFact(3, unapproved=("#8 worker / Production",))},
        "release",
        "Release #3 goes together, and this is not approved yet: #8 worker / Production.",
        "its approvers",
        W,
    ),
    row(
        {Act.RUN},
        {"release": ReleaseFact(3, ahead=("#8 worker / Production",))},
        "release",
        "In release #3 this goes first: #8 worker / Production.",
        "nobody needs to",
        W,
    ),
    row(
        {Act.RUN},
        {"release": ReleaseFact(3, unhealthy=(("worker / Staging", "Degraded"),))},
        "release",
        "Release #3 goes on when worker / Staging is healthy again: it is Degraded.",
        ON,
        W,
    ),
    row(
        {Act.RUN},
        {"release": ReleaseFact(3, resumes=NOON + H)},
        "release",
        "Release #3 pauses between two waves until May 2, 2026, 1 p.m..",
        "nobody needs to",
        W,
        NOON + H,
    ),
    row(
        {Act.RUN},
        {"schedule": ScheduleFact(NOON + H, NOON + 2 * H, False, "Europe/Berlin")},
        "schedule",
        "It is scheduled for May 2, 2026, 3 p.m. CEST.",
        "nobody: time does it; or a developer, by aborting it",
        W,
        NOON + H,
    ),
    row(
        {Act.RUN},
        {"schedule": ScheduleFact(NOON - 2 * H, NOON - H, False, "UTC")},
        "schedule",
        "It was scheduled for May 2, 2026, 10 a.m. UTC, and Slipway was not running then. So long after it"
        " does not run by itself.",
        LATE,
    ),
    row(
        {Act.RUN},
        {"schedule": ScheduleFact(NOON - 2 * H, NOON - H, True, "UTC")},
        "schedule",
        "It was to begin by May 2, 2026, 11 a.m. UTC, and Slipway did not look at it before:"
        " it was not running.",
        LATE,
    ),
    row(
        {Act.RUN},
        {"schedule": ScheduleFact(NOON - 2 * H, NOON - H, True, "UTC", "It was locked.")},
        "schedule",
        "It was to begin by May 2, 2026, 11 a.m. UTC, and did not: It was locked.",
        LATE,
    ),
]
FINE: dict[str, dict[str, Any]] = {
    "another version waits": {"others_open": (OTHER,)},
    "nothing is asked for": {"required_approvals": 0, "approved_by": (), "approved_keys": (), "seats": ()},
    "an exception was given": {"freezes": (FREEZE,), "freeze_is_excepted": True},
    "it ran here before": {"ran_here_before": True, "upstream": (UpstreamFact("x", False, verified=False),)},
    "it soaked earlier": staging(healthy_since=None, soaked=4 * H),
    "it has soaked to the second": staging(healthy_since=NOON - 4 * H),
    "no verification there": staging(verified=None),
    "a moved tag where digests are pinned": seen(tag_moved=True, tag_is_pinned=False),
    "the worst that is allowed": seen(scan_severity="Medium"),
    "no rule about scans": seen(worst_allowed="", scan_status=""),
    "no rule about pipelines": seen(pipeline_needed=False, pipeline_status="failed"),
    "its time has come": {"schedule": ScheduleFact(NOON, NOON + H, False, "UTC")},
    "the last second of its time": {"schedule": ScheduleFact(NOON - H, NOON, True, "UTC", "Locked.")},
    "authors are not barred": {
        "authors_are_barred": False,
        "authors_known": False,
        "actor_is_author": True,
    },
}
