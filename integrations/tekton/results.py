"""What a run built and from which commit (reference tekton-api.md section 8). Contract: bodies follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from integrations.tekton.types import BuiltImage, TaskRun


def images_of(results: Mapping[str, str]) -> list[BuiltImage]:
    raise NotImplementedError


def commit_of(task_runs: Iterable[TaskRun]) -> str | None:
    raise NotImplementedError
