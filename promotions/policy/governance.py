"""The gates about people's and the calendar's will, about what came before, and about evidence."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from promotions.choices import CheckState, Severity
from promotions.policy.schedule import shown
from promotions.policy.terms import Facts, LockFact, Refusal, UpstreamFact, Weight

_GREEN = ("success", "skipped")
_RED = ("failed", "canceled")


def names(people: tuple[str, ...]) -> str:
    return ", ".join(people) if people else _("an administrator, by granting the role")


def when(at: datetime) -> str:
    """Return a moment as people read it, in the site's time zone."""
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def not_locked(facts: Facts) -> Refusal | None:
    closing = [lock for lock in facts.locks if _name(lock) not in facts.skipped]
    if not closing:
        return None
    lock = closing[0]
    return Refusal(
        "lock",
        _("%(person)s locked %(place)s at %(since)s: %(reason)s")
        % {"person": lock.by, "place": lock.place, "since": when(lock.since), "reason": lock.reason},
        _("%(people)s, by lifting the lock") % {"people": names(lock.keepers)},
        Weight.HOLDS,
    )


def _name(lock: LockFact) -> str:
    """Glass that is broken for a locked place does not reach the emergency stop."""
    return "emergency-stop" if lock.is_everything else "lock"


def not_frozen(facts: Facts) -> Refusal | None:
    if not facts.freezes or facts.freeze_is_excepted:
        return None
    ends = [freeze.until for freeze in facts.freezes]
    until = None if None in ends else max(end for end in ends if end is not None)
    told = ", ".join(freeze.name for freeze in facts.freezes)
    if until is None:
        message = _("%(stage)s is frozen, and no end is in sight: %(freezes)s.")
    else:
        message = _("%(stage)s is frozen until %(until)s: %(freezes)s.")
    return Refusal(
        "freeze",
        message % {"stage": facts.stage, "until": when(until) if until else "", "freezes": told},
        _("%(people)s, by an exception for this promotion") % {"people": names(facts.approvers)},
        Weight.DEFERS,
        until,
    )


def not_blocked(facts: Facts) -> Refusal | None:
    if facts.block is None:
        return None
    return Refusal(
        "blocked",
        _("%(person)s marked %(version)s as bad at %(since)s: %(reason)s")
        % {
            "person": facts.block.by,
            "version": facts.version,
            "since": when(facts.block.since),
            "reason": facts.block.reason,
        },
        _("an approver, by taking the mark away; or a developer, with another version"),
    )


def was_upstream(facts: Facts) -> Refusal | None:
    missing = [fact.stage for fact in facts.upstream if not fact.was_there]
    if not missing or facts.ran_here_before:
        return None
    return Refusal(
        "order",
        _("%(version)s has not been in %(stages)s yet.")
        % {"version": facts.version, "stages": ", ".join(missing)},
        _("a developer, by promoting it there first"),
        Weight.HOLDS,
    )


def healthy_long_enough(facts: Facts) -> Refusal | None:
    short = [fact for fact in facts.upstream if fact.was_there and not _soaked(fact, facts)]
    if not short or not facts.soak or facts.ran_here_before:
        return None
    sick = [fact for fact in short if fact.healthy_since is None]
    hours = facts.soak.total_seconds() / 3600
    words = {"version": facts.version, "stage": (sick or short)[0].stage, "hours": f"{hours:g}"}
    if sick:
        sentence = _("%(version)s is not healthy in %(stage)s; it must be for %(hours)s h without a break.")
        return Refusal("soak", sentence % words, _("whoever runs it there"), Weight.HOLDS)
    until = max(fact.healthy_since + facts.soak for fact in short if fact.healthy_since is not None)
    sentence = _(
        "By %(until)s %(version)s will have been healthy in %(stage)s for the %(hours)s h it must be."
    )
    return Refusal(
        "soak",
        sentence % {**words, "until": when(until)},
        _("nobody: time does it"),
        Weight.DEFERS,
        until,
    )


def _soaked(fact: UpstreamFact, facts: Facts) -> bool:
    present = facts.now - fact.healthy_since if fact.healthy_since else timedelta(0)
    return max(fact.soaked, present) >= facts.soak


def verified_upstream(facts: Facts) -> Refusal | None:
    if not facts.verification_needed or facts.ran_here_before:
        return None
    red = [fact.stage for fact in facts.upstream if fact.was_there and fact.verified is False]
    if not red:
        return None
    return Refusal(
        "verification",
        _("No verification of %(version)s has succeeded in %(stages)s.")
        % {"version": facts.version, "stages": ", ".join(red)},
        _("a developer, by promoting it there again"),
        Weight.HOLDS,
    )


