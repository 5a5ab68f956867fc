"""How many webhooks a second are kept, against a psycopg loop that inserts one row per transaction.

    python tests/bench/bench_webhooks.py

Both write the same rows to the same PostgreSQL, which flushes to disk, in the same run. Prints one line.
"""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

import psycopg
from served import SECRET, database, now, web

BODY = (Path(__file__).parents[1] / "fixtures/gitlab/webhook-push-branch.json").read_bytes()
CONNECTIONS, SECONDS, ROUNDS = 32, 3.0, 3
INSERT = """
INSERT INTO promotions_delivery
    (source_id, dedupe_key, headers, body, received_at, kind, summary, outcome, message, attempts, duplicates)
VALUES (%s, %s, '{}', %s, now(), '', '', 'pending', '', 0, 0) ON CONFLICT DO NOTHING
"""


async def send(port: int, path: str, prefix: str, until: float, took: list[float]) -> None:
    """Post over one kept connection until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while now() < until:
        number += 1
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: {SECRET}\r\nX-Gitlab-Event: Push Hook\r\n"
            f"Idempotency-Key: {prefix}-{number}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        began = now()
        writer.write(head.encode() + BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 202 " in answer[:20], answer
        took.append(now() - began)
    writer.close()
    await writer.wait_closed()


def receiver(port: int, path: str, round_: int) -> tuple[float, float]:
    """Return deliveries a second and the 99th percentile in milliseconds."""
    took: list[float] = []

    async def everybody() -> None:
        until = now() + SECONDS
        await asyncio.gather(*(send(port, path, f"{round_}-{n}", until, took) for n in range(CONNECTIONS)))

    began = now()
    asyncio.run(everybody())
    return len(took) / (now() - began), statistics.quantiles(took, n=100)[-1] * 1000


def loop(url: str, source: str, round_: int) -> float:
    """Return rows a second of the baseline."""
    count, began = 0, now()
    with psycopg.connect(url, autocommit=True) as connection:
        while now() - began < SECONDS:
            count += 1
            connection.execute(INSERT, [source, f"loop-{round_}-{count}", BODY])
    return count / (now() - began)


def main() -> None:
    with database() as url:
        from promotions.models import Connection, WebhookSource

        owner = Connection.objects.create(slug="gitlab", vendor="gitlab", url="http://127.0.0.1:9")
        source = WebhookSource.objects.create(connection=owner, tokens=["env:HOOK_SECRET"])
        with web() as (port, _pid):
            rounds = [(receiver(port, source.path, n), loop(url, str(source.pk), n)) for n in range(ROUNDS)]
    rate = statistics.median(each[0][0] for each in rounds)
    slowest = statistics.median(each[0][1] for each in rounds)
    baseline = statistics.median(each[1] for each in rounds)
    print(
        f"webhooks: {rate / baseline:.2f} times a one-row-per-transaction loop"
        f" ({rate:.0f} to {baseline:.0f} a second, p99 {slowest:.0f} ms, {CONNECTIONS} connections)"
    )


if __name__ == "__main__":
    main()
