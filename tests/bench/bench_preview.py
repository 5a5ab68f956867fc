# ruff: noqa: E402
"""How long the Change of a promotion takes to compute at the branch's tip, in a repository of 20,000 files.

    python tests/bench/bench_preview.py [SHAPE ...]

Through GitLab's API, against the sandbox over real HTTP, and through plain Git from the same server, for
three shapes of repository: Kustomize overlays over bases, Helm charts with values per environment, and
plain manifests in one folder (the worst case for a list of files). A look is what a person waits for: the
tip, the search, the edit. The first look is at an application nobody has looked at; the second comes just
after a stranger pushed to the very file that is edited. Plain Git's local copy is warm, as it is where the
branch is watched, but holds none of the files. Prints one line, with the ratios to a repository of 1,000
files; exits with 1 when a median look on 20,000 files takes 300 ms or more.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from integrations.sandbox.invented import GITLAB_TOKEN
from tests.gitserver import Bare
from tests.system import wait_for

SMALL, LARGE = 1_000, 20_000
ROUNDS, IN_ONE_APPLICATION = 9, 20
LIMIT_MS = 300.0
PROJECT = "gitlab/flask-k8s-manifest"
Files = dict[str, str]
Look = tuple[float, float]

WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  template:
    spec:
      containers:
      - name: {name}
        image: {image}:1.0.0  # as {name} needs it
"""


@dataclass(frozen=True)
class App:
    """One application of a repository: no file of it is the same in another, so that none is known before."""

    number: int
    size: int

    @property
    def name(self) -> str:
        return f"app{self.number}-{self.size}"

    @property
    def image(self) -> str:
        return f"harbor.centre.com/k8s/{self.name}"

    @property
    def folder(self) -> str:
        return f"team{self.number % 20}/{self.name}"

    @property
    def workload(self) -> str:
        return WORKLOAD.format(name=self.name, image=self.image)


def overlays(app: App) -> tuple[Files, str, str]:
    """Return a base and three overlays, as scenario A has them; the overlay of production; its patch."""
    base = f"{app.folder}/base"
    files = {
        f"{base}/deployment.yml": app.workload,
        f"{base}/service.yml": f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {app.name}\n",
        f"{base}/kustomization.yml": f"resources:\n- deployment.yml\n- service.yml # {app.name}\n",
    }
    for name in ("dev", "staging", "prod"):
        here = f"{app.folder}/overlays/{name}"
        files[f"{here}/kustomization.yml"] = (
            f"namespace: {app.name}\nresources:\n- ../../base\npatches:\n- path: deployment.yml\n"
        )
        files[f"{here}/deployment.yml"] = f"# {name}\n{app.workload}"
    return files, f"{app.folder}/overlays/prod", f"{app.folder}/overlays/prod/deployment.yml"


def charts(app: App) -> tuple[Files, str, str]:
    """Return one chart with values for each environment, and production's twice."""
    values = f"# {app.name}\nimage:\n  repository: {app.image}\n  tag: 1.0.0\n"
    files = {
        f"{app.folder}/Chart.yaml": f"apiVersion: v2\nname: {app.name}\nversion: 1.0.0\n",
        f"{app.folder}/values.yaml": values,
        f"{app.folder}/templates/deployment.yaml": "image: {{ .Values.image.repository }}\n",
    }
    files |= {f"{app.folder}/values-{name}.yaml": f"# {name}\n{values}" for name in ("dev", "prod")}
    return files, f"{app.folder}/values-prod.yaml", f"{app.folder}/values-prod.yaml"


def flat(app: App) -> tuple[Files, str, str]:
    """Return manifests in the folder of all applications, and one of them twice."""
    file = f"manifests/{app.name}.yml"
    more = {f"manifests/{app.name}-{part}.yml": app.workload for part in range(1, IN_ONE_APPLICATION)}
    return {file: app.workload, **more}, file, file


SHAPES = {"overlays": overlays, "charts": charts, "flat": flat}


