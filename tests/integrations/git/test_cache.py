"""The local copy: shared, thrown away when damaged, made again without anybody noticing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from integrations.errors import Unavailable
from integrations.git.store import Store
from tests.integrations.git.conftest import FILES, PROD, Project, write


def _empty_the_packs(copy: Path) -> None:
    for pack in (copy / "objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(b"")


def _lose_the_objects(copy: Path) -> None:
    for path in sorted((copy / "objects").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def _garble_the_refs(copy: Path) -> None:
    for ref in (copy / "refs/mirror").iterdir():
        ref.write_text("garbage\n")


DAMAGE: list[Callable[[Path], object]] = [
    _empty_the_packs,
    _lose_the_objects,
    _garble_the_refs,
    lambda copy: (copy / "HEAD").unlink(),
    lambda copy: (copy / "config").write_text("[garbage"),
    lambda copy: next((copy / "objects/pack").glob("*.idx")).unlink(),
    lambda copy: (copy / "generation").write_text(""),
    lambda copy: next((copy / "refs/mirror").iterdir()).with_suffix(".lock").touch(),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_copy_is_fetched_anew(project: Project, damage: Callable[[Path], object]) -> None:
    mirror = project.mirror()
    mirror.read(mirror.tip("main"), PROD)
    damage(project.copy)
    project.bare.commit({"README.md": "moved"})
    tip = mirror.tip("main")
    assert tip == project.bare.tip()
    assert mirror.read(tip, PROD) == FILES[PROD].encode()
    assert write(mirror, tip, {PROD: b"new"}).id == project.bare.tip()


@pytest.mark.parametrize("damage", DAMAGE[:2])
def test_damage_found_while_reading_or_writing_is_mended(
    project: Project, damage: Callable[[Path], object]
) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    damage(project.copy)
    assert mirror.read(tip, PROD) == FILES[PROD].encode()
    damage(project.copy)
    assert write(mirror, tip, {PROD: b"new"}).id == project.bare.tip()
    damage(project.copy)
    assert mirror.commits(tip, project.bare.tip())[0].paths == (PROD,)


def test_a_half_made_copy_is_made_again(project: Project) -> None:
    mirror = project.mirror()
    mirror.tip("main")
    folder = project.copy
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert mirror.tip("main") == project.bare.tip()


def test_many_threads_open_a_new_copy_at_once(project: Project) -> None:
    mirror = project.mirror()
    with ThreadPoolExecutor(6) as pool:
        tips = list(pool.map(mirror.tip, ["main"] * 6))
    assert set(tips) == {project.bare.tip()}


CHILD = """
import json, sys
from pathlib import Path
from integrations.errors import Conflict
from integrations.git import Mirror, Remote
from tests.integrations.git.conftest import write
mirror = Mirror(Path(sys.argv[1]), Remote(**json.loads(sys.stdin.read())), timeout=30)
for round in range(3):
    while True:
        try:
            write(mirror, mirror.tip("main"), {f"by-{sys.argv[2]}": b"%d" % round}, message="Child")
            break
        except Conflict:
            continue
"""


def test_two_processes_share_a_copy(project: Project) -> None:
    secret = json.dumps(asdict(project.remote))
    root = Path(__file__).parents[3]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(project.cache), name],
            stdin=subprocess.PIPE,
            cwd=root,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for name in ("one", "two")
    ]
    for child in children:
        child.communicate(secret, timeout=90)
        assert child.returncode == 0
    assert project.bare.log().count("Child") == 6
    assert len(list(project.cache.glob("*.git"))) == 1
    assert project.bare.show("by-one") == project.bare.show("by-two") == "2"


def test_a_copy_that_somebody_holds_for_ever_is_not_waited_for(project: Project) -> None:
    mirror = project.mirror(timeout=0.2)
    with Store(project.cache, project.remote.url, 1).opened():
        pass
    (lock,) = project.cache.glob("*.use")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="busy"):
            mirror.tip("main")


def test_packs_are_joined_when_they_are_many(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    packs = project.copy / "objects/pack"
    for number in range(102):
        (packs / f"pack-{number:040d}.pack").touch()
    project.bare.commit({"README.md": "2"})
    tip = mirror.tip("main")
    assert len(list(packs.glob("*.idx"))) == 1
    assert mirror.read(tip, PROD) == FILES[PROD].encode()
