"""The cast, a provider, and a visitor's way through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client

from promotions.identity.config import SignInProvider
from tests import cast
from tests.identity.provider import CLIENT, SECRET, Provider, running_provider


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing is slow on purpose, and so are wrong passwords."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]


@pytest.fixture
def people(db: None, quick_passwords: None) -> cast.People:
    people = cast.make_people()
    password = make_password(cast.PASSWORD)
    User.objects.update(password=password)
    for person in vars(people).values():
        person.password = password
    return people


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)


@pytest.fixture(scope="session")
def server() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(server: Provider) -> Provider:
    """The provider on an ordinary day: the same server and key, everything told to it forgotten."""
    fresh = Provider(server.url)
    for name in ("claims", "token", "userinfo", "discovery", "header", "key", "is_down", "asked", "codes"):
        setattr(server, name, getattr(fresh, name))
    return server


@dataclass
class Way:
    """One browser's way to the provider and back."""

    client: Client = field(default_factory=lambda: Client(REMOTE_ADDR="10.0.0.9"))

    def begin(self, then: str = "") -> str:
        """Return the address to which the visitor is sent."""
        answer = self.client.get("/sign-in/company/", {"next": then} if then else {})
        assert answer.status_code == 302, answer.content
        return str(answer["Location"])

    def visit(self, url: str) -> str:
        """Follow the provider's redirect; return the path and query it leads back to."""
        back = httpx.get(url, trust_env=False, verify=False, follow_redirects=False).headers["location"]
        parts = urlsplit(back)
        return f"{parts.path}?{parts.query}"

    def sign_in(self, then: str = "") -> Any:
        return self.client.get(self.visit(self.begin(then)))

    @property
    def username(self) -> str:
        """Who is signed in; "" for nobody."""
        answer = self.client.get("/account/")
        return str(answer.context["request"].user.username) if answer.status_code == 200 else ""

    def told(self) -> str:
        """Return what the sign-in page says now."""
        return str(self.client.get("/sign-in/").content.decode())


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture
def configure(provider: Provider, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have Slipway know the provider; keywords change what the file says of it."""
    monkeypatch.setenv("OIDC_SECRET", SECRET)

    def configured(**said: Any) -> None:
        values = {
            "id": "company",
            "name": "The Company",
            "issuer": provider.url,
            "client_id": CLIENT,
            "client_secret": "env:OIDC_SECRET",
            **said,
        }
        settings.SIGN_IN_PROVIDERS = (SignInProvider(**values),)
        settings.BASE_URL = "http://testserver"

    configured()
    return configured


@pytest.fixture
def way(configure: Any, db: None) -> Way:
    return Way()
