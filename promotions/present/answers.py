"""The three answers about a Stage and the sentences about their disagreements (design.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from promotions.models import ImageVersion, Promotion, StageState


@dataclass(frozen=True, slots=True)
class Reference:
    """What one source says a Stage has. `text` is how people call it, "" when it says nothing."""

    text: str
    tag: str
    digest: str
    version_id: int | None

    @property
    def short_digest(self) -> str:
        return self.digest.removeprefix("sha256:")[:12]


def reference(version: ImageVersion | None, tag: str = "", digest: str = "") -> Reference:
    if version is not None:
        return Reference(version.label, tag or version.tag, digest or version.digest, version.pk)
    short = digest.removeprefix("sha256:")[:12]
    # A tag that moves does not name a build: the digest is shown with it.
    text = f"{tag}@{short}" if short and tag in ("", "latest") else tag
    return Reference(text, tag, digest, None)


def desired(state: StageState) -> Reference:
    return reference(state.desired_version, state.desired_tag, state.desired_digest)


def running(state: StageState) -> Reference:
    return reference(state.running_version, state.running_tag, state.running_digest)


def promoted(state: StageState) -> Reference:
    return reference(state.promoted.version) if state.promoted else Reference("", "", "", None)


def agree(one: Reference, two: Reference) -> bool | None:
    """Tell whether two answers name the same build; None when one of them says nothing."""
    if not one.text or not two.text:
        return None
    if one.version_id and two.version_id:
        return one.version_id == two.version_id
    if one.digest and two.digest:
        return one.digest == two.digest
    if one.tag and two.tag:
        return one.tag == two.tag
    return None


def disagreements(state: StageState, under_way: Promotion | None) -> tuple[str, ...]:
    """Return why Git, running and promoted are not one, each as a sentence; empty when they agree."""
    found = []
    if state.desired_problem:
        found.append(_("Git: %(problem)s") % {"problem": state.desired_problem})
    if state.running_others:
        others = ", ".join(_name(other) for other in state.running_others)
        found.append(_("A rollout is going on: %(others)s still runs as well.") % {"others": others})
    if agree(desired(state), running(state)) is False:
        found.append(_not_running(state, under_way))
    if under_way is None and agree(promoted(state), desired(state)) is False:
        found.append(
            _("Git was changed outside Slipway: it asks for %(desired)s, last promoted was %(promoted)s.")
            % {"desired": desired(state).text, "promoted": promoted(state).text}
        )
    return tuple(found)


def _name(other: object) -> str:
    """Further references are texts, or {"tag", "digest"}."""
    if isinstance(other, dict):
        return reference(None, str(other.get("tag", "")), str(other.get("digest", ""))).text
    return str(other)


def _not_running(state: StageState, under_way: Promotion | None) -> str:
    words = {"desired": desired(state).text, "running": running(state).text}
    if under_way is not None:
        return _("Git asks for %(desired)s; %(running)s still runs.") % words
    if state.sync_status == "OutOfSync":
        return _("Git asks for %(desired)s, %(running)s runs: Argo CD has not synced it.") % words
    return _("Git asks for %(desired)s, but %(running)s runs.") % words
