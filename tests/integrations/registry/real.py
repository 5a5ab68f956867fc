"""Debian's docker-registry (CNCF distribution 2.8) on a free port, and pushing images into it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

BINARY = shutil.which("docker-registry")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = """
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdir: %s}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0"}
"""
_NOTIFY = """
notifications:
  endpoints:
    - name: slipway
      url: "%s"
      headers: {Authorization: [Bearer hook-secret]}
      timeout: 2s
      threshold: 3
      backoff: 1s
"""


@contextlib.contextmanager
def registry(folder: Path, *, notify: str = "") -> Iterator[str]:
    """The address of a running registry with its data in `folder`; it reports pushes to `notify`."""
    assert BINARY is not None
    config = folder / "config.yml"
    config.write_text(_CONFIG % (folder / "data") + (_NOTIFY % notify if notify else ""))
    process = subprocess.Popen(
        [BINARY, "serve", str(config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    drain = threading.Thread(target=lambda: None)
    try:
        address = next(
            match[1] for line in process.stderr if (match := re.search(r"listening on ([0-9.:]+)", line))
        )
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)
        if drain.is_alive():
            drain.join(5)
        process.stderr.close()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_blob(url: str, repository: str, content: bytes) -> str:
    digest = digest_of(content)
    start = httpx.post(f"{url}/v2/{repository}/blobs/uploads/")
    location = httpx.URL(url).join(start.headers["location"]).copy_merge_params({"digest": digest})
    httpx.put(
        location, content=content, headers={"Content-Type": "application/octet-stream"}
    ).raise_for_status()
    return digest


def push_manifest(url: str, repository: str, reference: str, manifest: dict[str, object], kind: str) -> str:
    content = json.dumps(manifest).encode()
    answer = httpx.put(
        f"{url}/v2/{repository}/manifests/{reference}", content=content, headers={"Content-Type": kind}
    )
    answer.raise_for_status()
    return digest_of(content)


def push_image(url: str, repository: str, tag: str, *, revision: str, created: str) -> str:
    """A one-layer image with labels; its digest."""
    labels = {
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.source": "https://gitlab.example.com/k8s/app",
    }
    config = json.dumps(
        {"created": created, "architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
    ).encode()
    layer = b"layer of " + tag.encode()
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(
            "application/vnd.oci.image.config.v1+json", config, push_blob(url, repository, config)
        ),
        "layers": [
            _descriptor("application/vnd.oci.image.layer.v1.tar", layer, push_blob(url, repository, layer))
        ],
    }
    return push_manifest(url, repository, tag, manifest, MANIFEST)


def push_index(url: str, repository: str, tag: str, child: str, size: int) -> str:
    """An index over one real platform, behind an attestation that must be skipped."""
    entries = [
        {
            "mediaType": MANIFEST,
            "digest": child,
            "size": size,
            "platform": {"architecture": "unknown", "os": "unknown"},
        },
        {
            "mediaType": MANIFEST,
            "digest": child,
            "size": size,
            "platform": {"architecture": "arm64", "os": "linux"},
        },
    ]
    return push_manifest(
        url, repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX
    )


def _descriptor(kind: str, content: bytes, digest: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": len(content)}
