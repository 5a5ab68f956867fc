"""The demo's data and people: scenario A of the reference or others, against the simulated vendors."""

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
# Each is complete by itself; applied one after the other they share connections and environments.
CATALOGUES = {
    "a": CATALOGUE,
    **{name: CATALOGUE.parent / "scenarios" / f"{name}.yaml" for name in ("b", "c", "d", "e")},
}
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


def direct_address(urls: dict[str, str]) -> str:
    """Return the address of each person's own room there, with the place for their name."""
    return urls["control"].replace("http://", "json://") + "/chat/{username}"


def chosen(text: str) -> tuple[str, ...]:
    """Return the scenarios that "b", "a,c" or "all" names, in their order; ValueError for others."""
    names = {name.strip() for name in text.lower().split(",") if name.strip()}
    wanted = set(CATALOGUES) if names == {"all"} else names
    if not wanted or wanted - set(CATALOGUES):
        raise ValueError(f"Choose scenarios from {', '.join(CATALOGUES)}, or all; not {text!r}.")
    return tuple(name for name in CATALOGUES if name in wanted)


def prepare(urls: dict[str, str], base_url: str, scenario: str = "a") -> list[tuple[str, str, str]]:
    """Declare the scenarios and make their people; return (name, role in words, password) of each.

    `urls` are the simulated vendors' base addresses by vendor, `base_url` is where Slipway answers. May
    be repeated: nothing is removed, and a person who exists is left as they are. ValueError for a
    scenario that does not exist.
    """
    with transaction.atomic():
        for name in chosen(scenario):
            text = render(urls, base_url, name)
            apply(read_catalogue(text, file=CATALOGUES[name].name), remove=False)
        for name, first_name, role, _called, password in _CAST:
            _person(name, first_name, role, password)
    return [(name, called, password) for name, _, _, called, password in _CAST]


def render(urls: dict[str, str], base_url: str, scenario: str = "a") -> str:
    """Return a scenario's catalogue file with the addresses of this run."""
    words = {name: urls[name] for name in ("gitlab", "kubernetes", "argocd", "registry")}
    sources = {
        f"{name}_source": _invented(f"{name.upper()}_SOURCE") for name in ("gitlab", "harbor", "distribution")
    }
    return Template(CATALOGUES[scenario].read_text(encoding="utf-8")).substitute(
        words | sources, slipway=base_url
    )


def _person(name: str, first_name: str, role: Role, password: str) -> None:
    if User.objects.filter(username=name).exists():
        return
    person = User.objects.create_user(name, password=password, first_name=first_name)
    RoleGrant.objects.create(user=person, role=role)
