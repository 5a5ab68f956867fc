"""Everything Slipway keeps, by meaning: catalogue, versions, runs, observed, promotion, governance ..."""

from promotions.models.access import Announcement, ApiToken, RoleGrant
from promotions.models.audit import AuditEntry, AuditHead
from promotions.models.automation import Automation, Pin, Schedule
from promotions.models.catalogue import Application, Connection, Environment, Image, Stage, WebhookSource
from promotions.models.governance import (
    CheckResult,
    FreezeException,
    FreezePeriod,
    FreezeWindow,
    Lock,
    Residence,
    VersionBlock,
)
from promotions.models.inbound import Delivery
from promotions.models.observed import BranchTip, ManifestHistory, StageState, Upstream
from promotions.models.promotion import Approval, Promotion, StepResult
from promotions.models.recovery import AutomaticRollback, BreakGlass, ReviewTask
from promotions.models.release import Release, companions
from promotions.models.runs import PipelineRun, StepLog, TaskRun
from promotions.models.signin import Session, SignInAttempt
from promotions.models.telling import Notification, NotificationChannel, Outage, Subscription
from promotions.models.versions import Commit, Comparison, ImageVersion

__all__ = [
    "Announcement",
    "ApiToken",
    "Application",
    "Approval",
    "AuditEntry",
    "AuditHead",
    "AutomaticRollback",
    "Automation",
    "BranchTip",
    "BreakGlass",
    "CheckResult",
    "Commit",
    "Comparison",
    "Connection",
    "Delivery",
    "Environment",
    "FreezeException",
    "FreezePeriod",
    "FreezeWindow",
    "Image",
    "ImageVersion",
    "Lock",
    "ManifestHistory",
    "Notification",
    "NotificationChannel",
    "Outage",
    "Pin",
    "PipelineRun",
    "Promotion",
    "Release",
    "Residence",
    "ReviewTask",
    "RoleGrant",
    "Schedule",
    "Session",
    "SignInAttempt",
    "Stage",
    "StageState",
    "StepLog",
    "StepResult",
    "Subscription",
    "TaskRun",
    "Upstream",
    "VersionBlock",
    "WebhookSource",
    "companions",
]
