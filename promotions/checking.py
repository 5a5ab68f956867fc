"""Bring in, while promotions wait, what their gates wait for: checks' answers, scans, pipelines, authors."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.checks import Answer, CheckClient
from integrations.errors import IntegrationError
from promotions import comparisons, engine, evidence, governing
from promotions.choices import CheckState, PromotionStatus
from promotions.models import CheckResult, Promotion
from promotions.policy.rules import CheckRule, Rules
from promotions.secrets import SecretMissing, resolve

log = structlog.get_logger(__name__)
ASK_EVERY = timedelta(seconds=20)


def look_at_waiting() -> None:
    """Look after every promotion that has not reached its branch yet."""
    waiting = Promotion.objects.filter(
        Q(status__in=(PromotionStatus.REQUESTED, PromotionStatus.APPROVED))
        | Q(status=PromotionStatus.RUNNING, target_commit="")
    )
    for promotion in waiting.select_related(
        "stage__environment",
        "stage__application__source_connection",
        "version__image__connection",
        "from_version",
    ):
        look_after(promotion)


def look_after(promotion: Promotion) -> None:
    """Ask what is due for one promotion; an answer that changed has it looked at."""
    rules = Rules.of(promotion.stage.environment.policy)
    if evidence.look_at_build_quietly(promotion.stage, promotion.version):
        engine.wake(promotion)
    if rules.bar_authors and promotion.from_version is not None:
        application = promotion.stage.application
        comparisons.want(application, promotion.from_version.commit, promotion.version.commit)
    for rule in rules.checks:
        if rule.url:
            ask(promotion, rule)


def ask(promotion: Promotion, rule: CheckRule) -> None:
    """Ask a check about the change as it is now, unless it has decided, or was asked a moment ago."""
    now = timezone.now()
    CheckResult.objects.get_or_create(
        promotion=promotion, name=rule.name, defaults={"change_hash": promotion.change_hash}
    )
    due = CheckResult.objects.filter(promotion=promotion, name=rule.name).filter(
        Q(asked_at=None) | Q(asked_at__lte=now - ASK_EVERY) | ~Q(change_hash=promotion.change_hash)
    )
    undecided = Q(state=CheckState.PENDING) | ~Q(change_hash=promotion.change_hash)
    # Compare and set: of two workers one asks.
    if not due.filter(undecided).update(asked_at=now):
        return
    answer = _answer(promotion, rule)
    governing.keep_check(
        promotion,
        rule.name,
        CheckState(answer.state),
        message=answer.message,
        link=answer.link,
        by=None,
    )


def _answer(promotion: Promotion, rule: CheckRule) -> Answer:
    """What can't be asked is pending: no answer is no consent, and no refusal."""
    try:
        client = CheckClient(rule.url, resolve(rule.secret))
    except (SecretMissing, ValueError) as error:
        return Answer(CheckState.PENDING, str(error), "")
    try:
        return client.ask(
            question(promotion, rule), message_id=f"{promotion.key}-{rule.name}-{promotion.change_hash[:16]}"
        )
    except (IntegrationError, ValueError) as error:
        log.info("a check can't be asked", check=rule.name, promotion=promotion.pk, error=str(error))
        return Answer(CheckState.PENDING, _("It could not be asked: %(error)s") % {"error": error}, "")
    finally:
        client.close()


def question(promotion: Promotion, rule: CheckRule) -> dict[str, object]:
    """Return what a check is told: enough to decide, and nothing secret."""
    stage, version = promotion.stage, promotion.version
    return {
        "type": "promotion.check",
        "check": rule.name,
        "promotion": promotion.pk,
        "url": f"{settings.BASE_URL.rstrip('/')}{promotion.get_absolute_url()}",
        "application": stage.application.slug,
        "environment": stage.environment.slug,
        "image": version.image.repository,
        "digest": version.digest,
        "tag": version.tag,
        "commit": version.commit,
        "change_hash": promotion.change_hash,
        "requested_by": promotion.requested_by_name,
        "reason": promotion.reason,
    }
