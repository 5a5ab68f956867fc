"""Build manifests with the programs that Argo CD builds them with: kustomize and helm, where installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from integrations.errors import Rejected, Unavailable
from integrations.shape import one_line

VENDOR = "render"
_SECONDS = 20.0
_MOST_OUTPUT = 16 * 1024 * 1024
# A preview, the request and each look at the page build the same files, and a program's start costs 0.2 s.
_MOST_KEPT, _LARGEST_KEPT = 64, 256 * 1024
_kept: dict[bytes, bytes] = {}
_keeping = threading.Lock()


def kustomize_command() -> list[str]:
    """Return how to build a kustomization here, by kustomize or the one inside kubectl; [] without both."""
    if program := shutil.which("kustomize"):
        return [program, "build"]
    if program := shutil.which("kubectl"):
        return [program, "kustomize"]
    return []


def helm_command() -> list[str]:
    """Return how to render a chart here, or []."""
    program = shutil.which("helm")
    return [program, "template", "release"] if program else []


def build(
    command: Sequence[str], files: Mapping[str, bytes], root: str, *, values: Sequence[str] = ()
) -> bytes:
    """Return what the folder `root` of `files` builds to, as YAML.

    `values` are further values files of a chart. Raises Rejected with the program's words when it does not
    build, Unavailable when the program gives no answer in time. Nothing outside a private folder is seen.
    """
    key = _digest(command, files, root, values)
    built = _kept.get(key)
    if built is None:
        built = _build(command, files, root, values)
        if len(built) <= _LARGEST_KEPT:
            _keep(key, built)
    return built


def _digest(command: Sequence[str], files: Mapping[str, bytes], root: str, values: Sequence[str]) -> bytes:
    """Return what stands for everything the result depends on."""
    whole = hashlib.sha256(repr((list(command), root, list(values))).encode())
    for path, content in sorted(files.items()):
        whole.update(repr((path, len(content))).encode() + content)
    return whole.digest()


def _keep(key: bytes, built: bytes) -> None:
    with _keeping:
        if len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = built


def _build(command: Sequence[str], files: Mapping[str, bytes], root: str, values: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="slipway-render-") as name:
        folder = Path(name) / "files"
        for path, content in files.items():
            target = (folder / path).resolve()
            if folder.resolve() not in target.parents:
                raise Rejected(f"{path} leads out of the repository", vendor=VENDOR)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        arguments = [str(folder / root), *(f"--values={folder / path}" for path in values)]
        return _run([*command, *arguments], name)


def _run(command: Sequence[str], home: str) -> bytes:
    # Nobody's settings, caches or clusters: what is built must depend on the files alone.
    environ = {"PATH": os.defpath, "HOME": home, "KUBECONFIG": os.devnull, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=home, env=environ, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} did not answer in time", vendor=VENDOR) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").replace(home, "").replace("/files/", "")
        raise Rejected(one_line(said) or "no reason given", vendor=VENDOR)
    if len(done.stdout) > _MOST_OUTPUT:
        raise Rejected("it builds to more than 16 MB", vendor=VENDOR)
    return done.stdout
