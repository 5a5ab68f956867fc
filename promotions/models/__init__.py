"""Everything Slipway keeps, by meaning: catalogue, versions, runs, observed, promotion, inbound, access."""

from promotions.models.access import Announcement, ApiToken, RoleGrant
from promotions.models.audit import AuditEntry, AuditHead
from promotions.models.catalogue import Application, Connection, Environment, Image, Stage, WebhookSource
from promotions.models.inbound import Delivery
from promotions.models.observed import BranchTip, ManifestHistory, StageState, Upstream
from promotions.models.promotion import Approval, Promotion, StepResult
from promotions.models.runs import PipelineRun, StepLog, TaskRun
from promotions.models.signin import Session, SignInAttempt
from promotions.models.telling import Notification, NotificationChannel
from promotions.models.versions import Commit, Comparison, ImageVersion

__all__ = [
    "Announcement",
    "ApiToken",
    "Application",
    "Approval",
    "AuditEntry",
    "AuditHead",
    "BranchTip",
    "Commit",
    "Comparison",
    "Connection",
    "Delivery",
    "Environment",
    "Image",
    "ImageVersion",
    "ManifestHistory",
    "Notification",
    "NotificationChannel",
    "PipelineRun",
    "Promotion",
    "RoleGrant",
    "Session",
    "SignInAttempt",
    "Stage",
    "StageState",
    "StepLog",
    "StepResult",
    "TaskRun",
    "Upstream",
    "WebhookSource",
]
