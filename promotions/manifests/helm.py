"""Helm charts: values files over the chart's own, sub-charts, appVersion, dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from promotions.manifests.errors import Unparsable
from promotions.manifests.images import basename, same_repository
from promotions.manifests.keypath import Path, item_steps
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Parsed, child, items_of, scalar_of, text_of
from promotions.manifests.places import Place
from promotions.manifests.resources import Slot
from promotions.manifests.tree import inside
from promotions.manifests.values import (
    Branch,
    Match,
    Values,
    matches,
    merged,
    slot_of,
    values_of,
    with_empty_tag,
)
from promotions.manifests.workspace import Workspace

APP_VERSION = re.compile(r"\.Chart\.AppVersion\b")
_VALUES_NAME = re.compile(r"(?:.*[._-])?values(?:[._-].*)?\.(?:ya?ml|json)\Z", re.IGNORECASE)
_IMAGE_WORD = re.compile(r"[\w.:/@-]+")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart folder in the tree; `file` is its Chart.yaml."""

    folder: str
    file: Parsed

    def scalar(self, key: str) -> Place | None:
        """The place of a top-level scalar of Chart.yaml."""
        number = 0
        # Helm reads the first document of Chart.yaml alone.
        found = scalar_of(child(self.file.documents[0].root, key)) if self.file.documents else None
        if found is None:
            return None
        return Place(self.file, number, (key,), found, Kind.CHART_APP_VERSION, Part.VERSION)


def chart_in(workspace: Workspace, folder: str) -> Chart | None:
    """The chart whose Chart.yaml lies in `folder`, or None."""
    path = _join(folder, "Chart.yaml")
    return Chart(folder, workspace.parsed(path)) if workspace.exists(path) else None


def chart_above(workspace: Workspace, file: str) -> Chart | None:
    """The chart that a values file belongs to: the nearest folder upwards that holds a Chart.yaml."""
    folder = file.rpartition("/")[0]
    while True:
        chart = chart_in(workspace, folder)
        if chart is not None or not folder:
            return chart
        folder = folder.rpartition("/")[0]


def is_values_file(path: str) -> bool:
    """Whether a file's name says that it holds values: `values-prod.yaml`, `prod.values.yaml`."""
    return _VALUES_NAME.match(path.rpartition("/")[2]) is not None


def chart_slots(workspace: Workspace, chart: Chart, image: str) -> list[Slot]:
    """The slots of a chart folder: of its own values, and of each environment's file over them."""
    # The chart's own values first: they hold wherever no environment says otherwise.
    slots = values_slots(workspace, chart, image, [])
    for path in _environment_files(workspace, chart):
        # Which file Argo CD takes is not known for a folder: each environment is a candidate.
        layer = file_values(workspace, path)
        slots += [_only_from(each, path) for each in values_slots(workspace, chart, image, [layer], path)]
    return [*slots, *dependency_slots(chart.file, image)]


def _only_from(slot: Slot, path: str) -> Slot:
    """What an environment's file overrides; the rest is listed once, for the chart itself."""
    kept = any(place.parsed.file == path for place in slot.places)
    return slot if kept else replace(slot, places=())


def _environment_files(workspace: Workspace, chart: Chart) -> Iterator[str]:
    for folder in (
        chart.folder,
        *(_join(chart.folder, name) for name in ("values", "env", "envs", "environments")),
    ):
        for path in workspace.files_in(folder):
            in_values = folder != chart.folder and path.endswith((".yaml", ".yml"))
            if (is_values_file(path) or in_values) and path != _join(chart.folder, "values.yaml"):
                yield path


def file_values(workspace: Workspace, path: str) -> Branch:
    """The values of one file; JSON is read as well."""
    parsed = workspace.parsed(path)
    return values_of(parsed, 0, parsed.documents[0].root) if parsed.documents else Branch({})


def values_slots(
    workspace: Workspace, chart: Chart | None, image: str, layers: Sequence[Branch], together: str = ""
) -> list[Slot]:
    """The slots of values laid over a chart's own; an empty tag means the chart's appVersion."""
    values: Values = chart_values(workspace, chart) if chart else Branch({})
    for layer in layers:
        values = merged(values, layer)
    assert isinstance(values, Branch)
    group = together or (chart.folder if chart else "")
    rank = partial(_rank, workspace, chart)
    found = [(match, slot_of(match, f"values {group}", rank)) for match in matches(values, image)]
    slots = [slot if slot.places else _unversioned(workspace, chart, match, slot) for match, slot in found]
    if chart is not None and not any(slot.places for slot in slots):
        slots += _template_slots(workspace, chart, image)
    return slots


def _rank(workspace: Workspace, chart: Chart | None, file: str) -> int:
    """0 for a sub-chart's own values, 1 for the chart's, 2 for files laid over them; 0 without a chart."""
    if chart is None:
        return 0
    folder, _, name = file.rpartition("/")
    if name != "values.yaml" or not workspace.exists(_join(folder, "Chart.yaml")):
        return 2
    return 1 if folder == chart.folder else 0


