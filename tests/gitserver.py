"""Git servers on loopback for tests and benchmarks: `git http-backend` behind basic auth, and an sshd."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

USER, TOKEN = "slipway", "token-of-slipway-f3a9"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
_ALLOWED = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Stranger",
    "GIT_AUTHOR_EMAIL": "stranger@example.com",
    "GIT_COMMITTER_NAME": "Stranger",
    "GIT_COMMITTER_EMAIL": "stranger@example.com",
}


@dataclass(frozen=True)
class Bare:
    """A repository on the server's disk, and what its owner does there."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Bare:
        path.mkdir(parents=True)
        bare = cls(path)
        bare.git("init", "--quiet", "--bare", "--template=", "-b", "main")
        (path / "hooks").mkdir(exist_ok=True)
        bare.git("config", "uploadpack.allowFilter", "true")
        bare.git("config", "http.receivepack", "true")
        return bare

    def git(self, *arguments: str, data: bytes = b"", check: bool = True) -> str:
        command = ["git", f"--git-dir={self.path}", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, env=ENVIRONMENT, check=False)
        assert done.returncode == 0 or not check, done.stderr.decode()
        return done.stdout.decode(errors="surrogateescape").strip()

    def tip(self, branch: str = "main") -> str:
        return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)

    def commit(
        self,
        files: dict[str, str],
        message: str = "change",
        *,
        branch: str = "main",
        modes: dict[str, str] | None = None,
    ) -> str:
        """Write files on the branch's tip (made where absent): one process, however many files."""
        lines = [f"commit refs/heads/{branch}", "committer Stranger <stranger@example.com> now"]
        lines.append(f"data {len(message.encode())}\n{message}")
        if tip := self.tip(branch):
            lines.append(f"from {tip}")
        for path, text in files.items():
            mode = (modes or {}).get(path, "100644")
            lines.append(f'M {mode} inline "{path}"\ndata {len(text.encode())}\n{text}')
        self.git("fast-import", "--quiet", "--date-format=now", data="\n".join(lines).encode() + b"\n")
        return self.tip(branch)

    def show(self, path: str, revision: str = "main") -> str:
        command = ["git", f"--git-dir={self.path}", "cat-file", "blob", f"{revision}:{path}"]
        return subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT).stdout.decode()

    def log(self, revision: str = "main", form: str = "%s") -> list[str]:
        return self.git("log", f"--format={form}", revision).splitlines()

    def hook(self, name: str, script: str) -> None:
        path = self.path / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@dataclass
class HttpServer:
    """Repositories below a folder over HTTP; every request is noted as "GET /app.git/info/refs?..."."""

    folder: Path
    requests: list[str] = field(default_factory=list)
    # The last part of a path (with its query) that is answered with a status instead, that is not served
    # at all, and that is served without telling the client.
    faults: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    port: int = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def make(self, name: str) -> Bare:
        return Bare.make(self.folder / f"{name}.git")


@contextlib.contextmanager
def http_server(folder: Path) -> Iterator[HttpServer]:
    server = HttpServer(folder)
    listening = _Listening(server)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.stopping.set()
        listening.shutdown()
        listening.server_close()
        thread.join(10)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, site: HttpServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.site = site
        self.stopping = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed hang up: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listening

    def setup(self) -> None:
        super().setup()
        # A response is several small writes: without this each waits for the last one's receipt.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append(f"{self.command} {self.path}")
        path = self.path.rpartition("/")[2]
        body = self._body()
        if self.headers.get("Authorization") != _ALLOWED:
            self._plain(401, {"WWW-Authenticate": 'Basic realm="Git"'})
        elif path in site.silent:
            self.server.stopping.wait(20)
        elif path in site.faults:
            self._plain(site.faults[path], {"Location": "/elsewhere"})
        else:
            self._backend(body, answered=path not in site.deaf)

    do_POST = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, body: bytes, *, answered: bool) -> None:
        environ = ENVIRONMENT | self._cgi(len(body))
        with subprocess.Popen(
            ["git", "http-backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        ) as process:
            out, _ = process.communicate(body)
        if not answered:
            self.server.stopping.wait(20)
            return
        head, _, content = out.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _cgi(self, size: int) -> dict[str, str]:
        parts = urlsplit(self.path)
        return {
            "GIT_PROJECT_ROOT": str(self.server.site.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "REQUEST_METHOD": self.command,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(size),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USER,
            "REMOTE_ADDR": "127.0.0.1",
        }

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class SshServer:
    """An sshd that lets our key in as the account that runs the tests."""

    folder: Path
    port: int
    key: Path
    known_hosts: str

    def url(self, name: str) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.folder}/{name}.git"

    def make(self, name: str) -> Bare:
        return Bare.make(self.folder / f"{name}.git")


def make_key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run an sshd; its host key is new and the only one that counts."""
    assert SSHD is not None, "apt-get install openssh-server"
    host_key, key = make_key(folder / "host"), make_key(folder / "key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
        f"StrictModes no\nAuthorizedKeysFile {key}.pub\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv GIT_PROTOCOL\n"
        "MaxStartups 100\n"
    )
    if os.geteuid() == 0:
        # Debian makes it when its own service starts; sshd does not start as root without it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "sshd.log").open("wb") as log, _running_sshd(config, port, log):
        name, _, public = host_key.with_suffix(".pub").read_text().partition(" ")
        yield SshServer(folder, port, key, f"[127.0.0.1]:{port} {name} {public}")


@contextlib.contextmanager
def _running_sshd(config: Path, port: int, log: IO[bytes]) -> Iterator[None]:
    process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=log)
    try:
        until = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < until, "sshd does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
