"""What people do to a Release: its promotions are asked for, approved, stopped and resumed together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from integrations.errors import IntegrationError
from promotions import changes, engine, governing, operations
from promotions.choices import Decision, PromotionKind, PromotionStatus
from promotions.models import ImageVersion, Promotion, Release, Stage
from promotions.models.release import hash_of
from promotions.policy import Act, Refusal, Refused, gather, refusals, stopping
from promotions.workflow import StaleState, person_name, record

Status = PromotionStatus
# What an earlier wave of the same release brings about.
_OPENED_BY_EARLIER_WAVES = frozenset({"order", "soak", "verification"})


@dataclass(frozen=True, slots=True)
class Item:
    """One version for one Stage; waves count from 1."""

    stage: Stage
    version: ImageVersion
    wave: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One commit of a Release: its whole difference, or the sentence why it can't be computed."""

    project: str
    branch: str
    wave: int
    stages: tuple[str, ...]
    diff: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a Release would do. `refusals` name the Stage; `hash` is what a request is bound to."""

    items: tuple[tuple[Item, operations.Preview], ...]
    parts: tuple[Part, ...]
    refusals: tuple[Refusal, ...]
    hash: str


def preview(items: Sequence[Item], actor: User, *, rolling_back: bool = False) -> Preview:
    """Compute every change and each commit's whole difference, and ask every gate. Writes nothing.

    `rolling_back` asks by the rules for roll-backs.
    """
    seen = tuple(
        (item, operations.preview(item.stage, item.version, actor, rolling_back=rolling_back))
        for item in items
    )
    found = _wrong_together(items)
    for item, one in seen:
        found += [_named(item.stage, why) for why in _opened_later(item, items, one.refusals)]
    rows = [(item.stage.pk, item.version.pk, one.change.hash if one.change else "") for item, one in seen]
    return Preview(seen, tuple(_parts(seen)), tuple(found), hash_of(rows))


def _wrong_together(items: Sequence[Item]) -> list[Refusal]:
    stages = [item.stage.pk for item in items]
    found = []
    if not items:
        found.append(
            Refusal("release", _("A release needs at least one version."), _("you, by choosing one"))
        )
    for item in items:
        if stages.count(item.stage.pk) > 1:
            message = _("%(stage)s stands in the release twice.") % {"stage": item.stage}
            return [*found, Refusal("release", message, _("you, by choosing one version for it"))]
    return found


def _opened_later(item: Item, items: Sequence[Item], found: list[Refusal]) -> list[Refusal]:
    """Leave out what an earlier wave brings about: the version will have been there by then."""
    before = any(
        other.wave < item.wave and other.stage.application_id == item.stage.application_id for other in items
    )
    return [why for why in stopping(found) if not (before and why.gate in _OPENED_BY_EARLIER_WAVES)]


def _named(stage: Stage, why: Refusal) -> Refusal:
    return replace(why, message=_("%(stage)s: %(why)s") % {"stage": stage, "why": why.message})


def _parts(seen: Iterable[tuple[Item, operations.Preview]]) -> Iterable[Part]:
    """Put together what goes into one commit: the same repository, branch and wave."""
    groups: dict[tuple[object, ...], list[tuple[Item, operations.Preview]]] = {}
    for item, one in seen:
        stage = item.stage
        place = (stage.manifest_connection_id, stage.manifest_project, stage.manifest_branch)
        groups.setdefault((item.wave, *place), []).append((item, one))
    for group in sorted(groups.values(), key=lambda group: group[0][0].wave):
        yield _part([item for item, _one in group], group[0][1].base_commit)


def _part(items: list[Item], commit: str) -> Part:
    first = items[0].stage
    names = tuple(str(item.stage) for item in items)
    place = (first.manifest_project, first.manifest_branch, items[0].wave, names)
    try:
        commit = commit or changes.tip(first)
        whole = changes.compute_together([(item.stage, item.version) for item in items], commit=commit)
    except (changes.NoChange, IntegrationError) as error:
        return Part(*place, "", str(error))
    return Part(*place, whole.diff)


def parts_now(release: Release) -> list[Part]:
    """Return the commits of a Release that are still to be written, as they would be now."""
    waiting = (
        release.promotions.open()
        .filter(written_commit="", target_commit="")
        .select_related(
            "stage__application",
            "stage__environment",
            "stage__image",
            "stage__manifest_connection",
            "version__image",
        )
    )
    groups: dict[tuple[object, ...], list[Item]] = {}
    for each in waiting.order_by("wave", "pk"):
        stage = each.stage
        place = (each.wave, stage.manifest_connection_id, stage.manifest_project, stage.manifest_branch)
        groups.setdefault(place, []).append(Item(stage, each.version, each.wave))
    return [_part(items, "") for items in groups.values()]


def request_release(
    items: Sequence[Item],
    *,
    name: str,
    reason: str,
    by: User,
    pause: int = 0,
    seen_hash: str | None = None,
    kind: PromotionKind = PromotionKind.PROMOTION,
    rollback_of: Release | None = None,
) -> Release:
    """Ask for all of it at once, or for nothing. `pause` is in minutes.

    Raises Refused with the refusals of every Stage, and StaleState when the changes are no longer those
    that `seen_hash` stands for.
    """
    rolling_back = kind == PromotionKind.ROLLBACK
    seen = preview(items, by, rolling_back=rolling_back)
    if seen.refusals:
        raise Refused(seen.refusals)
    if problems := [part.problem for part in seen.parts if part.problem]:
        raise Refused([Refusal("change", each, _("whoever keeps the manifests")) for each in problems])
    if seen_hash is not None and seen_hash != seen.hash:
        raise StaleState(_("The manifests changed since you saw this release. Look at it again."))
    with transaction.atomic():
        _hold_stages(items, by, rolling_back)
        release = Release.objects.create(
            name=name.strip(),
            kind=kind,
            rollback_of=rollback_of,
            reason=reason.strip(),
            requested_by=by,
            requested_by_name=person_name(by),
            pause=pause,
        )
        record("release.requested", subject=release, by=by, reason=release.reason, release=release.pk)
        made = [
            operations.create(
                item.stage, item.version, one, by, reason, kind, release=release, wave=item.wave
            )
            for item, one in sorted(seen.items, key=lambda each: each[0].wave)
        ]
        for each in made:
            operations.let_go(each)
    for each in made:
        engine.wake(each)
    return release


def _hold_stages(items: Sequence[Item], by: User, rolling_back: bool) -> None:
    """One request at a time per Stage; in one order, so that two Releases never wait for each other."""
    stages = Stage.objects.select_for_update(no_key=True).filter(pk__in=[item.stage.pk for item in items])
    list(stages.order_by("pk"))
    found = []
    for item in items:
        facts = gather(item.stage, item.version, by, rolling_back=rolling_back)
        answers = refusals(Act.REQUEST, facts)
        found += [_named(item.stage, why) for why in _opened_later(item, items, answers)]
    if found:
        raise Refused(found)
    for item in items:
        operations.supersede_waiting(item.stage, by)


def _held(release: Release, seen_hash: str | None = None) -> list[Promotion]:
    """Hold the rows of all its promotions. Raises StaleState when its change is not the one that was seen."""
    numbers = list(release.promotions.order_by("pk").values_list("pk", flat=True))
    found = [operations.hold(Promotion(pk=number)) for number in numbers]
    if seen_hash is not None and seen_hash != release.change_hash:
        raise StaleState(
            _("The release's change is no longer the one you saw. Look at the new difference first.")
        )
    return found


def approve(release: Release, *, by: User, change_hash: str, comment: str = "") -> None:
    """Approve everything in it that waits for this person, bound to the change of the whole.

    Of several Environments each keeps its own rules. Raises Refused when nothing waits for this person,
    and StaleState. A second equal click changes nothing.
    """
    with transaction.atomic():
        found: list[Refusal] = []
        approved = 0
        held = _held(release, change_hash)
        for each in held:
            said_so = each.approvals.filter(person=by, fallen_at=None, decision=Decision.APPROVED)
            if said_so.filter(change_hash=each.change_hash).exists():
                approved += 1
            elif each.status == Status.REQUESTED:
                try:
                    operations.approve_held(each, by, each.change_hash, comment)
                    approved += 1
                except Refused as refused:
                    found += [_named(each.stage, why) for why in refused.refusals]
        if not approved:
            raise Refused(found or [_nothing(release)])
    for each in held:
        engine.wake(each)


def _nothing(release: Release) -> Refusal:
    message = _("Nothing of %(release)s waits for approval.") % {"release": release}
    return Refusal("release", message, _("nobody needs to"))


def reject(release: Release, *, by: User, change_hash: str, comment: str) -> None:
    """Reject it as somebody who could approve a part of it: all of it ends. What runs is aborted instead.

    Raises Refused and StaleState.
    """
    with transaction.atomic():
        held = [each for each in _held(release, change_hash) if each.is_open]
        for each in held:
            if each.status == Status.RUNNING:
                raise StaleState(
                    _("Promotion #%(number)d of it runs: abort the release.") % {"number": each.pk}
                )
        waiting = [each for each in held if each.status == Status.REQUESTED]
        why = {each.pk: _why_not(each, by) for each in waiting}
        if all(why.values()):
            raise Refused([named for found in why.values() for named in found] or [_nothing(release)])
        for each in held:
            if each in waiting and not why[each.pk]:
                operations.reject_held(each, by, each.change_hash, comment)
            else:
                operations.stop(each, by, comment)


def _why_not(promotion: Promotion, by: User) -> list[Refusal]:
    facts = gather(promotion.stage, promotion.version, by, promotion=promotion)
    return [_named(promotion.stage, why) for why in refusals(Act.APPROVE, facts)]


def except_from_freeze(release: Release, *, by: User, change_hash: str, reason: str) -> None:
    """Let all of it go that a freeze holds. Raises Refused and StaleState."""
    with transaction.atomic():
        frozen = [each for each in _held(release, change_hash) if each.is_open and is_frozen(each)]
        if not frozen:
            message = _("Nothing of %(release)s is held by a freeze.") % {"release": release}
            raise Refused([Refusal("freeze", message, _("nobody needs to"))])
        for each in frozen:
            governing.except_from_freeze(each, by=by, change_hash=each.change_hash, reason=reason)


def is_frozen(promotion: Promotion) -> bool:
    """Tell whether a freeze without an exception holds the promotion."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    return any(why.gate == "freeze" for why in refusals(Act.RUN, facts))


