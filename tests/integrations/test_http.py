"""The HTTP seam: what it repeats, where it sends credentials, what it says (webhook-security.md, "SSRF")."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from integrations.errors import (
    Conflict,
    IntegrationError,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)
from integrations.http import (
    HttpClient,
    Retry,
    Vendor,
    error_for_status,
    message_of,
    parse_json,
    retry_after_of,
    same_origin,
)
from tests.integrations.loopback import Answer, Loopback

VENDOR = Vendor("argocd", "Argo CD")


@pytest.fixture
def client(server: Loopback, retry: Retry) -> Iterator[HttpClient]:
    made = HttpClient(
        VENDOR,
        server.url + "/",
        headers={"Authorization": "Bearer top-secret"},
        secrets=["top-secret"],
        timeout=1.0,
        retry=retry,
        max_bytes=1000,
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Rejected),
        (400, Rejected),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (408, Unavailable),
        (409, Conflict),
        (410, NotFound),
        (412, Conflict),
        (415, Rejected),
        (422, Rejected),
        (429, Unavailable),
        (500, Unavailable),
        (501, Rejected),
        (503, Unavailable),
    ],
)
def test_every_status_has_one_kind_of_error(status: int, kind: type[IntegrationError]) -> None:
    error = error_for_status(VENDOR, status, "two\nlines", retry_after=3.0)
    assert type(error) is kind
    assert (error.vendor, error.status, error.retry_after) == ("argocd", status, 3.0)
    assert error.message == f"Argo CD answered {status}: two lines"


def test_a_read_is_repeated_on_transient_failures_only(
    server: Loopback, client: HttpClient, pauses: list[float]
) -> None:
    server.on("GET", "/x", Answer(b"", 503), Answer(b"", 429, {"Retry-After": "1"}), Answer({"ok": 1}))
    assert client.read_json("/x") == {"ok": 1}
    assert len(pauses) == 2
    assert pauses[1] >= 1.0
    server.on("GET", "/y", Answer(b"", 404))
    with pytest.raises(NotFound):
        client.read("/y")
    assert len(pauses) == 2


def test_reading_gives_up_after_three_attempts(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer(b"", 500))
    with pytest.raises(Unavailable):
        client.read("/x")
    assert len(server.requests) == 3


def test_a_vendor_that_wants_long_pauses_is_not_waited_for(
    server: Loopback, client: HttpClient, pauses: list[float]
) -> None:
    server.on("GET", "/x", Answer(b"", 429, {"Retry-After": "600"}))
    with pytest.raises(Unavailable) as caught:
        client.read("/x")
    assert caught.value.retry_after == 600.0
    assert pauses == []


def test_a_write_is_sent_once(server: Loopback, client: HttpClient) -> None:
    server.on("POST", "/x", Answer(b"", 503))
    with pytest.raises(Unavailable):
        client.write("POST", "/x", content=b"{}")
    assert len(server.requests) == 1


def test_a_write_is_not_redirected(server: Loopback, client: HttpClient) -> None:
    server.on("POST", "/x", Answer(b"", 307, {"Location": "/y"}))
    with pytest.raises(Rejected):
        client.write("POST", "/x", content=b"{}")
    assert len(server.requests) == 1


def test_a_redirect_on_the_same_host_keeps_the_credentials(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer(b"", 302, {"Location": "/y?z=1"}))
    server.on("GET", "/y", Answer(b"here"))
    assert client.read("/x").content == b"here"
    assert server.requests[1].headers["authorization"] == "Bearer top-secret"
    assert server.requests[1].query == {"z": "1"}


def test_a_redirect_to_another_host_is_refused(
    server: Loopback, other_host: Loopback, client: HttpClient
) -> None:
    server.on("GET", "/x", Answer(b"", 302, {"Location": f"{other_host.url}/y"}))
    with pytest.raises(Rejected, match="redirects to another host"):
        client.read("/x")
    assert other_host.requests == []


def test_where_another_host_is_expected_it_gets_no_credentials(
    server: Loopback, other_host: Loopback, client: HttpClient
) -> None:
    server.on("GET", "/x", Answer(b"", 302, {"Location": f"{other_host.url}/y"}))
    other_host.on("GET", "/y", Answer(b"", 302, {"Location": f"{other_host.url}/z"}))
    other_host.on("GET", "/z", Answer(b"blob"))
    extra = {"Authorization": "Bearer other-secret", "Accept": "text/x"}
    assert client.read("/x", headers=extra, cross_host=True).content == b"blob"
    assert all("authorization" not in request.headers for request in other_host.requests)
    assert other_host.requests[0].headers["accept"] == "text/x"


def test_redirects_come_to_an_end(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer(b"", 302, {"Location": "/x"}))
    with pytest.raises(Rejected, match="without end"):
        client.read("/x")


def test_a_redirect_to_another_scheme_is_refused(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer(b"", 302, {"Location": "file:///etc/passwd"}))
    with pytest.raises(IntegrationError):
        client.read("/x")


def test_an_answer_without_end_is_cut_off(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer(b"x" * 2000))
    with pytest.raises(Rejected, match="more than 1000 bytes"):
        client.read("/x")


def test_the_credential_is_in_no_message_and_no_repr(server: Loopback, client: HttpClient) -> None:
    server.on("GET", "/x", Answer({"message": "bad token top-secret"}, 401))
    with pytest.raises(Unauthorized) as caught:
        client.read("/x")
    assert caught.value.message == "Argo CD answered 401: bad token ***"
    assert "top-secret" not in repr(client) + repr(caught.value)


def test_cookies_are_not_kept(server: Loopback, client: HttpClient) -> None:
    """Harbor's CSRF check applies to cookie sessions only."""
    server.on("GET", "/x", Answer(b"", headers={"Set-Cookie": "sid=1; Path=/"}))
    client.read("/x")
    client.read("/x")
    assert "cookie" not in server.requests[1].headers


