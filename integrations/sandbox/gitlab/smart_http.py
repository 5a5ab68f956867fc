"""Git's smart HTTP through the real `git http-backend`, a CGI program: bytes stream both ways."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from integrations.sandbox.gitlab.git import ENVIRONMENT, ZEROS
from integrations.sandbox.gitlab.state import Json, may

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import Change, GitLab

PATH = re.compile(r"^/(?P<project>.+?)(?:\.git)?/(?P<rest>info/refs|git-upload-pack|git-receive-pack)$")
PIECE = 65536
DENIED = "HTTP Basic: Access denied. If a password was provided, the password was incorrect.\n"


def wants(path: str) -> bool:
    """Tell whether a request is Git's."""
    return PATH.match(path) is not None


async def serve(gitlab: GitLab, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one Git request, and tell of the refs it moved."""
    found = PATH.match(scope["path"])
    headers = Headers(scope=scope)
    service = _service(scope)
    refusal, project, user = _admit(gitlab, found["project"] if found else "", headers, service)
    if refusal is not None or project is None:
        await (refusal or PlainTextResponse("", 404))(scope, receive, send)
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "pushed"
        environment = _environment(gitlab, scope, headers, project, user, found["rest"] if found else "", log)
        await _run(environment, headers, receive, send)
        changes = _changes(log)
    if changes and user is not None:
        gitlab.pushed(project, changes, user)


def _service(scope: Scope) -> str:
    path: str = scope["path"]
    query: bytes = scope["query_string"]
    if path.endswith("/info/refs"):
        return parse_qs(query.decode()).get("service", ["git-upload-pack"])[0]
    return path.rsplit("/", 1)[1]


def _admit(
    gitlab: GitLab, path: str, headers: Headers, service: str
) -> tuple[PlainTextResponse | None, Json | None, Json | None]:
    """Check the token given as password (any user name), the project, the scope and the role."""
    project, token = gitlab.state.project(path), _token(gitlab, headers)
    user = gitlab.state.users[token["user_id"]] if token else None
    writes = service == "git-receive-pack"
    if token is None and (project is None or project["visibility"] != "public" or writes):
        # GitLab asks for credentials before it tells whether a project exists.
        return _challenge(), None, None
    if project is None:
        return PlainTextResponse("The project you were looking for could not be found.\n", 404), None, None
    # read_api opens no repository: Git has scopes of its own (gitlab-api.md, "Tokens and least privilege").
    allowed = {"api", "write_repository"} if writes else {"api", "write_repository", "read_repository"}
    if token is not None and not allowed & set(token["scopes"]):
        return PlainTextResponse("You are not allowed to access this project.\n", 403), None, None
    if writes and gitlab.state.level(user) < 30:
        return PlainTextResponse("You are not allowed to push code to this project.\n", 403), None, None
    return None, project, user


def _challenge() -> PlainTextResponse:
    return PlainTextResponse(DENIED, 401, {"WWW-Authenticate": 'Basic realm="GitLab"'})


def _token(gitlab: GitLab, headers: Headers) -> Json | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return gitlab.state.token(base64.b64decode(value).decode().partition(":")[2])
    except (binascii.Error, UnicodeDecodeError):
        return None


def _environment(
    gitlab: GitLab, scope: Scope, headers: Headers, project: Json, user: Json | None, rest: str, log: Path
) -> dict[str, str]:
    level = gitlab.state.level(user)
    closed = [name for name in project["protected_branches"] if not may(project, level, "push", name)]
    values = ENVIRONMENT | {
        "GIT_PROJECT_ROOT": str(gitlab.world.data_dir / "repositories"),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{project['path_with_namespace']}.git/{rest}",
        "REQUEST_METHOD": scope["method"],
        "QUERY_STRING": scope["query_string"].decode(),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "REMOTE_USER": user["username"] if user else "",
        "REMOTE_ADDR": "127.0.0.1",
        # Read by the repository's own hooks: see writes.py.
        "SANDBOX_PROTECTED": " ".join(closed),
        "SANDBOX_PUSH_LOG": str(log),
    }
    # Version 2 is asked for by header; without it the server would list every ref.
    if "git-protocol" in headers:
        values["GIT_PROTOCOL"] = headers["git-protocol"]
    # The length of a packed body says nothing of what the program will read.
    if "content-length" in headers and "content-encoding" not in headers:
        values["CONTENT_LENGTH"] = headers["content-length"]
    return values


async def _run(environment: dict[str, str], headers: Headers, receive: Receive, send: Send) -> None:
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("git http-backend has no pipes")
    feeding = asyncio.ensure_future(
        _feed(process.stdin, receive, gzipped=headers.get("content-encoding") == "gzip")
    )
    try:
        await _answer(process.stdout, send)
    finally:
        feeding.cancel()
        if not process.stdout.at_eof():
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # the client went away
        await process.wait()


async def _feed(stdin: asyncio.StreamWriter, receive: Receive, *, gzipped: bool) -> None:
    """Pass the body on, unpacked here so that the CGI program sees one form."""
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if gzipped else None
    with contextlib.suppress(ConnectionError):
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                break
            body = message.get("body", b"")
            stdin.write(unpack.decompress(body) if unpack else body)
            await stdin.drain()
            if not message.get("more_body"):
                break
        stdin.close()


async def _answer(stdout: asyncio.StreamReader, send: Send) -> None:
    head = await stdout.readuntil(b"\r\n\r\n")
    status, headers = 200, []
    for line in head.decode("latin-1").strip().split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower().encode(), value.strip().encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while piece := await stdout.read(PIECE):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _changes(log: Path) -> dict[str, Change]:
    if not log.exists():
        return {}
    rows = [line.split(" ", 2) for line in log.read_text().splitlines()]
    # Zeros are Git's word for "was not there" and "is gone".
    return {ref: (None if old == ZEROS else old, None if new == ZEROS else new) for old, new, ref in rows}