def abort(release: Release, *, by: User, reason: str) -> None:
    """Stop all of it before its next outside effect; what is written stays. Raises Refused and StaleState."""
    with transaction.atomic():
        held = [each for each in _held(release) if each.is_open]
        if not held:
            raise StaleState(_("%(release)s has already ended.") % {"release": release})
        for each in held:
            operations.must_act(each, by)
        for each in held:
            operations.stop(each, by, reason)


def retry(release: Release, *, by: User) -> None:
    """Resume everything in it that failed, each at the step that ended it. Raises Refused and StaleState."""
    with transaction.atomic():
        ended = [each for each in _held(release) if each.is_retryable]
        if not ended:
            raise StaleState(_("Nothing of %(release)s can be tried again.") % {"release": release})
        for each in ended:
            operations.resume(each, by)


def way_back(release: Release) -> list[Item]:
    """Return what a roll-back would bring: for each Stage that it reached, the version it had before."""
    reached = release.promotions.exclude(target_commit="").exclude(from_version=None)
    back = reached.select_related(
        "stage__application__source_connection",
        "stage__environment",
        "stage__image",
        "stage__manifest_connection",
        "from_version__image__application",
    )
    return [
        Item(each.stage, each.from_version)
        for each in back.order_by("pk")
        if each.from_version is not None and each.from_version_id != each.version_id
    ]


def roll_back(release: Release, *, by: User, reason: str, seen_hash: str | None = None) -> Release:
    """Ask for the versions that it replaced: a Release of its own. Raises Refused and StaleState."""
    items = way_back(release)
    if not items:
        message = _("%(release)s brought nothing that could be taken back.") % {"release": release}
        raise Refused([Refusal("rollback", message, _("a developer, by promoting versions"))])
    return request_release(
        items,
        name=_("Roll back %(name)s") % {"name": release.name[:80]},
        reason=reason,
        by=by,
        seen_hash=seen_hash,
        kind=PromotionKind.ROLLBACK,
        rollback_of=release,
    )
