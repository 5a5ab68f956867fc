"""Many applications whose manifests share one repository and branch, on the simulated GitLab."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from django.contrib.auth.models import User
from django.db import connection

from integrations.sandbox import invented
from integrations.sandbox.gitlab.app import GitLab
from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.gitlab.state import DEVELOPER
from integrations.sandbox.registry import Registry
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.server import InThread
from promotions import engine, operations
from promotions.choices import Role, Vendor, WriteMode
from promotions.models import (
    Application,
    Connection,
    Environment,
    Image,
    ImageVersion,
    Promotion,
    RoleGrant,
    Stage,
)

PROJECT = "gitlab/many"
REGISTRY = "registry.example.com"
TAGS = ("1.0.0", "1.1.0")
# So many pushes of somebody else make a race one.
OFTEN = 4
MANIFEST = """\
# {name}: kept by hand
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  template:
    spec:
      containers:
        - name: {name}
          image: "{registry}/many/{name}:1.0.0"   # moves with each promotion
"""


@dataclass
class Farm:
    """The applications' Stages and what is known of the repository."""

    box: InThread
    folder: Path
    names: list[str]
    person: User
    stages: list[Stage] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        return Path(self.box.world.git.repository(PROJECT))

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ask(self, stage: Stage) -> Promotion:
        """Request the next version; nothing needs an approval here."""
        version = ImageVersion.objects.get(image=stage.image, tag="1.1.0")
        return operations.request_promotion(stage, version, by=self.person, reason="all at once")

    def trailers(self, branch: str = "main") -> Counter[str]:
        """Return how often each promotion's id is a trailer on the branch."""
        found = self.git("log", "--format=%(trailers:key=Promotion-Id,valueonly)", branch)
        return Counter(found.split())

    def file(self, name: str, branch: str = "main") -> str:
        return self.git("show", f"{branch}:{path_of(name)}")

    def commit_by_hand(self, name: str, old: str, new: str) -> None:
        """Somebody edits a manifest on main without Slipway."""
        clone = self.folder / "by-hand"
        if not clone.exists():
            subprocess.run(["git", "clone", "-q", str(self.repository), str(clone)], check=True)
        commands = (
            (["pull", "-q", "origin", "main"],),
            (["commit", "-qam", "By hand"], ["push", "-q", "origin", "HEAD:main"]),
        )
        identity = ("-c", "user.name=Hand", "-c", "user.email=hand@example.com")
        for each in commands[0]:
            subprocess.run(["git", "-C", str(clone), *identity, *each], check=True)
        manifest = clone / path_of(name)
        text = manifest.read_text()
        assert old in text
        manifest.write_text(text.replace(old, new))
        for each in commands[1]:
            subprocess.run(["git", "-C", str(clone), *identity, *each], check=True)


def path_of(name: str) -> str:
    return f"apps/{name}/deployment.yml"


def make(
    box: InThread,
    folder: Path,
    count: int,
    *,
    mode: WriteMode = WriteMode.DIRECT,
    vendor: Vendor = Vendor.GITLAB,
) -> Farm:
    """Plant `count` applications at 1.0.0, with a version 1.1.0 to promote."""
    names = [f"app-{number:02}" for number in range(count)]
    digests = box.call(_plant(box, names))
    person = User.objects.create_user("requester", first_name="Rin", email="rin@example.com")
    RoleGrant.objects.create(user=person, role=Role.DEVELOPER)
    farm = Farm(box, folder, names, person)
    gitlab = Connection.objects.create(
        slug="gitlab", vendor=vendor, url=box.urls["gitlab"], username="slipway", secret="env:FARM_TOKEN"
    )
    registry = Connection.objects.create(
        slug="registry",
        vendor=Vendor.DISTRIBUTION,
        url=box.urls["registry"],
        host=REGISTRY,
        username=invented.HARBOR_USER,
        secret="env:FARM_REGISTRY",
    )
    environment = Environment.objects.create(slug="prod", name="Prod", order=1, required_approvals=0)
    for name in names:
        application = Application.objects.create(
            slug=name, name=name, source_connection=gitlab, source_project=PROJECT
        )
        image = Image.objects.create(
            application=application, connection=registry, slug=name, repository=f"{REGISTRY}/many/{name}"
        )
        for tag in TAGS:
            ImageVersion.objects.create(image=image, digest=digests[name, tag], tag=tag, tags=[tag])
        farm.stages.append(
            Stage.objects.create(
                application=application,
                environment=environment,
                image=image,
                manifest_connection=gitlab,
                manifest_project=PROJECT,
                manifest_branch="main",
                manifest_path=f"apps/{name}",
                write_mode=mode,
                team_branch="dev" if mode == WriteMode.TEAM_BRANCH else "",
            )
        )
    return farm


