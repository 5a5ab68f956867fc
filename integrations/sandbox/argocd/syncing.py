"""Sync operations: queued, running, retried, ended (reference argocd-api.md sections 5, 7 and 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from integrations.sandbox.argocd import comparing
from integrations.sandbox.argocd.kustomize import RenderError
from integrations.sandbox.argocd.live import key_of, short_name
from integrations.sandbox.argocd.render import Rendered, render
from integrations.sandbox.faults import take
from integrations.sandbox.kubernetes.variables import seconds

if TYPE_CHECKING:
    from integrations.sandbox.argocd.controller import Controller

Object = dict[str, Any]
RESTART = {"name": "restart", "value": "true"}
INVALID = (
    'Deployment.apps "{name}" is invalid: spec.template.spec.containers[0].resources.requests: '
    'Invalid value: "2": must be less than or equal to cpu limit of 1'
)
GENERATE_SECONDS, APPLY_SECONDS = 0.8, 1.2


class SyncFailed(Exception):
    """The cluster refused an object; `resource` is its entry in the result."""

    def __init__(self, message: str, resource: Object) -> None:
        super().__init__(message)
        self.resource = resource


class Operation:
    """The operation an Application carries, executed to its end."""

    def __init__(self, controller: Controller, name: str) -> None:
        self.controller = controller
        self.apps = controller.apps
        self.world = controller.world
        self.name = name

    async def run(self) -> None:
        """Run the operation with its retries; afterwards the Application carries none."""
        self._begin()
        attempt = 0
        while True:
            try:
                rendered = await self._attempt()
            except RenderError as error:
                # Error, not Failed: the manifests could not be made, the cluster was never asked.
                self._end("Error", f"ComparisonError: {error}")
                return
            except SyncFailed as error:
                attempt += 1
                if not await self._wait_for_retry(error, attempt):
                    return
                continue
            self._succeed(rendered)
            return

    def _begin(self) -> None:
        with self.apps.editing(self.name) as item:
            operation = item["operation"]
            state: Object = {
                "operation": operation,
                "phase": "Running",
                "message": "waiting to start",
                "startedAt": self.apps.now(),
            }
            # A new operation starts with an empty state: the last one's result is gone (section 5).
            item["status"]["operationState"] = state
        # Nobody's name on an operation means the automated policy.
        by = operation.get("initiatedBy", {}).get("username") or "automated sync policy"
        what = ",".join(comparing.revisions_of(operation["sync"])) or "the target revision"
        self.apps.record(self.name, "OperationStarted", f"{by} initiated sync to {what}")

    async def _attempt(self) -> Rendered:
        operation = self._operation()
        sync = operation["sync"]
        await self.world.pause(GENERATE_SECONDS)
        item = self.apps.get(self.name)
        assert item is not None
        # A roll-back renders the source its history entry remembers.
        spec = {**item["spec"], **{key: sync[key] for key in ("source", "sources") if key in sync}}
        rendered = await render(self.world, {**item, "spec": spec}, comparing.revisions_of(sync))
        self._write_result(item, rendered)
        await self.world.pause(APPLY_SECONDS)
        # Terminating comes from outside between any two steps and is honoured late.
        if not self.terminating():
            self._apply(rendered, sync, restart=RESTART in operation.get("info", []))
        return rendered

    def _write_result(self, item: Object, rendered: Rendered) -> None:
        result: Object = {"resources": [], **comparing.source_part(item["spec"])}
        comparing.write_revision(result, item["spec"], rendered.revisions)
        with self.apps.editing(self.name) as changed:
            state = changed["status"]["operationState"]
            state["syncResult"] = result
            # A retry begins: the wait's finishedAt goes.
            state.pop("finishedAt", None)
            if state["phase"] == "Running":
                state["message"] = "one or more tasks are running"

    def _apply(self, rendered: Rendered, sync: Object, *, restart: bool) -> None:
        live, chosen = self.controller.live(self.name), _chosen(rendered.manifests, sync.get("resources", []))
        if chosen and take(self.world, "sync_errors", self.name):
            manifest = next((m for m in chosen if m["kind"] == "Deployment"), chosen[0])
            text = INVALID.format(name=manifest["metadata"]["name"])
            raise SyncFailed(text, comparing.applied(manifest, text, status="SyncFailed", phase="Failed"))
        entries = []
        for manifest in chosen:
            word = "configured (dry run)" if sync.get("dryRun") else live.apply(manifest, restart=restart)
            entries.append(comparing.applied(manifest, f"{short_name(manifest)} {word}"))
        # A partial sync prunes nothing here.
        if sync.get("prune") and not sync.get("dryRun") and not sync.get("resources"):
            entries += self._prune({key_of(manifest) for manifest in rendered.manifests})
        with self.apps.editing(self.name) as item:
            item["status"]["operationState"]["syncResult"]["resources"] = entries

    def _prune(self, wanted: set[str]) -> list[Object]:
        live = self.controller.live(self.name)
        entries = []
        for key in [key for key in live.resources if key not in wanted]:
            entries.append(comparing.applied(live.resources[key]["manifest"], "pruned", status="Pruned"))
            live.prune(key)
        return entries

    async def _wait_for_retry(self, error: SyncFailed, attempt: int) -> bool:
        """Wait before the next attempt; False when there is none and the operation has failed."""
        retry = self._operation().get("retry") or {}
        text = f"one or more objects failed to apply, reason: {error}"
        with self.apps.editing(self.name) as item:
            item["status"]["operationState"]["syncResult"]["resources"] = [error.resource]
        # Without a retry policy the first refusal is the last.
        limit = retry.get("limit", 0)
        if attempt > limit:
            self._end("Failed", text + (f" (retried {limit} times)." if limit else ""))
            return False
        delay = _backoff(retry.get("backoff") or {}, attempt)
        when = (
            (self.world.now() + timedelta(seconds=delay / self.world.speed)).strftime("%I:%M%p").lstrip("0")
        )
        with self.apps.editing(self.name) as item:
            state = item["status"]["operationState"]
            # The trap: while it waits the phase is Running, with finishedAt set and `operation` still there.
            state["message"] = f"{text}. Retrying attempt #{attempt} at {when}."
            state["retryCount"] = attempt
            state["finishedAt"] = self.apps.now()
        await self.world.wait_until(self.terminating, seconds=delay)
        if self.terminating():
            self._end("Failed", "Operation terminated")
            return False
        return True

    def _succeed(self, rendered: Rendered) -> None:
        if self.terminating():
            self._end("Failed", "Operation terminated")
            return
        operation = self._operation()
        sync = operation["sync"]
        if not sync.get("dryRun") and not sync.get("resources"):
            # The history is patched just before the phase.
            self._remember(rendered, operation)
        self._end("Succeeded", "successfully synced (all tasks run)")

    def _remember(self, rendered: Rendered, operation: Object) -> None:
        with self.apps.editing(self.name) as item:
            history = item["status"].setdefault("history", [])
            source = {k: v for k, v in operation["sync"].items() if k in ("source", "sources")}
            entry: Object = {"id": history[-1]["id"] + 1 if history else 0}
            comparing.write_revision(entry, item["spec"], rendered.revisions)
            entry |= source or comparing.source_part(item["spec"])
            entry |= {
                "deployStartedAt": item["status"]["operationState"]["startedAt"],
                "deployedAt": self.apps.now(),
                "initiatedBy": operation.get("initiatedBy", {}),
            }
            history.append(entry)
            # Ids go on counting: a roll-back to an entry that fell out is refused as unknown.
            del history[: -item["spec"].get("revisionHistoryLimit", 10)]

    def _end(self, phase: str, message: str) -> None:
        with self.apps.editing(self.name) as item:
            state = item["status"]["operationState"]
            state |= {"phase": phase, "message": message, "finishedAt": self.apps.now()}
            # Phase and `operation` change in one update: both must be looked at for the verdict.
            item.pop("operation", None)
        word = "succeeded" if phase == "Succeeded" else f"failed: {message}"
        what = ",".join(comparing.revisions_of(state.get("syncResult", {})))
        self.apps.record(self.name, "OperationCompleted", f"Sync operation to {what} {word}")

    def terminating(self) -> bool:
        item = self.apps.items[self.name]
        return bool(item["status"].get("operationState", {}).get("phase") == "Terminating")

    def _operation(self) -> Object:
        operation: Object = self.apps.items[self.name]["operation"]
        return operation


def _chosen(manifests: list[Object], resources: list[Object]) -> list[Object]:
    if not resources:
        return manifests
    wanted = {(r.get("group", ""), r["kind"], r["name"]) for r in resources}
    return [
        m
        for m in manifests
        if (m["apiVersion"].rpartition("/")[0], m["kind"], m["metadata"]["name"]) in wanted
    ]


def _backoff(backoff: Object, attempt: int) -> float:
    first, longest = seconds(backoff.get("duration", "5s")), seconds(backoff.get("maxDuration", "3m0s"))
    return float(min(first * backoff.get("factor", 2) ** (attempt - 1), longest))
