"""One file on one branch of a GitLab on loopback that takes commits: enough for the engine's tests."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from tests.api.conftest import FILE, MANIFEST
from tests.cast import MANIFEST_PROJECT
from tests.integrations.loopback import Answer, Exchange, Loopback

BASE = "b" * 40


@dataclass
class SmallGitLab:
    """`commits` is the branch, oldest first, as (sha, message, content). `is_down`: 502 to everything."""

    server: Loopback
    commits: list[tuple[str, str, bytes]] = field(default_factory=lambda: [(BASE, "Start", MANIFEST)])
    is_down: bool = False
    images: dict[str, str] = field(default_factory=lambda: {"1.1.0": "sha256:" + ("2" * 40).ljust(64, "0")})

    def __post_init__(self) -> None:
        self.server.on("HEAD", "/v2/k8s/flask-k8s-example/manifests/.+", self._manifest)
        project = f"/api/v4/projects/{MANIFEST_PROJECT.replace('/', '%2F')}/repository"
        name = FILE.replace("/", "%2F").replace(".", r"(\.|%2E)")
        for method, path, answer in (
            ("GET", "/branches/main", self._branch),
            ("GET", "/tree", self._tree),
            ("GET", f"/files/{name}", self._file),
            ("GET", "/commits", self._list),
            ("GET", "/commits/[0-9a-f]+", self._one),
            ("POST", "/commits", self._commit),
            ("GET", "/compare", self._compare),
        ):
            self.server.on(
                method, project + path, lambda exchange, answer=answer: self._say(exchange, answer)
            )

    def push(self, content: bytes, message: str = "By hand") -> str:
        """Somebody commits."""
        sha = f"{len(self.commits):040x}"
        self.commits.append((sha, message, content))
        return sha

    def _compare(self, exchange: Exchange) -> object:
        """Nothing lies between the source project's commits: they are not here."""
        return {"commits": []}

    def _manifest(self, exchange: Exchange) -> None:
        """The registry beside it: a tag or digest that `images` knows."""
        reference = exchange.request.path.rpartition("/")[2].replace("%3A", ":")
        digest = self.images.get(reference, reference if reference in self.images.values() else "")
        headers = {"Docker-Content-Digest": digest}
        exchange.answer(Answer(b"", status=200 if digest else 404, headers=headers))

    @property
    def content(self) -> bytes:
        return self.commits[-1][2]

    def _say(self, exchange: Exchange, answer: object) -> None:
        if self.is_down:
            exchange.answer(Answer({"message": "Bad Gateway"}, status=502))
        else:
            exchange.answer(Answer(answer(exchange)))  # type: ignore[operator]

    def _index(self, ref: str) -> int:
        shas = [sha for sha, _message, _content in self.commits]
        return shas.index(ref) if ref in shas else len(shas) - 1

    def _as_json(self, index: int) -> dict[str, object]:
        sha, message, _content = self.commits[index]
        trailers = dict(
            line.split(": ", 1) for line in message.splitlines() if line.startswith("Promotion-Id: ")
        )
        return {
            "id": sha,
            "title": message.splitlines()[0],
            "message": message,
            "trailers": trailers,
            "parent_ids": [self.commits[index - 1][0]] if index else [],
            "committed_date": "2026-05-02T10:00:00.000Z",
            "web_url": "https://gitlab.example.com/x",
        }

    def _branch(self, exchange: Exchange) -> object:
        return {"name": "main", "commit": self._as_json(len(self.commits) - 1)}

    def _tree(self, exchange: Exchange) -> object:
        return [{"id": "1" * 40, "name": "deployment.yml", "type": "blob", "path": FILE, "mode": "100644"}]

    def _file(self, exchange: Exchange) -> object:
        index = self._index(exchange.request.query["ref"])
        sha, _message, content = self.commits[index]
        return {
            "file_path": FILE,
            "file_name": "deployment.yml",
            "size": len(content),
            "encoding": "base64",
            "content": base64.b64encode(content).decode(),
            "ref": sha,
            "blob_id": "1" * 40,
            "commit_id": sha,
            "last_commit_id": sha,
        }

    def _list(self, exchange: Exchange) -> object:
        base = exchange.request.query["ref_name"].partition("..")[0]
        return [self._as_json(index) for index in range(len(self.commits) - 1, self._index(base), -1)]

    def _one(self, exchange: Exchange) -> object:
        return self._as_json(self._index(exchange.request.path.rpartition("/")[2]))

    def _commit(self, exchange: Exchange) -> object:
        body = exchange.request.json()
        (action,) = body["actions"]  # type: ignore[misc]
        text = action["content"]  # type: ignore[index]
        raw = base64.b64decode(text) if action.get("encoding") == "base64" else text.encode()  # type: ignore[index]
        self.push(raw, str(body["commit_message"]))
        return self._as_json(len(self.commits) - 1)
