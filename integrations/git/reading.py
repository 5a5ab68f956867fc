"""Read commits, folders and files from the copy; what is not here yet is fetched, and no more than that."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.errors import NotFound
from integrations.git import transfer
from integrations.git.edit import folders_of
from integrations.git.failures import Broken
from integrations.git.folder import Folder
from integrations.git.objects import Stored, decoded, encoded, node_named, nodes_named, objects
from integrations.git.remote import VENDOR, Remote
from integrations.git.store import Repository
from integrations.git.types import Entry


def need(copy: Repository, remote: Remote, *commits: str) -> None:
    """Fetch the commits that are not here: those of another process's copy, or off every branch."""
    out = copy.local("cat-file", "--batch-check", data="".join(f"{each}\n" for each in commits).encode())
    for commit, line in zip(commits, out.decode().splitlines(), strict=True):
        if line.endswith(" missing"):
            transfer.fetch_commit(copy, remote, commit)


def folder(copy: Repository, remote: Remote, commit: str, path: str) -> Folder:
    """What is in a folder."""
    return Folder(_prefix(path), _tree(copy, remote, commit, path))


def below(copy: Repository, remote: Remote, commit: str, path: str) -> tuple[Entry, ...]:
    """What is in a folder and in all folders below it."""
    _tree(copy, remote, commit, path)
    out = copy.local("ls-tree", "-r", "-t", "-z", f"{commit}:{path}")
    return tuple(_listed(_prefix(path), line) for line in out.split(b"\0") if line)


def read_many(copy: Repository, remote: Remote, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
    """The bytes of files; all that are not here come in one fetch."""
    # The folders on the way come along: who reads a file will write it, or needs them to fetch it.
    names = [f"{commit}:{name}" for name in (*paths, "", *folders_of(paths))]
    found = dict(zip(paths, _objects(copy, remote, commit, names), strict=False))
    absent = [path for path in paths if found[path] is None]
    if absent:
        ids = _blob_ids(copy, remote, commit, absent)
        transfer.fetch_objects(copy, remote, ids)
        found |= dict(zip(absent, objects(copy, ids), strict=True))
    return {path: _content(commit, path, each) for path, each in found.items()}


def _objects(copy: Repository, remote: Remote, commit: str, names: Sequence[str]) -> list[Stored | None]:
    found = objects(copy, names)
    if None in found and objects(copy, [commit])[0] is None:
        transfer.fetch_commit(copy, remote, commit)
        found = objects(copy, names)
    return found


def _tree(copy: Repository, remote: Remote, commit: str, folder: str) -> bytes:
    """A folder as it is stored."""
    found = _objects(copy, remote, commit, [f"{commit}:{folder}"])[0]
    if found is None:
        _check_whole(copy, commit, folder)
    if found is None or found.type != "tree":
        raise NotFound(f"There is no folder {folder or '/'} at commit {commit[:8]}", vendor=VENDOR)
    return found.data


def _check_whole(copy: Repository, commit: str, folder: str) -> None:
    """Raise Broken where a folder seems to be absent because a tree on the way to it is lost."""
    parts = folder.split("/") if folder else []
    ways = ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]
    for way, stored in zip(ways, objects(copy, [f"{commit}:{way}" for way in ways]), strict=True):
        if stored is None:
            raise Broken(f"the tree of {way or '/'} at {commit} is missing")
        below = parts[len(way.split("/")) if way else 0 :]
        if stored.type != "tree" or not below:
            return
        node = node_named(stored.data, encoded(below[0]))
        if node is None or node.type != "tree":
            return


def _blob_ids(copy: Repository, remote: Remote, commit: str, paths: Sequence[str]) -> list[str]:
    names = {path: path.rpartition("/")[::2] for path in paths}
    found = {}
    for folder in {folder for folder, _ in names.values()}:
        wanted = {encoded(name) for where, name in names.values() if where == folder}
        found[folder] = nodes_named(_tree(copy, remote, commit, folder), wanted)
    ids = []
    for path, (folder, name) in names.items():
        node = found[folder].get(encoded(name))
        if node is None or node.type != "blob":
            raise _no_file(commit, path)
        ids.append(node.id)
    return ids


def _content(commit: str, path: str, stored: Stored | None) -> bytes:
    if stored is None:
        raise Broken(f"{path} at {commit} is missing after it was fetched")
    if stored.type != "blob":
        raise _no_file(commit, path)
    return stored.data


def _no_file(commit: str, path: str) -> NotFound:
    return NotFound(f"There is no file {path} at commit {commit[:8]}", vendor=VENDOR)


def _prefix(path: str) -> str:
    return f"{path}/" if path else ""


def _listed(prefix: str, line: bytes) -> Entry:
    meta, _, path = line.partition(b"\t")
    mode, kind, object_id = meta.decode().split()
    return Entry(f"{prefix}{decoded(path)}", kind, object_id, mode)
