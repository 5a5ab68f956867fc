"""The web process: webhooks before Django, websockets through channels, pages through Django in one hop.

Stock Django under ASGI hops threads per middleware; the whole synchronous stack in one thread job per
request serves several times as many (reference measurements.md, "Web, 1 worker").
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

_wsgi = get_wsgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.db import connection
from django.urls import path

from promotions.consumers import LiveConsumer
from promotions.hub import Hub
from promotions.webhooks.receiver import Receive, Receiver, Scope, Send

_THREADS = 12
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def _database() -> dict[str, Any]:
    """Return psycopg's parameters of Django's database, for connections outside the ORM."""
    parameters = connection.get_connection_params()
    # What is neither text nor number is Django's own (cursors, adapters); TLS files and the like are libpq's.
    return {name: value for name, value in parameters.items() if type(value) in (str, int)}


hub = Hub(_database())
receiver = Receiver(_database())
# a2wsgi and Django describe the same WSGI and ASGI interfaces with types of their own.
pages = cast(Application, WSGIMiddleware(cast(Any, _wsgi), workers=_THREADS))

LiveConsumer.hub = hub
websocket = OriginValidator(
    AuthMiddlewareStack(URLRouter([cast(Any, path("live/", cast(Any, LiveConsumer.as_asgi())))])),
    [settings.BASE_URL, *settings.CSRF_TRUSTED_ORIGINS],
)


async def http(
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Send webhooks to the receiver and everything else to Django."""
    if scope["path"].startswith("/webhooks/"):
        await receiver(scope, receive, send)
    else:
        await pages(scope, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": websocket})
