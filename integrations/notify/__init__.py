"""Chat, mail and plain webhooks, through Apprise, which knows over a hundred services."""

from __future__ import annotations

import logging

from integrations.errors import Rejected, Unavailable

VENDOR = "notify"
# Apprise logs addresses, which are secrets: whoever knows a chat's webhook may write there.
logging.getLogger("apprise").setLevel(logging.CRITICAL)


def send(url: str, *, title: str, body: str) -> None:
    """Send one message to an Apprise address, for example mmost://host/token or json://host/path.

    Raises Rejected for an address Apprise does not understand and Unavailable when the service did not
    take the message; neither names the address.
    """
    # Imported here: it takes a third of a second, and only the worker tells anybody anything.
    import apprise

    channel = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Slipway", async_mode=False))
    if not channel.add(url):
        raise Rejected("Apprise does not understand the address of the notification channel", vendor=VENDOR)
    if not channel.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        raise Unavailable("The notification channel did not take the message", vendor=VENDOR)
