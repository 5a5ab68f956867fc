"""What a catalogue file may say, and how its mistakes are told."""

from __future__ import annotations

import pytest

from promotions.catalogue import CatalogueError, read_catalogue
from promotions.catalogue.rows import ENVIRONMENT, IMAGE, ROLE, STAGE, WEBHOOK_SOURCE
from tests.catalogue.conftest import SHOP


def mistakes(text: str) -> str:
    with pytest.raises(CatalogueError) as raised:
        read_catalogue(text, file="catalogue.yaml")
    return str(raised.value)


def changed(old: str, new: str) -> str:
    assert old in SHOP
    return SHOP.replace(old, new)


def test_a_short_file_is_filled_with_sensible_defaults() -> None:
    rows = read_catalogue(SHOP, file="catalogue.yaml").rows
    stage = rows[STAGE][1].values
    assert stage["manifest_connection__slug"] == "gitlab"
    assert stage["manifest_branch"] == "main"
    assert stage["manifest_path"] == "prod"
    assert (stage["write_mode"], stage["edit_style"]) == ("direct", "tag")
    assert (stage["argocd_connection__slug"], stage["argocd_application"]) == ("argocd", "shop-prod")
    assert stage["verification_connection__slug"] == "tekton"
    assert rows[STAGE][0].values["argocd_connection__slug"] is None
    assert rows[IMAGE][0].values["connection__slug"] == "harbor"
    assert [(row.values["order"], row.values["required_approvals"]) for row in rows[ENVIRONMENT]] == [
        (1, 0),
        (2, 1),
    ]
    assert rows[WEBHOOK_SOURCE][0].key == (None,)
    assert (None, "shop-team", "developer", "shop", None) in {row.key for row in rows[ROLE]}


# What is replaced in the file, by what, what is told, and how many lines from the replaced text.
MISTAKES = [
    ("environments:", "enviroments:", 'enviroments: unknown key. Did you mean "environments"?', 0),
    (
        "vendor: gitlab",
        "vendor: gitlub",
        'connections.gitlab.vendor: "gitlub" is not one of them. Did you mean "gitlab"?',
        0,
    ),
    (
        "path: prod}",
        "pth: prod}",
        'applications.shop.stages.prod.manifests.pth: unknown key. Did you mean "path"?',
        0,
    ),
    (
        "      prod: {m",
        "      prd: {m",
        'applications.shop.stages.prd: there is no environment "prd". Did you mean "prod"?',
        0,
    ),
    (
        "application: shop}",
        "application: shap}",
        'roles[0].application: there is no application "shap". Did you mean "shop"?',
        0,
    ),
    (
        "role: approver",
        "role: boss",
        'roles[1].role: "boss" is not one of them. Known: admin, approver, developer, viewer.',
        0,
    ),
    (
        "connection: gitlab",
        "connection: gitlap",
        'webhook_sources[0].connection: there is no connection "gitlap". Did you mean "gitlab"?',
        0,
    ),
    (
        "connection: gitlab",
        "connection: tekton",
        "webhook_sources[0].connection: Tekton sends no webhooks to Slipway.",
        0,
    ),
    (
        ", namespace: builds",
        "",
        "connections.tekton.namespace: is missing. It is where the PipelineRuns are.",
        0,
    ),
    (
        "team/shop}",
        "team/shop:1.0}",
        "applications.shop.images.web.repository: must be host/path in small letters without tag or digest",
        0,
    ),
    (
        "path: prod}",
        "path: ../prod}",
        "applications.shop.stages.prod.manifests.path: must be a path inside the repository",
        0,
    ),
    (
        "path: prod}",
        "path: prod, write: team-branch}",
        "applications.shop.stages.prod.manifests.team_branch: is missing.",
        0,
    ),
    ("path: prod}", "path: prod, places: [oops]}", 'places: takes places as "file:key"', 0),
    ("path: prod}", "path: prod, places: ['a.yaml:b[']}", 'places: takes places as "file:key"', 0),
    (
        "path: prod}",
        "path: prod, team_branch: dev}",
        "team_branch: means something only with write: team-branch.",
        0,
    ),
    (
        "path: prod}",
        "path: prod, merged_by_people: true}",
        "there is no merge request with write: direct.",
        0,
    ),
    ("  dev: {}", "  dev: {order: 2}", 'environments.prod.order: environment "dev" has order 2 already.', 1),
    ("risk: production", "risk: production, required_approvals: -1", "must be a whole number, 0 or more.", 0),
    (
        "promotable: false",
        "promotable: nope",
        "applications.shop.stages.dev.promotable: must be true or false.",
        0,
    ),
    (
        "project: team/manifests",
        "project: 12",
        "must be a text, YAML reads it as int: put quotes around it.",
        0,
    ),
    ("  dev: {}", "  dév: {}", "environments.dév: a name is 1 to 50 letters", 0),
    ("  dev: {}", "  dev: {}\n  dev: {}", "environments.dev: the key is given twice, first in line 10.", 1),
    ("    source: team/shop\n", "", "applications.shop.source: is missing.", -1),
    ("https://gitlab.example.com", "gitlab.example.com", "must look like https://gitlab.example.com", 0),
    ("tokens: env:GITLAB_HOOK_TOKEN", "id: 12-34", "webhook_sources[0].id: must be a UUID", 0),
    ("  - {group: shop-team, ", "  - {", "roles[0]: must name either user or group.", 0),
]


