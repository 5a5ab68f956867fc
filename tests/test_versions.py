"""One build is one version, however many ways it is seen and in whatever order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from functools import partial

import pytest

from promotions.models import Announcement, Image, ImageVersion
from promotions.versions import find_version, mark_missing, most_specific, record_version, shas_in
from tests import cast
from tests.workflow.conftest import at_once

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
COMMIT = "c" * 40


@pytest.fixture
def image(db: None) -> Image:
    made = cast.make_catalogue().production.image
    made.versions.all().delete()
    return made


def test_hook_tag_list_and_run_make_one_version_in_whatever_order_they_come(image: Image) -> None:
    sightings = [
        {"tags": ["1.1.0"]},
        {"tags": ["1.1.0", "latest"], "created_at": datetime(2026, 5, 2, tzinfo=UTC)},
        {"tags": [], "commit": COMMIT},
    ]
    for order in itertools.permutations(sightings):
        for sighting in order:
            record_version(image, ONE, **sighting)  # type: ignore[arg-type]
        (version,) = ImageVersion.objects.filter(image=image)
        assert (version.tag, version.tags, version.commit) == ("1.1.0", ["1.1.0", "latest"], COMMIT)
        version.delete()


def test_what_is_known_is_never_replaced_by_something_vaguer(image: Image) -> None:
    record_version(image, ONE, tags=["1.1.0"], commit=COMMIT)
    version = record_version(image, ONE, tags=[""], commit="")
    assert (version.tag, version.tags, version.commit) == ("1.1.0", ["1.1.0"], COMMIT)


def test_a_tag_stands_on_one_version_of_its_image_only(image: Image) -> None:
    old = record_version(image, ONE, tags=["latest", "1.0.0"])
    new = record_version(image, TWO, tags=["latest"])
    old.refresh_from_db()
    assert (old.tags, new.tags) == (["1.0.0"], ["latest"])
    assert find_version(image, tag="latest") == new
    assert find_version(image, tag="1.0.0") == old
    assert find_version(image, digest=ONE, tag="latest") == old
    assert find_version(image) is None


def test_a_tag_that_moves_away_leaves_the_version_its_name_and_marks_it_as_moved(image: Image) -> None:
    old = record_version(image, ONE, tags=["1.0.0"])
    record_version(image, TWO, tags=["1.0.0"])
    old.refresh_from_db()
    assert (old.tag, old.tags, old.is_mutable) == ("1.0.0", [], True)


def test_two_images_with_the_same_digest_are_two_versions(image: Image) -> None:
    other = Image.objects.exclude(pk=image.pk).get()
    record_version(image, ONE, tags=["1.0.0"])
    record_version(other, ONE, tags=["1.0.0"])
    assert ImageVersion.objects.filter(digest=ONE).count() == 2


def test_a_deleted_build_keeps_its_history_and_one_that_is_seen_again_is_back(image: Image) -> None:
    version = record_version(image, ONE, tags=["1.0.0"])
    mark_missing(version)
    version.refresh_from_db()
    missing_since = version.missing_since
    assert missing_since is not None
    mark_missing(version)
    version.refresh_from_db()
    assert version.missing_since == missing_since
    assert record_version(image, ONE, tags=["1.0.0"]).missing_since is None


def test_pages_are_told_of_what_is_new_and_only_of_that(transactional_db: None, image: Image) -> None:
    for _ in range(3):
        record_version(image, ONE, tags=["1.0.0"])
    assert Announcement.objects.filter(fragment="versions").count() == 1
    record_version(image, ONE, tags=["1.0"])
    assert Announcement.objects.filter(fragment="versions").count() == 2


def test_sightings_at_the_same_moment_make_one_version_with_all_its_tags(
    transactional_db: None, image: Image
) -> None:
    acts = [partial(record_version, image, ONE, tags=[f"1.0.{number}"]) for number in range(8)]
    at_once(*acts)
    (version,) = ImageVersion.objects.filter(image=image)
    assert version.tags == [f"1.0.{number}" for number in range(8)]


def test_builds_that_take_tags_off_each_other_wait_for_each_other_and_not_for_ever(
    transactional_db: None, image: Image
) -> None:
    for _ in range(4):
        at_once(
            partial(record_version, image, ONE, tags=["a", "b"]),
            partial(record_version, image, TWO, tags=["b", "a"]),
            partial(record_version, image, ONE, tags=["b"]),
            partial(record_version, image, TWO, tags=["a"]),
        )
        tags = [tag for version in ImageVersion.objects.filter(image=image) for tag in version.tags]
        assert sorted(tags) == ["a", "b"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["latest", "1.2", "1.2.3", "1"], "1.2.3"),
        (["latest", "dev"], "dev"),
        (["latest"], "latest"),
        ([], ""),
    ],
)
def test_people_call_a_build_by_its_most_specific_tag(tags: list[str], expected: str) -> None:
    """Reference tag-ordering.md, rule 11."""
    assert most_specific(tags) == expected


@pytest.mark.parametrize(
    ("tag", "sha"),
    [
        ("master-1a2b3c4d", "1a2b3c4d"),
        ("feature-x-0123456", "0123456"),
        ("sha-0123456789abcdef0123456789abcdef01234567", "0123456789abcdef0123456789abcdef01234567"),
        ("0123456789abcdef0123456789abcdef01234567", "0123456789abcdef0123456789abcdef01234567"),
        ("1.2.0", ""),
        ("latest", ""),
        ("master-cafe", ""),
        ("build1a2b3c4d", ""),
    ],
)
def test_a_commit_s_hash_is_found_at_the_end_of_a_tag(tag: str, sha: str) -> None:
    """Reference scenarios README, B (`<branch>-<short sha>`) and C (the whole hash)."""
    assert shas_in([tag]) == ([sha] if sha else [])
