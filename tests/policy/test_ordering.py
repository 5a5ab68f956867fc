"""Ordering builds: every example of reference tag-ordering.md, and what holds for any tags at all."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.policy.ordering import (
    Build,
    By,
    Ordering,
    Why,
    calver,
    check_extract,
    extracted,
    semver,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
H = timedelta(hours=1)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}", fullmatch=True)


def build(*tags: str, pushed: timedelta = timedelta(0), ident: int = 0) -> Build:
    return Build(ident, tags, NOON + pushed)


def newest_first(ordering: Ordering, *tags: str) -> list[str]:
    return [each.tag for each in ordering.rank([build(tag) for tag in tags]).ranked]


def skipped(ordering: Ordering, *tags: str) -> dict[str, Why]:
    return {each.tag: each.why for each in ordering.rank([build(tag) for tag in tags]).skipped}


def test_semver_orders_the_reference_s_vectors() -> None:
    """Test vectors: alpha < alpha.1 < alpha.beta < beta < beta.2 < beta.11 < rc.1 < 1.0.0."""
    names = ["alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    ascending = [*(f"1.0.0-{name}" for name in names), "1.0.0"]
    mixed = random.Random(7).sample(ascending, len(ascending))
    assert newest_first(Ordering(prereleases=True), *mixed) == ascending[::-1]


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9.0", "1.10.0"), ("1.0.0-rc.9", "1.0.0-rc.10"), ("1.0.0-rc10", "1.0.0-rc9"), ("1.0.0-1", "1.0.0-a")],
)
def test_numbers_compare_as_numbers_and_words_as_words(older: str, newer: str) -> None:
    """Rule 2."""
    assert Ordering().compare(build(older), build(newer)) == -1
    assert Ordering().compare(build(newer), build(older)) == 1


@pytest.mark.parametrize(
    "tag",
    ["1.2", "01.2.3", "1.2.3-01", "latest", "1234567", "20240131", "2024.01.05", "1.2.3.4", "v", "vv1.2.3"],
)
def test_strict_semver_reads_no_date_hash_or_short_version(tag: str) -> None:
    """Test vectors and rules 4 and 5: lenient readers would take 1234567 for a major version."""
    assert semver(tag) is None
    assert skipped(Ordering(), tag) == {tag: Why.UNREADABLE}


@pytest.mark.parametrize(
    ("one", "other"), [("v1.0.0", "1.0.0"), ("V1.0.0", "v1.0.0"), ("1.0.0+a", "1.0.0+b")]
)
def test_a_leading_v_and_build_metadata_do_not_order(one: str, other: str) -> None:
    assert Ordering().compare(build(one), build(other)) == 0
    assert semver(one) == semver(other)


def test_equals_are_told_apart_by_push_time_and_then_by_the_tag_itself() -> None:
    """Rule 2: the tag for writing stays as it is, and the answer is always the same one."""
    later = Ordering().rank([build("v1.0.0"), build("1.0.0", pushed=H)])
    assert later.newest is not None
    assert later.newest.tag == "1.0.0"
    assert newest_first(Ordering(), "1.0.0", "v1.0.0") == newest_first(Ordering(), "v1.0.0", "1.0.0")


def test_prereleases_are_out_unless_they_are_asked_for() -> None:
    assert newest_first(Ordering(), "1.0.0", "2.0.0-rc.1") == ["1.0.0"]
    assert skipped(Ordering(), "2.0.0-rc.1") == {"2.0.0-rc.1": Why.PRERELEASE}
    assert newest_first(Ordering(prereleases=True), "1.0.0", "2.0.0-rc.1") == ["2.0.0-rc.1", "1.0.0"]


def test_what_runs_is_compared_although_it_would_not_be_chosen() -> None:
    """Rule 12: a stage on a release candidate of 2.0.0 is not taken back to 1.9.0."""
    ordering = Ordering(only=("1.*",))
    assert ordering.compare(build("1.9.0"), build("2.0.0-rc.1")) == -1
    assert ordering.compare(build("1.9.0"), build("latest")) is None


def test_helm_s_underscore_is_read_as_plus_for_charts_only() -> None:
    """Rule 3."""
    assert semver("1.2.3_build.7") is None
    assert semver("1.2.3_build.7", chart=True) == semver("1.2.3")
    assert newest_first(Ordering(chart=True), "1.2.3_b", "1.2.4_a") == ["1.2.4_a", "1.2.3_b"]


def test_calendar_versions_are_split_into_numbers() -> None:
    """Rule 5: leading zeros are no semver."""
    ordering = Ordering(By.CALVER)
    tags = ["2024.01.05", "2024.1.12", "v2024.02.01", "2023.12.31", "2024.01.05-2", "2024-01-06"]
    assert newest_first(ordering, *tags) == [
        "v2024.02.01", "2024.1.12", "2024-01-06", "2024.01.05-2", "2024.01.05", "2023.12.31",
    ]  # fmt: skip
    assert calver("24.04") is not None
    for tag in ("1.2.3", "20240131", "latest", "2024", "202.1.1", "2024..1"):
        assert calver(tag) is None, tag


def test_a_calendar_version_s_suffix_is_a_prerelease_or_a_later_build() -> None:
    every = ["2024.01.05-rc9", "2024.01.05-rc10", "2024.01.05", "2024.01.05-hotfix", "2024.01.05-hotfix2"]
    assert newest_first(Ordering(By.CALVER, prereleases=True), *every) == every[::-1]
    assert newest_first(Ordering(By.CALVER), *every) == every[:1:-1]


def test_of_mixed_schemes_the_calendar_would_win_and_is_filtered() -> None:
    """Rule 5."""
    assert newest_first(Ordering(), "1.9.0", "2024.1.5") == ["2024.1.5", "1.9.0"]
    assert newest_first(Ordering(ignore=("20[0-9][0-9].*",)), "1.9.0", "2024.1.5") == ["1.9.0"]
    assert newest_first(Ordering(only=("1.*",)), "1.9.0", "2024.1.5") == ["1.9.0"]


def test_text_order_fits_stamps_of_one_width_and_nothing_else() -> None:
    """Rule 6: build-10 < build-9 as text; numbers need an extract."""
    lexical = Ordering(By.LEXICAL)
    assert newest_first(lexical, "20260203-0915", "20260203-1001", "20251231-2359")[0] == "20260203-1001"
    assert newest_first(lexical, "build-9", "build-10") == ["build-9", "build-10"]
    assert newest_first(Ordering(By.NUMERIC, extract="build-{key}"), "build-9", "build-10")[0] == "build-10"


def test_a_number_is_extracted_and_what_is_none_is_reported() -> None:
    """Rule 7: main-<sha>-<unix ts>."""
    ordering = Ordering(By.NUMERIC, extract="main-{sha}-{key}")
    tags = ["main-0a1b2c3d-1700000009", "main-ffffffff-1700000010", "main-deadbeef-soon", "dev-0a1b2c3d-9"]
    assert newest_first(ordering, *tags) == tags[1::-1]
    assert skipped(ordering, *tags) == {tags[2]: Why.UNREADABLE, tags[3]: Why.NO_EXTRACT}
    assert extracted("{any}-{key}", "a-b-c") == "c"
    assert newest_first(Ordering(By.NUMERIC), "9", "10.5", "10") == ["10.5", "10", "9"]


def test_push_time_orders_tags_that_carry_none() -> None:
    """Rules 8 and 9: branch-SHA tags."""
    builds = [build("main-1a2b3c4d", pushed=H), build("main-ffffffff"), build("main-00000000", pushed=2 * H)]
    ranked = Ordering(By.PUSHED).rank(builds).ranked
    assert [each.tag for each in ranked] == ["main-00000000", "main-1a2b3c4d", "main-ffffffff"]
    assert Ordering(By.PUSHED).compare(builds[0], builds[1]) == 1


def test_signatures_and_the_like_are_no_builds() -> None:
    """Rule 1."""
    tags = ["sha256-0a1b.sig", "1.0.0.att", "1.0.0.sbom", "sha256-0a1b"]
    assert skipped(Ordering(By.LEXICAL), *tags) == dict.fromkeys(tags, Why.FILTERED)


def test_a_build_on_several_tags_is_judged_by_the_one_that_can_be_read() -> None:
    """Rules 10 and 11: 1, 1.2, latest and 1.2.3 on one digest."""
    (only,) = Ordering().rank([build("latest", "1", "1.2", "1.2.3")]).ranked
    assert only.tag == "1.2.3"
    assert skipped(Ordering(), "latest") == {"latest": Why.UNREADABLE}
    (nameless,) = Ordering().rank([build()]).skipped
    assert nameless.why == Why.NO_TAG


def test_filters_tell_capitals_apart() -> None:
    """Rule 15."""
    assert newest_first(Ordering(By.LEXICAL, only=("Release-*",)), "Release-1", "release-2") == ["Release-1"]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("main-{key}", ""),
        ("{word}-{sha}-{number}-{key}", ""),
        ("main-", "must name {key} once"),
        ("{key}{key}", "must name {key} once"),
        ("{any}{any}{any}{any}{key}", "at most 4"),
        ("{key.x}", "must name {key} once"),
        ("{key!r}", "{key} is not one of"),
        ("{key}-{nothing}", "{nothing} is not one of {key}"),
        ("{key", "can't be read"),
    ],
)
def test_a_template_that_can_t_be_read_says_why(template: str, problem: str) -> None:
    found = check_extract(template)
    assert found.startswith(problem) or problem in found
    assert bool(found) == bool(problem)


def test_the_worst_template_on_the_worst_tag_stays_quick() -> None:
    """Rule 1: filters must not stop a worker. The longest tag, and nothing that matches at its end."""
    tag = "a" * 127 + "!"
    began = time.process_time()
    assert extracted("{any}{any}{any}{key}b", tag) is None
    assert skipped(Ordering(only=("*a*a*a*a*a*b",)), tag) == {tag: Why.FILTERED}
    assert time.process_time() - began < 2
    assert extracted("{key}", "a" * 129) is None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(By)), st.lists(TAGS, max_size=12), st.randoms(use_true_random=False))
def test_the_order_never_depends_on_who_came_first(by: By, tags: list[str], chance: random.Random) -> None:
    builds = [build(tag, pushed=H * (len(tag) % 3), ident=n) for n, tag in enumerate(dict.fromkeys(tags))]
    ordering = Ordering(by, prereleases=True)
    ranking = ordering.rank(builds)
    assert len(ranking.ranked) + len(ranking.skipped) == len(builds)
    chance.shuffle(builds)
    assert ordering.rank(builds).ranked == ranking.ranked
    for newer, older in zip(ranking.ranked, ranking.ranked[1:], strict=False):
        assert (ordering.compare(newer.build, older.build) or 0) >= 0
