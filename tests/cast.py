"""The fixed cast and a catalogue like scenario A, built with the ORM: no vendor is needed to look at pages.

The manifest connection points at a port where nobody listens, so whatever asks GitLab finds it unreachable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.utils import timezone

from promotions.choices import (
    DeliveryOutcome,
    PromotionStatus,
    Risk,
    Role,
    RunStatus,
    UpstreamState,
    Vendor,
    WriteMode,
)
from promotions.models import (
    Application,
    BreakGlass,
    Commit,
    Connection,
    Delivery,
    Environment,
    Image,
    ImageVersion,
    PipelineRun,
    Promotion,
    Release,
    ReviewTask,
    RoleGrant,
    Stage,
    StageState,
    StepLog,
    TaskRun,
    Upstream,
    WebhookSource,
)

PASSWORD = "a long enough password"
SOURCE_PROJECT = "gitlab/flask-k8s-example"
MANIFEST_PROJECT = "gitlab/flask-k8s-manifest"
HOST = "harbor.centre.com"
# Nothing listens on port 9 (discard) of this machine.
NOBODY = "http://127.0.0.1:9"
DIFF = """--- a/overlays/prod/deployment.yml
+++ b/overlays/prod/deployment.yml
@@ -10,5 +10,5 @@
     spec:
       containers:
         - name: flask
-          image: harbor.centre.com/k8s/flask-k8s-example:1.0.0
+          image: harbor.centre.com/k8s/flask-k8s-example:1.1.0
           ports:
"""
HASH = "c" * 64


@dataclass
class People:
    """Who plays. `viewer` may only look; `outsider` has no role at all."""

    requester: User
    approver: User
    viewer: User
    outsider: User
    admin: User


@dataclass
class Catalogue:
    """Scenario A at its start: 1.0.0 everywhere; `newer` (1.1.0) is built and waits."""

    application: Application
    dev: Stage
    production: Stage
    old: ImageVersion
    newer: ImageVersion
    dev_build: ImageVersion
    gitlab: Connection
    tekton: Connection
    started_at: datetime = field(default_factory=timezone.now)


def make_people() -> People:
    # Half the suite begins with this cast: a statement for each of them would be a tenth of its time.
    return People(
        *User.objects.bulk_create(
            [
                _person("requester", "Rin", "Sato"),
                _person("approver", "Ada", "Weber"),
                _person("viewer", "Vic", "Lund"),
                _person("outsider", "Olu", "Mensah"),
                _person("admin", "Mar", "Costa", is_staff=True, is_superuser=True),
            ]
        )
    )


def _person(name: str, first: str, last: str, **rights: bool) -> User:
    return User(
        username=name,
        email=f"{name}@example.com",
        password=_hashed(),
        first_name=first,
        last_name=last,
        **rights,
    )


@cache
def _hashed() -> str:
    """The same for everybody and for the whole run, as the hashers are (tests/conftest.py)."""
    return make_password(PASSWORD)


def make_catalogue(people: People | None = None) -> Catalogue:
    """Make scenario A's application; give the people their roles for it."""
    gitlab, tekton, argocd, harbor = _connections()
    application = Application.objects.create(
        slug="flask-k8s-example",
        name="flask-k8s-example",
        description="The web shop's front door",
        source_connection=gitlab,
        source_project=SOURCE_PROJECT,
    )
    image, dev_image = Image.objects.bulk_create(
        [
            _image(application, harbor, "flask-k8s-example"),
            _image(application, harbor, "flask-k8s-example-dev"),
        ]
    )
    dev_stage, production_stage = _stages(application, gitlab, argocd, tekton, dev_image, image)
    old, newer, dev_build = ImageVersion.objects.bulk_create(
        [
            _version(image, "1.0.0", commit="1" * 40, days_ago=30),
            _version(image, "1.1.0", commit="2" * 40, days_ago=1),
            _version(dev_image, "latest", commit="3" * 40, days_ago=0),
        ]
    )
    Commit.objects.bulk_create(
        [_commit(version) for version in (old, newer, dev_build)], ignore_conflicts=True
    )
    StageState.objects.bulk_create([_state(dev_stage, dev_build), _state(production_stage, old)])
    made = Catalogue(
        application=application,
        dev=dev_stage,
        production=production_stage,
        old=old,
        newer=newer,
        dev_build=dev_build,
        gitlab=gitlab,
        tekton=tekton,
    )
    if people is not None:
        grant(people, application)
    return made