def tag_stands(facts: Facts) -> Refusal | None:
    seen = facts.evidence
    if not seen.tag_is_pinned or not seen.tag_moved:
        return None
    return Refusal(
        "tag",
        _("The tag %(tag)s no longer names this build: it was pushed again or deleted.") % {"tag": seen.tag},
        _("whoever pushed it, or whoever keeps the catalogue, by pinning digests"),
    )


def clean_scan(facts: Facts) -> Refusal | None:
    seen = facts.evidence
    if not seen.worst_allowed:
        return None
    if seen.scan_status != "Success":
        return Refusal(
            "scan",
            _("The registry has no finished scan of %(version)s (%(status)s).")
            % {"version": facts.version, "status": seen.scan_status or _("not scanned")},
            _("whoever keeps the registry, by scanning it"),
            Weight.DEFERS,
        )
    order = list(Severity.values)
    if seen.scan_severity in order and order.index(seen.scan_severity) <= order.index(seen.worst_allowed):
        return None
    return Refusal(
        "scan",
        _("The scan of %(version)s found something %(found)s; at most %(allowed)s may go to %(stage)s.")
        % {
            "version": facts.version,
            "found": seen.scan_severity or "?",
            "allowed": seen.worst_allowed,
            "stage": facts.stage,
        },
        _("whoever builds the image, with a mended one"),
    )


def pipeline_green(facts: Facts) -> Refusal | None:
    seen = facts.evidence
    if not seen.pipeline_needed or seen.pipeline_status in _GREEN:
        return None
    status = seen.pipeline_status or _("unknown")
    red = seen.pipeline_status in _RED
    return Refusal(
        "pipeline",
        _("GitLab's pipeline of the commit of %(version)s is not green: %(status)s.")
        % {"version": facts.version, "status": status},
        _("whoever wrote the commit, by mending it or running it again"),
        Weight.HOLDS if red else Weight.DEFERS,
    )


def checks_passed(facts: Facts) -> Refusal | None:
    lacking = [check for check in facts.checks if check.state != CheckState.PASSED]
    if not lacking:
        return None
    told = "; ".join(
        f"{check.name}: {CheckState(check.state).label}{f' ({check.message})' if check.message else ''}"
        for check in lacking
    )
    return Refusal(
        "checks",
        ngettext(
            "An outside check has not passed: %(told)s.",
            "Outside checks have not passed: %(told)s.",
            len(lacking),
        )
        % {"told": told},
        ", ".join(dict.fromkeys(check.owner for check in lacking)),
        Weight.HOLDS,
    )


def not_an_author(facts: Facts) -> Refusal | None:
    if not facts.authors_are_barred or not facts.actor_is_author:
        return None
    others = tuple(name for name in facts.approvers if name != facts.actor)
    return Refusal("author", _("Who wrote a commit of the change can't approve it."), names(others))


def authors_read(facts: Facts) -> Refusal | None:
    if not facts.authors_are_barred or facts.authors_known:
        return None
    return Refusal(
        "authors",
        _("Whose commits are in %(version)s has not been read from GitLab yet.") % {"version": facts.version},
        _("nobody: Slipway reads it; if it does not, whoever keeps GitLab"),
        Weight.DEFERS,
    )


def at_its_time(facts: Facts) -> Refusal | None:
    """What was asked for a set time runs neither before it nor, unlooked at, long after it."""
    plan = facts.schedule
    if plan is None or plan.not_before <= facts.now <= plan.last:
        return None
    words = {
        "begin": shown(plan.not_before, plan.time_zone),
        "end": shown(plan.last, plan.time_zone),
        "refused": plan.refused,
    }
    if facts.now < plan.not_before:
        fix = _("nobody: time does it; or a developer, by aborting it")
        message = _("It is scheduled for %(begin)s.") % words
        return Refusal("schedule", message, fix, Weight.HOLDS, plan.not_before)
    if plan.refused:
        message = _("It was to begin by %(end)s, and did not: %(refused)s") % words
    elif plan.has_end:
        message = _("It was to begin by %(end)s, and Slipway did not look at it before: it was not running.")
    else:
        message = _(
            "It was scheduled for %(begin)s, and Slipway was not running then. So long after it does not run"
            " by itself."
        )
    return Refusal("schedule", message % words, _("a developer, by trying it again or asking anew"))
