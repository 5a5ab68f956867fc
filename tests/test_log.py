"""No secret reaches a log line, whether by its key's name or inside a text."""

from __future__ import annotations

import pytest

from promotions.log import HIDDEN, hide_secrets


@pytest.mark.parametrize(
    "key", ["token", "private_token", "PASSWORD", "webhook_secret", "Authorization", "cookie", "api_key"]
)
def test_a_key_that_names_a_secret_hides_its_value(key: str) -> None:
    assert hide_secrets(None, "", {key: "value", "event": "asked"}) == {key: HIDDEN, "event": "asked"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("connect postgresql://ann:hunter2@db/x", f"connect postgresql://ann:{HIDDEN}@db/x"),
        ("GET /api?private_token=abc123&page=2", f"GET /api?private_token={HIDDEN}&page=2"),
        ("Authorization: Bearer abcdefgh.ijklmnop", f"Authorization: Bearer {HIDDEN}"),
        ("token glpat-abcdefghijklmnopqrst refused", f"token {HIDDEN} refused"),
        ("promotion 7 of shop to prod at 12:30", "promotion 7 of shop to prod at 12:30"),
    ],
)
def test_a_secret_inside_a_text_is_hidden_and_the_rest_stays(text: str, shown: str) -> None:
    assert hide_secrets(None, "", {"event": text}) == {"event": shown}


def test_secrets_in_nested_values_are_hidden_too() -> None:
    event = {"request": {"headers": [{"Cookie": "sessionid=1"}], "url": "http://u:pw@h/"}}
    assert hide_secrets(None, "", event) == {
        "request": {"headers": [{"Cookie": HIDDEN}], "url": f"http://u:{HIDDEN}@h/"}
    }
