"""Container logs: kept per pod while the pod exists, served as the kubelet does (tekton-api.md section 6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from integrations.sandbox.faults import stream_fault
from integrations.sandbox.kubernetes import answers
from integrations.sandbox.kubernetes.kinds import POD
from integrations.sandbox.kubernetes.objects import Objects

Object = dict[str, Any]
Line = tuple[str, str]
TICK = 0.05


class Logs:
    """The lines of every container, by pod."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.world = objects.world
        self.state: dict[str, dict[str, list[Line]]] = self.world.store("kubernetes").setdefault("logs", {})

    def write(self, namespace: str, pod: str, container: str, text: str) -> None:
        """Append a line, stamped with nanoseconds as containerd does."""
        moment = self.world.now().strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        self.state.setdefault(f"{namespace}/{pod}", {}).setdefault(container, []).append((moment, text))
        self.world.touch()

    def forget(self, namespace: str, pod: str) -> None:
        self.state.pop(f"{namespace}/{pod}", None)

    def lines(self, namespace: str, pod: str, container: str) -> list[Line]:
        return self.state.get(f"{namespace}/{pod}", {}).get(container, [])

    def response(self, namespace: str, name: str, query: QueryParams) -> Response:
        """Answer `pods/NAME/log`; raise the 400s of a wrong, unnamed or not yet started container."""
        pod = self.objects.get(POD, namespace, name)
        container = _container(pod, query.get("container", ""))
        # 400, not 404: the reader tries again until the step runs (tekton-api.md section 6).
        if "waiting" in _state(pod, container):
            raise answers.bad_request(
                f'container "{container}" in pod "{name}" is waiting to start: PodInitializing'
            )
        if query.get("follow") in ("true", "1", "True"):
            return StreamingResponse(self._follow(namespace, name, container, query), media_type="text/plain")
        chosen = _selected(self.lines(namespace, name, container), query)
        body = b"".join(_render(line, query) for line in chosen)
        # Cut in the middle of a line, or of a letter.
        limit = int(query.get("limitBytes") or len(body))
        return Response(body[:limit], media_type="text/plain")

    async def _follow(
        self, namespace: str, pod: str, container: str, query: QueryParams
    ) -> AsyncIterator[bytes]:
        sent = 0
        chosen = _selected(self.lines(namespace, pod, container), query)
        # What tail and since left out is not sent later either.
        skipped = len(self.lines(namespace, pod, container)) - len(chosen)
        while not self.objects.closed and stream_fault(self.world, "kubernetes") not in ("drop", "refuse"):
            found = self.objects.find(POD, namespace, pod)
            running = found is not None and "running" in _state(found, container)
            if stream_fault(self.world, "kubernetes") is None:
                for line in self.lines(namespace, pod, container)[skipped + sent :]:
                    sent += 1
                    yield _render(line, query)
                # The end of the container is the end of the stream; so is any hiccup on the way, so readers
                # ask again.
                if not running:
                    return
            await asyncio.sleep(TICK)


def _container(pod: Object, asked: str) -> str:
    main = [c["name"] for c in pod["spec"]["containers"]]
    init = [c["name"] for c in pod["spec"].get("initContainers", [])]
    name = pod["metadata"]["name"]
    if asked and asked not in main + init:
        raise answers.bad_request(f"container {asked} is not valid for pod {name}")
    # One container needs no name; Tekton's pods nearly always have more.
    if asked or len(main) == 1:
        return asked or str(main[0])
    choices = f"choose one of: [{' '.join(main)}]"
    if init:
        choices += f" or one of the init containers: [{' '.join(init)}]"
    raise answers.bad_request(f"a container name must be specified for pod {name}, {choices}")


def _state(pod: Object, container: str) -> Object:
    status = pod.get("status", {})
    states = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
    waiting: Object = {"waiting": {"reason": "PodInitializing"}}
    return next((s["state"] for s in states if s["name"] == container), waiting)


def _selected(lines: list[Line], query: QueryParams) -> list[Line]:
    since = query.get("sinceTime", "")
    if query.get("sinceSeconds"):
        moment = datetime.fromtimestamp(time.time(), UTC) - timedelta(seconds=int(query["sinceSeconds"]))
        since = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if since:
        # Whole seconds: a reader that reconnects sees the last second's lines again.
        start = datetime.fromisoformat(since).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        lines = [line for line in lines if line[0] >= start]
    tail = query.get("tailLines")
    return lines if tail is None else lines[max(0, len(lines) - int(tail)) :]


def _render(line: Line, query: QueryParams) -> bytes:
    moment, text = line
    stamped = query.get("timestamps") in ("true", "1", "True")
    return (f"{moment} {text}\n" if stamped else f"{text}\n").encode()
