"""Making an image: one layer, a configuration with the OCI labels, a manifest."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from datetime import datetime

from integrations.sandbox.registry.storage import Storage, digest_of

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def build(storage: Storage, *, tag: str, revision: str, source: str, created: datetime) -> bytes:
    """Store the blobs of a new image and return its manifest.

    `created` has microseconds, so that two builds of one commit differ as real ones do.
    """
    layer, plain = _layer(f"{revision}\n{created.isoformat()}\n".encode())
    # The same in label, configuration and annotation: readers differ in which one they trust.
    moment = created.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    labels = {
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.version": tag,
        "org.opencontainers.image.created": moment,
        "org.opencontainers.image.source": source,
    }
    config = _encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": moment,
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Cmd": ["flask", "run", "--host", "0.0.0.0"],
                # A build that sets no label leaves the key out; an empty one would count as known.
                "Labels": {key: value for key, value in labels.items() if value},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]},
            "history": [{"created": moment, "created_by": "COPY . /app"}],
        }
    )
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(storage, CONFIG_TYPE, config),
            "layers": [_descriptor(storage, LAYER_TYPE, layer)],
            "annotations": {"org.opencontainers.image.created": moment},
        }
    )


def _layer(content: bytes) -> tuple[bytes, bytes]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        entry = tarfile.TarInfo("app/BUILD")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    # Without a time in it the same content has the same digest.
    return gzip.compress(plain.getvalue(), mtime=0), plain.getvalue()


def _descriptor(storage: Storage, media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": storage.add_blob(content), "size": len(content)}


def _encode(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