def _stages(
    application: Application,
    gitlab: Connection,
    argocd: Connection,
    tekton: Connection,
    dev_image: Image,
    image: Image,
) -> list[Stage]:
    dev, production = _environments()
    common = {
        "application": application,
        "manifest_connection": gitlab,
        "manifest_project": MANIFEST_PROJECT,
        "argocd_connection": argocd,
    }
    dev_stage = Stage(
        **common,
        environment=dev,
        image=dev_image,
        manifest_branch="dev",
        manifest_path="overlays/dev",
        argocd_application="flask-dev",
        promotable=False,
    )
    production_stage = Stage(
        **common,
        environment=production,
        image=image,
        manifest_branch="main",
        manifest_path="overlays/prod",
        argocd_application="flask-prod",
        write_mode=WriteMode.TEAM_BRANCH,
        team_branch="dev",
        verification_connection=tekton,
        verification_pipeline="integration-test",
    )
    return Stage.objects.bulk_create([dev_stage, production_stage])


def grant(people: People, application: Application) -> None:
    RoleGrant.objects.bulk_create(
        [
            RoleGrant(user=people.requester, role=Role.DEVELOPER, application=application),
            RoleGrant(user=people.approver, role=Role.APPROVER, application=application),
            RoleGrant(user=people.viewer, role=Role.VIEWER, application=application),
        ]
    )


def _connections() -> list[Connection]:
    def connection(slug: str, vendor: Vendor, **fields: str) -> Connection:
        return Connection(slug=slug, vendor=vendor, url=NOBODY, **fields)

    return Connection.objects.bulk_create(
        [
            connection("gitlab", Vendor.GITLAB),
            connection("tekton", Vendor.TEKTON, namespace="flask-app"),
            connection("argocd", Vendor.ARGOCD, web_url="https://argocd.example.com"),
            connection("harbor", Vendor.HARBOR, host=HOST),
        ]
    )


def _environments() -> list[Environment]:
    """Return dev and production, made unless they are there."""
    Environment.objects.bulk_create(
        [
            Environment(slug="dev", name="Development", order=10, required_approvals=0),
            Environment(slug="production", name="Production", order=30, risk=Risk.PRODUCTION),
        ],
        ignore_conflicts=True,
    )
    return list(Environment.objects.filter(slug__in=("dev", "production")).order_by("slug"))


def _image(application: Application, registry: Connection, name: str) -> Image:
    return Image(application=application, connection=registry, repository=f"{HOST}/k8s/{name}", slug=name)


def make_version(image: Image, tag: str, *, commit: str = "", days_ago: float = 0) -> ImageVersion:
    """A build with its commit as GitLab told it; the digest is made of the commit."""
    version = _version(image, tag, commit=commit, days_ago=days_ago)
    version.save()
    if commit:
        Commit.objects.bulk_create([_commit(version)], ignore_conflicts=True)
    return version


def _version(image: Image, tag: str, *, commit: str, days_ago: float) -> ImageVersion:
    return ImageVersion(
        image=image,
        digest="sha256:" + (commit or tag.encode().hex()).ljust(64, "0")[:64],
        tag=tag,
        tags=[tag],
        commit=commit,
        created_at=timezone.now() - timedelta(days=days_ago),
    )


def _commit(version: ImageVersion) -> Commit:
    application = version.image.application
    return Commit(
        connection=application.source_connection,
        project=application.source_project,
        sha=version.commit,
        title=f"Build {version.tag}",
        author_name="Rin Sato",
        authored_at=version.created_at,
    )


def make_state(stage: Stage, version: ImageVersion) -> StageState:
    """Git asks for it, it runs, synced and healthy."""
    state = _state(stage, version)
    state.save()
    return state


def _state(stage: Stage, version: ImageVersion) -> StageState:
    now = timezone.now()
    return StageState(
        stage=stage,
        desired_tag=version.tag,
        desired_version=version,
        desired_commit="b" * 40,
        desired_seen_at=now,
        running_tag=version.tag,
        running_digest=version.digest,
        running_version=version,
        running_seen_at=now,
        sync_status="Synced",
        health_status="Healthy",
        health_since=now - timedelta(hours=3),
    )


def make_promotion(catalogue: Catalogue, by: User, **fields: object) -> Promotion:
    """A promotion of the newer version to production that waits for approval."""
    values: dict[str, object] = {
        "stage": catalogue.production,
        "version": catalogue.newer,
        "from_version": catalogue.old,
        "reason": "The new front page goes out today.",
        "requested_by": by,
        "requested_by_name": by.get_full_name(),
        "base_commit": "b" * 40,
        "change_hash": HASH,
        "diff": DIFF,
        "edits": [
            {
                "file": "overlays/prod/deployment.yml",
                "key": "spec.template.spec.containers.0.image",
                "old": f"{HOST}/k8s/flask-k8s-example:1.0.0",
                "new": f"{HOST}/k8s/flask-k8s-example:1.1.0",
            }
        ],
    }
    return Promotion.objects.create(**{**values, **fields})


