"""Too much, too slow, too many, and a database that is gone: the sender hears it and may come again."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from promotions.choices import Vendor
from promotions.models import Delivery
from promotions.webhooks.receiver import LARGEST
from tests.system import wait_for
from tests.webhooks.conftest import SECRET, Proxy, Sender, Serve, make_source

MIB = 2**20


class Raw:
    """A sender that speaks HTTP by hand, and as badly as it likes."""

    def __init__(self, sender: Sender, *headers: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", sender.served.port), timeout=20)
        name = "X-Gitlab-Token" if sender.vendor == Vendor.GITLAB else "Authorization"
        lines = [f"POST {sender.source.path} HTTP/1.1", "Host: x", f"{name}: {SECRET}", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self) -> tuple[int, bool]:
        """Return the status, and whether the server then closed the connection."""
        data = b""
        while b"\r\n\r\n" not in data and (more := self.socket.recv(4096)):
            data += more
        status = int(data.split()[1])
        closes = b"connection: close" in data.lower()
        assert not closes or self.socket.recv(4096) == b""
        self.socket.close()
        return status, closes


def test_a_body_declared_too_large_is_413_before_a_byte_of_it_is_read(sender: Sender) -> None:
    raw = Raw(sender, f"Content-Length: {LARGEST[sender.vendor] + 1}")
    assert raw.answer() == (413, True)
    assert sender.deliveries() == []


def test_26_mib_are_too_much_even_from_gitlab(gitlab: Sender) -> None:
    """Reference webhook-security.md, test list: 26 MiB body (GitLab's own limit is 25)."""
    assert Raw(gitlab, f"Content-Length: {26 * MIB}").answer() == (413, True)


@pytest.mark.parametrize("vendor", [Vendor.HARBOR, Vendor.DISTRIBUTION])
def test_a_chunked_body_that_grows_too_large_is_413(gitlab: Sender, vendor: Vendor) -> None:
    sender = Sender(make_source(vendor), gitlab.served)
    raw = Raw(sender, "Transfer-Encoding: chunked")
    for _ in range(LARGEST[vendor] // MIB):
        raw.chunk(b"x" * MIB)
    raw.chunk(b"x")
    assert raw.answer() == (413, True)
    assert Delivery.objects.count() == 0


def test_a_body_of_exactly_the_cap_is_taken(gitlab: Sender) -> None:
    sender = Sender(make_source(Vendor.HARBOR), gitlab.served)
    assert sender.post(b"x" * LARGEST[Vendor.HARBOR]).status_code == 202


def test_a_sender_that_stalls_is_408_and_others_are_served_meanwhile(serving: Serve) -> None:
    sender = Sender(make_source(Vendor.GITLAB), serving(slowest_body=0.5))
    raw = Raw(sender, "Content-Length: 100")
    raw.send(b'{"object_kind"')
    assert sender.post().status_code == 202
    assert raw.answer() == (408, True)


def test_a_sender_that_hangs_up_half_way_leaves_nothing(gitlab: Sender) -> None:
    raw = Raw(gitlab, "Content-Length: 100")
    raw.send(b'{"object_kind"')
    raw.socket.close()
    assert gitlab.post().status_code == 202
    assert len(gitlab.deliveries()) == 1


def test_bodies_that_together_would_fill_the_memory_are_503_until_there_is_room(serving: Serve) -> None:
    sender = Sender(make_source(Vendor.GITLAB), serving(most_held=MIB))
    first = Raw(sender, f"Content-Length: {MIB}")
    first.send(b"x" * (MIB - 1))
    wait_for(lambda: sender.served.receiver.held, lambda held: held == MIB - 1, what="the first body")
    busy = sender.post(b"y" * 1000)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    first.send(b"x")
    assert first.answer() == (202, False)
    assert sender.post(b"z" * 1000).status_code == 202


def test_a_full_queue_is_503_with_retry_after_and_empties_by_itself(serving: Serve, proxy: Proxy) -> None:
    """Test list: queue full."""
    sender = Sender(make_source(Vendor.HARBOR), serving(proxy.parameters(), longest_queue=2, patience=1.0))
    assert sender.post(b"{}").status_code == 202
    proxy.is_silent = True
    proxy.break_connections()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: sender.post(b"%d" % number), range(8)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == len(answers)
    assert {answer.headers["retry-after"] for answer in refused} == {"5"}
    assert min(answer.elapsed.total_seconds() for answer in refused) < 0.5, "a full queue is told at once"
    proxy.mend()
    proxy.break_connections()
    assert sender.post(b"[]").status_code == 202


def test_a_database_that_is_down_is_503_and_the_first_delivery_after_it_is_kept(
    serving: Serve, proxy: Proxy
) -> None:
    """Test list: database down (then 503, not 200)."""
    sender = Sender(make_source(Vendor.HARBOR), serving(proxy.parameters(), patience=1.0))
    assert sender.post(b"{}").status_code == 202
    proxy.cut()
    for body in (b"[1]", b"[2]"):
        answer = sender.post(body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    proxy.mend()
    assert sender.post(b"[3]").status_code == 202
    assert [bytes(delivery.body) for delivery in sender.deliveries()] == [b"{}", b"[3]"]


def test_connections_that_died_with_a_restarted_database_cost_no_delivery(
    serving: Serve, proxy: Proxy
) -> None:
    sender = Sender(make_source(Vendor.HARBOR), serving(proxy.parameters(), patience=2.0))
    assert sender.post(b"{}").status_code == 202
    proxy.break_connections()
    assert sender.post(b"[]").status_code == 202


def test_a_database_that_does_not_answer_is_503_before_the_sender_gives_up(
    serving: Serve, proxy: Proxy
) -> None:
    sender = Sender(make_source(Vendor.HARBOR), serving(proxy.parameters(), patience=0.5))
    assert sender.post(b"{}").status_code == 202
    proxy.is_silent = True
    began = time.monotonic()
    assert sender.post(b"[]").status_code == 503
    assert time.monotonic() - began < 2


def test_many_at_once_are_all_kept_and_equal_ones_once(gitlab: Sender) -> None:
    bodies = [b'{"n": %d}' % (number % 60) for number in range(120)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: gitlab.post(body).status_code, bodies))
    assert answers == [202] * 120
    deliveries = gitlab.deliveries()
    assert {bytes(delivery.body) for delivery in deliveries} == set(bodies)
    assert [delivery.duplicates for delivery in deliveries] == [1] * 60


def test_two_web_processes_with_the_same_duplicates_do_not_lock_each_other_out(serving: Serve) -> None:
    first = Sender(make_source(Vendor.HARBOR), serving())
    second = Sender(first.source, serving())
    bodies = [b"[%d]" % number for number in range(40)]
    statuses: list[int] = []

    def send(sender: Sender, order: list[bytes]) -> None:
        with ThreadPoolExecutor(8) as pool:
            statuses.extend(pool.map(lambda body: sender.post(body).status_code, order))

    threads = [
        threading.Thread(target=send, args=(first, bodies)),
        threading.Thread(target=send, args=(second, bodies[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [202] * 80
    assert len(first.deliveries()) == 40
