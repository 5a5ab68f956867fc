"""Credentials: accepted, refused, and seen by nobody; and servers that do not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.errors import IntegrationError, NotFound, Rejected, Unauthorized, Unavailable
from integrations.git import Mirror, Remote
from integrations.git.access import basic
from tests.gitserver import TOKEN, USER, HttpServer, SshServer, make_key
from tests.integrations.git.conftest import PROD, Project, write
from tests.system import free_port


def refused(mirror: Mirror) -> str:
    """The sentence of the error that asking for a tip ends with; it names no secret."""
    with pytest.raises(IntegrationError) as caught:
        mirror.tip("main")
    text = f"{caught.value!r} {caught.value.__cause__!r}"
    for secret in (TOKEN, basic(Remote("https://h/a", USER, TOKEN)), "PRIVATE KEY"):
        assert secret not in text
    return f"{type(caught.value).__name__}: {caught.value.message}"


def test_a_wrong_token_is_unauthorized(project: Project) -> None:
    wrong = replace(project.remote, password="wrong-token-9d1c")
    said = refused(Mirror(project.cache, wrong))
    assert said.startswith("Unauthorized: The server does not accept these credentials")
    assert "wrong-token-9d1c" not in said
    assert basic(wrong) not in said


def test_no_token_at_all_asks_nobody(project: Project) -> None:
    assert refused(Mirror(project.cache, Remote(project.remote.url))).startswith("Unauthorized")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, "Unauthorized"),
        (404, "NotFound"),
        (301, "Rejected: The server redirects"),
        (429, "Unavailable: The server cannot answer"),
        (502, "Unavailable: The server cannot answer"),
    ],
)
def test_http_statuses_become_errors(project: Project, well: HttpServer, status: int, kind: str) -> None:
    well.faults["refs?service=git-upload-pack"] = status
    assert refused(project.mirror()).startswith(kind)


def test_a_silent_server_is_unavailable_in_time(project: Project, well: HttpServer) -> None:
    well.silent.add("refs?service=git-upload-pack")
    assert refused(project.mirror(timeout=1)).startswith("Unavailable: The Git server did not answer in time")


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    remote = Remote(f"http://127.0.0.1:{free_port()}/app.git", USER, TOKEN)
    assert refused(Mirror(tmp_path, remote)).startswith("Unavailable: The server cannot be reached")


def ssh_remote(ssh: SshServer, name: str = "none") -> Remote:
    return Remote(ssh.url(name), ssh_key=str(ssh.key), known_hosts=ssh.known_hosts)


def test_a_repository_that_is_not_there_over_ssh(ssh: SshServer, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Mirror(tmp_path, ssh_remote(ssh)).tip("main")


def test_host_keys_decide_before_our_key_is_shown(ssh: SshServer, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    address = ssh.known_hosts.split(" ")[0]
    remote = ssh_remote(ssh)
    changed = Mirror(tmp_path, replace(remote, known_hosts=f"{address} {other}"))
    assert refused(changed).startswith("Unauthorized: The server shows another host key")
    unknown = Mirror(tmp_path, replace(remote, known_hosts=f"example.com {other}"))
    assert refused(unknown).startswith("Unauthorized: The server's host key is not among the known ones")
    nothing = Mirror(tmp_path, replace(remote, known_hosts=""))
    assert refused(nothing).startswith("Unauthorized: No host key is known")


def test_a_key_the_server_does_not_know_or_nobody_can_read(ssh: SshServer, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger").read_text()
    remote = ssh_remote(ssh)
    assert refused(Mirror(tmp_path, replace(remote, ssh_key=stranger))).startswith("Unauthorized")
    assert refused(Mirror(tmp_path, replace(remote, ssh_key="no key"))).startswith("Unauthorized")
    assert refused(Mirror(tmp_path, replace(remote, ssh_key="/none/key"))).startswith("Unauthorized")


def test_known_hosts_and_key_may_be_files_that_others_can_read(ssh: SshServer, tmp_path: Path) -> None:
    """As Kubernetes mounts secrets; ssh itself would refuse such a key."""
    bare = ssh.make("files")
    tip = bare.commit({"a": "1"})
    key, hosts = tmp_path / "key", tmp_path / "hosts"
    key.write_text(ssh.key.read_text().rstrip("\n"))
    key.chmod(0o644)
    hosts.write_text(ssh.known_hosts)
    remote = Remote(ssh.url("files"), ssh_key=str(key), known_hosts=str(hosts))
    assert Mirror(tmp_path / "cache", remote).tip("main") == tip


@contextmanager
def arguments_seen() -> Iterator[set[str]]:
    """The arguments of every process that ran meanwhile, as any user of the machine can read them."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def test_secrets_show_in_no_arguments_and_stay_in_no_file(everywhere: Project) -> None:
    mirror = everywhere.mirror()
    with arguments_seen() as seen:
        tip = mirror.tip("main")
        mirror.read(tip, PROD)
        write(mirror, tip, {PROD: b"new"})
    assert any("push --porcelain" in line for line in seen)
    remote = everywhere.remote
    secrets = [each for each in (*remote.secrets, remote.password and basic(remote)) if each]
    assert secrets
    kept = [path.read_bytes() for path in everywhere.cache.rglob("*") if path.is_file()]
    for secret in (part for each in secrets for part in each.strip().splitlines()[:2]):
        assert not [line for line in seen if secret in line]
        assert not [data for data in kept if secret.encode() in data]
        assert secret not in repr(remote) + repr(mirror)


def test_the_accounts_own_configuration_changes_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://127.0.0.1\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert project.mirror().tip("main") == project.bare.tip()


def test_an_address_with_a_password_is_refused_without_quoting_it() -> None:
    with pytest.raises(Rejected) as caught:
        Remote(f"https://slipway:{TOKEN}@example.com/app.git")
    assert TOKEN not in str(caught.value)


def test_unauthorized_and_unavailable_are_told_apart_for_pushes(project: Project, well: HttpServer) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    for status, kind in ((403, Unauthorized), (503, Unavailable)):
        well.faults["refs?service=git-receive-pack"] = status
        with pytest.raises(kind):
            write(mirror, tip, {PROD: b"new"})
    assert project.bare.tip() == tip
