"""A tree being read once: which paths exist, and each file parsed at most once."""

from __future__ import annotations

from functools import cached_property

from promotions.manifests.nodes import Parsed
from promotions.manifests.parse import parse
from promotions.manifests.tree import Tree, read_file

YAML_SUFFIXES = (".yaml", ".yml", ".json")


class Workspace:
    """Reads a Tree lazily and remembers; made for one search or one change, not kept."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._bytes: dict[str, bytes] = {}
        self._parsed: dict[str, Parsed] = {}

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(self._tree.paths())

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            # Once per search: a repository of 20,000 files is asked about many folders.
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        return folders

    def exists(self, path: str) -> bool:
        return path in self._paths

    def is_folder(self, path: str) -> bool:
        prefix = f"{path}/" if path else ""
        return path in self._folders or any(folder.startswith(prefix) for folder in self._folders)

    def files_in(self, folder: str) -> list[str]:
        """The files directly in a folder, sorted."""
        return self._folders.get(folder, [])

    def folders_under(self, folder: str) -> list[str]:
        """The folder itself and every folder below that holds files, sorted."""
        prefix = f"{folder}/" if folder else ""
        return sorted(each for each in self._folders if each == folder or each.startswith(prefix))

    def read(self, path: str) -> bytes:
        """The bytes of a regular file of bounded size; raises NotFound or Unsafe."""
        if path not in self._bytes:
            self._bytes[path] = read_file(self._tree, path)
        return self._bytes[path]

    def parsed(self, path: str) -> Parsed:
        """The parsed file; raises a ManifestError."""
        if path not in self._parsed:
            self._parsed[path] = parse(self.read(path), path)
        return self._parsed[path]
