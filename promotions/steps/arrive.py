"""Tell Argo CD to look now, and wait until the change is synced, healthy and really running."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from integrations.argocd import ArgoCDClient
from integrations.argocd.types import ApplicationSnapshot
from integrations.argocd.verdict import Verdict, judge
from integrations.errors import Conflict, Rejected
from integrations.images import parse_image
from promotions import repositories, vendors
from promotions.models import Promotion, Stage, StageState, StepResult
from promotions.steps.base import Done, Failed, JsonData, Outcome, Waiting
from promotions.steps.guard import before_acting

# One refresh per half minute at most while Argo CD's picture is stale (argocd-api.md section 8).
_REFRESH_EVERY = 30.0
_INFO = "slipway-promotion"


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Judge one snapshot of the Argo CD application; refresh or sync it when that is what it waits for."""
    stage = promotion.stage
    if stage.argocd_connection is None or not stage.argocd_application:
        return Done(_("No Argo CD application is named for this stage."))
    client = vendors.argocd(stage.argocd_connection)
    data: JsonData = dict(result.data)
    snapshot = client.application(stage.argocd_application, project=stage.argocd_project)
    verdict = _judge(promotion, snapshot, data)
    if verdict.state == "failed":
        return Failed(verdict.reason, link=snapshot.web_url)
    if verdict.state == "arrived":
        if runs_version(promotion, snapshot):
            return Done(verdict.reason, link=snapshot.web_url)
        return _arrived_without_image(client, promotion, snapshot, data)
    _push_along(client, promotion, snapshot, verdict, data)
    return Waiting(verdict.reason, look_in=3, link=snapshot.web_url, data=data)


def source_index(stage: Stage, snapshot: ApplicationSnapshot) -> int:
    """Return which of the application's sources is the stage's manifest project; the first, if unsure."""
    for index, source in enumerate(snapshot.sources):
        address = source.repo_url.removesuffix("/").removesuffix(".git").lower()
        if address.endswith(("/" + stage.manifest_project.lower(), ":" + stage.manifest_project.lower())):
            return index
    return 0


def _judge(promotion: Promotion, snapshot: ApplicationSnapshot, data: JsonData) -> Verdict:
    state = StageState.objects.filter(stage=promotion.stage).first()
    ours = (_INFO, str(promotion.key)) if data.get("sync_requested_at") else None
    return judge(
        snapshot,
        accepts=lambda revision: _accepts(promotion, revision, data),
        committed_at=promotion.written_at or promotion.status_at,
        now=timezone.now(),
        source_index=source_index(promotion.stage, snapshot),
        our_info=ours,
        degraded_since=state.degraded_since if state else None,
        grace=settings.DEGRADED_GRACE,
    )


def _accepts(promotion: Promotion, revision: str, data: JsonData) -> bool:
    """Another commit may land after ours: a descendant carries our change too."""
    if revision == promotion.target_commit:
        return True
    known: dict[str, bool] = data.setdefault("descendants", {})
    if revision and revision not in known:
        repository = repositories.of(promotion.stage)
        known[revision] = repository.is_ancestor(promotion.target_commit, revision)
    return known.get(revision, False)


def runs_version(promotion: Promotion, snapshot: ApplicationSnapshot) -> bool:
    """Tell whether the version is among the live images: Synced alone has lied (known-pitfalls.md 12)."""
    wanted = parse_image(promotion.stage.image.repository).name
    version = promotion.version
    for text in snapshot.images:
        image = parse_image(text)
        if image.name == wanted and (image.tag == version.tag or image.digest == version.digest):
            return True
    return False


def _arrived_without_image(
    client: ArgoCDClient, promotion: Promotion, snapshot: ApplicationSnapshot, data: JsonData
) -> Waiting:
    stage = promotion.stage
    if "hard_refreshed_at" not in data:
        client.refresh(stage.argocd_application, project=stage.argocd_project, hard=True)
        data["hard_refreshed_at"] = timezone.now().isoformat()
    message = _("Argo CD says synced and healthy, but %(version)s is not among the live images: %(images)s.")
    return Waiting(
        message % {"version": promotion.version, "images": ", ".join(snapshot.images) or "–"},
        look_in=5,
        link=snapshot.web_url,
        data=data,
    )


def _push_along(
    client: ArgoCDClient,
    promotion: Promotion,
    snapshot: ApplicationSnapshot,
    verdict: Verdict,
    data: JsonData,
) -> None:
    """Refresh at the first look and while the picture is stale; sync applications without automation."""
    stage = promotion.stage
    refreshed_at = _time(data, "refreshed_at")
    due = refreshed_at is None or (
        verdict.needs_refresh and (timezone.now() - refreshed_at).total_seconds() >= _REFRESH_EVERY
    )
    if due:
        data["refreshed_at"] = timezone.now().isoformat()
        client.refresh(stage.argocd_application, project=stage.argocd_project)
    elif not snapshot.automated and not snapshot.operation_requested and "sync_requested_at" not in data:
        _sync(client, promotion, data)


def _sync(client: ArgoCDClient, promotion: Promotion, data: JsonData) -> None:
    before_acting(promotion)
    try:
        client.sync(
            promotion.stage.argocd_application,
            project=promotion.stage.argocd_project,
            revision=promotion.target_commit,
            infos={_INFO: str(promotion.key)},
        )
    except (Conflict, Rejected) as error:
        # "another operation is already in progress": nothing is queued there, so ask again later.
        if "another operation" not in str(error):
            raise
        return
    data["sync_requested_at"] = timezone.now().isoformat()


def _time(data: JsonData, key: str) -> datetime | None:
    text = data.get(key)
    return parse_datetime(text) if isinstance(text, str) else None
