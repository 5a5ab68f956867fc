"""Several places that decide one version: page and API list them, with what the catalogue remembers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from promotions.models import Connection, ImageVersion, Stage
from tests import cast
from tests.integrations.loopback import Loopback, loopback
from tests.manifest_file import FILE, serve_manifest
from tests.pages.conftest import SignIn

IMAGE = "harbor.centre.com/k8s/flask-k8s-example"


def pods(*images: str) -> bytes:
    return b"---\n".join(
        f"kind: Pod\napiVersion: v1\nmetadata: {{name: p{number}}}\n"
        f"spec: {{containers: [{{name: web, image: {IMAGE}{image}}}]}}\n".encode()
        for number, image in enumerate(images)
    )


@pytest.fixture
def gitlab(catalogue: cast.Catalogue) -> Iterator[Loopback]:
    with loopback() as server:
        Connection.objects.filter(slug="gitlab").update(url=server.url)
        yield server


@pytest.fixture
def client(people: cast.People, sign_in: SignIn) -> Client:
    return sign_in(people.requester)


def page(client: Client, catalogue: cast.Catalogue) -> str:
    address = reverse("promote", args=[catalogue.application.slug, "production", catalogue.newer.pk])
    return client.get(address).content.decode()


def preview(client: Client, catalogue: cast.Catalogue) -> dict[str, object]:
    path = f"/api/stages/{catalogue.production.pk}/preview/?version={catalogue.newer.pk}"
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    body: dict[str, object] = answer.json()
    return body


def test_the_api_lists_every_place_with_what_to_put_into_the_catalogue(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    serve_manifest(gitlab, pods(":1.0.0", ":1.0.0", ":1.0.0"))
    seen = preview(client, catalogue)
    assert seen["change"] is None
    assert seen["disagreement"] == ""
    choices = seen["choices"]
    assert isinstance(choices, list)
    assert [choice["places"][0]["document"] for choice in choices] == [0, 1, 2]
    assert choices[1]["places"] == [
        {
            "file": FILE,
            "document": 1,
            "key": "spec.containers[name=web].image",
            "value": f"{IMAGE}:1.0.0",
            "kind": "plain",
            "line": 9,
        }
    ]
    assert yaml.safe_load(choices[1]["catalogue"]) == {
        "applications": {
            "flask-k8s-example": {
                "stages": {
                    "production": {"manifests": {"places": [f"{FILE}#1:spec.containers[name=web].image"]}}
                }
            }
        }
    }


def test_what_the_page_says_to_remember_is_what_makes_the_change(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    serve_manifest(gitlab, pods(":1.0.0", ":1.0.0", ":1.0.0"))
    choices = preview(client, catalogue)["choices"]
    assert isinstance(choices, list)
    written = yaml.safe_load(choices[1]["catalogue"])["applications"]["flask-k8s-example"]["stages"][
        "production"
    ]
    Stage.objects.filter(pk=catalogue.production.pk).update(places=written["manifests"]["places"])
    seen = preview(client, catalogue)
    assert seen["choices"] == []
    change = seen["change"]
    assert isinstance(change, dict)
    assert [edit["key"] for edit in change["edits"]] == ["Pod/p1:spec.containers[name=web].image"]


def test_the_page_lists_the_places_and_the_yaml_to_paste(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    serve_manifest(gitlab, pods(":1.0.0", "@sha256:" + "a" * 64))
    shown = page(client, catalogue)
    assert "Choose what decides the version" in shown
    assert "2 places decide the version" in shown
    assert f"{FILE}:9" in shown
    assert "document 2" in shown
    assert escape(f"- {FILE}#1:spec.containers[name=web].image") in shown
    assert escape("- '*'") in shown
    assert "disabled aria-describedby" in shown


def test_a_tag_and_its_digest_are_one_choice(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    digest = "sha256:" + "a" * 64
    values = "".join(
        f"{name}: {{repository: {IMAGE}, tag: 1.0.0, digest: '{digest}'}}\n" for name in ("web", "worker")
    )
    serve_manifest(gitlab, values.encode())
    choices = preview(client, catalogue)["choices"]
    assert isinstance(choices, list)
    assert [[place["key"] for place in choice["places"]] for choice in choices] == [
        ["web.tag", "web.digest"],
        ["worker.tag", "worker.digest"],
    ]


def test_nothing_is_to_be_chosen_where_one_place_decides(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    serve_manifest(gitlab, pods(":1.0.0"))
    assert "Choose what decides" not in page(client, catalogue)
    assert preview(client, catalogue)["choices"] == []


@pytest.mark.parametrize("places", [[], ["*"]], ids=["to be chosen", "all chosen"])
def test_places_that_disagree_are_told_before_anything_is_asked_for(
    places: list[str], catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    Stage.objects.filter(pk=catalogue.production.pk).update(places=places)
    digest = "sha256:" + "a" * 64
    serve_manifest(gitlab, pods(":1.0.0", f"@{digest}"))
    key = "spec.containers[name=web].image"
    sentence = f"The places of {IMAGE} disagree: {FILE}:{key} says 1.0.0; {FILE}#1:{key} says {digest}."
    assert preview(client, catalogue)["disagreement"] == sentence
    assert escape(sentence) in page(client, catalogue)


def test_a_tag_beside_the_digest_of_another_build_is_told(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    serve_manifest(gitlab, pods(f":{catalogue.old.tag}@{catalogue.newer.digest}"))
    sentence = "Git says 1.0.0, but the digest beside it is that of 1.1.0: the digest is what runs."
    assert preview(client, catalogue)["disagreement"] == sentence
    assert sentence in page(client, catalogue)


def test_a_tag_beside_its_own_digest_is_no_disagreement(
    catalogue: cast.Catalogue, client: Client, gitlab: Loopback
) -> None:
    assert ImageVersion.objects.filter(tags__contains=["1.0.0"]).exists()
    serve_manifest(gitlab, pods(f":{catalogue.old.tag}@{catalogue.old.digest}"))
    assert preview(client, catalogue)["disagreement"] == ""
