"""What `deploy/` describes fits together and fits the product. No cluster or container engine is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def rendered() -> list[Document]:
    """The cluster's objects as `kubectl apply -k` would send them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", str(DEPLOY / "kubernetes")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def named(documents: list[Document], kind: str, name: str) -> Document:
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)


def pods(documents: list[Document]) -> list[Document]:
    found = [d["spec"]["template"]["spec"] for d in documents if d["kind"] in {"Deployment", "Job"}]
    assert len(found) == 3
    return found


def containers(documents: list[Document]) -> list[Document]:
    return [each for pod in pods(documents) for each in [*pod.get("initContainers", []), *pod["containers"]]]


def test_web_worker_and_migration_run_the_same_image_with_a_fixed_tag(rendered: list[Document]) -> None:
    images = {container["image"] for container in containers(rendered)}
    assert len(images) == 1
    assert re.fullmatch(r"\S+/slipway:\d+\.\d+\.\d+", images.pop())


def test_every_command_is_one_that_manage_py_knows(rendered: list[Document]) -> None:
    from django.core.management import get_commands

    asked = {container["command"][2] for container in containers(rendered)}
    assert asked == {"web", "worker", "migrate", "apply_catalog"}
    assert asked <= set(get_commands())


def test_traffic_waits_for_healthz_asked_under_a_host_that_is_allowed(rendered: list[Document]) -> None:
    web = named(rendered, "Deployment", "slipway-web")["spec"]["template"]["spec"]["containers"][0]
    settings = next(d for d in rendered if d["kind"] == "ConfigMap" and "ALLOWED_HOSTS" in d["data"])["data"]
    for probe in (web["startupProbe"], web["readinessProbe"]):
        assert probe["httpGet"]["path"] == "/healthz"
        host = probe["httpGet"]["httpHeaders"][0]["value"]
        assert host in settings["ALLOWED_HOSTS"].split(",")


def test_secrets_are_mounted_and_never_written_down(rendered: list[Document]) -> None:
    assert not [document for document in rendered if document["kind"] == "Secret"]
    settings = next(d for d in rendered if d["kind"] == "ConfigMap" and "BASE_URL" in d["data"])["data"]
    for name in ("SECRET_KEY", "DATABASE_URL"):
        assert name not in settings
        folder, _, key = settings[f"{name}_FILE"].rpartition("/")
        assert key in {"secret-key", "database-url"}
        for container in containers(rendered):
            assert folder in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_pods_run_without_root_without_rights_and_without_a_cluster_token(rendered: list[Document]) -> None:
    for pod in pods(rendered):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
    for container in containers(rendered):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_every_mount_names_a_volume_of_its_pod(rendered: list[Document]) -> None:
    for pod in pods(rendered):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_service_reaches_the_web_pods_and_the_ingress_the_service(rendered: list[Document]) -> None:
    service = named(rendered, "Service", "slipway")["spec"]
    web = named(rendered, "Deployment", "slipway-web")["spec"]["template"]
    assert service["selector"].items() <= web["metadata"]["labels"].items()
    ports = {port["name"] for port in web["spec"]["containers"][0]["ports"]}
    assert service["ports"][0]["targetPort"] in ports
    rule = named(rendered, "Ingress", "slipway")["spec"]["rules"][0]["http"]["paths"][0]
    assert rule["backend"]["service"]["name"] == "slipway"


def test_compose_starts_web_and_worker_after_the_migration_and_keeps_secrets_in_files() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert "SECRET_KEY" not in services[name]["environment"]
        assert set(services[name]["secrets"]) <= set(compose["secrets"])
    assert all("file" in secret for secret in compose["secrets"].values())


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copies = re.findall(r"^COPY (?!--from)(\S+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert "promotions" in copies
    for source in copies:
        assert (ROOT / source).exists()
        assert source not in ignored


def test_the_image_installs_the_locked_packages_with_their_hashes_and_drops_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert re.search(r"^USER 10001:10001$", text, re.M)
