"""The matrix and the application's page: the three answers and every disagreement."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from promotions.choices import PromotionStatus
from promotions.models import Announcement, Application, Comparison, StageState
from tests import cast
from tests.pages.conftest import SignIn


def test_a_cell_shows_version_commit_sync_and_health(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    page = sign_in(people.viewer).get("/").content.decode()
    for words in ("1.0.0", "11111111", "Synced", "Healthy", "latest@333333333333"):
        assert words in page


def test_a_hand_edit_in_git_is_told(catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn) -> None:
    StageState.objects.filter(stage=catalogue.production).update(
        desired_version=catalogue.newer, desired_tag="1.1.0", sync_status="OutOfSync"
    )
    page = sign_in(people.viewer).get("/").content.decode()
    assert "Git asks for 1.1.0, 1.0.0 runs: Argo CD has not synced it." in page


def test_a_change_of_git_outside_slipway_is_told(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(
        catalogue, people.requester, status=PromotionStatus.SUCCEEDED, finished_at=timezone.now()
    )
    StageState.objects.filter(stage=catalogue.production).update(promoted=promotion)
    page = sign_in(people.viewer).get("/").content.decode()
    assert "Git was changed outside Slipway: it asks for 1.0.0, last promoted was 1.1.0." in page


def test_two_tags_of_an_unknown_version_are_compared_by_digest(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    StageState.objects.filter(stage=catalogue.production).update(
        desired_version=None,
        running_version=None,
        desired_tag="stable",
        desired_digest="sha256:" + "a" * 64,
        running_tag="1.0.0",
        running_digest="sha256:" + "a" * 64,
    )
    assert "disagreement" not in sign_in(people.viewer).get("/").content.decode()


def test_a_promotion_under_way_is_linked(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    page = sign_in(people.viewer).get("/").content.decode()
    assert f'href="{promotion.get_absolute_url()}"' in page
    assert "waiting for approval" in page


def test_a_stage_that_was_never_seen_says_so(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    StageState.objects.all().delete()
    client = sign_in(people.viewer)
    assert "not yet seen" in client.get("/").content.decode()
    assert client.get(catalogue.application.get_absolute_url()).status_code == 200


def test_only_visible_applications_are_rows(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    Application.objects.create(slug="hidden", name="hidden-one", source_connection=catalogue.gitlab)
    assert "hidden-one" not in sign_in(people.viewer).get("/").content.decode()
    assert "hidden-one" in sign_in(people.admin).get("/").content.decode()


def test_filtering_by_name_works_without_a_script(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.viewer)
    assert "1.0.0" in client.get("/?q=FLASK").content.decode()
    nothing = client.get("/?q=zebra").content.decode()
    assert "No application has “zebra” in its name." in nothing


def test_an_empty_matrix_tells_what_to_do_next(people: cast.People, sign_in: SignIn) -> None:
    assert "apply_catalog" in sign_in(people.admin).get("/").content.decode()
    assert "An administrator can give you a role" in sign_in(people.outsider).get("/").content.decode()


def test_a_page_asks_for_what_it_shows_from_before_its_queries(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    newest = Announcement.objects.create(fragment="cell", key="1", application=catalogue.application)
    client = sign_in(people.viewer)
    page = client.get("/").content.decode()
    assert f'data-live-since="{newest.pk}" data-live-wants="cell upstreams:all approvals"' in page
    page = client.get(catalogue.application.get_absolute_url()).content.decode()
    key = catalogue.application.pk
    assert f"stage:{catalogue.dev.pk} stage:{catalogue.production.pk} versions:{key}" in page


def test_more_rows_need_no_more_queries(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.admin)
    with CaptureQueriesContext(connection) as few:
        client.get("/")
    for number in range(5):
        application = Application.objects.create(
            slug=f"more-{number}", name=f"more-{number}", source_connection=catalogue.gitlab
        )
        catalogue.production.pk = None
        catalogue.production.application = application
        catalogue.production.save()
        cast.make_state(catalogue.production, catalogue.old)
    with CaptureQueriesContext(connection) as many:
        client.get("/")
    assert len(many) == len(few)


def test_the_application_offers_what_is_newer_and_says_what_is_in_it(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.requester)
    page = client.get(catalogue.application.get_absolute_url()).content.decode()
    assert "Promote 1.1.0 …" in page
    assert "What is in it is being read from GitLab." in page
    Comparison.objects.create(
        connection=catalogue.gitlab,
        project=cast.SOURCE_PROJECT,
        base=catalogue.old.commit,
        head=catalogue.newer.commit,
        commits=[{"sha": "2" * 40, "title": "Add a banner", "author": "Rin Sato", "at": None, "url": ""}],
        merge_requests=[{"iid": 4, "title": "Banner", "author": "Rin Sato", "url": ""}],
    )
    page = client.get(catalogue.application.get_absolute_url()).content.decode()
    assert "1 commit since 1.0.0" in page
    assert "Add a banner" in page
    assert "!4" in page


def test_the_reasons_why_not_stand_beside_the_disabled_button(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    address = reverse("candidates", args=[catalogue.application.slug, "production"])
    shown = sign_in(people.viewer).get(address).content.decode()
    assert "disabled" in shown
    assert "Vic Lund is not a developer of flask-k8s-example / Production." in shown
    assert "disabled" not in sign_in(people.requester).get(address).content.decode()


def test_the_header_tells_which_upstream_is_troubled_without_its_words(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    cast.make_upstream(catalogue.gitlab, "branches", trouble="401 for gitlab/secret-project")
    page = sign_in(people.viewer).get("/").content.decode()
    assert "gitlab: troubled" in page
    assert "secret-project" not in page
    assert "secret-project" in sign_in(people.admin).get("/upstreams/").content.decode()
