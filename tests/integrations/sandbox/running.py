"""A running sandbox without a scenario, and clients for its vendors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from integrations.sandbox import invented
from integrations.sandbox.argocd import ArgoCD
from integrations.sandbox.kubernetes import Cluster
from integrations.sandbox.registry import Registry
from integrations.sandbox.server import InThread, Options
from tests.integrations.sandbox.localgit import LocalGit

T = TypeVar("T")
Object = dict[str, Any]
TEKTON = "/apis/tekton.dev/v1/namespaces/ci"


class Box:
    """One sandbox and ways to talk to it."""

    def __init__(self, running: InThread, data_dir: Path) -> None:
        self.running = running
        self.world = running.world
        self.urls = running.urls
        self.git = LocalGit(data_dir / "repositories")
        self.clients: list[httpx.Client] = []
        self.kubernetes = self.client("kubernetes", Authorization=f"Bearer {invented.KUBERNETES_TOKEN}")
        self.argocd = self.client("argocd", Authorization=f"Bearer {invented.ARGOCD_TOKEN}")

    def client(self, vendor: str, **headers: str) -> httpx.Client:
        """Return a client that is closed with the sandbox."""
        made = httpx.Client(
            base_url=self.urls[vendor], headers=headers, timeout=20, trust_env=False, verify=False
        )
        self.clients.append(made)
        return made

    def vendor(self, name: str) -> Any:
        return self.running.sandbox.vendors[name]

    @property
    def cluster(self) -> Cluster:
        found: Cluster = self.vendor("kubernetes")
        return found

    @property
    def registry(self) -> Registry:
        found: Registry = self.vendor("registry")
        return found

    @property
    def argo(self) -> ArgoCD:
        found: ArgoCD = self.vendor("argocd")
        return found

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function inside the sandbox's loop."""

        async def work() -> T:
            return function(*arguments, **named)

        found: T = self.running.call(work())
        return found

    def apply(self, *manifests: Object) -> None:
        for manifest in manifests:
            self.call(self.cluster.apply, manifest)

    def run(self, name: str) -> Object:
        found: Object = self.kubernetes.get(f"{TEKTON}/pipelineruns/{name}").json()
        return found

    def finished(self, name: str, kind: str = "pipelineruns") -> Object:
        """Wait for a run's end and return it."""

        def ended() -> Object:
            item: Object = self.kubernetes.get(f"{TEKTON}/{kind}/{name}").json()
            return item if condition(item).get("status") in ("True", "False") else {}

        return until(ended)


@contextmanager
def running(
    data_dir: Path, *, speed: float = 50, hook_base: str = "", scenario: str = "empty"
) -> Iterator[Box]:
    options = Options(data_dir, scenario=scenario, speed=speed, hook_base=hook_base, seed=7)
    with InThread(options) as thread:
        box = Box(thread, data_dir)
        try:
            yield box
        finally:
            for client in box.clients:
                client.close()


def until(look: Callable[[], T], *, seconds: float = 15) -> T:
    """Return the first true value; fail after a time on the clock."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
    return value


def condition(item: Object) -> Object:
    """Return a run's Succeeded condition, or {}."""
    status = item.get("status", {})
    found = status.get("conditions", []) if isinstance(status, dict) else []  # a Status body says "Failure"
    return found[0] if found else {}


def task(name: str, *steps: str, results: tuple[str, ...] = ()) -> Object:
    """Return a Task whose steps run the given scripts."""
    listed = [{"name": f"s{n}", "image": "alpine:3.22", "script": text} for n, text in enumerate(steps, 1)]
    spec = {"steps": listed, "results": [{"name": result} for result in results]}
    return {"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": _named(name), "spec": spec}


def pipeline(name: str, *tasks: Object, **spec: Any) -> Object:
    made = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": _named(name)}
    return made | {"spec": {"tasks": list(tasks), **spec}}


def pipeline_run(name: str, reference: str, **spec: Any) -> Object:
    made = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": _named(name)}
    return made | {"spec": {"pipelineRef": {"name": reference}, **spec}}


def step(name: str, reference: str, **more: Any) -> Object:
    """Return one task of a pipeline."""
    return {"name": name, "taskRef": {"name": reference}, **more}


NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ci"}}


def _named(name: str) -> Object:
    return {"name": name, "namespace": "ci"}