def chart_values(workspace: Workspace, chart: Chart, depth: int = 0) -> Branch:
    """values.yaml over the values of the sub-charts that lie in `charts/` or beside (`file://`)."""
    values: Values = Branch({})
    # A parent's values lie over those of its sub-charts, under the sub-chart's name.
    for key, sub in _sub_charts(workspace, chart, depth):
        values = merged(values, Branch({key: chart_values(workspace, sub, depth + 1)}))
    path = _join(chart.folder, "values.yaml")
    own = file_values(workspace, path) if workspace.exists(path) else Branch({})
    result = merged(values, own)
    assert isinstance(result, Branch)
    return result


def _sub_charts(workspace: Workspace, chart: Chart, depth: int = 0) -> Iterator[tuple[str, Chart]]:
    root = chart.file.documents[0].root if chart.file.documents and depth < 5 else None
    for item in items_of(child(root, "dependencies")):
        name, alias = text_of(child(item, "name")), text_of(child(item, "alias"))
        where = text_of(child(item, "repository"))
        # Helm unpacks to charts/<name>; an alias changes the key in the values, not the folder.
        local = where.removeprefix("file://") if where.startswith("file://") else f"charts/{name}"
        # A packed sub-chart (charts/name-1.0.tgz) is no folder: its values are out of sight, and stay so.
        sub = chart_in(workspace, inside(local, chart.folder, file=chart.file.file)) if name else None
        if sub is not None:
            yield alias or name, sub


def _unversioned(workspace: Workspace, chart: Chart | None, match: Match, slot: Slot) -> Slot:
    """A repository without a tag: the appVersion decides where templates use it, else the empty tag."""
    # `.Chart` in a sub-chart is the sub-chart, so its own appVersion decides.
    owner = dict(_sub_charts(workspace, chart)).get(match.path[0], chart) if chart else None
    if owner is not None and _uses_app_version(workspace, owner):
        place = owner.scalar("appVersion")
        if place is not None:
            return replace(slot, tag=place.scalar.value, places=(place,))
    return with_empty_tag(slot, match, f"values {chart.folder if chart else ''}")


def _templates(workspace: Workspace, chart: Chart) -> Iterator[tuple[str, str]]:
    for folder in workspace.folders_under(_join(chart.folder, "templates")):
        for path in workspace.files_in(folder):
            # Templates are searched as text: Go templates are no YAML and are never edited.
            yield path, workspace.read(path).decode("utf-8", "replace")


def _uses_app_version(workspace: Workspace, chart: Chart) -> bool:
    """Without templates in the tree (a library chart makes them) Helm's own habit is assumed."""
    # Helpers (`_helpers.tpl`) are where `default .Chart.AppVersion` mostly stands, so every file counts.
    texts = [text for _, text in _templates(workspace, chart)]
    return not texts or any(APP_VERSION.search(text) for text in texts)


def _template_slots(workspace: Workspace, chart: Chart, image: str) -> Iterator[Slot]:
    """The image written into a template: `repo:{{ .Chart.AppVersion }}` is decided by Chart.yaml."""
    for path, text in _templates(workspace, chart):
        for number, line in enumerate(text.splitlines(), 1):
            if basename(image) not in line or not _names_image(line, image):
                continue
            place = chart.scalar("appVersion") if APP_VERSION.search(line) else None
            if place is not None:
                yield Slot(path, "", image, place.scalar.value, None, (place,))
            elif re.search(r"\bimage\s*:", line):
                cause = f"names {image} in a template, which is not YAML; move the tag into the values"
                raise Unparsable(path, number, cause)


def _names_image(line: str, image: str) -> bool:
    return any(same_repository(word.rstrip(":"), image) for word in _IMAGE_WORD.findall(line))


def dependency_slots(parsed: Parsed, image: str) -> Iterator[Slot]:
    """Dependencies of Chart.yaml (or requirements.yaml) that are the image itself, as an OCI chart."""
    root = parsed.documents[0].root if parsed.documents else None
    items = items_of(child(root, "dependencies"))
    for step, item in zip(item_steps(items), items, strict=True):
        source = f"{text_of(child(item, 'repository')).rstrip('/')}/{text_of(child(item, 'name'))}"
        version = scalar_of(child(item, "version"))
        # Only an OCI chart is an artifact in a registry; a chart of a classic repository has no image name.
        if version is not None and source.startswith("oci://") and same_repository(source, image):
            path: Path = ("dependencies", step, "version")
            place = Place(parsed, 0, path, version, Kind.CHART_DEPENDENCY_VERSION, Part.VERSION)
            yield Slot("", "", source.removeprefix("oci://"), version.value, None, (place,))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
