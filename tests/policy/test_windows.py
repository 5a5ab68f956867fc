"""Freeze windows on the world's clock: daylight saving both ways, midnight, month ends, the leap day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promotions.policy.windows import (
    BadRule,
    Once,
    Recurring,
    Window,
    check_cron,
    is_frozen,
    length,
    next_open,
    zone,
)

BERLIN = ZoneInfo("Europe/Berlin")
H = timedelta(hours=1)


def at(text: str, tz: ZoneInfo = BERLIN, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=tz, fold=fold)


def nightly(start: str = "0 22 * * *", end: str = "0 6 * * *") -> Recurring:
    return Recurring(start, "Europe/Berlin", ends=end)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# (rule, moment, the end of the freeze or None)
TABLE: list[tuple[str, Window, datetime, datetime | None]] = [
    ("before", nightly(), at("2026-05-04T21:59:59"), None),
    ("at its start", nightly(), at("2026-05-04T22:00"), at("2026-05-05T06:00")),
    ("past midnight", nightly(), at("2026-05-05T00:00"), at("2026-05-05T06:00")),
    ("at its end", nightly(), at("2026-05-05T06:00"), None),
    ("over a month's end", nightly(), at("2026-05-31T23:30"), at("2026-06-01T06:00")),
    ("over a year's end", nightly(), at("2026-12-31T23:30"), at("2027-01-01T06:00")),
    ("into the leap day", nightly(), at("2028-02-28T23:30"), at("2028-02-29T06:00")),
    ("out of the leap day", nightly(), at("2028-02-29T23:30"), at("2028-03-01T06:00")),
    (
        "the leap day itself",
        Recurring("0 0 29 2 *", "UTC", lasts=24 * H),
        utc("2028-02-29T12:00"),
        utc("2028-03-01T00:00"),
    ),
    ("no leap day", Recurring("0 0 29 2 *", "UTC", lasts=24 * H), utc("2027-03-01T00:00"), None),
    (
        "the last days of each month",
        Recurring("0 0 28 * *", "UTC", ends="0 0 2 * *"),
        utc("2026-03-01T10:00"),
        utc("2026-03-02T00:00"),
    ),
    (
        "a weekend",
        Recurring("0 18 * * 5", "Europe/Berlin", ends="0 8 * * 1"),
        at("2026-05-03T12:00"),
        at("2026-05-04T08:00"),
    ),
    # The night of 29 March 2026 the clocks of Berlin jump from 02:00 to 03:00: it is an hour shorter.
    ("a short night", nightly(), at("2026-03-29T01:30"), utc("2026-03-29T04:00")),
    ("a long night", nightly(), at("2026-10-25T02:30"), utc("2026-10-25T05:00")),
    (
        "a length is time that passes",
        Recurring("0 22 * * *", "Europe/Berlin", lasts=8 * H),
        at("2026-03-28T23:00"),
        utc("2026-03-29T05:00"),
    ),
    (
        "a start in the skipped hour begins when the clocks jump",
        Recurring("30 2 * * *", "Europe/Berlin", ends="0 5 * * *"),
        utc("2026-03-29T01:00"),
        utc("2026-03-29T03:00"),
    ),
    (
        "and not before",
        Recurring("30 2 * * *", "Europe/Berlin", ends="0 5 * * *"),
        utc("2026-03-29T00:59:59"),
        None,
    ),
    (
        "an end in the skipped hour ends when the clocks jump",
        Recurring("0 1 * * *", "Europe/Berlin", ends="30 2 * * *"),
        utc("2026-03-29T00:30"),
        utc("2026-03-29T01:00"),
    ),
    (
        "a start in the hour that comes twice takes the first",
        Recurring("30 2 * * *", "Europe/Berlin", ends="0 5 * * *"),
        utc("2026-10-25T00:30"),
        utc("2026-10-25T04:00"),
    ),
    (
        "an end in the hour that comes twice takes the second",
        Recurring("0 1 * * *", "Europe/Berlin", ends="30 2 * * *"),
        utc("2026-10-25T01:00"),
        utc("2026-10-25T01:30"),
    ),
    (
        "windows that touch are one",
        Recurring("0 * * * *", "UTC", lasts=H),
        utc("2026-05-05T10:10"),
        None,
    ),
    (
        "once",
        Once("2026-12-24T12:00", "2027-01-02T08:00", "Europe/Berlin"),
        at("2026-12-31T23:59"),
        at("2027-01-02T08:00"),
    ),
    (
        "once, over",
        Once("2026-12-24T12:00", "2027-01-02T08:00", "Europe/Berlin"),
        at("2027-01-02T08:00"),
        None,
    ),
    (
        "GitLab's zone names",
        Recurring("0 23 * * 5", "Eastern Time (US & Canada)", ends="0 7 * * 1"),
        utc("2026-05-09T03:30"),
        utc("2026-05-11T11:00"),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0].replace(" ", "-"))
def test_a_moment_is_frozen_until_the_end_of_its_window_or_not_at_all(
    row: tuple[str, Window, datetime, datetime | None],
) -> None:
    name, window, moment, until = row
    if name == "windows that touch are one":
        assert is_frozen([window], moment)
        assert next_open([window], moment) is None
        return
    assert window.frozen_until(moment) == until
    assert is_frozen([window], moment) is (until is not None)
    assert next_open([window], moment) == (until or moment)


def test_the_first_open_moment_lies_after_all_windows_that_follow_each_other() -> None:
    windows = [
        nightly(),
        Recurring("0 6 * * *", "Europe/Berlin", lasts=2 * H),
        Once("2026-05-05T07:30", "2026-05-05T12:00", "Europe/Berlin"),
    ]
    assert next_open(windows, at("2026-05-04T23:00")) == at("2026-05-05T12:00")


@pytest.mark.parametrize("text", ["* * * *", "61 * * * *", "a b c d e", "0 0 1 1 1 1", ""])
def test_what_is_no_cron_is_said(text: str) -> None:
    assert check_cron(text) != ""


def test_what_is_cron_passes() -> None:
    assert check_cron("30 2 29 2 *") == ""


def test_an_unknown_zone_and_an_unreadable_length_are_said() -> None:
    with pytest.raises(BadRule, match="no time zone"):
        zone("Mars/Olympus")
    with pytest.raises(BadRule, match="length of time"):
        length("soon")
    with pytest.raises(BadRule, match="offset"):
        Once("2026-12-24T12:00Z", "2027-01-02T08:00", "UTC").frozen_until(utc("2026-12-25T00:00"))


@pytest.mark.parametrize(
    ("text", "expected"), [("90m", 1.5 * H), ("2h", 2 * H), ("1d 12h", 36 * H), ("1d2h3m", 26.05 * H)]
)
def test_lengths_are_read(text: str, expected: timedelta) -> None:
    assert length(text) == expected


moments = st.datetimes(
    min_value=datetime(2025, 1, 1),  # noqa: DTZ001
    max_value=datetime(2029, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
hours = st.integers(0, 23)


@settings(deadline=None, max_examples=50, derandomize=False, print_blob=True)
@given(moment=moments, start=hours, end=hours, minute=st.integers(0, 59))
def test_what_next_open_says_is_open_and_the_second_before_is_not(
    moment: datetime, start: int, end: int, minute: int
) -> None:
    rule = Recurring(f"{minute} {start} * * *", "Europe/Berlin", ends=f"{minute} {end} * * *")
    assume(start != end)
    opens = next_open([rule], moment)
    assert opens is not None
    assert not is_frozen([rule], opens)
    if opens != moment:
        assert is_frozen([rule], opens - timedelta(seconds=1))
