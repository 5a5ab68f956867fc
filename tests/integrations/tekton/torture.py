"""An API server that misbehaves: the cases of reference kubernetes-watch.md sections 1, 2 and 5."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.integrations.loopback import Answer, Exchange, Loopback

RUNS = "/apis/tekton.dev/v1/namespaces/ci/pipelineruns"
EXPIRED = {
    "kind": "Status",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "too old resource version",
}


def item(name: str, version: int, **status: object) -> dict[str, object]:
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": name, "namespace": "ci", "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {},
        "status": status,
    }


def listed(version: int, *items: dict[str, object], more: str = "") -> Answer:
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return Answer({"kind": "PipelineRunList", "metadata": metadata, "items": list(items)})


def line(kind: str, obj: object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return line("BOOKMARK", {"kind": "PipelineRun", "metadata": {"resourceVersion": str(version)}})


def watch(*chunks: bytes, end: str = "eof") -> Callable[[Exchange], None]:
    """Headers at once, then the chunks, then an orderly end, a cut, or silence."""

    def handler(exchange: Exchange) -> None:
        exchange.start(headers={"Content-Type": "application/json"})
        for chunk in chunks:
            exchange.send(chunk)
        if end == "eof":
            exchange.end()
        elif end == "cut":
            exchange.cut()
        else:
            exchange.stall()

    return handler


def lasting(*chunks: bytes) -> Callable[[Exchange], None]:
    """A watch that ends by itself, but not at once."""

    def handler(exchange: Exchange) -> None:
        exchange.start()
        for chunk in chunks:
            exchange.send(chunk)
        exchange.stopping.wait(1.05)
        exchange.end()

    return handler


class Script:
    """Lists and watches of one collection, each given in order; the last one for ever."""

    def __init__(self, server: Loopback) -> None:
        self._lists: list[Answer] = []
        self._watches: list[Callable[[Exchange], None] | Answer] = []
        self.asked: list[dict[str, str]] = []
        server.on("GET", RUNS, self._serve)

    def lists(self, *answers: Answer) -> Script:
        self._lists = list(answers)
        return self

    def watches(self, *replies: Callable[[Exchange], None] | Answer) -> Script:
        self._watches = list(replies)
        return self

    @property
    def watched_from(self) -> list[str]:
        return [query["resourceVersion"] for query in self.asked if "watch" in query]

    def _serve(self, exchange: Exchange) -> None:
        query = dict(exchange.request.query)
        self.asked.append(query)
        queue: list[object] = self._watches if "watch" in query else self._lists  # type: ignore[assignment]
        reply = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(reply, Answer):
            exchange.answer(reply)
        else:
            assert callable(reply)
            reply(exchange)
