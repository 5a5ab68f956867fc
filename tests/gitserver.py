"""Real Git servers on loopback: `git http-backend` behind a small HTTP server, and sshd."""

from __future__ import annotations

import base64
import getpass
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD = "robot", "a password of the test"
_BACKEND = Path("/usr/lib/git-core/git-http-backend")
_IDENTITY = ("-c", "user.name=Ann Other", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main")


def git(where: Path, *arguments: str, data: bytes = b"") -> str:
    """Run git in a folder as an ordinary person would."""
    command = ["git", *_IDENTITY, "-C", str(where), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, input=data)
    return done.stdout.decode()


def make_repository(path: Path, files: Mapping[str, bytes], *, executable: tuple[str, ...] = ()) -> Path:
    """Make a bare repository whose branch main holds the files, and which lets contents be left out."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--template=")
    for key, value in (("uploadpack.allowFilter", "true"), ("http.receivepack", "true")):
        git(path, "config", key, value)
    head = b"commit refs/heads/main\ncommitter Ann Other <ann@example.com> 1760000000 +0200\n"
    parts = [head + b"data 6\nPlant\n\n"]
    for name, content in files.items():
        mode = b"100755" if name in executable else b"100644"
        parts.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode, name.encode(), len(content), content))
    if files:
        git(path, "fast-import", "--quiet", data=b"".join(parts))
    return path


@dataclass
class GitOverHttp:
    """`log` holds "METHOD path" of what was asked with the right password; `broken`: 503 to everything."""

    url: str
    root: Path
    log: list[str] = field(default_factory=list)
    broken: bool = False
    drop_answers_to: str = ""


@contextmanager
def over_http(root: Path) -> Iterator[GitOverHttp]:
    """Serve every repository below a folder; Basic authentication is needed for all of it."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self._body()
            if self.headers.get("Authorization") != expected:
                self._say(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
                return
            served.log.append(f"{self.command} {self.path}")
            if served.broken:
                self._say(503, [], b"")
                return
            status, headers, content = self._backend(body)
            if served.drop_answers_to and served.drop_answers_to in self.path:
                self.close_connection = True
                return
            self._say(status, headers, content)

        do_POST = do_GET

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _backend(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            path, _mark, query = self.path.partition("?")
            environ = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "REMOTE_USER": USER,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }
            done = subprocess.run([_BACKEND], input=body, env=environ, capture_output=True, check=False)
            head, _blank, content = done.stdout.partition(b"\r\n\r\n")
            headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in headers if name == "Status"), "200 OK")
            return int(status.split()[0]), [(n, v) for n, v in headers if n != "Status"], content

        def _say(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = GitOverHttp(f"http://127.0.0.1:{server.server_port}", root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class GitOverSsh:
    """An sshd that lets one key in; `key` is the private key's text, `known_hosts` the server's line."""

    url: str
    key: str
    known_hosts: str


@contextmanager
def over_ssh(root: Path, folder: Path) -> Iterator[GitOverSsh]:
    """Serve the repositories below `root` by sshd on a free port; keys and settings go to `folder`."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert sshd, "These tests need Debian's package openssh-server."
    # Keys may not lie where others could write (StrictModes), and sshd insists on its empty folder.
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    lines = (
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'client.pub'}",
        f"PidFile {folder / 'pid'}",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin prohibit-password",
        "AcceptEnv GIT_PROTOCOL",
    )
    (folder / "config").write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait_for_port(port, process, folder / "log")
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{root}"
        yield GitOverSsh(url, (folder / "client").read_text(), f"[127.0.0.1]:{port} {host_key}\n")
    finally:
        process.terminate()
        process.wait(10)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)