@pytest.mark.parametrize(("old", "new", "told", "shift"), MISTAKES)
def test_a_mistake_is_told_with_file_line_and_key(old: str, new: str, told: str, shift: int) -> None:
    line = SHOP[: SHOP.index(old.lstrip("\n"))].count("\n") + 1 + shift
    found = [text for text in mistakes(changed(old, new)).splitlines() if told in text]
    assert {text.split(":")[1] for text in found} == {str(line)}


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    text = changed("vendor: gitlab", "vendor: gitlub").replace("role: approver", "role: boss")
    told = mistakes(text).splitlines()
    assert len(told) > 1
    assert [int(line.split(":")[1]) for line in told] == sorted(int(line.split(":")[1]) for line in told)


@pytest.mark.parametrize(
    "secret", ["glpat-Xy12345678901234567", "hunter2", "file:relative", "env:my-token-1"]
)
def test_a_secret_that_is_no_reference_is_refused_and_not_repeated(secret: str) -> None:
    told = mistakes(changed("env:GITLAB_TOKEN", secret))
    assert "connections.gitlab.secret: must be a reference, env:NAME or file:/absolute/path" in told
    assert secret not in told


@pytest.mark.parametrize(
    "text",
    ["https://riku:hunter2-hunter2@gitlab.example.com", "whsec_c2FuZGJveC1zaWduaW5nLWtleQ=="],
)
def test_a_secret_in_another_place_is_refused_and_not_repeated(text: str) -> None:
    told = mistakes(changed("https://gitlab.example.com", f'"{text}"'))
    assert "connections.gitlab.url: looks like a secret" in told
    assert "hunter2" not in told
    assert "whsec" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "catalogue.yaml: the file is empty."),
        ("connections: [", "catalogue.yaml:2: not valid YAML"),
        ("- a\n- b\n", "catalogue.yaml:1: must be a mapping of keys, not a list."),
        ("a: 1\n---\nb: 2\n", "catalogue.yaml:2: not valid YAML"),
        ("x: " + "[" * 100_000, "nested deeper than 40 levels."),
        ("environments:\n  dev: &a {<<: *a}\n", "merges deeper than 5 levels."),
        ("\0", "not valid YAML"),
    ],
)
def test_a_text_that_is_no_catalogue_is_told_so(text: str, told: str) -> None:
    assert told in mistakes(text)


def test_anchors_and_merges_shorten_a_file_and_lines_still_lead_to_the_mistake() -> None:
    text = SHOP.replace("connections:", "x-common: &common {path: somewhere, style: digets}\nconnections:")
    text = text.replace("manifests: {path: prod}", "manifests: {<<: *common, path: prod}")
    told = mistakes(text)
    assert told.startswith("catalogue.yaml:1: applications.shop.stages.prod.manifests.style: ")
    assert told.endswith('"digets" is not one of them. Did you mean "digest"?')


def test_two_registries_of_one_host_must_be_told_apart() -> None:
    second = "  other: {vendor: distribution, url: https://r.example.com, host: harbor.example.com}\n"
    told = mistakes(SHOP.replace("webhook_sources:", f"{second}webhook_sources:"))
    assert "applications.shop.images.web.connection: is missing. There are several" in told
