"""What scenarios B to E do and look at: one Stage of any application, through the API only."""

from __future__ import annotations

from dataclasses import dataclass

from tests.scenarios import drive
from tests.scenarios.drive import Json
from tests.system import System


@dataclass(frozen=True)
class Target:
    """One application's production (or another environment) and the repository of its manifests."""

    system: System
    application: str
    repository: str
    branch: str = "main"
    environment: str = "prod"

    def stage(self) -> Json:
        query = f"application={self.application}&environment={self.environment}"
        (found,) = self.system.get(f"stages/?{query}")["results"]
        return dict(found)

    def settled(self) -> str:
        """Wait until Git and the cluster agree on a known version that is healthy; return its label."""

        def look() -> tuple[str, str, str]:
            seen = self.stage()
            running, desired = seen["running"] or {}, seen["desired"] or {}
            labels = [(part.get("version") or {}).get("label", "") for part in (running, desired)]
            return labels[0], labels[1], running.get("health_status", "")

        label, _same, _health = self.system.wait_for(
            look,
            lambda seen: seen[0] == seen[1] != "" and seen[2] == "Healthy",
            seconds=60,
            what=f"a settled {self.application}",
        )
        return label

    def version(self, label: str) -> Json:
        """Wait until Slipway knows a build with its commit."""

        def look() -> list[Json]:
            results = self.system.get(f"versions/?application={self.application}")["results"]
            return [found for found in results if found["label"] == label and found["commit"]]

        return self.system.wait_for(look, bool, seconds=60, what=f"version {label} of {self.application}")[0]

    def request(self, label: str) -> Json:
        """Preview and request a promotion, as a person does; return the promotion."""
        stage_id, version_id = self.stage()["id"], self.version(label)["id"]
        preview = self.system.get(f"stages/{stage_id}/preview/?version={version_id}")
        assert preview["refusals"] == [], preview
        body = {"stage": stage_id, "version": version_id, "reason": "It is time"}
        body["change_hash"] = preview["change"]["hash"]
        answer = self.system.post("promotions/", "dana", **body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def commits(self, promotion: Json) -> list[str]:
        """Return the commits on the branch that carry this promotion's trailer."""
        grep = f"--grep=Promotion-Id: {promotion['key']}"
        return self.system.git(
            self.repository, "log", self.branch, "--no-merges", "--format=%H", grep
        ).split()

    def the_commit(self, promotion: Json) -> str:
        """Return the one commit of a promotion, checked to carry every trailer."""
        (commit,) = self.commits(promotion)
        message = self.system.git(self.repository, "log", "-1", "--format=%an%n%B", commit)
        assert message.startswith("Dana")
        assert "Requested-by: Dana" in message
        assert "Approved-by: Riku" in message
        return commit

    def diff(self, commit: str) -> list[str]:
        """Return a commit's added and removed lines, with their indentation."""
        shown = self.system.git(self.repository, "show", "--format=", "--unified=0", commit)
        return [
            line for line in shown.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))
        ]

    def succeed(self, promotion: Json) -> Json:
        ended = drive.wait_for_end(self.system, promotion["id"], seconds=90)
        assert ended["status"] == "succeeded", (ended["message"], ended["steps"])
        return ended


def syncs_of_automated(system: System) -> list[Json]:
    """Return the syncs that automated applications were asked for with a revision: there must be none."""
    return [sync for sync in system.syncs() if sync["automated"] and sync["revisions"]]