def test_silence_is_unavailable(server: Loopback) -> None:
    server.on("POST", "/x", lambda exchange: exchange.stall())
    client = HttpClient(VENDOR, server.url, timeout=0.2)
    with pytest.raises(Unavailable, match="did not answer in time"):
        client.write("POST", "/x")
    client.close()


def test_a_refused_connection_is_unavailable() -> None:
    client = HttpClient(VENDOR, "http://127.0.0.1:9", timeout=1.0)
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.write("POST", "/x")
    client.close()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An HTTPS server with a certificate of its own authority: (address, CA file)."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *names], check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", cert
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_private_authority_is_trusted_through_its_file_only(tls: tuple[str, Path], retry: Retry) -> None:
    url, ca_file = tls
    trusting = HttpClient(VENDOR, url, ca_file=str(ca_file), retry=retry)
    assert trusting.read_json("/x") == {}
    trusting.close()
    other = HttpClient(VENDOR, url, retry=retry)
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        other.read("/x")
    other.close()


def test_retry_after_is_seconds_or_a_date() -> None:
    def now() -> datetime:
        return datetime(2026, 2, 3, 9, 0, 0, tzinfo=UTC)

    def asked(value: str) -> float | None:
        return retry_after_of({"retry-after": value}, now)

    assert asked("30") == 30.0
    assert asked("Tue, 03 Feb 2026 09:00:05 GMT") == 5.0
    assert asked("Tue, 03 Feb 2026 08:00:00 GMT") == 0.0
    for nonsense in ("", "-1", "soon", "9" * 50, "١", "Tue, 03 Feb 2026 09:00:05"):
        assert asked(nonsense) is None


def test_pauses_grow_with_jitter_and_end() -> None:
    retry = Retry(attempts=4, base=0.2, bound=1.0)
    first, third = retry.pause(1, None), retry.pause(3, None)
    assert first is not None
    assert third is not None
    assert 0.1 <= first <= 0.2
    assert 0.4 <= third <= 0.8
    assert retry.pause(4, None) is None
    assert retry.pause(1, 5.0) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example", "https://a.example:443/x", True),
        ("https://A.example", "https://a.EXAMPLE/x", True),
        ("http://a.example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("http://a.example:8080", "https://a.example", False),
        ("https://a.example", "https://a.example.evil.example", False),
        ("https://a.example", "https://user@b.example", False),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", False),
    ],
)
def test_an_origin_is_host_and_port_and_at_least_the_same_scheme(one: str, other: str, same: bool) -> None:
    assert same_origin(one, other) is same


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"9" * 10_000])
def test_what_is_not_json_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unavailable, match="not JSON"):
        parse_json(VENDOR, body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"m","error":"e"}', "m"),
        (b'{"error":{"message":"m"}}', "m"),
        (b'{"error":"e"}', "e"),
        (b'{"errors":[{"code":"X","message":"m"}]}', '[{"code": "X", "message": "m"}]'),
        (b"plain\n", "plain\n"),
        (b"[]", ""),
    ],
)
def test_the_vendors_own_words_are_found(body: bytes, message: str) -> None:
    assert message_of(body) == message


@pytest.mark.parametrize("url", ["ftp://a", "a.example", "https://", "https://u:p@a.example", ""])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises((ValueError, httpx.InvalidURL)):
        HttpClient(VENDOR, url)
