"""What a run built and from which commit (reference tekton-api.md sections 8 and 9)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from integrations.images import is_digest, parse_image
from integrations.shape import mapping, text
from integrations.tekton.types import BuiltImage, TaskRun

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Pairs of result names by suffix; whatever stands in front belongs to both.
_PAIRS = (("IMAGE_URL", "IMAGE_DIGEST"), ("ARTIFACT_URI", "ARTIFACT_DIGEST"))


def images_of(results: Mapping[str, str]) -> list[BuiltImage]:
    """The images that results name by Chains' type hints, each once, in the order of the results.

    Only those with a digest: a tag alone does not tell which build it was. Anything else is left out.
    """
    found: dict[tuple[str, str], BuiltImage] = {}
    for url, digest in _named(results):
        image = _image(url.strip(), digest.strip())
        if image is not None:
            found.setdefault((image.repository, image.digest), image)
    return list(found.values())


def _named(results: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(url, digest) of every hint; Tekton keeps values verbatim, final newline included."""
    for name, value in results.items():
        for url_suffix, digest_suffix in _PAIRS:
            if name.endswith(url_suffix):
                yield value, results.get(name.removesuffix(url_suffix) + digest_suffix, "")
        if name == "IMAGES":
            for entry in re.split(r"[,\n]", value):
                url, _, digest = entry.strip().partition("@")
                yield url, digest
        if name.endswith("ARTIFACT_OUTPUTS"):
            yield _output(value)


def _output(value: str) -> tuple[str, str]:
    try:
        data = mapping(json.loads(value))
    except (ValueError, RecursionError):
        return "", ""
    return text(data.get("uri")), text(data.get("digest"))


def _image(url: str, digest: str) -> BuiltImage | None:
    try:
        name = parse_image(url)
    except ValueError:
        return None
    digest = digest.lower() or name.digest
    return BuiltImage(repository=name.name, tag=name.tag, digest=digest) if is_digest(digest) else None


def commit_of(task_runs: Iterable[TaskRun]) -> str | None:
    """The commit a run worked on: Chains' CHAINS-GIT_COMMIT, else git-clone's `commit`, of the earliest
    task that tells one. None when nobody does."""
    ordered = sorted(
        task_runs, key=lambda run: run.started_at.timestamp() if run.started_at else float("inf")
    )
    for name in ("CHAINS-GIT_COMMIT", "commit"):
        for run in ordered:
            value = run.results.get(name, "").strip().lower()
            if _COMMIT.fullmatch(value):
                return value
    return None
