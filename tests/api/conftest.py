"""The cast with tokens, and a GitLab on loopback that holds scenario A's manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from promotions.choices import Role
from promotions.models import ApiToken, Connection, RoleGrant
from tests.cast import Catalogue, People, make_catalogue, make_people
from tests.integrations.loopback import Loopback, loopback
from tests.manifest_file import FILE, TIP, serve_manifest

MANIFEST = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: flask}
spec:
  template:
    spec:
      containers:
        - name: flask
          image: harbor.centre.com/k8s/flask-k8s-example:1.0.0 # by hand
"""
__all__ = ["FILE", "MANIFEST", "TIP"]
ClientOf = Callable[[User], APIClient]


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def catalogue(people: People) -> Catalogue:
    return make_catalogue(people)


@pytest.fixture
def machinist(people: People) -> User:
    """A developer of everything: may see deliveries and upstreams, may not replay."""
    user = User.objects.create_user("machinist")
    RoleGrant.objects.create(user=user, role=Role.DEVELOPER)
    return user


@pytest.fixture
def client_of() -> ClientOf:
    """A client that speaks with a token of the person."""

    def client(user: User) -> APIClient:
        text = f"token-of-{user.username}"
        ApiToken.objects.get_or_create(user=user, digest=ApiToken.digest_of(text), defaults={"name": "tests"})
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return made

    return client


@pytest.fixture
def gitlab(catalogue: Catalogue) -> Iterator[Loopback]:
    """GitLab's answers about branch main of the manifest project (reference gitlab-api.md)."""
    with loopback() as server:
        serve_manifest(server, MANIFEST)
        Connection.objects.filter(slug="gitlab").update(url=server.url)
        yield server
