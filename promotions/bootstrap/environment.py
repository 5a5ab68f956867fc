"""The virtual environment `.venv` and the pinned packages in it.

An interpreter that already has every package of the lock file just goes on. Otherwise `.venv` is
made, filled and entered. A stamp with the lock file's hash makes the next start instant.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from promotions.bootstrap.mirrors import uv_environment

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
UV_LOCK = ROOT / "requirements-uv.lock"
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>\S+)(?P<marker>\s*;)?")


class SetUpFailed(Exception):
    """The packages could not be installed; the message says what the user can do."""


def pinned(lock: Path) -> dict[str, str]:
    """Name to version for every package the lock file asks for on all platforms."""
    found = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        match = PINNED.match(line)
        # A line with a marker may not apply here, and only the installer can evaluate it.
        if match and not match["marker"]:
            found[normalized(match["name"])] = match["version"]
    return found


def normalized(name: str) -> str:
    """A distribution's name the way package metadata compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site_packages: Path) -> dict[str, str]:
    """Name to version of what a site-packages folder holds, read from its metadata folders' names."""
    found = {}
    for entry in site_packages.glob("*.dist-info"):
        name, _, version = entry.name.removesuffix(".dist-info").partition("-")
        found[normalized(name)] = version if whole(entry) else ""
    return found


def whole(dist_info: Path) -> bool:
    """Whether the package was installed to the end: RECORD is what installers write last."""
    return (dist_info / "RECORD").is_file()


def cut_short(site_packages: Path) -> bool:
    return not all(whole(entry) for entry in site_packages.glob("*.dist-info"))


def missing(lock: Path, site_packages: Path) -> list[str]:
    """The packages of the lock file that are absent or have another version, sorted."""
    present = installed(site_packages)
    return sorted(name for name, version in pinned(lock).items() if present.get(name) != version)


def ensure(lock: Path, *, argv: list[str]) -> None:
    """Return inside an interpreter that has the lock file's packages; replaces the process if need be.

    Raises SetUpFailed when the packages cannot be installed.
    """
    here = Path(sysconfig.get_path("purelib"))
    if here.is_dir() and (stamped(Path(sys.prefix), lock) or not missing(lock, here)):
        return
    with exclusive(ROOT / ".venv.lock"):
        prepare(lock)
    python = str(venv_python(VENV))
    # An activated environment's variables would name another prefix than the one entered.
    os.environ.pop("PYTHONHOME", None)
    sys.stdout.flush()
    os.execv(python, [python, *argv])


def prepare(lock: Path) -> None:
    """Make `.venv` hold the lock file's packages."""
    if usable(VENV):
        if stamped(VENV, lock):
            return
        absent = missing(lock, site_packages_of(VENV))
        if absent and VENV.is_symlink():
            raise SetUpFailed(
                f"{VENV} is a link to an environment that lacks {', '.join(absent[:5])}: remove the link."
            )
        if not absent:
            stamp(VENV, lock)
            return
    print(f"Installing the packages of {lock.name} into {VENV.name} (once) ...", flush=True)
    install(lock)
    absent = missing(lock, site_packages_of(VENV))
    if absent:
        raise SetUpFailed(
            f"The installation ended without {', '.join(absent[:5])}. Remove {VENV}, try again."
        )
    stamp(VENV, lock)


def install(lock: Path) -> None:
    """Fill `.venv` through uv where that works, else through pip; both check every hash."""
    uv = shutil.which("uv")
    # uv and pip both take a package that was half installed for installed.
    if not usable(VENV) or cut_short(site_packages_of(VENV)):
        make_venv(with_pip=uv is None)
    environ = uv_environment(os.environ)
    if uv is None:
        uv = uv_from_package(environ)
    if uv is not None and run_uv(uv, lock, environ):
        return
    run_pip(lock)


def make_venv(*, with_pip: bool) -> None:
    """Create `.venv` from the running interpreter, replacing a broken one."""
    if with_pip:
        require_ensurepip()
    flags = [] if with_pip else ["--without-pip"]
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", *flags, str(VENV)], check=False)
    if done.returncode:
        raise SetUpFailed(f"{sys.executable} -m venv {VENV} failed (its message is above).")


def require_ensurepip() -> None:
    """Debian splits venv's installer off into a package of its own."""
    if all(findable(name) for name in ("venv", "ensurepip")):
        return
    raise SetUpFailed("Python's venv is incomplete here; on Debian or Ubuntu: apt-get install python3-venv")


def findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a distribution may block a module instead of leaving it out
        return False


def uv_from_package(environ: dict[str, str]) -> str | None:
    """uv, pinned and hash-checked, installed into `.venv` with pip; None where there is no wheel of it."""
    command = [str(venv_python(VENV)), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--require-hashes", "-r", str(UV_LOCK)],
        check=False,
        env=environ,
        capture_output=True,
    )
    found = VENV / "bin" / "uv"
    return str(found) if done.returncode == 0 and found.exists() else None


def run_uv(uv: str, lock: Path, environ: dict[str, str]) -> bool:
    """Whether uv installed the lock file's packages; its messages are shown only when it did not."""
    command = [uv, "pip", "install", "--python", str(venv_python(VENV)), "--require-hashes", "-r", str(lock)]
    # Byte code is written now, or every start would compile again where PYTHONDONTWRITEBYTECODE is set.
    done = subprocess.run([*command, "--compile-bytecode"], check=False, env=environ, capture_output=True)
    if done.returncode:
        print(done.stderr.decode(errors="replace").strip(), file=sys.stderr)
        print("uv could not install the packages; trying pip.", file=sys.stderr, flush=True)
    return done.returncode == 0


def run_pip(lock: Path) -> None:
    """Install with pip, under the user's own pip settings."""
    python = str(venv_python(VENV))
    if subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode:
        require_ensurepip()
        subprocess.run([python, "-m", "ensurepip", "--default-pip"], check=True, capture_output=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--require-hashes", "-r", str(lock)], check=False)
    if done.returncode:
        raise SetUpFailed(f"pip could not install {lock.name} (its message is above).")


def venv_python(venv: Path) -> Path:
    return venv / "bin" / "python"


def usable(venv: Path) -> bool:
    """Whether the environment's interpreter still starts (a system upgrade may have removed it)."""
    python = venv_python(venv)
    if not python.exists() or not site_packages_of(venv).is_dir():
        return False
    return subprocess.run([python, "-I", "-c", ""], check=False, capture_output=True).returncode == 0


def site_packages_of(venv: Path) -> Path:
    """The folder packages are in; a path that does not exist when the environment is broken."""
    found = sorted((venv / "lib").glob("python3*/site-packages"))
    return found[-1] if found else venv / "lib"


def stamped(prefix: Path, lock: Path) -> bool:
    path = stamp_path(prefix, lock)
    return path.is_file() and path.read_text() == digest(lock)


def stamp(prefix: Path, lock: Path) -> None:
    # A link points at somebody else's environment; what it holds is looked up at each start instead.
    if not prefix.is_symlink():
        stamp_path(prefix, lock).write_text(digest(lock))


def stamp_path(prefix: Path, lock: Path) -> Path:
    return prefix / f".installed-{lock.name}"


def digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file lock, so that two first starts at once do not fill one environment together."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
