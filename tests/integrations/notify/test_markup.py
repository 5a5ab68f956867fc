"""Whatever people write, a service shows it as words: no mention, no link but ours."""

from __future__ import annotations

import json
import re

import apprise
import pytest
from apprise.plugins.slack import NotifySlack

from integrations.notify import Message, send
from integrations.notify.markup import escaped, harmless, rendered
from tests.integrations.loopback import Answer, Loopback, loopback

HOSTILE = (
    "<!channel> <@U1T1> <https://evil.example|click> [x](https://evil.example) [x][y] @all @here "
    "https://evil.example www.evil.example evil.example mailto:a@evil.example ~town-square #general "
    "`code` <at>boss</at> ![i](//evil.example/i.png)"
)
LINK = "https://slipway.example.com/promotions/7/"
SERVICES = {
    "mattermost": "mmost://localhost/3ccdd113474722377935511fc85d3dd4",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
    "teams": "workflows://host:443/workflow/signature/",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "mail": "mailto://user:word@localhost?to=a@b.example",
    "google chat": "gchat://workspace/key/token",
}
# What any of the services would make something of.
LIVE = re.compile(
    r"<[!@#]|<https?:|\]\(|\]\[|@\w|https?://\w|www\.\w|\w\.example|<at>|mailto:\w|~\w|(?:^|\s)#\w|`"
)


def test_nothing_in_harmless_words_is_a_mention_or_a_link() -> None:
    assert LIVE.search(HOSTILE)
    assert LIVE.findall(harmless(HOSTILE)) == []


def test_harmless_words_read_as_before() -> None:
    assert harmless(HOSTILE).replace("\u200b", "") == HOSTILE.replace("`", "'")
    for word in ("1.10.0", "v2.0.0-rc.1", "Why: it's time (at last)", "a → b", "50% + 3"):
        assert harmless(word) == word


def test_escaped_words_hold_no_markdown() -> None:
    unescaped = re.sub(r"\\.", "", escaped("*a* _b_ [c](d) # e\n> f `g` <h> !i ~j~ |k|"))
    assert not re.search(r"[*_\[\]()#>`<!~|]", unescaped)


@pytest.mark.parametrize("name", SERVICES)
def test_only_our_link_is_one_whatever_the_service(name: str) -> None:
    service = apprise.Apprise.instantiate(SERVICES[name])
    assert service is not None
    said = rendered(HOSTILE, f"Why: {HOSTILE}", LINK, service)
    ours = (f"[Slipway]({LINK})", LINK)
    body = said.body
    assert sum(body.endswith(each) for each in ours), body
    for each in ours:
        body = body.removesuffix(each)
    assert LIVE.findall(re.sub(r"\\(.)", "\u200b\\1\u200b", body)) == []
    assert LIVE.findall(said.title) == []


def test_programs_get_what_was_written() -> None:
    service = apprise.Apprise.instantiate("json://localhost/x")
    assert service is not None
    said = rendered(HOSTILE, HOSTILE, LINK, service)
    assert (said.title, said.body) == (HOSTILE, f"{HOSTILE}\n{LINK}")


@pytest.fixture
def server() -> object:
    with loopback() as server:
        server.on("POST", ".*", Answer(b"ok"))
        yield server


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("service", ["slack", "mattermost"])
def test_on_the_wire_the_words_are_harmless_and_the_link_stands(
    server: Loopback, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Apprise itself, whose own conversions come on top."""
    monkeypatch.setattr(NotifySlack, "webhook_url", f"{server.url}/services")
    url = SERVICES[service].replace("localhost", server.host)
    send(url, Message("flask: waiting for approval", f"Why: {HOSTILE}", LINK))
    (request,) = server.requests
    sent = texts(json.loads(request.body))
    (body,) = [text for text in sent if "Why: " in text]
    assert LINK in body
    assert LIVE.findall(body.replace(LINK, "").replace("&lt;", "<").replace("&gt;", ">")) == []
    assert "waiting for approval" in " ".join(sent)