class Case:
    """One repository: a branch of one shape and size."""

    def __init__(self, bare: Bare, shape: str, size: int) -> None:
        self.bare = bare
        self.size = size
        self.branch = f"{shape}-{size}"
        self.shape = SHAPES[shape]
        files: Files = {}
        for number in range(size // IN_ONE_APPLICATION):
            app = App(number, size)
            own, _path, _file = self.shape(app)
            notes = range(IN_ONE_APPLICATION - len(own))
            files |= own | {f"{app.folder}/notes/{part}.md": f"# {part}\n" for part in notes}
        bare.commit(files, "Start", branch=self.branch)

    def looks(self, viewer: Viewer, number: int) -> Look:
        """Milliseconds of a first look at an application, and of one after a stranger's push."""
        app = App(number, self.size)
        _files, path, file = self.shape(app)
        first = viewer.look(self.branch, app, path, file)
        self.bare.commit(
            {file: self.bare.show(file, self.branch) + "# by hand\n"}, "By hand", branch=self.branch
        )
        return first, viewer.look(self.branch, app, path, file)


class Viewer:
    """A person who looks at previews, through one vendor's way to the repository."""

    def __init__(self, vendor: str, url: str) -> None:
        from promotions.models import Application, Connection, Environment

        self.vendor = vendor
        self.application, self.environment = Application(slug="app"), Environment(slug="prod")
        self.connection = Connection(
            pk=len(vendor), slug=vendor, vendor=vendor, url=url, username="oauth2", secret="env:BENCH_TOKEN"
        )

    def look(self, branch: str, app: App, path: str, file: str) -> float:
        """Milliseconds from nothing to the Change at the branch's tip."""
        from promotions import changes
        from promotions.models import Image, ImageVersion, Stage

        image = Image(repository=app.image, application=self.application)
        stage = Stage(
            application=self.application,
            environment=self.environment,
            image=image,
            manifest_connection=self.connection,
            manifest_project=PROJECT,
            manifest_branch=branch,
            manifest_path=path,
        )
        version = ImageVersion(image=image, tag="1.1.0", tags=["1.1.0"], digest=f"sha256:{'1' * 64}")
        started = time.perf_counter()
        seen = changes.look(stage, version)
        change, problem = seen.change, seen.problem
        took = time.perf_counter() - started
        assert list(change.files if change else []) == [file], problem
        return took * 1000

    def warm(self, branch: str) -> None:
        """Have the branch watched, as the worker does; this also opens GitLab's connection."""
        from promotions import changes
        from promotions.models import Stage

        changes.tip(
            Stage(manifest_connection=self.connection, manifest_project=PROJECT, manifest_branch=branch)
        )


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """Run the sandbox as a process of its own; give GitLab's address."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "integrations.sandbox", "--data-dir", str(folder / "sandbox")]
    process = subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(ready.exists, bool, what="the sandbox's start")
        yield str(json.loads(ready.read_text())["gitlab"])
    finally:
        process.terminate()
        process.wait(timeout=15)


def set_up_django(folder: Path) -> None:
    """Settings alone: nothing here asks the database, and none runs."""
    os.environ |= {
        "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none",
        "SECRET_KEY": "only-for-benchmarks-" + "x" * 40,
        "DJANGO_SETTINGS_MODULE": "promotions.settings",
        "SLIPWAY_DATA_DIR": str(folder / "data"),
        "BENCH_TOKEN": GITLAB_TOKEN,
    }
    import django

    django.setup()


def measure(viewer: Viewer, small: Case, large: Case) -> tuple[Look, Look]:
    """The median looks, first and after a push, on 20,000 files, and their ratios to 1,000 files.

    Small and large take turns: what else the machine does falls on both sides of a round's ratio.
    """
    viewer.warm(small.branch)
    viewer.warm(large.branch)
    rounds = [(small.looks(viewer, n), large.looks(viewer, n)) for n in range(ROUNDS + 1)][1:]
    first, moved = (median(large[index] for _, large in rounds) for index in (0, 1))
    ratios = (median(large[index] / small[index] for small, large in rounds) for index in (0, 1))
    return (first, moved), (next(ratios), next(ratios))


def main() -> int:
    said, worst = [], 0.0
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name, sandbox(Path(name)) as url:
        set_up_django(Path(name))
        bare = Bare(Path(name) / "sandbox" / "repositories" / f"{PROJECT}.git")
        for shape in sys.argv[1:] or SHAPES:
            small, large = (Case(bare, shape, size) for size in (SMALL, LARGE))
            bare.git("repack", "-adq")
            for vendor in ("gitlab", "git"):
                (first, moved), ratios = measure(Viewer(vendor, url), small, large)
                times = "{:.2f} and {:.2f} times 1,000 files".format(*ratios)
                said.append(f"{shape} by {vendor} {first:.0f} ms, after a push {moved:.0f} ms ({times})")
                worst = max(worst, first, moved)
    print(f"change at the tip of 20,000 files: {'; '.join(said)}")
    return 0 if worst < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
