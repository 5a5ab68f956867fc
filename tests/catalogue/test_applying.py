"""Applying a catalogue file: what changes, what stays, what is printed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.utils import timezone

from promotions.models import (
    Application,
    AuditEntry,
    Connection,
    Delivery,
    Environment,
    Image,
    ImageVersion,
    Promotion,
    RoleGrant,
    Stage,
    WebhookSource,
)
from tests.catalogue.conftest import SHOP, Run

pytestmark = pytest.mark.django_db
Edit = Callable[[str, str], None]
STAGES = SHOP[SHOP.index("    stages:") : SHOP.index("roles:")]


@pytest.fixture
def applied(apply_catalog: Run) -> str:
    return apply_catalog()


def a_version() -> ImageVersion:
    return ImageVersion.objects.create(image=Image.objects.get(), digest="sha256:" + "a" * 64, tag="1.0.0")


def a_promotion(environment: str) -> Promotion:
    return Promotion.objects.create(
        stage=Stage.objects.get(environment__slug=environment),
        version=a_version(),
        requested_by_name="Dana",
        status="succeeded",
        finished_at=timezone.now(),
        base_commit="0" * 40,
        change_hash="0" * 64,
    )


def test_everything_in_the_file_is_added_and_printed(applied: str) -> None:
    assert "+ connection gitlab\n" in applied
    assert "+ stage shop/prod\n" in applied
    assert "+ role approver of user riku for every application in prod\n" in applied
    source = WebhookSource.objects.get()
    assert f"+ webhook source gitlab at {source.pk}\n" in applied
    assert applied.endswith("Done: 13 added, 0 changed, 0 removed.\n")
    stage = Stage.objects.get(environment__slug="prod")
    assert (stage.image.repository, stage.argocd_application) == ("harbor.example.com/team/shop", "shop-prod")
    assert stage.argocd_connection == Connection.objects.get(slug="argocd")
    assert Group.objects.filter(name="shop-team").exists()
    assert not User.objects.get(username="riku").has_usable_password()


def test_applying_again_changes_nothing(applied: str, apply_catalog: Run) -> None:
    entries = AuditEntry.objects.count()
    assert apply_catalog() == "Nothing to change.\n"
    assert AuditEntry.objects.count() == entries == 1


def test_a_dry_run_prints_the_same_and_changes_nothing(apply_catalog: Run) -> None:
    printed = apply_catalog("--dry-run")
    assert "+ stage shop/prod\n" in printed
    assert "Dry run, nothing was changed. It would be: 13 added" in printed
    assert not Connection.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_changed_field_is_printed_with_its_old_and_new_value(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    edit("path: prod}", "path: production, style: digest}")
    printed = apply_catalog()
    expected = '~ stage shop/prod: manifest_path "prod" -> "production", edit_style "tag" -> "digest"\n'
    assert printed == f"{expected}Done: 0 added, 1 changed, 0 removed.\n"
    assert Stage.objects.get(environment__slug="prod").manifest_path == "production"
    assert AuditEntry.objects.first().data["changes"] == [expected[:-1]]  # type: ignore[union-attr]


def test_a_file_with_a_mistake_changes_nothing(applied: str, apply_catalog: Run, edit: Edit) -> None:
    edit("path: prod}", "path: production}")
    edit("role: approver", "role: boss")
    with pytest.raises(CommandError, match=r"roles\[1\].role.*\n1 mistake; nothing was changed"):
        apply_catalog()
    assert Stage.objects.get(environment__slug="prod").manifest_path == "prod"


def test_environments_can_swap_places(applied: str, apply_catalog: Run, edit: Edit) -> None:
    edit("  dev: {}\n  prod: {risk: production}\n", "  prod: {risk: production}\n  dev: {}\n")
    apply_catalog()
    assert list(Environment.objects.values_list("slug", "order")) == [("prod", 1), ("dev", 2)]


def test_a_renamed_image_keeps_its_versions(applied: str, apply_catalog: Run, edit: Edit) -> None:
    version = a_version()
    edit("images: {web:", "images: {frontend:")
    assert '~ image shop/web: slug "web" -> "frontend"\n' in apply_catalog()
    assert Image.objects.get().slug == "frontend"
    assert Image.objects.get().versions.get() == version


def test_what_left_the_file_and_nothing_depends_on_is_removed(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    edit(SHOP[SHOP.index("  shop:\n") : SHOP.index("roles:")], "    {}\n")
    edit("  - {group: shop-team, role: developer, application: shop}\n", "")
    printed = apply_catalog()
    assert "- stage shop/prod\n" in printed
    assert "- role developer of group shop-team for shop in every environment\n" in printed
    assert not Application.objects.exists()
    assert RoleGrant.objects.count() == 1


def test_a_stage_with_promotions_is_kept_closed_and_told_even_with_prune(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    a_promotion("prod")
    edit("  prod: {risk: production}\n", "")
    edit(STAGES[STAGES.index("      prod:") :], "")
    edit("environment: [prod]", "environment: [dev]")
    printed = apply_catalog("--prune")
    assert "! stage shop/prod is not in the file but kept: 1 promotion\n" in printed
    assert "! environment prod is not in the file but kept: stage shop/prod is kept\n" in printed
    assert "~ stage shop/prod: promotable true -> false (no longer in the file)\n" in printed
    assert not Stage.objects.get(environment__slug="prod").promotable
    assert "Nothing to change." in apply_catalog("--prune")


def test_what_was_only_observed_goes_with_prune(applied: str, apply_catalog: Run, edit: Edit) -> None:
    source = WebhookSource.objects.get()
    Delivery.objects.create(source=source, dedupe_key="1", body=b"{}")
    edit("  - connection: gitlab\n    tokens: env:GITLAB_HOOK_TOKEN\n", "  []\n")
    printed = apply_catalog()
    assert "kept: 1 delivery; --prune removes it too" in printed
    source.refresh_from_db()
    assert source.tokens == []
    assert "- webhook source" in apply_catalog("--prune")
    assert not WebhookSource.objects.exists()


def test_a_section_that_is_absent_leaves_its_tables_alone(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    edit(SHOP[SHOP.index("webhook_sources:") :], "")
    assert "Nothing to change." in apply_catalog()
    edit("  tekton: {vendor: tekton, url: https://kubernetes.example.com, namespace: builds}\n", "")
    assert "! connection tekton is not in the file but kept: stage shop/prod is kept\n" in apply_catalog()
    assert Stage.objects.count() == 2


def test_a_source_without_an_id_keeps_the_address_it_was_given(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    source = WebhookSource.objects.get()
    edit("env:GITLAB_HOOK_TOKEN", "[env:GITLAB_HOOK_TOKEN, env:NEXT_HOOK_TOKEN]")
    apply_catalog()
    assert WebhookSource.objects.get().pk == source.pk
    assert WebhookSource.objects.get().tokens == ["env:GITLAB_HOOK_TOKEN", "env:NEXT_HOOK_TOKEN"]


def test_a_new_environment_can_not_take_the_order_of_one_that_must_stay(
    applied: str, apply_catalog: Run, edit: Edit
) -> None:
    a_promotion("prod")
    edit("  prod: {risk: production}\n", "  live: {risk: production}\n")
    edit("      prod: {manifests", "      live: {manifests")
    edit("environment: [prod]", "environment: [live]")
    with pytest.raises(CommandError, match='environment "prod" has order 2 and is kept'):
        apply_catalog()


def test_a_file_that_is_not_there_is_told_in_a_sentence(apply_catalog: Run, catalogue_file: object) -> None:
    from pathlib import Path

    assert isinstance(catalogue_file, Path)
    catalogue_file.unlink()
    with pytest.raises(CommandError, match="can't be read: No such file or directory"):
        apply_catalog()
