"""The sign-in file: what it may say, and the sentence for what it may not. Needs no Django."""

from __future__ import annotations

from pathlib import Path

import pytest

from promotions.identity.config import SignInProblem, SignInProvider, read_sign_in

GOOD = """
providers:
  keycloak:
    name: The Company
    issuer: https://login.example.com/realms/company
    client_id: slipway
    client_secret: file:/run/secrets/oidc
    scopes: [openid, profile, email, groups]
    groups_claim: memberships
    groups: {/slipway/approvers: release-managers}
    claim_accounts: true
    session_hours: 8
  dex: {issuer: https://dex.example.com, client_id: slipway, client_secret: env:DEX}
"""


def written(folder: Path, text: str) -> str:
    file = folder / "sign-in.yaml"
    file.write_text(text)
    return str(file)


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    keycloak, dex = read_sign_in(written(tmp_path, GOOD))
    assert keycloak == SignInProvider(
        "keycloak",
        "The Company",
        "https://login.example.com/realms/company",
        "slipway",
        "file:/run/secrets/oidc",
        ("openid", "profile", "email", "groups"),
        "memberships",
        {"/slipway/approvers": "release-managers"},
        True,
        8.0,
    )
    assert (dex.name, dex.groups_claim, dex.groups, dex.claim_accounts) == ("dex", "groups", None, False)


def test_no_file_is_no_provider() -> None:
    assert read_sign_in("") == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://dex.example.com", "http://dex.example.com", "dex.issuer must be an https address"),
        ("https://dex.example.com", "dex", "dex.issuer must be an https address"),
        ("env:DEX", "hunter2", "dex.client_secret must be a reference"),
        ("client_id: slipway, ", "", "dex.client_id must be a text"),
        ("client_id: slipway, ", "client: slipway, ", "dex: unknown keys: client."),
        ("session_hours: 8", "session_hours: 0", "session_hours must be a number of hours"),
        ("claim_accounts: true", "claim_accounts: perhaps", "claim_accounts must be true or false"),
        ("[openid, profile, email, groups]", "[profile]", "scopes must be a list of words with openid"),
        ("{/slipway/approvers: release-managers}", "[approvers]", "groups must map"),
        ("  dex:", "  Dex!:", "a name is small letters"),
        ("providers:", "provider:", "must hold the key providers"),
        ("providers:", "providers: [", "can't be read"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_no_secret(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(SignInProblem) as raised:
        read_sign_in(written(tmp_path, GOOD.replace(old, new)))
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SignInProblem, match="can't be read"):
        read_sign_in(str(tmp_path / "none.yaml"))