def make_review(promotion: Promotion, by: User, *gates: str) -> ReviewTask:
    """Glass that was broken for the promotion, and the review it left."""
    glass = BreakGlass.objects.create(
        promotion=promotion,
        person=by,
        person_name=by.get_full_name() or by.username,
        gates=list(gates) or ["freeze"],
        reason="Orders are being lost.",
        change_hash=promotion.change_hash,
    )
    return ReviewTask.objects.create(promotion=promotion, glass=glass, person=by)


def make_member(catalogue: Catalogue, by: User, **fields: object) -> Promotion:
    """A promotion of a Release to dev that is through."""
    release = Release.objects.create(
        name="November", reason="Go", requested_by=by, requested_by_name=by.get_full_name()
    )
    values: dict[str, object] = {
        "stage": catalogue.dev,
        "version": catalogue.dev_build,
        "release": release,
        "status": PromotionStatus.SUCCEEDED,
        "finished_at": timezone.now(),
    }
    return make_promotion(catalogue, by, **{**values, **fields})


def make_run(catalogue: Catalogue, *, log: str = "cloning\ndone\n", **fields: object) -> PipelineRun:
    """A build that runs: git-clone is done, build prints, deploy is planned."""
    now = timezone.now()
    values: dict[str, object] = {
        "connection": catalogue.tekton,
        "application": catalogue.application,
        "uid": f"uid-{PipelineRun.objects.count()}",
        "namespace": "flask-app",
        "name": f"build-prod-image-{PipelineRun.objects.count():05}",
        "pipeline": "build-prod-image",
        "status": RunStatus.RUNNING,
        "reason": "Running",
        "commit": catalogue.newer.commit,
        "params": {"revision": "v1.1.0"},
        "plan": [
            {"name": "git-clone", "is_finally": False},
            {"name": "build", "is_finally": False},
            {"name": "lint", "is_finally": False},
            {"name": "clean-up", "is_finally": True},
        ],
        "skipped": {"lint": "When Expressions evaluated to false"},
        "created_at": now - timedelta(minutes=3),
        "started_at": now - timedelta(minutes=3),
    }
    run = PipelineRun.objects.create(**{**values, **fields})
    _task(run, "git-clone", RunStatus.SUCCEEDED, "Cloned 1 repository.\n")
    _task(run, "build", RunStatus.RUNNING, log)
    return run


def _task(run: PipelineRun, name: str, status: RunStatus, log: str) -> None:
    now = timezone.now()
    done = status == RunStatus.SUCCEEDED
    task = TaskRun.objects.create(
        run=run,
        uid=f"{run.uid}-{name}",
        name=f"{run.name}-{name}",
        task=name,
        status=status,
        started_at=now - timedelta(minutes=2),
        completed_at=now - timedelta(minutes=1) if done else None,
        steps=[
            {
                "name": name,
                "container": f"step-{name}",
                "state": "succeeded" if done else "running",
                "exit_code": 0 if done else None,
                "reason": "",
                "started_at": (now - timedelta(minutes=2)).isoformat(),
                "finished_at": (now - timedelta(minutes=1)).isoformat() if done else None,
            }
        ],
    )
    StepLog.objects.create(task_run=task, container=f"step-{name}", text=log, complete=done)


def make_delivery(
    catalogue: Catalogue, body: bytes = b'{"ref": "refs/heads/dev"}', **fields: object
) -> Delivery:
    source, _new = WebhookSource.objects.get_or_create(connection=catalogue.gitlab)
    values: dict[str, object] = {
        "source": source,
        "dedupe_key": f"key-{Delivery.objects.count()}",
        "headers": {"x-gitlab-event": "Push Hook", "content-type": "application/json"},
        "body": body,
        "kind": "push",
        "summary": "refs/heads/dev of gitlab/flask-k8s-example",
        "outcome": DeliveryOutcome.PROCESSED,
        "processed_at": timezone.now(),
        "attempts": 1,
    }
    return Delivery.objects.create(**{**values, **fields})


def make_upstream(connection: Connection, kind: str, *, trouble: str = "") -> Upstream:
    """Something watched; with `trouble`, what the vendor last said."""
    now = timezone.now()
    return Upstream.objects.create(
        name=f"{kind}:{connection.slug}",
        kind=kind,
        connection=connection,
        state=UpstreamState.TROUBLED if trouble else UpstreamState.FRESH,
        message=trouble,
        seen_at=now - timedelta(minutes=12 if trouble else 0),
        troubled_since=now - timedelta(minutes=11) if trouble else None,
    )
