"""Asking an outside check: signed, bounded, and never led elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator

import pytest

from integrations.checks import Answer as Said
from integrations.checks import CheckClient, signature
from integrations.errors import IntegrationError, Rejected, Unavailable
from tests.integrations.loopback import Answer, Loopback, loopback

KEY = base64.b64encode(b"a key of twenty-four byte").decode()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


def ask(server: Loopback, secret: str = f"whsec_{KEY}") -> Said:
    client = CheckClient(f"{server.url}/checks", secret)
    try:
        return client.ask({"check": "tests", "promotion": 7}, message_id="m-1")
    finally:
        client.close()


def test_the_question_is_signed_over_id_time_and_body(server: Loopback) -> None:
    """Reference webhook-security.md: HMAC-SHA256 of "id.timestamp.body", base64, "v1," in front."""
    server.on("POST", "/checks", Answer({"state": "passed", "message": "40 of 40", "link": "https://ci/1"}))
    assert ask(server) == Said("passed", "40 of 40", "https://ci/1")
    (request,) = server.requests
    signed = f"m-1.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert request.headers["webhook-id"] == "m-1"
    assert request.json() == {"check": "tests", "promotion": 7}


def test_a_secret_that_is_no_base64_is_taken_as_it_is() -> None:
    expected = base64.b64encode(hmac.new(b"plain", b"m.5.{}", hashlib.sha256).digest()).decode()
    assert signature("plain", "m", 5, b"{}") == f"v1,{expected}"
    with pytest.raises(ValueError, match="base64"):
        signature("whsec_not base64!", "m", 5, b"{}")


@pytest.mark.parametrize("body", [{}, {"state": "maybe"}, {"state": 1}, [], "passed"])
def test_an_answer_without_a_known_state_decides_nothing(server: Loopback, body: object) -> None:
    server.on("POST", "/checks", Answer(body))
    with pytest.raises(Rejected, match="without a state"):
        ask(server)


def test_a_redirect_leads_nowhere(server: Loopback) -> None:
    """An answer must not be able to point us at an address inside."""
    server.on("POST", "/checks", Answer(b"", status=307, headers={"Location": f"{server.url}/inside"}))
    server.on("POST", "/inside", Answer({"state": "passed"}))
    with pytest.raises(IntegrationError):
        ask(server)
    assert [request.path for request in server.requests] == ["/checks"]


def test_an_endless_answer_and_an_outage_are_errors(server: Loopback) -> None:
    server.on("POST", "/checks", Answer(b"x" * 70_000), Answer(b"", status=503))
    with pytest.raises(Rejected, match="more than"):
        ask(server)
    with pytest.raises(Unavailable):
        ask(server)


def test_a_link_that_no_browser_should_follow_is_dropped(server: Loopback) -> None:
    server.on("POST", "/checks", Answer({"state": "failed", "link": "javascript:alert(1)"}))
    assert ask(server).link == ""
