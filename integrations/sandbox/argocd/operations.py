"""What a caller may ask an Application to do, and the refusals (reference argocd-api.md section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from integrations.sandbox import gitinfo
from integrations.sandbox.argocd import comparing
from integrations.sandbox.argocd.render import sources
from integrations.sandbox.argocd.transport import Refused

if TYPE_CHECKING:
    from integrations.sandbox.argocd.argocd import ArgoCD

Object = dict[str, Any]
_SYNCS_KEPT = 100


class Operations:
    """Sync, rollback and terminate, up to the point where they are queued."""

    def __init__(self, argocd: ArgoCD) -> None:
        self.world = argocd.world
        self.apps = argocd.apps
        self.controller = argocd.controller

    def blocked(self) -> bool:
        """Tell whether a sync window is closed (`faults["argocd"]["sync_window"]`)."""
        return bool(self.world.faults.get("argocd", {}).get("sync_window"))

    async def sync(self, item: Object, body: Object, user: str) -> None:
        """Queue a sync; 200 says no more than that."""
        self._check(item, user, "sync")
        # A window is checked before the revision, so a closed one hides every other mistake.
        if self.blocked():
            raise Refused(7, "cannot sync: blocked by sync window")
        spec = item["spec"]
        asked = body.get("revisions") or ([body["revision"]] if body.get("revision") else [])
        self._note(item, asked, user)
        self._check_revision(spec, asked, dry_run=bool(body.get("dryRun")))
        revisions = [await self._resolve(spec, n, asked) for n in range(len(sources(spec)))]
        self._check_free(item["metadata"]["name"])
        self.controller.operate(item["metadata"]["name"], _operation(spec, body, revisions, user))

    def _note(self, item: Object, asked: list[str], user: str) -> None:
        """Keep who asked for a sync of what, refused ones too: tests and the page look for those."""
        kept: list[Object] = self.apps.state.setdefault("syncs", [])
        automated = (item["spec"].get("syncPolicy") or {}).get("automated") is not None
        row = {"application": item["metadata"]["name"], "revisions": asked, "automated": automated}
        kept.append(row | {"by": user})
        del kept[:-_SYNCS_KEPT]

    def _check(self, item: Object, user: str, action: str) -> None:
        # Argo CD names the token's subject in the refusal: people find the role by it.
        if user == "reader":
            what = f"applications, {action}, {item['spec'].get('project')}/{item['metadata']['name']}"
            raise Refused(
                7, f"permission denied: {what}, sub: proj:default:reader, iat: 2026-08-01T08:00:00Z"
            )
        if "deletionTimestamp" in item["metadata"]:
            raise Refused(9, "application is deleting")

    def _check_free(self, name: str) -> None:
        if "operation" in self.apps.items[name]:
            raise Refused(9, "another operation is already in progress")

    def _check_revision(self, spec: Object, asked: list[str], *, dry_run: bool) -> None:
        automated = (spec.get("syncPolicy") or {}).get("automated")
        if automated is None or dry_run:
            return
        for revision, source in zip(asked, sources(spec), strict=False):
            # A commit id never equals a branch's name: automated Applications take no revision.
            target = source.get("targetRevision") or "HEAD"
            if revision and revision != target:
                raise Refused(9, f"Cannot sync to {revision}: auto-sync currently set to {target}")

    async def _resolve(self, spec: Object, number: int, asked: list[str]) -> str:
        source = sources(spec)[number]
        wanted = (asked[number] if number < len(asked) else "") or source.get("targetRevision") or "HEAD"
        commit = await gitinfo.resolve(self.world, source["repoURL"], wanted)
        if commit is None:
            raise Refused(9, f"Unable to resolve '{wanted}' to a commit SHA")
        return commit.commit

    def rollback(self, item: Object, body: Object, user: str) -> None:
        """Queue a sync of an older history entry."""
        self._check(item, user, "sync")
        name, spec = item["metadata"]["name"], item["spec"]
        # Auto-sync would undo the roll-back at the next comparison.
        if (spec.get("syncPolicy") or {}).get("automated") is not None:
            raise Refused(9, "rollback cannot be initiated when auto-sync is enabled")
        number = body.get("id", 0)
        entry = next((e for e in item["status"].get("history", []) if e["id"] == number), None)
        if entry is None:
            raise Refused(3, f"application argocd/{name} does not have deployment with id {number}")
        self._check_free(name)
        sync: Object = {
            key: entry[key] for key in ("revision", "revisions", "source", "sources") if key in entry
        }
        sync |= {key: True for key in ("prune", "dryRun") if body.get(key)}
        # A roll-back runs no hooks; a sync does.
        sync["syncStrategy"] = {"apply": {}}
        self.controller.operate(name, {"sync": sync, "initiatedBy": {"username": user}})

    def terminate(self, item: Object) -> None:
        """Ask the running operation to stop; it does so in its own time."""
        name = item["metadata"]["name"]
        if "operation" not in item or "operationState" not in item["status"]:
            raise Refused(3, "Unable to terminate operation. No operation is in progress")
        with self.apps.editing(name) as changed:
            changed["status"]["operationState"]["phase"] = "Terminating"
            changed["status"]["operationState"]["message"] = "operation is terminating"


def _operation(spec: Object, body: Object, revisions: list[str], user: str) -> Object:
    policy = spec.get("syncPolicy") or {}
    sync: Object = {key: True for key in ("prune", "dryRun") if body.get(key)}
    comparing.write_revision(sync, spec, revisions)
    sync |= comparing.source_part(spec)
    sync["syncStrategy"] = body.get("strategy") or {"hook": {}}
    if body.get("resources"):
        sync["resources"] = body["resources"]
    # What the request carries replaces the Application's own options; it is not merged with them.
    options = body["syncOptions"].get("items", []) if "syncOptions" in body else policy.get("syncOptions")
    if options:
        sync["syncOptions"] = options
    operation: Object = {"sync": sync, "initiatedBy": {"username": user}}
    if retry := body.get("retryStrategy") or policy.get("retry"):
        operation["retry"] = retry
    if body.get("infos"):
        operation["info"] = body["infos"]
    return operation
