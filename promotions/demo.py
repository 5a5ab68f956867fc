"""The demo's data and people: scenario A of the reference, against the simulated vendors."""

from __future__ import annotations

from importlib import import_module
from string import Template

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from promotions.catalogue import apply, read_catalogue
from promotions.choices import Role
from promotions.models import RoleGrant

CATALOGUE = settings.ROOT / "deploy" / "demo" / "catalogue.yaml"
_SECRETS = (
    "GITLAB_TOKEN",
    "GITLAB_HOOK_TOKEN",
    "GITLAB_SIGNING_TOKEN",
    "KUBERNETES_TOKEN",
    "ARGOCD_TOKEN",
    "HARBOR_PASSWORD",
    "HARBOR_HOOK_AUTH",
)
# Sign-in name, first name, role, how the role is called, password.
_CAST = (
    ("dana", "Dana", Role.DEVELOPER, "developer", "push-the-boat-out"),
    ("riku", "Riku", Role.APPROVER, "approver, release manager", "all-clear-for-launch"),
    ("vera", "Vera", Role.VIEWER, "viewer", "just-looking-thanks"),
    ("ada", "Ada", Role.ADMIN, "administrator", "keys-to-the-harbour"),
)


def _invented(name: str) -> str:
    """Return one of the simulated vendors' fixed words. Found by name: the product never imports them."""
    return str(getattr(import_module("integrations.sandbox.invented"), name))


def environment() -> dict[str, str]:
    """Return the variables that the demo's catalogue refers to, for this process and its children."""
    return {f"SLIPWAY_DEMO_{name}": _invented(name) for name in _SECRETS}


def chat_address(urls: dict[str, str]) -> str:
    """Return the address of the simulated chat room, known once the simulated vendors listen."""
    return urls["control"].replace("http://", "json://") + "/chat/releases"


def prepare(urls: dict[str, str], base_url: str) -> list[tuple[str, str, str]]:
    """Declare scenario A and make its people; return (name, role in words, password) of each.

    `urls` are the simulated vendors' base addresses by vendor, `base_url` is where Slipway answers. May
    be repeated: nothing is removed, and a person who exists is left as they are.
    """
    with transaction.atomic():
        text = render(urls, base_url)
        apply(read_catalogue(text, file=CATALOGUE.name), remove=False)
        for name, first_name, role, _called, password in _CAST:
            _person(name, first_name, role, password)
    return [(name, called, password) for name, _, _, called, password in _CAST]


def render(urls: dict[str, str], base_url: str) -> str:
    """Return the demo's catalogue file with the addresses of this run."""
    words = {name: urls[name] for name in ("gitlab", "kubernetes", "argocd", "registry")}
    sources = {
        f"{name}_source": _invented(f"{name.upper()}_SOURCE") for name in ("gitlab", "harbor", "distribution")
    }
    return Template(CATALOGUE.read_text(encoding="utf-8")).substitute(words | sources, slipway=base_url)


def _person(name: str, first_name: str, role: Role, password: str) -> None:
    if User.objects.filter(username=name).exists():
        return
    person = User.objects.create_user(name, password=password, first_name=first_name)
    RoleGrant.objects.create(user=person, role=role)
