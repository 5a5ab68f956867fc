"""The closed lists of words that models, URLs, templates and the API share."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Vendor(TextChoices):
    GITLAB = "gitlab", "GitLab"
    GIT = "git", "Git"
    TEKTON = "tekton", "Tekton"
    ARGOCD = "argocd", "Argo CD"
    HARBOR = "harbor", "Harbor"
    DISTRIBUTION = "distribution", _("OCI registry")


class Risk(TextChoices):
    DEVELOPMENT = "development", _("development")
    STAGING = "staging", _("staging")
    PRODUCTION = "production", _("production")


class Role(TextChoices):
    VIEWER = "viewer", _("viewer")
    DEVELOPER = "developer", _("developer")
    APPROVER = "approver", _("approver")
    ADMIN = "admin", _("admin")


class Via(TextChoices):
    """The way in by which something was done."""

    PAGE = "page", _("page")
    TOKEN = "token", _("API token")
    WORKER = "worker", _("worker")
    COMMAND = "command", _("command")
    # Rows from before this was kept.
    UNKNOWN = "unknown", _("unknown")


class TokenScope(TextChoices):
    """What a token may be used for. Reading is a scope of its own: a token that only reports needs none."""

    READ = "read", _("read")
    PROMOTE = "promote", _("promote")
    APPROVE = "approve", _("approve")
    CHECKS = "checks", _("report checks")


class WriteMode(TextChoices):
    """How a Change reaches the manifest branch."""

    DIRECT = "direct", _("direct commit")
    OWN_BRANCH = "own-branch", _("branch of its own with a merge request")
    TEAM_BRANCH = "team-branch", _("the team's branch with a merge request")


class PromoteMode(TextChoices):
    """Who asks for promotions to a Stage."""

    BY_PEOPLE = "by-people", _("when people ask")
    AUTOMATICALLY = "automatically", _("automatically")


class AutomationState(TextChoices):
    """How automatic promotion to a Stage stands."""

    IDLE = "idle", _("up to date")
    WAITING = "waiting", _("waiting")
    UNDER_WAY = "under-way", _("under way")
    HELD = "held", _("held")


class SigningFormat(TextChoices):
    """What kind of key signs the commits of a plain Git connection."""

    SSH = "ssh", _("SSH key")
    OPENPGP = "openpgp", _("OpenPGP key")


class EditStyle(TextChoices):
    """Which part of an image reference a Stage's manifests pin."""

    TAG = "tag", _("tag")
    DIGEST = "digest", _("digest")
    TAG_AND_DIGEST = "tag-and-digest", _("tag and digest")
    APP_VERSION = "app-version", _("chart appVersion")


class PromotionKind(TextChoices):
    PROMOTION = "promotion", _("promotion")
    ROLLBACK = "rollback", _("rollback")


class RollbackCause(TextChoices):
    """What may have Slipway roll back by itself."""

    VERIFICATION = "verification", _("verification failed")
    DEGRADED = "degraded", _("degraded")


class AutomaticState(TextChoices):
    """What became of an automatic roll-back."""

    WAITING = "waiting", _("waiting")
    REQUESTED = "requested", _("requested")
    LEFT = "left", _("left to people")


class PromotionStatus(TextChoices):
    REQUESTED = "requested", _("waiting for approval")
    APPROVED = "approved", _("approved")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    ERRORED = "errored", _("errored")
    REJECTED = "rejected", _("rejected")
    ABORTED = "aborted", _("aborted")
    SUPERSEDED = "superseded", _("superseded")


class Event(TextChoices):
    """What rooms and people may be told of. REACHABLE is nobody's wish: it follows UNREACHABLE."""

    REQUESTED = "requested", _("waiting for approval")
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    ERRORED = "errored", _("errored")
    ROLLED_BACK = "rolled-back", _("rolled back")
    STUCK = "stuck", _("stuck")
    ABORTED = "aborted", _("aborted")
    SUPERSEDED = "superseded", _("superseded")
    URGENT = "urgent", _("urgent")
    UNREACHABLE = "unreachable", _("upstream unreachable")
    REACHABLE = "reachable", _("upstream reachable again")

    @property
    def wishes(self) -> tuple[str, ...]:
        """Return the wishes that this event answers: a roll-back that succeeded is both."""
        more = {Event.ROLLED_BACK: (Event.SUCCEEDED,), Event.REACHABLE: (Event.UNREACHABLE,)}
        return (self.value, *(event.value for event in more.get(self, ())))


class Personal(TextChoices):
    """What a channel's address is completed with, to reach one person."""

    EMAIL = "email", _("e-mail address")
    USERNAME = "username", _("user name")


OPEN_STATUSES = (PromotionStatus.REQUESTED, PromotionStatus.APPROVED, PromotionStatus.RUNNING)
RETRYABLE_STATUSES = (PromotionStatus.FAILED, PromotionStatus.ERRORED)


class StepName(TextChoices):
    WRITE = "write", _("Write the change to Git")
    MERGE = "merge", _("Merge the change")
    ARRIVE = "arrive", _("Arrive in the cluster")
    VERIFY = "verify", _("Verify")


class StepStatus(TextChoices):
    RUNNING = "running", _("running")
    WAITING = "waiting", _("waiting")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    ERRORED = "errored", _("errored")
    ABORTED = "aborted", _("aborted")


class Decision(TextChoices):
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")


class CheckState(TextChoices):
    """What an outside check says of a promotion."""

    PENDING = "pending", _("pending")
    PASSED = "passed", _("passed")
    FAILED = "failed", _("failed")


class Severity(TextChoices):
    """How bad the worst finding of a scan is, in Harbor's words, least first."""

    NONE = "None", _("none")
    UNKNOWN = "Unknown", _("unknown")
    NEGLIGIBLE = "Negligible", _("negligible")
    LOW = "Low", _("low")
    MEDIUM = "Medium", _("medium")
    HIGH = "High", _("high")
    CRITICAL = "Critical", _("critical")


class RunStatus(TextChoices):
    PENDING = "pending", _("pending")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class DeliveryOutcome(TextChoices):
    """What became of an authenticated webhook."""

    PENDING = "pending", _("waiting to be processed")
    PROCESSED = "processed", _("processed")
    IGNORED = "ignored", _("ignored")
    UNREADABLE = "unreadable", _("unreadable")
    FAILED = "failed", _("failed")


class UpstreamState(TextChoices):
    STARTING = "starting", _("not yet seen")
    FRESH = "fresh", _("fresh")
    TROUBLED = "troubled", _("troubled")
    REFUSED = "refused", _("refused")
