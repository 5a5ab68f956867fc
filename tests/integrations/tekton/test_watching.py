"""The watch loop against a server that misbehaves (kubernetes-watch.md sections 1, 2 and 4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from integrations.errors import NotFound, Unauthorized, Unavailable
from integrations.http import Retry
from integrations.tekton.client import TektonClient
from integrations.tekton.types import Alive, Changed, Deleted, Listed, PipelineRun, Troubled
from integrations.tekton.watching import Pace
from tests.integrations.loopback import Answer, Loopback, fixture, raw_fixture
from tests.integrations.tekton.torture import (
    EXPIRED,
    RUNS,
    Script,
    bookmark,
    item,
    lasting,
    line,
    listed,
    watch,
)

Event = Listed[PipelineRun] | Changed[PipelineRun] | Deleted[PipelineRun] | Alive | Troubled
QUICK = Pace(watch=1.0, slack=0.3, first_pause=0.01, longest_pause=0.02, lasting=0.03)
QUIET = watch(end="stall")


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def tekton(server: Loopback, retry: Retry) -> Iterator[TektonClient]:
    client = TektonClient(server.url, "very-secret", namespace="ci", timeout=2.0, retry=retry, pace=QUICK)
    yield client
    client.close()


@pytest.fixture
def script(server: Loopback) -> Script:
    return Script(server).lists(listed(100, item("a", 90)))


def first(
    tekton: TektonClient, stop: threading.Event, count: int, relist_every: float = 600.0
) -> list[Event]:
    events = tekton.watch("pipelineruns", stop=stop, relist_every=relist_every)
    found: list[Event] = [next(events) for _ in range(count)]
    stop.set()
    events.close()  # type: ignore[attr-defined]
    return found


def told(events: list[Event]) -> list[str]:
    words = []
    for event in events:
        if isinstance(event, Listed):
            words.append(f"listed {','.join(run.name for run in event.items)}@{event.resource_version}")
        elif isinstance(event, Changed | Deleted):
            words.append(f"{type(event).__name__.lower()} {event.item.name}@{event.item.resource_version}")
        else:
            words.append(type(event).__name__.lower())
    return words


def test_a_list_comes_first_and_the_watch_starts_at_its_version(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.watches(
        watch(
            line("ADDED", item("b", 101)),
            line("MODIFIED", item("b", 102)),
            line("DELETED", item("a", 103)),
            end="stall",
        )
    )
    assert told(first(tekton, stop, 4)) == ["listed a@100", "changed b@101", "changed b@102", "deleted a@103"]
    query = script.asked[1]
    assert (query["resourceVersion"], query["allowWatchBookmarks"], query["watch"]) == ("100", "true", "true")
    assert query["timeoutSeconds"] == "1"


def test_a_list_is_read_over_all_its_pages(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.lists(listed(100, item("a", 90), more="token"), listed(100, item("b", 91))).watches(QUIET)
    assert told(first(tekton, stop, 1)) == ["listed a,b@100"]
    assert [query.get("continue") for query in script.asked[:2]] == [None, "token"]
    assert script.asked[0]["limit"] == "500"


def test_an_expired_page_starts_the_list_over(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.lists(listed(100, item("a", 90), more="t"), Answer(EXPIRED, status=410), listed(120, item("c", 1)))
    script.watches(QUIET)
    assert told(first(tekton, stop, 1)) == ["listed c@120"]


def test_an_orderly_end_goes_on_from_the_last_version(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.watches(
        lasting(line("ADDED", item("b", 105)), bookmark(110)),
        watch(line("ADDED", item("c", 111)), end="stall"),
    )
    events = told(first(tekton, stop, 5))
    assert events == ["listed a@100", "changed b@105", "alive", "alive", "changed c@111"]
    assert script.watched_from == ["100", "110"]


@pytest.mark.parametrize(
    "expired",
    [
        Answer(EXPIRED, status=410),
        watch(line("ERROR", EXPIRED)),
        watch(raw_fixture("tekton/watch-expired.ndjson")),
        watch(line("ERROR", {**EXPIRED, "reason": "Gone"})),
    ],
)
def test_410_in_both_forms_lists_again_at_once(
    expired: Answer, script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.lists(listed(100, item("a", 90)), listed(200, item("z", 190))).watches(expired, QUIET)
    assert told(first(tekton, stop, 2)) == ["listed a@100", "listed z@200"]
    assert script.watched_from[:1] == ["100"]


def test_410_for_ever_does_not_spin(script: Script, tekton: TektonClient, stop: threading.Event) -> None:
    script.watches(Answer(EXPIRED, status=410))
    assert "troubled" in told(first(tekton, stop, 3))


def test_a_cut_in_the_middle_of_a_line_loses_nothing(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    whole = line("ADDED", item("b", 101)) + line("ADDED", item("c", 102))
    script.watches(watch(whole[:-30], end="cut"), watch(line("ADDED", item("c", 102)), end="stall"))
    events = first(tekton, stop, 4)
    assert told(events) == ["listed a@100", "changed b@101", "troubled", "changed c@102"]
    assert script.watched_from == ["100", "101"]
    assert isinstance(events[2], Troubled)
    assert isinstance(events[2].error, Unavailable)


def test_a_silent_connection_is_given_up_after_the_read_timeout(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    """Pitfall 16: the client's own Watch blocks for ever here."""
    script.watches(QUIET, watch(line("ADDED", item("b", 101)), end="stall"))
    began = time.monotonic()
    assert told(first(tekton, stop, 3)) == ["listed a@100", "troubled", "changed b@101"]
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    "bad",
    [
        b"{half\n",
        b"[]\n",
        b'"x"\n',
        b'{"type":"ADDED"}\n',
        b'{"type":"ADDED","object":[]}\n',
        b'{"type":"NEW","object":{"metadata":{"uid":"u","resourceVersion":"1"}}}\n',
        b'{"object":{}}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        line("BOOKMARK", {"metadata": None}),
    ],
)
def test_a_malformed_line_lists_again(
    bad: bytes, script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.lists(listed(100, item("a", 90)), listed(200, item("z", 190))).watches(
        watch(bad, end="stall"), QUIET
    )
    assert told(first(tekton, stop, 2)) == ["listed a@100", "listed z@200"]


def test_empty_lines_are_nothing(script: Script, tekton: TektonClient, stop: threading.Event) -> None:
    script.watches(watch(b"\n\r\n", line("ADDED", item("b", 101)), end="stall"))
    assert told(first(tekton, stop, 2)) == ["listed a@100", "changed b@101"]


def test_an_event_sent_again_is_told_once(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    again = line("MODIFIED", item("b", 101))
    script.watches(
        watch(line("ADDED", item("a", 90)), again, again, line("MODIFIED", item("b", 102)), end="stall")
    )
    assert told(first(tekton, stop, 3)) == ["listed a@100", "changed b@101", "changed b@102"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_ends_the_watch(
    status: int, script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    """A person must act; reconnecting would only flood the server."""
    script.watches(Answer({"kind": "Status", "message": "Unauthorized", "code": status}, status=status))
    events = tekton.watch("pipelineruns", stop=stop)
    assert isinstance(next(events), Listed)
    with pytest.raises(Unauthorized):
        next(events)


def test_401_inside_a_stream_ends_the_watch(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.watches(watch(line("ERROR", {"code": 401, "message": "Unauthorized", "reason": "Unauthorized"})))
    events = tekton.watch("pipelineruns", stop=stop)
    next(events)
    with pytest.raises(Unauthorized):
        next(events)


def test_a_missing_crd_is_told_and_waited_for(
    server: Loopback, tekton: TektonClient, stop: threading.Event
) -> None:
    """kubernetes-watch.md section 1: 404 in plain text, not a Status."""
    server.on(
        "GET", ".*", Answer(b"404 page not found\n", status=404, headers={"Content-Type": "text/plain"})
    )
    (event,) = first(tekton, stop, 1)
    assert isinstance(event, Troubled)
    assert isinstance(event.error, NotFound)
    assert event.retry_in == QUICK.lasting


def test_an_old_tekton_is_asked_in_its_own_version(server: Loopback, tekton: TektonClient) -> None:
    """tekton-api.md section 1."""
    server.on("GET", RUNS, Answer(b"404 page not found\n", status=404))
    server.on("GET", RUNS.replace("/v1/", "/v1beta1/"), listed(5, item("a", 4)))
    assert [run.name for run in tekton.list_runs()[0]] == ["a"]


def test_a_busy_server_is_told_with_its_retry_after(
    server: Loopback, script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    entries = fixture("tekton/status-errors.json")
    assert isinstance(entries, list)
    busy = next(entry for entry in entries if entry["http"] == 429)
    script.watches(Answer(busy["body"], status=429, headers={"Retry-After": "1"}), QUIET)
    events = tekton.watch("pipelineruns", stop=stop)
    next(events)
    event = next(events)
    assert isinstance(event, Troubled)
    assert event.error.retry_after == 1.0


def test_a_watch_that_ends_at_once_does_not_spin(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    script.watches(watch())
    assert told(first(tekton, stop, 4)) == ["listed a@100", "troubled", "troubled", "troubled"]


def test_the_list_is_taken_anew_from_time_to_time(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    """A watch never tells about deletions during a gap (kubernetes-watch.md section 4)."""
    script.lists(listed(100, item("a", 90)), listed(101)).watches(lasting(bookmark(100)))
    events = told(first(tekton, stop, 4, relist_every=0.5))
    assert events == ["listed a@100", "alive", "alive", "listed @101"]


def test_stop_ends_a_quiet_watch_quickly(
    script: Script, server: Loopback, retry: Retry, stop: threading.Event
) -> None:
    tekton = TektonClient(server.url, "t", namespace="ci", retry=retry)  # the real pace: a minute of silence
    script.watches(watch(line("ADDED", item("b", 101)), end="stall"))
    events = tekton.watch("pipelineruns", stop=stop)
    assert isinstance(next(events), Listed)
    assert isinstance(next(events), Changed)
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    began = time.monotonic()
    assert list(events) == []
    assert time.monotonic() - began < 3.0
    timer.join()
    tekton.close()


def test_the_samples_of_the_reference_are_followed(
    script: Script, tekton: TektonClient, stop: threading.Event
) -> None:
    """fixtures/tekton/watch-pipelinerun-failed.ndjson: six lines, one a bookmark."""
    script.watches(watch(raw_fixture("tekton/watch-pipelinerun-failed.ndjson"), end="stall"))
    events = first(tekton, stop, 7)
    states = [event.item.status if isinstance(event, Changed) else type(event).__name__ for event in events]
    assert states == ["Listed", "pending", "running", "running", "running", "Alive", "failed"]


def test_the_token_is_demanded_and_sent(server: Loopback, tekton: TektonClient) -> None:
    """Pitfall 18: kubernetes 36.0.0 sent none."""
    server.on("GET", RUNS, listed(1))
    tekton.list_runs()
    assert server.requests[0].headers["authorization"] == "Bearer very-secret"
    assert "very-secret" not in repr(tekton)
