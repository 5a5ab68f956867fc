"""Chat, mail and plain webhooks, through Apprise, which knows over a hundred services."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

from integrations.errors import Rejected, Unavailable
from integrations.notify.markup import rendered

__all__ = ["VENDOR", "Message", "Rejected", "Unavailable", "send"]

VENDOR = "notify"


@dataclass(frozen=True, slots=True)
class Message:
    """What is said. Title and body are plain text, whoever wrote it; only the link is to be followed."""

    title: str
    body: str
    link: str = ""


# Apprise logs addresses, which are secrets: whoever knows a chat's webhook may write there. So its log goes
# nowhere; below this level it would not even tell us what a service answered.
_log = logging.getLogger("apprise")
_log.addHandler(logging.NullHandler())
_log.propagate = False
_log.setLevel(logging.WARNING)


def send(url: str, message: Message) -> None:
    """Send one message to an Apprise address, for example mmost://host/token or json://host/path.

    Raises Rejected for an address Apprise does not understand and Unavailable when the service did not
    take the message; neither names the address.
    """
    # Imported here: it takes a third of a second, and only the worker tells anybody anything.
    import apprise

    asset = apprise.AppriseAsset(app_id="Slipway", async_mode=False)
    services = apprise.Apprise(asset=asset)
    if not services.add(url):
        raise Rejected("Apprise does not understand the address of the notification channel", vendor=VENDOR)
    for service in services:
        # There may be several addresses, of several services: each gets its own markup.
        said = rendered(message.title, message.body, message.link, service)
        one = apprise.Apprise(service, asset=asset)
        result = one.notify(title=said.title, body=said.body, body_format=said.format)
        if not result:
            raise _failure(entry.message for entry in result.logs())


def _failure(words: Iterable[str]) -> Unavailable:
    """Of Apprise's words only the status is repeated: the others name hosts."""
    found = re.search(r"error=(\d{3})\b", " ".join(words))
    if found is None:
        return Unavailable("The notification channel could not be reached", vendor=VENDOR)
    problem = f"The notification channel did not take the message: it answered {found[1]}"
    return Unavailable(problem, vendor=VENDOR, status=int(found[1]))
