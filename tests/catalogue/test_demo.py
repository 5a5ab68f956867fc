"""The demo's catalogue and people."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User

from promotions import demo
from promotions.choices import Role, WriteMode
from promotions.models import AuditEntry, Connection, Environment, RoleGrant, Stage, WebhookSource
from promotions.policy.access import may_replay
from promotions.secrets import resolve

pytestmark = pytest.mark.django_db
URLS = {
    "gitlab": "http://127.0.0.1:9001",
    "kubernetes": "http://127.0.0.1:9002",
    "argocd": "http://127.0.0.1:9003",
    "registry": "http://127.0.0.1:9004",
    "control": "http://127.0.0.1:9005",
}
BASE = "http://127.0.0.1:8000"


def test_the_demo_declares_scenario_a() -> None:
    """Reference scenarios README, section A."""
    demo.prepare(URLS, BASE)
    prod = Stage.objects.get(environment__slug="prod")
    assert prod.image.repository == "harbor.centre.com/k8s/flask-k8s-example"
    assert (prod.manifest_project, prod.manifest_branch, prod.manifest_path) == (
        "gitlab/flask-k8s-manifest",
        "main",
        "overlays/prod",
    )
    assert (prod.write_mode, prod.team_branch) == (WriteMode.TEAM_BRANCH, "dev")
    assert (prod.argocd_application, prod.verification_pipeline) == ("flask-prod", "integration-test")
    assert prod.promotable
    dev = Stage.objects.get(environment__slug="dev")
    assert dev.image.repository == "harbor.centre.com/k8s/flask-k8s-example-dev"
    assert (dev.argocd_application, dev.promotable) == ("flask-dev", False)
    risks = Environment.objects.values_list("slug", "order", "risk", "required_approvals")
    assert list(risks) == [("dev", 1, "development", 0), ("prod", 2, "production", 1)]


def test_a_second_start_of_the_demo_changes_nothing() -> None:
    demo.prepare(URLS, BASE)
    riku = User.objects.get(username="riku")
    riku.set_password("chosen by hand")
    riku.save()
    RoleGrant.objects.filter(user__username="vera").update(role=Role.DEVELOPER)
    audit = AuditEntry.objects.count()
    demo.prepare(URLS, BASE)
    assert AuditEntry.objects.count() == audit
    assert RoleGrant.objects.get(user__username="vera").role == Role.DEVELOPER
    assert authenticate(username="riku", password="chosen by hand") == riku


def test_everybody_the_demo_names_can_sign_in_and_holds_the_role() -> None:
    people = demo.prepare(URLS, BASE)
    assert [name for name, _, _ in people] == ["dana", "riku", "vera", "ada"]
    for name, _, password in people:
        assert authenticate(username=name, password=password) is not None
    assert may_replay(User.objects.get(username="ada"))
    assert not may_replay(User.objects.get(username="riku"))


def test_every_secret_the_demo_refers_to_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in demo.environment().items():
        monkeypatch.setenv(name, value)
    demo.prepare(URLS, BASE)
    references = list(Connection.objects.values_list("secret", flat=True))
    for source in WebhookSource.objects.all():
        references += [*source.tokens, *source.signing_tokens]
    assert all(resolve(reference) for reference in references)


def test_an_address_that_moved_is_followed_by_the_next_start() -> None:
    demo.prepare(URLS, BASE)
    demo.prepare({**URLS, "gitlab": "http://127.0.0.1:9991"}, BASE)
    assert Connection.objects.get(slug="gitlab").url == "http://127.0.0.1:9991"


@pytest.mark.parametrize(
    ("scenario", "stages"),
    [
        ("b", {"gitops-demo-app/prod"}),
        ("c", {"go-sampleapp/dev", "go-sampleapp/prod"}),
        (
            "d",
            {
                "shop-web/dev",
                "shop-web/prod",
                "shop-worker/dev",
                "shop-worker/prod",
                "shop-migrations/prod",
            },
        ),
        ("e", {"billing/dev", "billing/prod"}),
    ],
)
def test_every_scenario_has_a_catalogue_that_stands_alone(scenario: str, stages: set[str]) -> None:
    """Reference scenarios README, sections B to E."""
    demo.prepare(URLS, BASE, scenario)
    found = Stage.objects.values_list("application__slug", "environment__slug")
    assert {"/".join(pair) for pair in found} == stages


def test_all_scenarios_share_one_set_of_connections() -> None:
    demo.prepare(URLS, BASE, "all")
    assert Stage.objects.count() == 12
    assert Connection.objects.filter(vendor="gitlab").count() == 1
    before = AuditEntry.objects.count()
    demo.prepare(URLS, BASE, "a,b,c,d,e")
    assert AuditEntry.objects.count() == before


def test_a_scenario_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="Choose scenarios from a, b, c, d, e, or all"):
        demo.prepare(URLS, BASE, "a,x")
