"""The virtual environment, made for real from a wheel on disk, with uv and with pip."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from promotions.bootstrap.environment import digest, missing, pinned
from tests.bootstrap.conftest import ROOT

START = """
import sys
from promotions.bootstrap.environment import ROOT, SetUpFailed, ensure
try:
    ensure(ROOT / "tiny.lock", argv=sys.argv)
except SetUpFailed as error:
    sys.exit(f"slipway: {error}")
import tiny_thing
print("inside", sys.prefix)
"""


def wheel(folder: Path, version: str) -> str:
    """A package of one module; its hash."""
    folder.mkdir(exist_ok=True)
    info = f"tiny_thing-{version}.dist-info"
    path = folder / f"tiny_thing-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_thing.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-thing\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/RECORD", f"tiny_thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkout:
    """A copy of the bootstrap with a lock file of its own, reached only through local wheels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "tiny.lock"

    def fill(self) -> None:
        shutil.copytree(ROOT / "promotions" / "bootstrap", self.root / "promotions" / "bootstrap")
        (self.root / "promotions" / "__init__.py").touch()
        (self.root / "requirements-uv.lock").write_text(f"uv==0.0.1 --hash=sha256:{'0' * 64}\n")
        (self.root / "start.py").write_text(START)

    def require(self, version: str, sha256: str) -> None:
        self.lock.write_text(f"tiny-thing=={version} \\\n    --hash=sha256:{sha256}\n    # via nobody\n")

    def start(self, *, path: str = "/usr/bin:/bin", python: str = sys.executable) -> tuple[int, str]:
        environ = {"PATH": path, "HOME": str(self.root), "PIP_NO_INDEX": "1"}
        environ["PIP_FIND_LINKS"] = str(self.root / "wheels")
        command = [python, str(self.root / "start.py")]
        done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=100)
        return done.returncode, done.stdout + done.stderr


def new_checkout(folder: Path) -> Checkout:
    made = Checkout(folder / "checkout")
    made.fill()
    root = made.root
    made.require("1.0", wheel(root / "wheels", "1.0"))
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return new_checkout(tmp_path)


@pytest.fixture(scope="module")
def first_start_with_pip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, int, str]:
    """A first start without uv, its exit code and output. It takes seconds: whoever changes it, copies it."""
    made = new_checkout(tmp_path_factory.mktemp("pip"))
    return made, *made.start()


def path_with_uv() -> str:
    """A search path with uv: the machine's own, or the one that the bootstrap put beside our Python."""
    path = f"{os.environ['PATH']}:{Path(sys.prefix) / 'bin'}"
    uv = shutil.which("uv", path=path)
    if uv is None:
        pytest.skip("there is no uv for this platform")
    return f"{path}:{Path(uv).parent}"


def test_without_uv_pip_installs_and_the_next_start_installs_nothing(
    first_start_with_pip: tuple[Checkout, int, str],
) -> None:
    checkout, code, output = first_start_with_pip
    assert code == 0, output
    assert f"inside {checkout.root}/.venv" in output
    assert checkout.start() == (0, f"inside {checkout.root}/.venv\n")


def test_uv_installs_from_what_pip_was_told(checkout: Checkout) -> None:
    code, output = checkout.start(path=path_with_uv())
    assert code == 0, output
    assert "trying pip" not in output
    assert not (checkout.root / ".venv" / "bin" / "pip").exists()
    assert (checkout.root / ".venv" / ".installed-tiny.lock").read_text() == digest(checkout.lock)


def test_a_changed_lock_file_is_installed_at_the_next_start(checkout: Checkout) -> None:
    checkout.start(path=path_with_uv())
    checkout.require("2.0", wheel(checkout.root / "wheels", "2.0"))
    code, output = checkout.start(path=path_with_uv())
    assert code == 0, output
    assert list(checkout.root.glob(".venv/lib/*/site-packages/tiny_thing-2.0.dist-info"))


def test_a_wheel_with_another_hash_is_refused(
    first_start_with_pip: tuple[Checkout, int, str], tmp_path: Path
) -> None:
    first, _code, _output = first_start_with_pip
    shutil.copytree(first.root, tmp_path / "copy", symlinks=True)
    checkout = Checkout(tmp_path / "copy")
    wheel(checkout.root / "wheels", "2.0")
    checkout.require("2.0", "0" * 64)
    code, output = checkout.start(path=path_with_uv())
    assert code != 0
    assert "uv could not install the packages; trying pip." in output
    assert "slipway: pip could not install tiny.lock" in output
    assert "inside" not in output


def test_an_installation_that_was_cut_short_is_repeated(checkout: Checkout) -> None:
    checkout.start(path=path_with_uv())
    (checkout.root / ".venv" / ".installed-tiny.lock").unlink()
    next(checkout.root.glob(".venv/lib/*/site-packages/tiny_thing-1.0.dist-info/RECORD")).unlink()
    next(checkout.root.glob(".venv/lib/*/site-packages/tiny_thing.py")).unlink()
    code, output = checkout.start(path=path_with_uv())
    assert code == 0, output


def test_an_environment_whose_interpreter_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.start(path=path_with_uv())
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    code, output = checkout.start(path=path_with_uv())
    assert code == 0, output


def test_a_linked_environment_is_never_installed_into(checkout: Checkout, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "other")], check=True)
    (checkout.root / ".venv").symlink_to(tmp_path / "other")
    code, output = checkout.start()
    assert code != 0
    assert "is a link to an environment that lacks tiny-thing" in output


def test_an_interpreter_that_has_everything_just_goes_on(checkout: Checkout) -> None:
    checkout.start(path=path_with_uv())
    inside = checkout.root / ".venv"
    inside.rename(checkout.root / "mine")
    code, output = checkout.start(python=str(checkout.root / "mine" / "bin" / "python"))
    assert (code, output) == (0, f"inside {checkout.root}/mine\n")
    assert not inside.exists()


def test_without_ensurepip_one_line_names_debian_s_package(checkout: Checkout) -> None:
    # What Debian's python3 without python3-venv looks like from inside.
    blocked = checkout.root / "start.py"
    blocked.write_text("import sys\nsys.modules['ensurepip'] = None\n" + START)
    code, output = checkout.start()
    assert code != 0
    assert output.splitlines()[-1].endswith("apt-get install python3-venv")
    assert "Traceback" not in output


def test_lines_with_a_marker_are_left_to_the_installer(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("Some_Thing==1.0 \\\n    --hash=sha256:0\nwin==2 ; sys_platform == 'win32' \\\n")
    assert pinned(lock) == {"some-thing": "1.0"}
    assert missing(lock, tmp_path) == ["some-thing"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"])
def test_lock_files_pin_with_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert pinned(ROOT / name)
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text
    assert "--index" not in text
