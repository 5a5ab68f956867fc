"""The file that names the sign-in providers (docs/sign-in.md). Read once, at the start; no Django here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KEYS = {
    "name",
    "issuer",
    "client_id",
    "client_secret",
    "scopes",
    "groups_claim",
    "groups",
    "claim_accounts",
    "session_hours",
}


class SignInProblem(Exception):
    """The file can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class SignInProvider:
    """One OpenID Connect provider.

    `client_secret` is a reference (`env:NAME`, `file:/path`). `groups` maps a value of the claim to one of
    our groups; None stands for "the same names, as far as we have such groups". With `claim_accounts` an
    account of the same name without a password becomes the person's who first signs in with it.
    """

    id: str
    name: str
    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    groups: Mapping[str, str] | None = field(default=None, hash=False)
    claim_accounts: bool = False
    session_hours: float = 12.0


def read_sign_in(path: str) -> tuple[SignInProvider, ...]:
    """Return the providers that the file names, none for an empty path; raises SignInProblem."""
    if not path:
        return ()
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SignInProblem(f"{path} can't be read: {error}") from None
    providers = content.get("providers") if isinstance(content, dict) else None
    if not isinstance(providers, dict) or not set(content) <= {"providers"}:
        raise SignInProblem(f"{path} must hold the key providers and nothing else.")
    return tuple(_provider(f"{path}: providers.{slug}", slug, said) for slug, said in providers.items())


def _provider(where: str, slug: object, said: object) -> SignInProvider:
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise SignInProblem(f"{where}: a name is small letters, digits and hyphens.")
    if not isinstance(said, dict):
        raise SignInProblem(f"{where} must hold keys and values.")
    if unknown := sorted(str(key) for key in said if key not in _KEYS):
        raise SignInProblem(f"{where}: unknown keys: {', '.join(unknown)}.")
    hours = said.get("session_hours", 12)
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= 24 * 30:
        raise SignInProblem(f"{where}.session_hours must be a number of hours, at most 720.")
    return SignInProvider(
        id=slug,
        name=_text(where, said, "name", slug),
        issuer=_issuer(where, _text(where, said, "issuer")),
        client_id=_text(where, said, "client_id"),
        client_secret=_reference(where, _text(where, said, "client_secret")),
        scopes=_scopes(where, said.get("scopes", ["openid", "profile", "email"])),
        groups_claim=_text(where, said, "groups_claim", "groups"),
        groups=_groups(where, said.get("groups")),
        claim_accounts=_flag(where, said.get("claim_accounts", False)),
        session_hours=float(hours),
    )


def _text(where: str, said: Mapping[str, object], key: str, default: str = "") -> str:
    value = said.get(key, default)
    if not isinstance(value, str) or not value:
        raise SignInProblem(f"{where}.{key} must be a text.")
    return value


def _issuer(where: str, url: str) -> str:
    """Plain HTTP would let anybody between us and the provider say who signs in; loopback has no between."""
    parts = urlsplit(url)
    is_local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if (
        not parts.hostname
        or parts.query
        or not (parts.scheme == "https" or (parts.scheme == "http" and is_local))
    ):
        raise SignInProblem(f"{where}.issuer must be an https address, as the provider itself spells it.")
    return url


def _reference(where: str, value: str) -> str:
    if not value.startswith(("env:", "file:/")):
        # Not repeated: it may be the secret itself.
        raise SignInProblem(f"{where}.client_secret must be a reference: env:NAME or file:/path.")
    return value


def _scopes(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or "openid" not in value or not all(isinstance(v, str) for v in value):
        raise SignInProblem(f"{where}.scopes must be a list of words with openid among them.")
    return tuple(value)


def _groups(where: str, value: object) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(
        isinstance(word, str) and word for word in [*value, *value.values()]
    ):
        raise SignInProblem(f"{where}.groups must map the provider's groups to ours.")
    return dict(value)


def _flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SignInProblem(f"{where}.claim_accounts must be true or false.")
    return value
