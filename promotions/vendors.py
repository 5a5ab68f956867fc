"""From a Connection row to the vendor's client, with the secret resolved at the last moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from django.conf import settings

from integrations.argocd import ArgoCDClient
from integrations.errors import Unauthorized
from integrations.git import Mirror, Remote, Signing
from integrations.gitlab import GitLabClient
from integrations.registry import RegistryClient
from promotions.choices import SigningFormat, Vendor
from promotions.models import Connection
from promotions.secrets import SecretMissing, resolve

if TYPE_CHECKING:
    from integrations.tekton.client import TektonClient

Client = TypeVar("Client")

# Not every vendor's client may be shared between threads, so each thread keeps its own.
_kept = threading.local()


def _client(connection: Connection, make: Callable[[str], Client]) -> Client:
    try:
        secret = resolve(connection.secret)
    except SecretMissing as error:
        raise Unauthorized(str(error), vendor=connection.vendor) from error
    clients: dict[int, tuple[object, object]] = _kept.__dict__.setdefault("clients", {})
    made_from = (connection.url, connection.username, secret, connection.ca_file, connection.namespace)
    if connection.pk not in clients or clients[connection.pk][0] != made_from:
        clients[connection.pk] = (made_from, make(secret))
    return cast(Client, clients[connection.pk][1])


def gitlab(connection: Connection) -> GitLabClient:
    """Return this thread's client; raises Unauthorized where the secret's reference points at nothing."""
    return _client(
        connection, lambda secret: GitLabClient(connection.url, secret, ca_file=connection.ca_file or None)
    )


def argocd(connection: Connection) -> ArgoCDClient:
    return _client(
        connection, lambda secret: ArgoCDClient(connection.url, secret, ca_file=connection.ca_file or None)
    )


def registry(connection: Connection) -> RegistryClient:
    return _client(
        connection,
        lambda secret: RegistryClient(
            connection.url,
            username=connection.username,
            password=secret,
            host_alias=connection.host,
            harbor=connection.vendor == Vendor.HARBOR,
            ca_file=connection.ca_file or None,
        ),
    )


def git(connection: Connection, project: str) -> Mirror:
    """Return a repository of a plain Git server; its local copy is shared by all processes."""
    try:
        secret = resolve(connection.secret)
    except SecretMissing as error:
        raise Unauthorized(str(error), vendor=connection.vendor) from error
    is_ssh = connection.url.startswith("ssh://")
    remote = Remote(
        f"{connection.url}/{project}.git",
        username=connection.username,
        password="" if is_ssh else secret,
        ssh_key=secret if is_ssh else "",
        known_hosts=connection.known_hosts,
        ca_file=connection.ca_file,
    )
    return Mirror(settings.DATA_DIR / "mirrors", remote)


def signing(connection: Connection) -> Signing | None:
    """Return the key that signs what is written through plain Git, or None."""
    if not connection.signing_key:
        return None
    try:
        key = resolve(connection.signing_key)
    except SecretMissing as error:
        raise Unauthorized(str(error), vendor=connection.vendor) from error
    return Signing("openpgp" if connection.signing_format == SigningFormat.OPENPGP else "ssh", key)


def tekton(connection: Connection) -> TektonClient:
    # The Kubernetes client takes about a second and 44 MB to import: only who watches runs pays for it.
    from integrations.tekton.client import TektonClient

    return _client(
        connection,
        lambda secret: TektonClient(
            connection.url,
            secret,
            ca_file=connection.ca_file or None,
            namespace=connection.namespace,
        ),
    )
