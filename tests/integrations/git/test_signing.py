"""Signed commits, verified by Git itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.errors import IntegrationError
from integrations.git import Signing
from tests.gitserver import ENVIRONMENT, make_key
from tests.integrations.git.conftest import PROD, SLIPWAY, Project, write


def verified(project: Project, commit: str, environ: dict[str, str], *config: str) -> str:
    options = [part for pair in config for part in ("-c", pair)]
    command = ["git", f"--git-dir={project.bare.path}", *options, "verify-commit", "-v", commit]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("as_text", [True, False])
def test_an_ssh_key_signs(project: Project, tmp_path: Path, as_text: bool) -> None:
    key = make_key(tmp_path / "sign")
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{SLIPWAY.email} {key.with_suffix('.pub').read_text()}")
    mirror = project.mirror()
    signing = Signing("ssh", key.read_text() if as_text else str(key))
    made = write(mirror, mirror.tip("main"), {PROD: b"new"}, signing=signing)
    said = verified(project, made.id, {}, f"gpg.ssh.allowedSignersFile={allowed}")
    assert f'Good "git" signature for {SLIPWAY.email}' in said
    assert made.trailer("Promotion-Id") == ("7",)
    assert "PRIVATE" not in repr(signing)


@pytest.fixture
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], env=ENVIRONMENT | {"GNUPGHOME": str(home)}, check=True)


def test_an_openpgp_key_signs(project: Project, keyring: Path) -> None:
    environ = ENVIRONMENT | {"GNUPGHOME": str(keyring)}
    quick = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", SLIPWAY.email, "ed25519"]
    subprocess.run(quick, env=environ, check=True, capture_output=True)
    export = ["gpg", "--batch", "--armor", "--export-secret-keys"]
    key = subprocess.run(export, env=environ, check=True, capture_output=True, text=True).stdout
    mirror = project.mirror()
    made = write(mirror, mirror.tip("main"), {PROD: b"new"}, signing=Signing("openpgp", key))
    assert "Good signature" in verified(project, made.id, {"GNUPGHOME": str(keyring)})


@pytest.mark.parametrize("kind", ["ssh", "openpgp"])
def test_a_key_that_cannot_sign_writes_nothing(project: Project, kind: str) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    signing = Signing("ssh" if kind == "ssh" else "openpgp", "not a key")
    with pytest.raises(IntegrationError):
        write(mirror, tip, {PROD: b"new"}, signing=signing)
    assert project.bare.tip() == tip
