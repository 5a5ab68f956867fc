"""New contents brought into a commit's trees: only the folders on the way to a file are made anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from integrations.errors import Rejected
from integrations.git.failures import Broken
from integrations.git.objects import Node, encoded, nodes, object_id, objects, store, stored_tree
from integrations.git.remote import VENDOR, checked_path
from integrations.git.store import Repository
from integrations.git.types import EXECUTABLE, FILE, LINK, SUBMODULE, TREE


@dataclass
class Edit:
    """What must be written besides what the repository has.

    `root` is the id of the new root tree, `changed` the files whose bytes differ from the base's.
    """

    root: str = ""
    changed: list[str] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    trees: list[bytes] = field(default_factory=list)


def folders_of(paths: Sequence[str]) -> list[str]:
    """Every folder on the way to the paths, without the root, outer ones first."""
    found: dict[str, None] = {}
    for path in paths:
        parts = checked_path(path).split("/")[:-1]
        found |= {"/".join(parts[: end + 1]): None for end in range(len(parts))}
    return sorted(found, key=lambda folder: folder.count("/"))


def edited(repository: Repository, base: str | None, files: Mapping[str, bytes]) -> Edit | None:
    """The edit that puts `files` on top of the commit `base`; None where the commit is not here.

    Modes of files stay. Raises Rejected where a path leads through a link, a submodule or a file.
    """
    folders = folders_of(list(files))
    trees = _read(repository, base, folders)
    if trees is None:
        return None
    edit = Edit()
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        if path in trees:
            raise Rejected(f"{path} cannot be a file and a folder", vendor=VENDOR)
        if _put_file(trees[folder], path, encoded(name), content):
            edit.changed.append(path)
            edit.blobs.append(content)
    for folder in reversed(folders):
        _put_tree(edit, trees, folder)
    edit.root = _keep(edit, trees[""])
    return edit


def write(repository: Repository, edit: Edit) -> None:
    """Bring what is new into the repository."""
    for kind, contents in (("blob", edit.blobs), ("tree", edit.trees)):
        for content in contents:
            store(repository, kind, content)


# Very old versions of Git stored 100664.
_PLAIN = (FILE, EXECUTABLE, "100664")
_Trees = dict[str, dict[bytes, Node]]


def _read(repository: Repository, base: str | None, folders: Sequence[str]) -> _Trees | None:
    """The entries of all folders concerned, the root's as ""; a folder that is to be made has none."""
    if base is None:
        return {folder: {} for folder in ("", *folders)}
    found = objects(repository, [f"{base}:{folder}" for folder in ("", *folders)])
    if found[0] is None:
        return None
    trees: _Trees = {}
    for folder, stored in zip(("", *folders), found, strict=True):
        if folder:
            _check_folder(trees, folder, is_here=stored is not None)
        is_tree = stored is not None and stored.type == "tree"
        trees[folder] = {node.name: node for node in nodes(stored.data)} if stored and is_tree else {}
    return trees


def _check_folder(trees: _Trees, folder: str, *, is_here: bool) -> None:
    parent, _, name = folder.rpartition("/")
    node = trees[parent].get(encoded(name))
    if node is None:
        return
    if node.full_mode != TREE:
        raise Rejected(f"{folder} is {_what(node)}, so nothing is written below it", vendor=VENDOR)
    if not is_here:
        raise Broken(f"the tree {node.id} is missing")


def _put_file(entries: dict[bytes, Node], path: str, name: bytes, content: bytes) -> bool:
    """Whether that changes anything."""
    old = entries.get(name)
    if old is not None and old.full_mode not in _PLAIN:
        raise Rejected(f"{path} is {_what(old)}, so it is not written to", vendor=VENDOR)
    mode = old.mode if old else FILE.encode()
    new = Node(mode, name, bytes.fromhex(object_id("blob", content)))
    entries[name] = new
    return new != old


def _put_tree(edit: Edit, trees: _Trees, folder: str) -> None:
    parent, _, name = folder.rpartition("/")
    made = bytes.fromhex(_keep(edit, trees[folder]))
    trees[parent][encoded(name)] = Node(TREE.lstrip("0").encode(), encoded(name), made)


def _keep(edit: Edit, entries: Mapping[bytes, Node]) -> str:
    data = stored_tree(entries.values())
    edit.trees.append(data)
    return object_id("tree", data)


def _what(node: Node) -> str:
    return {LINK: "a symbolic link", SUBMODULE: "a submodule", TREE: "a folder"}.get(node.full_mode, "a file")
