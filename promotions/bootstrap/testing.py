"""`manage.py test`: what the suite needs besides Python packages, then pytest in this process's place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from promotions.bootstrap.environment import ROOT

# Program -> the Debian package that brings it.
NEEDED = {
    "git": "git",
    "gpg": "gnupg",
    "chromium": "chromium",
    "sshd": "openssh-server",
    "docker-registry": "docker-registry",
    "kubectl": "kubernetes-client",
    "skopeo": "skopeo",
}
# Debian keeps servers where an ordinary account's PATH does not look.
EXTRA_PATH = "/usr/sbin:/sbin:/usr/local/sbin"
OWN_SCHEDULING = ("-n", "--numprocesses", "--dist", "--pdb", "-p no:xdist")


def run(arguments: list[str]) -> None:
    """Replace this process by pytest: its last lines and its exit code are pytest's own."""
    provide_programs()
    command = [sys.executable, "-m", "pytest", *scheduling(arguments), *arguments]
    os.chdir(ROOT)
    # The suite starts dozens of interpreters: each would compile the whole project again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.stdout.flush()
    os.execv(sys.executable, command)


def scheduling(arguments: list[str]) -> list[str]:
    """Parallel by default; the caller's own choice wins."""
    joined = " ".join(arguments)
    if any(joined.startswith(word) or f" {word}" in joined for word in OWN_SCHEDULING):
        return []
    # More than there are processors: the scenarios mostly wait for other processes.
    workers = min(6, max(2, os.cpu_count() or 2) + 2)
    return ["-n", str(workers), "--dist", "loadgroup"]


def provide_programs() -> None:
    """Install what is missing when we are root on Debian, else say what to install and go on."""
    absent = absent_packages()
    if not absent:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install(absent)
        absent = absent_packages()
    if absent:
        print(f"Tests that need them will say so: apt-get install {' '.join(absent)}", file=sys.stderr)


def absent_packages() -> list[str]:
    path = f"{os.environ.get('PATH', os.defpath)}:{EXTRA_PATH}"
    return [package for program, package in NEEDED.items() if shutil.which(program, path=path) is None]


def install(packages: list[str]) -> None:
    """apt-get, quiet unless it fails. Services that packages bring are not started."""
    print(f"Installing {' '.join(packages)} with apt-get ...", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install_command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    for command in (["apt-get", "update"], install_command):
        done = subprocess.run(
            command, check=False, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            print(done.stderr.strip() or done.stdout.strip(), file=sys.stderr)
