"""A stage's entry in the catalogue file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from promotions.catalogue.newest import newest_of
from promotions.catalogue.problems import suggestion
from promotions.catalogue.reading import Keys
from promotions.catalogue.rows import Row
from promotions.choices import EditStyle, PromoteMode, Vendor, WriteMode
from promotions.manifests.keypath import parse_path
from promotions.wording import TELLING_APART, BadTemplate, placeholders


@dataclass(frozen=True, slots=True)
class ApplicationContext:
    """What a stage takes from its application: images, defaults for `manifests`, the way to connections."""

    name: str
    images: Mapping[str, Row]
    manifests: Keys
    connection: Callable[..., str]
    plain_git: Mapping[str, Row]


def stage_row(keys: Keys, environment: str, application: ApplicationContext) -> Row:
    """Read one stage; what is wrong with it is added to the problems."""
    values = {
        "image__slug": _image(keys, application.images),
        **_manifests(keys, application),
        **_argocd(keys, application),
        **_verification(keys, application),
        "promotable": keys.flag("promotable", True),
        "promote": keys.choice("promote", PromoteMode.values, PromoteMode.BY_PEOPLE),
        "newest": newest_of(keys),
    }
    if values["promote"] == PromoteMode.AUTOMATICALLY and not values["promotable"]:
        keys.wrong("promote", "contradicts promotable: false: nothing is promoted there.")
    return Row((application.name, environment), values, keys.line, keys.path)


def _image(keys: Keys, images: Mapping[str, Row]) -> str:
    if "image" not in keys and len(images) == 1:
        return next(iter(images))
    if "image" not in keys:
        keys.missing("image", f"The application has {len(images)}.{suggestion('', images)}")
    return keys.reference("image", images, "image")


def _manifests(keys: Keys, application: ApplicationContext) -> dict[str, object]:
    below = keys.keys("manifests", defaults=application.manifests)
    values: dict[str, object] = {
        "manifest_connection__slug": application.connection(below, "connection", Vendor.GITLAB, Vendor.GIT),
        "manifest_project": below.text("project", required=True),
        "manifest_branch": below.text("branch", "main"),
        "manifest_path": _path(below, "path", longest=500),
        "places": _places(below),
        "edit_style": below.choice("style", EditStyle.values, EditStyle.TAG),
        "write_mode": below.choice("write", WriteMode.values, WriteMode.DIRECT),
        "team_branch": below.text("team_branch"),
        "merged_by_people": below.flag("merged_by_people", False),
        "commit_message": _template(below, "commit_message", longest=5000),
        "branch_name": _template(below, "branch_name"),
    }
    _check_writing(below, values)
    if (
        values["manifest_connection__slug"] in application.plain_git
        and values["write_mode"] != WriteMode.DIRECT
    ):
        below.wrong("write", "plain Git has no merge requests: only write: direct goes there.")
    below.finish()
    return values


def _check_writing(keys: Keys, values: Mapping[str, object]) -> None:
    uses_team_branch = values["write_mode"] == WriteMode.TEAM_BRANCH
    if uses_team_branch and "team_branch" not in keys:
        keys.missing("team_branch", "It is the branch that write: team-branch writes to.")
    # As the application's default it may stand beside stages that do not use it.
    if "team_branch" in keys.nodes and not uses_team_branch:
        keys.wrong("team_branch", "means something only with write: team-branch.")
    if values["team_branch"] and values["team_branch"] == values["manifest_branch"]:
        keys.wrong("team_branch", "must differ from branch, or there is nothing to merge.")
    if values["branch_name"] and values["write_mode"] != WriteMode.OWN_BRANCH:
        keys.wrong("branch_name", "means something only with write: own-branch.")
    if values["merged_by_people"] and values["write_mode"] == WriteMode.DIRECT:
        keys.wrong("merged_by_people", "there is no merge request with write: direct.")


def _template(keys: Keys, key: str, *, longest: int = 255) -> str:
    template = keys.text(key, longest=longest)
    try:
        named = placeholders(template)
    except BadTemplate as error:
        keys.wrong(key, f"{error}.")
        return ""
    if template and key == "branch_name" and not named & TELLING_APART:
        keys.wrong(key, "would be the same for every promotion: add {version} or {key}.")
    return template


def _path(keys: Keys, key: str, *, longest: int = 255) -> str:
    """A path inside the repository; one that leads out of it is refused."""
    value = keys.text(key, longest=longest)
    if value.startswith("/") or ".." in PurePosixPath(value).parts:
        keys.wrong(key, "must be a path inside the repository, without .. and without a slash in front.")
        return ""
    return value.strip("/")


def _places(keys: Keys) -> list[str]:
    """The chosen places, as the refusal of an ambiguous change spells them: file:key, or * for all."""
    found = [text for text, _line in keys.texts("places")]
    for text in found:
        if text != "*" and not _is_place(text):
            keys.wrong("places", 'takes places as "file:key", the way the preview spells them, or "*".')
    return found


def _is_place(text: str) -> bool:
    file, _, key = text.partition(":")
    try:
        return bool(file and parse_path(key))
    except ValueError:
        return False


def _argocd(keys: Keys, application: ApplicationContext) -> dict[str, object]:
    if "argocd" not in keys:
        return {
            "argocd_connection__slug": None,
            "argocd_project": "default",
            "argocd_application": "",
        }
    below = keys.keys("argocd", short_for="application")
    values: dict[str, object] = {
        "argocd_connection__slug": application.connection(below, "connection", Vendor.ARGOCD),
        "argocd_project": below.text("project", "default"),
        "argocd_application": below.text("application", required=True),
    }
    below.finish()
    return values


def _verification(keys: Keys, application: ApplicationContext) -> dict[str, object]:
    if "verification" not in keys:
        return {"verification_connection__slug": None, "verification_pipeline": ""}
    below = keys.keys("verification", short_for="pipeline")
    values: dict[str, object] = {
        "verification_connection__slug": application.connection(below, "connection", Vendor.TEKTON),
        "verification_pipeline": below.text("pipeline", required=True),
    }
    below.finish()
    return values
