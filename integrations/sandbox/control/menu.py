"""The buttons of the page: which plays there are, in which group, and what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from integrations.sandbox.control import others, plays
from integrations.sandbox.control.plays import Json, Stage


@dataclass(frozen=True)
class Field:
    """One input of a play."""

    name: str
    label: str
    default: str
    kind: str = "text"


@dataclass(frozen=True)
class Play:
    """One button: its name in the URL, what it says, and what it does.

    `scenario` is the one it belongs to; "" is for those that make sense in all of them.
    """

    name: str
    label: str
    hint: str
    run: Callable[[Stage], Awaitable[Json]]
    fields: tuple[Field, ...] = ()
    tone: str = ""
    scenario: str = ""


# Whose merge request: the newest one of any project where it is left empty.
PROJECT = Field("project", "project", "")
COUNT = Field("count", "how many", "1", "number")

GROUPS: tuple[tuple[str, str, tuple[Play, ...]], ...] = (
    (
        "Developers",
        "Work on the application, as Aiko, Daniel, Priya and Tomás.",
        (
            Play(
                "push-dev",
                "Push to dev",
                "Builds the dev image and syncs the dev cluster.",
                plays.push_dev,
                tone="go",
                scenario="a",
            ),
            Play(
                "merge-dev",
                "Merge dev into main",
                "Opens a merge request and merges it.",
                plays.merge_dev,
                tone="go",
                scenario="a",
            ),
            Play(
                "tag",
                "Tag a version",
                "Builds the production image of that version.",
                plays.tag,
                (Field("version", "version", ""),),
                tone="go",
                scenario="a",
            ),
        ),
    ),
    (
        "Builds elsewhere",
        "Other teams' code: scenarios B, C, D and E.",
        (
            Play(
                "push-app",
                "Push to gitops-demo-app",
                "GitLab CI builds it and pushes to Docker Hub.",
                others.push_app,
                tone="go",
                scenario="b",
            ),
            Play(
                "push-go",
                "Push to go-sampleapp",
                "Tekton tests, builds, and writes the dev manifest.",
                others.push_go,
                tone="go",
                scenario="c",
            ),
            Play(
                "shop-release",
                "Release the shop",
                "Three images of one version.",
                others.shop_release,
                tone="go",
                scenario="d",
            ),
            Play(
                "billing-release",
                "Release billing",
                "The image alone: nobody writes a manifest yet.",
                others.billing_release,
                tone="go",
                scenario="e",
            ),
        ),
    ),
    (
        "Others who write",
        "Scenario E: tools and people change billing-manifest beside Slipway.",
        (
            Play(
                "image-updater",
                "Let the Image Updater write",
                "The newest image, in its own file or production's kustomization.",
                others.image_updater,
                (Field("application", "application", "billing-dev"),),
                scenario="e",
            ),
            Play(
                "hand-edit",
                "Edit production by hand",
                "Its version; without one its replicas.",
                others.hand_edit,
                (Field("version", "version", ""),),
                scenario="e",
            ),
        ),
    ),
    (
        "People in GitLab",
        "Somebody acts on the manifest project without asking Slipway.",
        (
            Play(
                "merge-request-merge",
                "Merge the open merge request",
                "By hand, in GitLab.",
                plays.merge_request_merge,
                (PROJECT,),
            ),
            Play(
                "merge-request-close",
                "Close the open merge request",
                "Without merging it.",
                plays.merge_request_close,
                (PROJECT,),
            ),
            Play(
                "stranger-commit",
                "Push a stranger’s commit",
                "The tip of the branch moves; with a path, that very file changes.",
                plays.stranger_commit,
                (Field("branch", "branch", "dev"), Field("path", "path", "")),
            ),
        ),
    ),
    (
        "Builds and clusters",
        "What goes wrong after the code is written.",
        (
            Play(
                "break-build",
                "Break the next build",
                "The image is not pushed.",
                plays.fail_build,
                tone="stop",
            ),
            Play(
                "degrade",
                "Make production degrade",
                "flask-prod turns unhealthy.",
                plays.degrade,
                tone="stop",
            ),
            Play(
                "recover",
                "Let production recover",
                "flask-prod turns healthy again.",
                plays.recover,
                tone="go",
            ),
            Play(
                "fail-verification",
                "Fail the next verification",
                "The run after the sync ends red.",
                plays.fail_verification,
                tone="stop",
            ),
        ),
    ),
    (
        "Network and webhooks",
        "What the systems between you and the cluster do on a bad day.",
        (
            Play(
                "drop-webhooks",
                "Drop the next webhooks",
                "Slipway never hears of it.",
                plays.drop_hooks,
                (COUNT,),
                "stop",
            ),
            Play(
                "duplicate-webhooks",
                "Duplicate the next webhooks",
                "The same one twice.",
                plays.duplicate_hooks,
                (COUNT,),
            ),
            Play(
                "reorder-webhooks",
                "Reorder the next webhooks",
                "Later ones overtake.",
                plays.reorder_hooks,
                (COUNT,),
            ),
            Play(
                "resend-webhook",
                "Resend the last webhook",
                "As from GitLab’s own page: same key.",
                plays.resend,
            ),
            Play(
                "slow-down",
                "Slow everything down",
                "Every vendor answers late.",
                plays.slow_down,
                (Field("seconds", "seconds", "2", "number"),),
                "stop",
            ),
            Play(
                "stop-stream",
                "Stop the Argo CD stream",
                "Open streams break, new ones are refused.",
                plays.stop_stream,
                (Field("seconds", "seconds", "10", "number"),),
                "stop",
            ),
            Play(
                "outage",
                "GitLab answers 500",
                "For a while, to everything.",
                plays.outage,
                (Field("seconds", "seconds", "20", "number"),),
                "stop",
            ),
            Play("calm", "All well again", "Takes every fault away.", plays.calm, tone="go"),
        ),
    ),
)

# Reachable through the API alone: for tests that walk a pipeline through its states one by one.
HIDDEN = (Play("pipeline", "Run a GitLab pipeline", "", others.pipeline),)

PLAYS = {play.name: play for _, _, group in GROUPS for play in group} | {play.name: play for play in HIDDEN}


def offered(scenarios: tuple[str, ...]) -> list[tuple[str, str, tuple[Play, ...]]]:
    """Return the groups with the plays of the loaded scenarios; a group without any is left out."""
    # Other scenarios' buttons would only answer that there is no such project.
    groups = []
    for title, about, group in GROUPS:
        shown = tuple(play for play in group if not play.scenario or play.scenario in scenarios)
        if shown:
            groups.append((title, about, shown))
    return groups
