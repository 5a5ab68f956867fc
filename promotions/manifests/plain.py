"""Plain manifests: a file or a folder of Kubernetes resources, without a tool that builds them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from promotions.manifests.images import basename
from promotions.manifests.resources import Resource, resources_in
from promotions.manifests.workspace import YAML_SUFFIXES, Workspace


def resources_of_files(workspace: Workspace, files: Iterable[str], image: str) -> list[Resource]:
    """The resources of those files that mention the image at all.

    A file without the image's name cannot decide it, so templates and broken files elsewhere in a
    folder do no harm; one with the name must parse, else Unparsable says where it does not.
    """
    resources: list[Resource] = []
    for path in files:
        if mentions(workspace, path, image):
            resources += resources_in(workspace.parsed(path))
    return resources


def mentions(workspace: Workspace, path: str, image: str) -> bool:
    """Whether a YAML or JSON file contains the image's name as a word of its own."""
    # kubectl and Argo CD read no other files either.
    if not path.endswith(YAML_SUFFIXES):
        return False
    # The search in bytes spares parsing thousands of files that are of other teams.
    name = re.escape(basename(image).encode())
    return re.search(rb"(?<![\w.-])" + name + rb"(?![\w-])", workspace.read(path)) is not None
