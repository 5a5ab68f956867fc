"""A tree being read once: which paths exist, and each file parsed at most once."""

from __future__ import annotations

from collections.abc import Mapping

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
        self._folders: dict[str, Mapping[str, bool]] = {}

    def _entries(self, folder: str) -> Mapping[str, bool]:
        # Behind an API each listing is a request, and a search asks for the same folders again and again.
        if folder not in self._folders:
            self._folders[folder] = self._tree.entries(folder)
        return self._folders[folder]

    def exists(self, path: str) -> bool:
        """Whether there is a file of this path."""
        folder, _, name = path.rpartition("/")
        return self._entries(folder).get(name) is False

    def is_folder(self, path: str) -> bool:
        """Whether the path leads to files; Git keeps no empty folders."""
        return bool(self._entries(path))

    def files_in(self, folder: str) -> list[str]:
        """The files directly in a folder, sorted."""
        prefix = f"{folder}/" if folder else ""
        return sorted(prefix + name for name, is_folder in self._entries(folder).items() if not is_folder)

    def folders_under(self, folder: str) -> list[str]:
        """The folder itself and every folder below it, sorted."""
        found, waiting = [], [folder]
        while waiting:
            here = waiting.pop()
            found.append(here)
            prefix = f"{here}/" if here else ""
            waiting += [prefix + name for name, is_folder in self._entries(here).items() if is_folder]
        return sorted(found)

    def read(self, path: str) -> bytes:
        """The bytes of a regular file of bounded size; raises NotFound or Unsafe."""
        # The bytes are kept beside the parsed form: the diff needs them once more.
        if path not in self._bytes:
            self._bytes[path] = read_file(self._tree, path)
        return self._bytes[path]

    def parsed(self, path: str) -> Parsed:
        """The parsed file; raises a ManifestError."""
        if path not in self._parsed:
            self._parsed[path] = parse(self.read(path), path)
        return self._parsed[path]
