"""What the file says about gates: an environment's policy, and freezes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from promotions.catalogue import CatalogueError, read_catalogue
from promotions.catalogue.rows import ENVIRONMENT, FREEZE
from promotions.models import Environment, FreezeWindow
from promotions.policy.rules import Rules
from tests.catalogue.conftest import SHOP, Run

POLICY = """  prod:
    risk: production
    policy:
      requires: [dev]
      soak: 2h
      verified_upstream: true
      approvals: [{group: qa}, {role: admin, count: 2, name: release board}]
      bar_authors: true
      approvals_expire: 1d
      worst_finding: Medium
      pipeline_green: true
      stuck_after: 2h 30m
      checks:
        tests: {url: https://checks.example.com/tests, secret: env:CHECKS_SECRET}
        ticket: {group: change board}
"""
FREEZES = """
freezes:
  nights: {starts: "0 22 * * *", ends: "0 6 * * *", time_zone: Europe/Berlin, environments: prod}
  weekends: {starts: "0 18 * * 5", lasts: 2d 14h, time_zone: Europe/Berlin, reason: Weekend}
  year: {from: "2026-12-24T12:00", to: "2027-01-02T08:00", time_zone: UTC, applications: [shop]}
"""
PROD = "  prod: {risk: production}\n"
FILE = SHOP.replace(PROD, POLICY) + FREEZES


def test_the_file_s_rules_are_what_the_gates_read() -> None:
    rows = read_catalogue(FILE, file="f").rows[ENVIRONMENT]
    dev, prod = (row.values["policy"] for row in rows)
    assert isinstance(dev, dict)
    assert isinstance(prod, dict)
    rules = Rules.of(prod)
    assert (rules.requires, rules.soak.total_seconds(), rules.verified_upstream) == (("dev",), 7200, True)
    assert [(rule.name, rule.count) for rule in rules.approvals] == [("qa", 1), ("release board", 2)]
    assert (rules.bar_authors, rules.worst_finding, rules.pipeline_green) == (True, "Medium", True)
    assert rules.stuck_after == timedelta(minutes=150)
    assert rules.approvals_expire is not None
    assert rules.approvals_expire.days == 1
    assert [(check.name, check.secret, check.group) for check in rules.checks] == [
        ("tests", "env:CHECKS_SECRET", ""),
        ("ticket", "", "change board"),
    ]
    assert rules.gitlab_freezes
    assert not Rules.of(dev).gitlab_freezes, "development honours GitLab's freezes only where it says so"
    assert rows[1].values["required_approvals"] == 3, "as many as the groups send"


@pytest.mark.parametrize(("said", "minutes"), [("never", None), ("5m", 5), (None, 60)])
def test_how_long_is_too_long_has_a_default_and_can_be_never(said: str | None, minutes: int | None) -> None:
    line = f"      stuck_after: {said}\n" if said else ""
    prod = read_catalogue(FILE.replace("      stuck_after: 2h 30m\n", line), file="f").rows[ENVIRONMENT][1]
    assert isinstance(prod.values["policy"], dict)
    assert Rules.of(prod.values["policy"]).stuck_after == (timedelta(minutes=minutes) if minutes else None)


@pytest.mark.django_db
def test_applying_keeps_it_and_applying_again_changes_nothing(
    apply_catalog: Run, edit: Callable[[str, str], None]
) -> None:
    edit(SHOP, FILE)
    assert "+ freeze nights" in apply_catalog()
    assert Environment.objects.get(slug="prod").policy["soak"] == 120
    night = FreezeWindow.objects.get(slug="nights")
    assert (night.starts, night.ends, night.environments) == ("0 22 * * *", "0 6 * * *", ["prod"])
    assert FreezeWindow.objects.get(slug="weekends").lasts == 62 * 60
    assert "Nothing to change." in apply_catalog()
    edit(FREEZES, "\nfreezes: {}\n")
    assert "- freeze nights" in apply_catalog()
    assert not FreezeWindow.objects.exists()


MISTAKES = [
    ("requires: [dev]", "requires: [dve]", "policy.requires: there is no other environment"),
    ("requires: [dev]", "requires: [prod]", "policy.requires: there is no other environment"),
    ("      requires: [dev]\n", "", "policy.requires: is missing."),
    ("soak: 2h", "soak: soon", "policy.soak: 'soon' is no length of time"),
    ("{group: qa}", "{count: 1}", "approvals[0]: must name either group or role."),
    ("{group: qa}", "{group: qa, role: admin}", "approvals[0]: must name either group or role."),
    ("stuck_after: 2h 30m", "stuck_after: later", "policy.stuck_after: 'later' is no length of time"),
    ("worst_finding: Medium", "worst_finding: medium", "policy.worst_finding"),
    (", secret: env:CHECKS_SECRET", "", "checks.tests.secret: is missing."),
    ("https://checks.example.com/tests", "ftp://x", "checks.tests.url: must look like"),
    ("{group: change board}", "{colour: red}", "unknown key."),
    ('"0 22 * * *"', '"0 25 * * *"', "freezes.nights.starts: can't be read as cron"),
    ('ends: "0 6 * * *", ', "", "freezes.nights: needs starts with ends or lasts"),
    ("Europe/Berlin, environments", "Mars/Olympus, environments", "there is no time zone"),
    (", time_zone: UTC", "", "freezes.year.time_zone: is missing."),
    ('"2027-01-02T08:00"', '"2026-12-24T11:00"', "freezes.year.to: must be later than from."),
    ('"2027-01-02T08:00"', '"tomorrow"', "freezes.year.to: 'tomorrow' is no time like"),
]


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES)
def test_a_mistake_in_a_rule_is_told(old: str, new: str, told: str) -> None:
    assert old in FILE
    with pytest.raises(CatalogueError) as raised:
        read_catalogue(FILE.replace(old, new, 1), file="f")
    assert told in str(raised.value)


def test_the_freezes_of_the_file_are_rows() -> None:
    found = read_catalogue(FILE, file="f").rows[FREEZE]
    assert [row.key for row in found] == [("nights",), ("weekends",), ("year",)]


RECOVERY = """  prod:
    risk: production
    policy:
      rollback:
        required_approvals: 0
        skip: [soak, freeze]
        automatic: [verification, degraded]
        degraded_for: 5m
        watch: 2h
      break_glass: {roles: [approver], gates: [freeze, lock]}
"""


def test_roll_backs_and_broken_glass_have_rules_of_their_own() -> None:
    file = SHOP.replace(PROD, RECOVERY)
    prod = read_catalogue(file, file="f").rows[ENVIRONMENT][1].values["policy"]
    assert isinstance(prod, dict)
    rules = Rules.of(prod)
    assert (rules.rollback.required_approvals, rules.rollback.skip) == (0, {"soak", "freeze"})
    assert rules.rollback.automatic == {"verification", "degraded"}
    assert [rules.rollback.degraded_for.seconds, rules.rollback.watch.seconds] == [300, 7200]
    assert (rules.break_glass.roles, rules.break_glass.gates) == (("approver",), {"freeze", "lock"})
    default = Rules.of({})
    assert (default.rollback.required_approvals, default.rollback.automatic) == (None, frozenset())
    assert default.break_glass.roles == ("admin",)
    assert not default.break_glass.gates & {"lock", "emergency-stop", "blocked"}
    closed = file.replace("gates: [freeze, lock]", "gates: []")
    policy = read_catalogue(closed, file="f").rows[ENVIRONMENT][1].values["policy"]
    assert isinstance(policy, dict)
    assert Rules.of(policy).break_glass.gates == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("skip: [soak, freeze]", "skip: [lock]", '"lock" is not one of order, soak'),
        ("skip: [soak, freeze]", "skip: [freze]", 'Did you mean "freeze"?'),
        ("automatic: [verification, degraded]", "automatic: []", "means something only with automatic"),
        ("automatic: [verification, degraded]", "automatic: [red]", "is not one of verification, degraded"),
        ("degraded_for: 5m", "degraded_for: soon", "is no length of time"),
        ("roles: [approver]", "roles: []", "must name at least one role"),
        ("roles: [approver]", "roles: [boss]", '"boss" is not one of viewer, developer'),
        ("gates: [freeze, lock]", "gates: [exists]", '"exists" is not one of order'),
        ("watch: 2h", "wach: 2h", "unknown key"),
    ],
)
def test_what_is_wrong_with_them_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(CatalogueError, match="prod") as raised:
        read_catalogue(SHOP.replace(PROD, RECOVERY.replace(old, new)), file="f")
    assert said in str(raised.value)
