"""Write deliveries in batches: one transaction and one flush for all that arrive at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

log = structlog.get_logger(__name__)

LARGEST_BATCH = 256
LONGEST_QUEUE = 2048
# Seconds to wait for the database. GitLab gives up after ten; a 503 in time says when to come again.
PATIENCE = 5.0
_SOURCE_KEPT = 5.0

_INSERT = """
INSERT INTO promotions_delivery
    (source_id, dedupe_key, headers, body, received_at, kind, summary, outcome, message, attempts, duplicates)
VALUES (%s, %s, %s, %s, now(), '', '', 'pending', '', 0, 0)
ON CONFLICT (source_id, dedupe_key) DO UPDATE SET duplicates = promotions_delivery.duplicates + 1
"""
# The same job twice is one job: a waiting one is enough, however many deliveries it will find.
_WAKE = """
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW('default', 'promotions.process_deliveries', 0, NULL, 'deliveries', '{}', NULL)
    ::procrastinate_job_to_defer_v1])
"""
_SOURCE = """
SELECT s.id::text, c.vendor, s.tokens, s.signing_tokens FROM promotions_webhooksource s
JOIN promotions_connection c ON c.id = s.connection_id WHERE s.id = %s
"""
_REFUSED = """
UPDATE promotions_webhooksource SET refused_count = refused_count + 1, last_refused_at = now() WHERE id = %s
"""


class Full(Exception):
    """More deliveries wait than we may hold in memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """Secrets are references here; they are resolved at each use."""

    id: str
    vendor: str
    tokens: tuple[str, ...]
    signing_tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    source: str
    dedupe_key: str
    headers: dict[str, str]
    body: bytes


Value = TypeVar("Value")
_Waiting = tuple[Receipt, asyncio.Future[None]]


class BatchWriter:
    """Owned by one event loop. `keep` returns once the receipt is committed."""

    def __init__(
        self, database: dict[str, Any], *, longest_queue: int = LONGEST_QUEUE, patience: float = PATIENCE
    ) -> None:
        self._database = database
        self._patience = patience
        self._pool: AsyncConnectionPool | None = None
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(longest_queue)
        self._task: asyncio.Task[None] | None = None
        self._sources: dict[str, tuple[float, Source]] = {}
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def _connections(self) -> AsyncConnectionPool:
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                kwargs={**self._database, "autocommit": True},
                min_size=0,
                max_size=2,
                open=False,
                timeout=self._patience,
                # A connection that died with the server must not cost a delivery when the server is back.
                check=AsyncConnectionPool.check_connection,
                # Else the pool doubles its pauses, and finds a server that is back only minutes later.
                reconnect_timeout=0.5,
            )
            await self._pool.open()
        return self._pool

    async def source(self, source_id: str) -> Source | None:
        """Return a source, at most a few seconds old."""
        kept = self._sources.get(source_id)
        if kept is not None and time.monotonic() - kept[0] < _SOURCE_KEPT:
            return kept[1]
        row = await self._bounded(self._execute(_SOURCE, source_id))
        # Ids that don't exist are not remembered: guessing them must not fill the memory.
        if row is None:
            self._sources.pop(source_id, None)
            return None
        found = Source(row[0], row[1], tuple(row[2]), tuple(row[3]))
        self._sources[source_id] = (time.monotonic(), found)
        return found

    async def refused(self, source_id: str) -> None:
        """Count a wrong secret; its body is not kept."""
        await self._bounded(self._execute(_REFUSED, source_id))

    async def _execute(self, query: LiteralString, source_id: str) -> tuple[Any, ...] | None:
        pool = await self._connections()
        async with pool.connection() as connection:
            cursor = await connection.execute(query, [source_id])
            return await cursor.fetchone() if cursor.description else None

    async def _bounded(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Wait for the database, but not for psycopg's tidying when it hangs: that takes several seconds.

        Raises TimeoutError.
        """
        task = asyncio.create_task(work)
        done, _waiting = await asyncio.wait({task}, timeout=self._patience)
        if done:
            return task.result()
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        raise TimeoutError

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the database answered too late", error=str(error))

    async def keep(self, receipt: Receipt) -> None:
        """Commit the receipt, together with whatever else waits. Raises Full and psycopg.Error."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_for_ever(), name="webhook writer")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((receipt, written))
        except asyncio.QueueFull as error:
            raise Full from error
        await written

    async def _write_for_ever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < LARGEST_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._write(batch)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Commit a batch; what the database refuses in it is found by writing one at a time."""
        try:
            await self._bounded(self._commit([receipt for receipt, _future in batch]))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(batch) == 1:
                _answer(batch, error)
            for waiting in batch if len(batch) > 1 else ():
                await self._write([waiting])
        except Exception as error:
            # The outermost loop: whatever it was, nobody may wait for an answer that never comes.
            if not isinstance(error, psycopg.Error | OSError):
                log.exception("a batch of webhooks could not be written")
            _answer(batch, error)
        else:
            _answer(batch, None)

    async def _commit(self, receipts: Sequence[Receipt]) -> None:
        # The same order everywhere: two workers with the same duplicates must not wait for each other.
        ordered = sorted(receipts, key=lambda receipt: (receipt.source, receipt.dedupe_key))
        rows = [(r.source, r.dedupe_key, json.dumps(r.headers), r.body) for r in ordered]
        pool = await self._connections()
        async with pool.connection() as connection:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(_INSERT, rows)
            # What is committed is kept: a sweep finds it, should waking the workers fail.
            try:
                await connection.execute(_WAKE)
            except psycopg.errors.UniqueViolation:
                log.debug("processing is queued already")
            except psycopg.Error as error:
                log.warning("the workers could not be woken", error=str(error))

    async def close(self) -> None:
        """Stop writing and give the connections back."""
        if self._task is not None:
            self._task.cancel()
            # Until it has given its connection back: the pool closes only what it has.
            await asyncio.wait([self._task])
        while not self._queue.empty():
            _answer([self._queue.get_nowait()], Full())
        if self._pool is not None:
            await self._pool.close()


def _answer(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for _receipt, written in batch:
        if written.done():  # the one who waited is gone
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