async def _plant(box: InThread, names: list[str]) -> dict[tuple[str, str], str]:
    """Write the repository and store the images; returns the digest of each name and tag."""
    gitlab = box.world.git
    assert isinstance(gitlab, GitLab)
    past = History()
    files = {path_of(name): MANIFEST.format(name=name, registry=REGISTRY) for name in names}
    first = past.commit("main", 3, Person("Ann Other", "ann@example.com"), "Plant everything\n", dict(files))
    past.branch("dev", first)
    project = gitlab.create_project(PROJECT, description="Many")
    project["remove_source_branch_after_merge"] = False
    past.write(gitlab.open(project))
    # The stranger is a developer, and this team lets developers push.
    project["protected_branches"]["main"]["push"] = DEVELOPER
    registry = box.world.images
    assert isinstance(registry, Registry)
    built = box.world.now()
    return {
        (name, tag): registry.store(f"many/{name}", tag, revision=tag, source=name, created=built)
        for name in names
        for tag in TAGS
    }


class Stranger(threading.Thread):
    """Somebody who pushes to main again and again, also into files that are being promoted.

    `often` is set when that has succeeded OFTEN times.

    At the files' ends, right beside the promoted line, a merge of text is in conflict; on top it is not.
    """

    def __init__(self, farm: Farm, seed: int, *, on_top: bool = False) -> None:
        super().__init__(name="stranger")
        self.on_top = on_top
        self.farm = farm
        self.random = random.Random(seed)
        self.enough = threading.Event()
        self.often = threading.Event()
        self.pushed: list[tuple[str, str, str]] = []
        self.clone = farm.folder / "stranger"
        address = farm.box.urls["gitlab"].replace("://", f"://person:{invented.GITLAB_PERSON_TOKEN}@")
        self._git(farm.folder, "clone", "-q", f"{address}/{PROJECT}.git", str(self.clone))

    def _git(self, where: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        identity = ("-c", "user.name=Stranger", "-c", "user.email=stranger@example.com")
        command = ["git", "-C", str(where), *identity, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True)

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            number += 1
            self._change(self.random.choice(self.farm.names), f"# line {number} of a stranger")
            self.enough.wait(0.4)

    def _change(self, name: str, line: str) -> None:
        """Append a line and push; who comes second takes the new tip and does it again."""
        for _ in range(40):
            self._git(self.clone, "fetch", "-q", "origin", "main")
            self._git(self.clone, "reset", "-q", "--hard", "origin/main")
            manifest = self.clone / path_of(name)
            text = manifest.read_text()
            manifest.write_text(f"{line}\n{text}" if self.on_top else f"{text}{line}\n")
            self._git(self.clone, "commit", "-q", "-am", line.removeprefix("# "))
            if self._git(self.clone, "push", "-q", "origin", "HEAD:main", check=False).returncode == 0:
                sha = self._git(self.clone, "rev-parse", "HEAD").stdout.strip()
                self.pushed.append((sha, name, line))
                if len(self.pushed) == OFTEN:
                    self.often.set()
                return


class Looks(threading.Thread):
    """Hands the queue's jobs out as workers would: a look is taken when it is due, and not before."""

    def __init__(self, promotions: list[Promotion]) -> None:
        super().__init__(name="looks")
        self.due = {promotion.pk: threading.Event() for promotion in promotions}
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            while not self.enough.wait(0.05):
                with connection.cursor() as cursor:
                    cursor.execute(_TAKE)
                    for (promotion_id,) in cursor.fetchall():
                        # A look at one that ended before these began is of no use to anybody.
                        if promotion_id in self.due:
                            self.due[promotion_id].set()
        finally:
            connection.close()


# What was scheduled for later is seldom later than a second here; it comes in its time.
_TAKE = """
WITH taken AS (
    DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'promotions.advance'
    AND (scheduled_at IS NULL OR scheduled_at <= now()) RETURNING args
) SELECT DISTINCT (args->>'promotion_id')::int FROM taken
"""


def drive(promotion: Promotion, looks: Looks) -> None:
    """Look at a promotion as a worker does, until it ends."""
    try:
        while not looks.enough.is_set():
            if not looks.due[promotion.pk].wait(0.5):
                continue
            looks.due[promotion.pk].clear()
            engine.advance(promotion.pk)
            promotion.refresh_from_db()
            if not promotion.is_open:
                return
    finally:
        connection.close()


def drive_all(promotions: list[Promotion], *, seconds: float = 200) -> None:
    """Each in a thread of its own, as by as many workers."""
    looks = Looks(promotions)
    threads = [threading.Thread(target=drive, args=[promotion, looks]) for promotion in promotions]
    deadline = time.monotonic() + seconds
    for thread in (looks, *threads):
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    looks.enough.set()
    for thread in (looks, *threads):
        thread.join(30)
    stuck = [(promotion.pk, promotion.status, promotion.message) for promotion in promotions]
    assert not [entry for entry in stuck if entry[1] in ("running", "approved")], stuck
