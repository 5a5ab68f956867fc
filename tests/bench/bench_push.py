"""From the click to the pushed commit, against a bare `git push` of a ready commit in the same run.

    python tests/bench/bench_push.py [--flat]

Repositories of 1,000 and 20,000 files over the same HTTP server; the local copy is warm, as it is when
the product watches the branch. The click asks for the tip, reads a file, commits and pushes. Also told, but
without a limit: a click just after a stranger pushed to the same file, which must be fetched first.
`--flat` puts all files into one folder, the worst case for Git's trees. Prints one line of ratios; exits
with 1 when a limit of the issue is missed: 1.5 times the bare push on 20,000 files, 1.3 times the figure
for 1,000.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from integrations.git import Mirror, Person, Remote
from integrations.git.access import basic
from tests.gitserver import ENVIRONMENT, TOKEN, USER, Bare, HttpServer, http_server

SIZES = (1_000, 20_000)
ROUNDS = 21
LIMIT_BARE, LIMIT_SIZE = 1.5, 1.3
Times = tuple[float, float, float]
SLIPWAY = Person("Slipway", "slipway@localhost")


def path_of(number: int, *, flat: bool) -> str:
    """Twenty teams, fifty applications each, as many files in each as the size makes."""
    if flat:
        return f"file{number}.yml"
    return f"team{number % 20}/app{number // 20 % 50}/overlays/prod/file{number}.yml"


class Case:
    """One repository: a mirror of it that clicks, and an ordinary clone that pushes what is ready."""

    def __init__(self, server: HttpServer, folder: Path, size: int, *, flat: bool) -> None:
        name = f"files{size}"
        self.bare: Bare = server.make(name)
        paths = [path_of(number, flat=flat) for number in range(size)]
        self.bare.commit({path: f"image: registry/{path}:1.0.0\n" for path in paths}, "Start")
        self.bare.git("repack", "-adq")
        self.path = paths[size // 2]
        remote = Remote(server.url(name), USER, TOKEN)
        self.mirror = Mirror(folder / "cache", remote)
        self.mirror.tip("main")
        self.clone = folder / f"clone{size}"
        self.environ = ENVIRONMENT | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic(remote)}",
        }
        self.run("clone", "--quiet", "--bare", remote.url, str(self.clone))

    def run(self, *arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], env=self.environ, input=data, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode().strip()

    def click(self, number: int) -> float:
        """Seconds for what the product does: tip, file, commit, push."""
        started = time.perf_counter()
        tip = self.mirror.tip("main")
        content = self.mirror.read(tip, self.path).replace(b"1.0.", b"1.%d." % number)
        self.mirror.create_commit(
            "main",
            tip,
            {self.path: content + b"# click %d\n" % number},
            message=f"Promote\n\nPromotion-Id: {number}\n",
            author=SLIPWAY,
            committer=SLIPWAY,
            when=datetime.now(UTC),
        )
        return time.perf_counter() - started

    def bare_push(self, number: int) -> float:
        """Seconds for `git push` of a commit like ours that was made before the clock starts."""
        git = f"--git-dir={self.clone}"
        stream = "commit refs/heads/ready\ncommitter A <a@b> now\ndata 4\nPush\nfrom refs/heads/main^0\n"
        stream += f"M 100644 inline {self.path}\ndata <<END\nimage: pushed {number}\nEND\n"
        self.run(git, "fast-import", "--quiet", "--force", "--date-format=now", data=stream.encode())
        started = time.perf_counter()
        self.run(git, "push", "--quiet", "origin", "refs/heads/ready:refs/heads/bare")
        ended = time.perf_counter()
        self.run(git, "update-ref", "refs/heads/main", "refs/heads/ready")
        return ended - started

    def round(self, number: int) -> Times:
        """The three measurements, the click first while nobody else has moved the branch."""
        return self.click(number), self.bare_push(number), self.click_after_a_stranger(number)

    def click_after_a_stranger(self, number: int) -> float:
        self.bare.commit({self.path: f"image: by-hand:1.0.{number}\n"}, "By hand")
        return self.click(number)


def measure(*, flat: bool) -> list[tuple[Times, Times]]:
    """Seconds of a click, a bare push and a click after a stranger's push, for both sizes, per round."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        (folder / "served").mkdir()
        with http_server(folder / "served") as server:
            small, large = (Case(server, folder, size, flat=flat) for size in SIZES)
            small.click(0)
            large.click(0)
            return [(small.round(number), large.round(number)) for number in range(1, ROUNDS + 1)]


def main() -> int:
    """Ratios are medians of each round's own: what else the machine does falls on both sides of them."""
    rounds = measure(flat="--flat" in sys.argv)
    click, bare = (median(large[index] for _, large in rounds) * 1000 for index in (0, 1))
    to_bare = median(large[0] / large[1] for _, large in rounds)
    to_small = median(large[0] / small[0] for small, large in rounds)
    moved = median(large[2] / large[1] for _, large in rounds)
    print(
        f"click to pushed on 20,000 files {click:.0f} ms, bare push {bare:.0f} ms: {to_bare:.2f} times;"
        f" {to_small:.2f} times the click on 1,000 files; just after a stranger's push {moved:.2f} times bare"
    )
    return 0 if to_bare <= LIMIT_BARE and to_small <= LIMIT_SIZE else 1


if __name__ == "__main__":
    sys.exit(main())
