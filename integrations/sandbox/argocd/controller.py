"""The application controller: polls, compares, syncs by itself, follows rollouts."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from integrations.sandbox.argocd import comparing
from integrations.sandbox.argocd.applications import Applications, timestamp
from integrations.sandbox.argocd.kustomize import RenderError
from integrations.sandbox.argocd.live import Live
from integrations.sandbox.argocd.render import Rendered, render, sources
from integrations.sandbox.argocd.syncing import RESTART, Operation
from integrations.sandbox.gitinfo import resolve
from integrations.sandbox.world import World

Object = dict[str, Any]
# timeout.reconciliation and its jitter: the "three minutes" of the documentation.
POLL_SECONDS, JITTER_SECONDS = 120.0, 60.0
COMPARE_SECONDS, STALE_SECONDS = 0.4, 1.0
ROLL_SECONDS = 0.7
TICK = 0.1


class Controller:
    """One loop per Application for comparisons, one for operations, one for its rollouts."""

    def __init__(self, world: World, apps: Applications, host: str) -> None:
        self.world = world
        self.apps = apps
        self.host = host
        self.rendered: dict[str, Rendered] = {}
        # From the request of a sync until the comparison after it: `argocd app wait` waits that long.
        self.settling: set[str] = set()
        self.again: set[str] = set()
        self._wake: dict[str, asyncio.Event] = {}
        self._lives: dict[str, Live] = {}
        self._degraded: set[str] = set()
        self._started = False

    def start(self) -> None:
        self._started = True
        for name in self.apps.items:
            self.follow(name)
        self.world.spawn(self._follow_faults(), name="argocd health")

    def live(self, name: str) -> Live:
        if name not in self._lives:
            self._lives[name] = Live(self.world, name, self.host)
        return self._lives[name]

    def follow(self, name: str) -> None:
        """Begin the loops of an Application; before `start` nothing happens yet."""
        if not self._started or name in self._wake:
            return
        self._wake[name] = asyncio.Event()
        self.world.spawn(self._compare_loop(name), name=f"argocd compare {name}")
        self.world.spawn(self._operation_loop(name), name=f"argocd operate {name}")
        self.world.spawn(self._rollout_loop(name), name=f"argocd rollout {name}")

    def refresh(self, name: str, kind: str = "normal") -> None:
        """Ask for a comparison now; the annotation stays until it is done."""
        moment = self.world.now().isoformat(timespec="microseconds").replace("+00:00", "000Z")
        with self.apps.editing(name) as item:
            annotations = item["metadata"].setdefault("annotations", {})
            # Any other word means normal (argocd-api.md section 3).
            annotations[comparing.REFRESH] = "hard" if kind == "hard" else "normal"
            annotations["argocd.argoproj.io/refresh-timestamp"] = moment
            annotations["argocd.argoproj.io/hydrate"] = "normal"
            annotations["argocd.argoproj.io/hydrate-timestamp"] = moment
        self.wake(name)

    def wake(self, name: str) -> None:
        if name in self._wake:
            self._wake[name].set()

    def operate(self, name: str, operation: Object) -> None:
        """Queue an operation: it is set and the state of the last one removed in the same update."""
        with self.apps.editing(name) as item:
            item["operation"] = operation
            # Until the operation begins there is no state to read: not "Succeeded" from the last one.
            item["status"].pop("operationState", None)
        self.settling.add(name)

    # Comparison

    async def _compare_loop(self, name: str) -> None:
        wake = self._wake[name]
        if "reconciledAt" not in self.apps.items[name]["status"]:
            wake.set()
        while name in self.apps.items:
            # Jitter, so that a thousand Applications do not ask Git in the same second.
            delay = POLL_SECONDS + self.world.random.random() * JITTER_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), delay / self.world.speed)
            wake.clear()
            if name in self.apps.items:
                await self.compare(name)

    async def compare(self, name: str) -> None:
        """Compare Git with the live state; sync by itself where the policy says so."""
        started = self.apps.now()
        item = self.apps.get(name)
        if item is None:
            return
        await self.world.pause(COMPARE_SECONDS)
        try:
            rendered: Rendered | None = await render(self.world, item, [])
            problem = ""
        except RenderError as error:
            rendered, problem = None, str(error)
        if name not in self.apps.items:
            return
        word = self._write(name, rendered, problem, started)
        if rendered is not None:
            self.rendered[name] = rendered
            if word == "OutOfSync":
                self._auto_sync(name, rendered)

    def _write(self, name: str, rendered: Rendered | None, problem: str, started: str) -> str:
        before = self.apps.items[name]["status"]
        with self.apps.editing(name) as item:
            if rendered is None:
                comparing.write_comparison_error(item, self.live(name), problem, started)
            else:
                comparing.write_comparison(item, self.live(name), rendered, started)
            annotations = item["metadata"].get("annotations", {})
            # Whoever waits in a GET sees it gone, and is answered.
            for key in comparing.REFRESH_ANNOTATIONS:
                annotations.pop(key, None)
        self._record_changes(name, before)
        word: str = item["status"]["sync"]["status"]
        return word

    def _record_changes(self, name: str, before: Object) -> None:
        after = self.apps.items[name]["status"]
        for part, word in (("health", "health"), ("sync", "sync")):
            old, new = before.get(part, {}).get("status", ""), after.get(part, {}).get("status", "")
            if old != new:
                self.apps.record(name, "ResourceUpdated", f"Updated {word} status: {old} -> {new}")

    def _auto_sync(self, name: str, rendered: Rendered) -> None:
        item = self.apps.items[name]
        policy = (item["spec"].get("syncPolicy") or {}).get("automated")
        # `automated: {}` is on; `enabled: false` came later to switch it off without losing the rest.
        if policy is None or policy.get("enabled") is False or "operation" in item:
            return
        rows = item["status"]["resources"]
        # Out of sync by leftovers alone: without prune a sync would change nothing, for ever.
        if not policy.get("prune") and all(r["status"] == "Synced" or r.get("requiresPruning") for r in rows):
            return
        state = item["status"].get("operationState", {})
        tried = comparing.revisions_of(state.get("syncResult", {})) == rendered.revisions
        if tried and state.get("phase") in ("Failed", "Error"):
            self._write_sync_error(name, rendered, state["message"])
            return
        # Drift in the cluster at a revision that was synced: only self-heal answers it.
        if tried and not policy.get("selfHeal"):
            return
        self.operate(name, self._automatic(item["spec"], policy, rendered))

    def _automatic(self, spec: Object, policy: Object, rendered: Rendered) -> Object:
        sync: Object = {"prune": True} if policy.get("prune") else {}
        comparing.write_revision(sync, spec, rendered.revisions)
        sync |= comparing.source_part(spec)
        options = spec.get("syncPolicy", {}).get("syncOptions")
        if options:
            sync["syncOptions"] = options
        # Automated syncs try five times unless told.
        retry = spec["syncPolicy"].get("retry") or {"limit": 5}
        return {"sync": sync, "initiatedBy": {"automated": True}, "retry": retry}

    def _write_sync_error(self, name: str, rendered: Rendered, message: str) -> None:
        # The same revision is not tried a second time by itself.
        text = f"Failed last sync attempt to [{','.join(rendered.revisions)}]: {message}"
        with self.apps.editing(name) as item:
            status = item["status"]
            others = [c for c in status.get("conditions", []) if c["type"] != "SyncError"]
            condition = {"type": "SyncError", "message": text, "lastTransitionTime": self.apps.now()}
            comparing.write_conditions(status, [*others, condition])

    async def settle(self, name: str) -> None:
        """Make an Application's past: synced at the commit's time, everything healthy since."""
        item = self.apps.items[name]
        rendered = await render(self.world, item, [])
        commit = await resolve(self.world, sources(item["spec"])[0]["repoURL"], rendered.revisions[0])
        assert commit is not None
        moment = timestamp(datetime.fromtimestamp(int(commit.committed) + 60, UTC))
        live = self.live(name)
        for manifest in rendered.manifests:
            live.apply(manifest)
        for key in live.rolling():
            for _ in range(2 * live.sets[key][-1]["wanted"]):
                live.roll(key)
        with self.apps.editing(name) as changed:
            comparing.write_comparison(changed, live, rendered, self.apps.now())
            changed["status"]["health"]["lastTransitionTime"] = moment
            entry: Object = {"id": 0, **comparing.source_part(item["spec"])}
            comparing.write_revision(entry, item["spec"], rendered.revisions)
            entry |= {"deployStartedAt": moment, "deployedAt": moment, "initiatedBy": {"automated": True}}
            changed["status"]["history"] = [entry]
        self.rendered[name] = rendered

    # Operations

    async def _operation_loop(self, name: str) -> None:
        while name in self.apps.items:
            if "operation" not in self.apps.items[name]:
                await self.apps.changed(5)
                continue
            await Operation(self, name).run()
            # Health and sync status are those from before the sync for a moment (race 1 of section 8).
            await self.world.pause(STALE_SECONDS)
            if name in self.apps.items:
                await self.compare(name)
            if name in self.again:
                self.again.discard(name)
                self.request_sync(name)
            elif "operation" not in self.apps.items.get(name, {}):
                self.settling.discard(name)

    def request_sync(self, name: str) -> None:
        """Queue a sync of the target revision that also restarts the workloads."""
        item = self.apps.items[name]
        if "operation" in item:
            self.again.add(name)
            return
        sync: Object = {"syncStrategy": {"hook": {}}, **comparing.source_part(item["spec"])}
        by = {"username": "tekton"}
        self.operate(name, {"sync": sync, "initiatedBy": by, "info": [RESTART]})

    # Live state

    async def _rollout_loop(self, name: str) -> None:
        stuck_after = 0
        while name in self.apps.items:
            live = self.live(name)
            rolling = live.rolling()
            if not rolling:
                stuck_after = 0
                await self.apps.changed(5)
                continue
            await self.world.pause(ROLL_SECONDS)
            for key in rolling:
                live.roll(key)
                newest = live.sets[key][-1]
                limit = live.resources[key]["manifest"].get("spec", {}).get("progressDeadlineSeconds", 600)
                newest["stuck"] = bool(newest["error"]) and stuck_after * ROLL_SECONDS >= limit
            stuck_after += 1
            # Right after a sync the Application still shows the health from before it.
            if name not in self.settling:
                self.show_health(name)

    def show_health(self, name: str) -> None:
        """Bring health and images up to date; reconciledAt moves with full comparisons alone."""
        if name in self.apps.items and "reconciledAt" in self.apps.items[name]["status"]:
            before = self.apps.items[name]["status"]
            with self.apps.editing(name) as item:
                comparing.write_health(item, self.live(name), self.apps.now())
            self._record_changes(name, before)

    async def _follow_faults(self) -> None:
        """Notice which Applications the control page makes degrade or recover."""
        while True:
            wanted = {name for name in self.world.faults.get("degraded", []) if name in self.apps.items}
            for name in wanted ^ self._degraded:
                self.show_health(name)
            self._degraded = wanted
            await asyncio.sleep(TICK)
