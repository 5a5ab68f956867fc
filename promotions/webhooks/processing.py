"""Act on deliveries: each says "look now" at something. What is true is then read from its owner.

The jobs are queued in the transaction that marks the delivery processed: a worker killed in between
leaves either both or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.gitlab import webhooks as gitlab
from integrations.hints import Hint, Reading
from integrations.images import parse_image
from integrations.registry import webhooks as registry
from promotions import engine, looks
from promotions.choices import DeliveryOutcome, Vendor
from promotions.live import announce
from promotions.models import Application, Commit, Delivery, Image, ImageVersion, Promotion, Stage

log = structlog.get_logger(__name__)
_MOST_ATTEMPTS = 5
_READERS = {Vendor.GITLAB: gitlab.read, Vendor.HARBOR: registry.read, Vendor.DISTRIBUTION: registry.read}


@dataclass(frozen=True, slots=True, order=True)
class Look:
    """A job to queue: look at one thing now. `lock` names the thing; a look that waits already is enough."""

    lock: str
    task: str
    arguments: tuple[tuple[str, int | str], ...]
    words: str


def process_pending() -> int:
    """Process every waiting delivery, oldest first; return how many."""
    count = 0
    while (pk := _next()) is not None:
        try:
            process(pk)
        except Exception:
            # The outermost loop: one poisonous body must not stop the ones behind it.
            log.exception("a delivery could not be processed", delivery=pk)
        count += 1
    if count:
        announce("deliveries", "all")
    return count


def _next() -> int | None:
    """Choose the waiting delivery that was tried least; of several workers each gets another one.

    The attempt is counted before it is made, so that a body that kills the process is given up at last.
    """
    with transaction.atomic():
        waiting = Delivery.objects.select_for_update(skip_locked=True).filter(outcome=DeliveryOutcome.PENDING)
        waiting.filter(attempts__gte=_MOST_ATTEMPTS).update(
            outcome=DeliveryOutcome.FAILED, message=_("Processing it has failed. The log says why.")
        )
        delivery = waiting.order_by("attempts", "id").first()
        if delivery is None:
            return None
        Delivery.objects.filter(pk=delivery.pk).update(attempts=F("attempts") + 1)
        return delivery.pk


def process(pk: int) -> None:
    """Read one delivery and pass its hints on. What it turned out to be is kept with it."""
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("source__connection")
            .filter(pk=pk, outcome=DeliveryOutcome.PENDING)
            .first()
        )
        if delivery is None:
            return
        reading = _READERS[Vendor(delivery.source.connection.vendor)](delivery.headers, bytes(delivery.body))
        # PostgreSQL takes no NUL in text.
        delivery.kind = reading.kind[:100].replace("\x00", "")
        delivery.summary = reading.summary.replace("\x00", "")
        delivery.outcome, delivery.message = _handle(delivery, reading)
        delivery.processed_at = timezone.now()
        delivery.save(update_fields=["kind", "summary", "outcome", "message", "processed_at"])


def _handle(delivery: Delivery, reading: Reading) -> tuple[DeliveryOutcome, str]:
    if reading.problem is not None:
        return DeliveryOutcome.UNREADABLE, reading.problem
    if not reading.hints:
        return DeliveryOutcome.IGNORED, _("Nothing Slipway follows.")
    # A registry's envelope may name a thousand tags of one image: that is one look.
    hints = {(hint.subject, hint.project): hint for hint in reading.hints}.values()
    wanted = {look for hint in hints for look in HANDLERS[hint.subject](delivery, hint)}
    if not wanted:
        return DeliveryOutcome.IGNORED, _why_nothing(delivery, hints)
    # In one order everywhere: of two workers that queue the same looks one waits, and none for ever.
    for look in sorted(wanted):
        looks.queue(look.task, look.lock, dict(look.arguments))
    words = ", ".join(sorted(look.words for look in wanted))
    return DeliveryOutcome.PROCESSED, _("Looking now at %(what)s.") % {"what": words}


def _why_nothing(delivery: Delivery, hints: Iterable[Hint]) -> str:
    """A push to an application's source project leads to a build: that is seen where it runs."""
    projects = {hint.project.lower() for hint in hints}
    connection = delivery.source.connection
    for application in Application.objects.filter(source_connection=connection):
        if application.source_project.lower() in projects:
            return _("Source of %(application)s: its builds are followed where they run.") % {
                "application": application.name
            }
    return _("It speaks of nothing in the catalogue.")


def _look_at_branch(delivery: Delivery, hint: Hint) -> list[Look]:
    """A push or a merge: read what the manifest branches of that project say."""
    connection = delivery.source.connection
    stages = Stage.objects.filter(manifest_connection=connection, manifest_project__iexact=hint.project)
    return [
        Look(
            looks.branch_name(connection.pk, project, branch),
            "promotions.look_at_branch",
            (("connection_id", connection.pk), ("project", project), ("branch", branch)),
            f"{project}@{branch}",
        )
        for project, branch in set(stages.values_list("manifest_project", "manifest_branch"))
    ]


def _look_at_merge_request(delivery: Delivery, hint: Hint) -> list[Look]:
    connection = delivery.source.connection
    for promotion in Promotion.objects.open().filter(
        stage__manifest_connection=connection, stage__manifest_project__iexact=hint.project
    ):
        engine.wake(promotion)
    return _look_at_branch(delivery, hint)


def _look_at_image(delivery: Delivery, hint: Hint) -> list[Look]:
    return [
        Look(
            f"image:{image.pk}",
            "promotions.look_at_image",
            (("image_id", image.pk),),
            image.repository,
        )
        for image in Image.objects.filter(connection=delivery.source.connection)
        if parse_image(image.repository).repository == hint.project
    ]


def _look_at_pipeline(delivery: Delivery, hint: Hint) -> list[Look]:
    """A GitLab pipeline of a source project moved: it may have pushed an image.

    Not every registry tells of pushes (Docker Hub only its own subscribers), so this is what makes a
    build of GitLab CI show up at once.
    """
    connection = delivery.source.connection
    images = Image.objects.filter(
        application__source_connection=connection, application__source_project__iexact=hint.project
    )
    found = [
        Look(f"image:{image.pk}", "promotions.look_at_image", (("image_id", image.pk),), image.repository)
        for image in images
    ]
    if found:
        found.append(
            Look(
                f"pipeline:{connection.pk}:{hint.project}:{hint.name}",
                "promotions.look_at_pipeline",
                (("connection_id", connection.pk), ("project", hint.project), ("number", int(hint.name))),
                _("pipeline %(number)s of %(project)s") % {"number": hint.name, "project": hint.project},
            )
        )
    return found


def _nothing(delivery: Delivery, hint: Hint) -> list[Look]:
    return []


HANDLERS: dict[str, Callable[[Delivery, Hint], list[Look]]] = {
    "branch": _look_at_branch,
    "merge_request": _look_at_merge_request,
    "image": _look_at_image,
    # The image that a tag brings is announced by the registry or found in its list.
    "tag": _nothing,
    "pipeline": _look_at_pipeline,
    "deployment": _nothing,
}


def versions_without_commit_title() -> list[ImageVersion]:
    """Return a few versions whose source commit was not read from GitLab yet."""
    known = Commit.objects.values("sha")
    return list(
        ImageVersion.objects.exclude(commit="")
        .exclude(commit__in=known)
        .select_related("image__application__source_connection")
        .order_by("-created_at")[:5]
    )
