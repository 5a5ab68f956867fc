"""Default closed: every address, for everybody."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from promotions.models import Lock
from promotions.views.permissions import Permission
from tests import cast
from tests.pages.conftest import SignIn

# Addresses that belong to other packages and have their own access rules.
FOREIGN = ("admin/", "api/", "language/")


def own_views() -> dict[str, object]:
    return {
        str(pattern.name): pattern.callback
        for pattern in get_resolver().url_patterns
        if isinstance(pattern, URLPattern) and not str(pattern.pattern).startswith(FOREIGN)
    }


def addresses(catalogue: cast.Catalogue, by: cast.People) -> dict[str, str]:
    promotion = cast.make_promotion(catalogue, by.requester)
    run = cast.make_run(catalogue)
    delivery = cast.make_delivery(catalogue)
    log = run.task_runs.get(task="build").logs.get()
    slug = catalogue.application.slug
    arguments: dict[str, tuple[object, ...]] = {
        "application": (slug,),
        "candidates": (slug, "production"),
        "promote": (slug, "production", catalogue.newer.pk),
        "run": (run.pk,),
        "run-log": (run.pk, log.pk),
        "delivery": (delivery.pk,),
        "lock-lift": (Lock.objects.create(reason="An incident", set_by_name="Ada Weber").pk,),
        "version-block": (catalogue.newer.pk,),
    }
    found = {}
    for name in own_views():
        is_about_one = name.startswith("promotion") and name != "promotions"
        default = (promotion.pk,) if is_about_one else ()
        found[name] = reverse(name, args=arguments.get(name, default))
    return found


def test_every_view_names_the_permission_it_needs() -> None:
    nameless = [name for name, view in own_views().items() if not hasattr(view, "permission")]
    assert nameless == []


def test_an_anonymous_visitor_sees_only_the_sign_in(catalogue: cast.Catalogue, people: cast.People) -> None:
    for name, url in addresses(catalogue, people).items():
        response = Client().get(url)
        if name in ("sign-in", "healthz"):
            assert response.status_code == 200, name
        elif name == "sign-out":
            assert response.status_code == 405
        else:
            assert response.status_code == 302, name
            assert response["Location"].startswith("/sign-in/?next="), name


def test_an_anonymous_post_goes_to_the_sign_in_and_not_back(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    response = Client().post(addresses(catalogue, people)["promotion-approve"])
    assert response["Location"] == "/sign-in/?next=%2F"


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    url = addresses(catalogue, people)["promotion-actions"]
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/promotions/1/"}
    response = Client().get(url, headers=here)
    assert response["HX-Redirect"] == "/sign-in/?next=%2Fpromotions%2F1%2F"


@pytest.mark.parametrize("who", ["requester", "approver", "viewer", "outsider", "admin"])
def test_each_person_sees_what_the_roles_cover(
    who: str, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(getattr(people, who))
    views = own_views()
    for name, url in addresses(catalogue, people).items():
        permission = views[name].permission  # type: ignore[attr-defined]
        status = client.get(url).status_code
        if name in ("sign-out", "promotion-retry"):
            assert status == 405 or (name == "promotion-retry" and who == "outsider"), name
        elif permission == Permission.SEE_APPLICATION:
            found = (200, 302) if name == "promotion-roll-back" else (200,)
            assert status in ((404,) if who == "outsider" else found), name
        elif permission == Permission.SEE_MACHINERY:
            assert status == (200 if who == "admin" else 403), name
        else:
            assert status in (200, 302), name


def test_an_id_of_another_application_is_not_reached_through_ones_own(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    other = cast.make_run(catalogue, application=None)
    own = cast.make_run(catalogue)
    log = other.task_runs.get(task="build").logs.get()
    client = sign_in(people.viewer)
    assert client.get(reverse("run", args=[other.pk])).status_code == 404
    assert client.get(reverse("run-log", args=[own.pk, log.pk])).status_code == 404


def test_signing_in_leads_back_to_where_one_wanted(people: cast.People) -> None:
    said = {"username": "requester", "password": cast.PASSWORD, "next": "/promotions/"}
    assert Client().post("/sign-in/", said)["Location"] == "/promotions/"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(people: cast.People, elsewhere: str) -> None:
    said = {"username": "requester", "password": cast.PASSWORD, "next": elsewhere}
    assert Client().post("/sign-in/", said)["Location"] == "/"


def test_a_wrong_password_is_answered_with_a_sentence(people: cast.People) -> None:
    response = Client().post("/sign-in/", {"username": "requester", "password": "wrong"})
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()


def test_signing_out_ends_the_session(people: cast.People, sign_in: SignIn) -> None:
    client = sign_in(people.requester)
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_posts_need_the_csrf_token(catalogue: cast.Catalogue, people: cast.People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.approver)
    url = addresses(catalogue, people)["promotion-approve"]
    response = client.post(url, {"seen_hash": cast.HASH})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
