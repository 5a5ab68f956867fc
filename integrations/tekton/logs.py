"""A step's log (reference tekton-api.md section 6)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from integrations.errors import IntegrationError, Rejected, Unavailable
from integrations.http import shut_down_on
from integrations.shape import moment
from integrations.tekton.cluster import Cluster, lines, socket_of
from integrations.tekton.types import LogLine

# A rotated log is answered with 200 and this sentence (dashboard #3562): not the step's output.
_LOST = "unable to retrieve container logs for "
_RECONNECTS = 5


def read_log(
    cluster: Cluster,
    pod: str,
    container: str,
    *,
    follow: bool,
    since: datetime | None,
    stop: threading.Event,
    wait: float,
    silence: float,
) -> Iterator[LogLine]:
    """The lines after `since`, see TektonClient.logs."""
    last = since
    attempts, waited = 0, 0.0
    while not stop.is_set():
        try:
            for line in _once(cluster, pod, container, follow=follow, last=last, stop=stop, silence=silence):
                last, attempts = line.at or last, 0
                yield line
            return
        except Rejected as error:
            if not _is_waiting(error):
                raise
            if not follow or waited >= wait:
                return  # not begun: no log yet
            waited += _pause(stop, 0.5)
        except Unavailable:
            attempts += 1
            if stop.is_set():
                return
            if not follow or attempts > _RECONNECTS:
                raise
            _pause(stop, 0.5 * attempts)


def _once(
    cluster: Cluster,
    pod: str,
    container: str,
    *,
    follow: bool,
    last: datetime | None,
    stop: threading.Event,
    silence: float,
) -> Iterator[LogLine]:
    query = {
        "container": container,
        "follow": follow or None,
        "timestamps": True,
        # Whole seconds only, so what was seen already comes again and is dropped below.
        "sinceTime": last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if last else None,
    }
    with cluster.log(pod, query, read_timeout=silence) as answer, shut_down_on(stop, socket_of(answer)):
        for raw in lines(answer, keep_rest=True):
            line = log_line(raw)
            if line.at is None and line.text.startswith(_LOST):
                return
            if last is None or line.at is None or line.at > last:
                yield line


def log_line(raw: bytes) -> LogLine:
    """One line with its kubelet timestamp in front; NUL bytes are replaced, PostgreSQL takes none."""
    text = raw.decode("utf-8", "replace").replace("\x00", "�").rstrip("\r")
    stamp, _, rest = text.partition(" ")
    at = moment(stamp) if "T" in stamp else None
    return LogLine(at, rest) if at else LogLine(None, text)


def _is_waiting(error: IntegrationError) -> bool:
    return error.status == 400 and "is waiting to start" in error.message


def _pause(stop: threading.Event, seconds: float) -> float:
    stop.wait(seconds)
    return seconds
