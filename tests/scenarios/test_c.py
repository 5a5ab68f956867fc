"""Scenario C: plain manifests beside the code, the commit's hash as tag, a direct commit."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from promotions import demo
from tests.gitserver import SshServer, make_key, ssh_server
from tests.scenarios import drive
from tests.scenarios.elsewhere import Target, syncs_of_automated
from tests.system import ROOT, System

IMAGE = "harbor.centre.com/ns/go-sampleapp"
# What `apply_catalog` does with a file, save that the other scenarios' applications stay.
APPLY = """
import sys, django
django.setup()
from promotions.catalogue import apply, read_catalogue
apply(read_catalogue(sys.stdin.read(), file="c.yaml"), remove=False)
"""


def test_a_build_named_by_its_commit_reaches_production_with_a_direct_commit(system: System) -> None:
    """The catalogue has the manifests written through plain Git: no call of GitLab's API."""
    prod = Target(system, "go-sampleapp", "go-sampleapp")
    dev = Target(system, "go-sampleapp", "go-sampleapp", environment="dev")
    old = prod.settled()
    before = len([sync for sync in system.syncs() if sync["application"] == "go-sampleapp-prod"])
    pushed = system.play("push-go")["commit"]
    assert prod.version(pushed)["commit"] == pushed
    # The pipeline's own commit brings dev along; nobody promoted it.
    system.wait_for(dev.settled, lambda label: label == pushed, seconds=60, what="the build in dev")
    assert dev.stage()["promoted"] is None

    asked = prod.request(pushed)
    drive.approve(system, asked)
    ended = prod.succeed(asked)

    assert [step["step"] for step in ended["steps"]] == ["write", "arrive"]
    commit = prod.the_commit(asked)
    assert prod.diff(commit) == [
        f"-        image: {IMAGE}:{old}  # the commit it was built from",
        f"+        image: {IMAGE}:{pushed}  # the commit it was built from",
    ]
    assert prod.settled() == pushed
    # Nothing is automated in production, so Argo CD was told, and of exactly our commit.
    told = [sync["revisions"] for sync in system.syncs() if sync["application"] == "go-sampleapp-prod"]
    assert told[before:] == [[commit]]
    assert syncs_of_automated(system) == []
    # Our commit to the shared branch starts no build.
    (run,) = [run for run in system.get("runs/")["results"] if run["commit"] == pushed]
    assert run["status"] == "succeeded"
    assert not [run for run in system.get("runs/")["results"] if run["commit"] == commit]


@dataclass(frozen=True)
class OverSsh:
    """The sandbox's repositories behind an sshd of our own; `known_hosts` is the file the catalogue names."""

    server: SshServer
    known_hosts: Path

    @property
    def log(self) -> str:
        return (self.server.folder / "sshd.log").read_text()


@pytest.fixture
def over_ssh(system: System, tmp_path: Path) -> Iterator[OverSsh]:
    """Scenario C's catalogue with its manifests behind SSH; afterwards as it was."""
    text = demo.render(system.urls, system.base, "c")
    with ssh_server(tmp_path) as server:
        folder = system.repository("go-sampleapp").parents[1]
        known_hosts = tmp_path / "known_hosts"
        catalogue = yaml.safe_load(text)
        catalogue["connections"]["git-ssh"] = {
            "vendor": "git",
            "url": f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{folder}",
            "secret": f"file:{server.key}",
            "known_hosts": str(known_hosts),
        }
        catalogue["applications"]["go-sampleapp"]["manifests"]["connection"] = "git-ssh"
        known_hosts.write_text(f"{server.known_hosts}\n")
        declare(system, yaml.safe_dump(catalogue))
        yield OverSsh(server, known_hosts)
        declare(system, text)


def declare(system: System, catalogue: str) -> None:
    command = [sys.executable, "-c", APPLY]
    subprocess.run(command, cwd=ROOT, env=system.environ, input=catalogue, text=True, check=True)


def test_the_same_promotion_goes_over_ssh_with_a_deploy_key_and_known_hosts(
    system: System, over_ssh: OverSsh, tmp_path: Path
) -> None:
    """Reference scenarios README, section C; key and host keys are files that the catalogue names."""
    prod = Target(system, "go-sampleapp", "go-sampleapp")
    old = prod.settled()
    pushed = system.play("push-go")["commit"]
    version = prod.version(pushed)
    # An address that shows another host key gets nothing from us, and the page says why.
    address = over_ssh.server.known_hosts.split(" ")[0]
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    over_ssh.known_hosts.write_text(f"{address} {other}")
    seen = system.get(f"stages/{prod.stage()['id']}/preview/?version={version['id']}")
    assert "another host key" in " ".join(refusal["message"] for refusal in seen["refusals"])
    over_ssh.known_hosts.write_text(f"{over_ssh.server.known_hosts}\n")

    asked = prod.request(pushed)
    drive.approve(system, asked)
    ended = prod.succeed(asked)

    assert [step["step"] for step in ended["steps"]] == ["write", "arrive"]
    commit = prod.the_commit(asked)
    assert prod.diff(commit) == [
        f"-        image: {IMAGE}:{old}  # the commit it was built from",
        f"+        image: {IMAGE}:{pushed}  # the commit it was built from",
    ]
    assert prod.settled() == pushed
    assert "Accepted publickey" in over_ssh.log
    assert syncs_of_automated(system) == []
