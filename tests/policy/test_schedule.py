"""Times people set, on the world's clock: daylight saving both ways, offsets, the past and the far future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from promotions.policy.schedule import BadTime, When, shown, understand

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def asked(not_before: str, until: str = "", zone: str = BERLIN, *, now: str = "2026-03-20T12:00") -> When:
    return understand(not_before, until, zone, now=utc(now))


# (local time, in UTC): winter, summer, the leap day, the last minute of a year, half an hour off.
PLAIN = [
    ("2026-03-20T22:00", BERLIN, "2026-03-20T21:00"),
    ("2026-03-30T22:00", BERLIN, "2026-03-30T20:00"),
    ("2028-02-29T22:00", BERLIN, "2028-02-29T21:00"),
    ("2026-12-31T23:59", "America/New_York", "2027-01-01T04:59"),
    ("2026-03-20T22:00", "Asia/Kolkata", "2026-03-20T16:30"),
    ("2026-03-21T02:00+05:00", BERLIN, "2026-03-20T21:00"),
    ("2026-03-20T22:00:00Z", BERLIN, "2026-03-20T22:00"),
]


@pytest.mark.parametrize(("text", "zone", "expected"), PLAIN)
def test_a_local_time_is_kept_in_utc(text: str, zone: str, expected: str) -> None:
    day_before = utc(expected) - timedelta(days=1)
    found = understand(text, "", zone, now=day_before)
    assert found == When(utc(expected), None, zone)


def test_a_time_that_the_clocks_skip_is_refused_with_its_sentence() -> None:
    with pytest.raises(BadTime) as raised:
        asked("2026-03-29T02:30")
    assert str(raised.value) == (
        "There is no 02:30 on 2026-03-29 in Europe/Berlin: the clocks jump over it to 03:00."
        " Choose another time."
    )
    with pytest.raises(BadTime) as raised:
        asked("2026-03-29T01:00", "2026-03-29T02:30")
    assert raised.value.field == "until"


def test_of_a_time_that_comes_twice_a_beginning_takes_the_first_and_an_end_the_second() -> None:
    now = "2026-10-20T12:00"
    first = asked("2026-10-25T02:30", now=now)
    assert first.not_before == utc("2026-10-25T00:30")
    assert first.note == "02:30 comes twice on 2026-10-25 in Europe/Berlin; the first one is meant."
    both = asked("2026-10-25T02:30", "2026-10-25T02:30", now=now)
    assert both.until == utc("2026-10-25T01:30")
    assert both.note.endswith("the second one is meant.")
    told = asked("2026-10-25T02:30+01:00", now=now)
    assert (told.not_before, told.note) == (utc("2026-10-25T01:30"), "")


@pytest.mark.parametrize(
    ("begin", "end", "zone", "field", "sentence"),
    [
        ("tonight", "", BERLIN, "not_before", "tonight is no time like 2026-12-24T22:00."),
        ("2026-03-20T22:00", "later", BERLIN, "until", "later is no time like"),
        ("2026-03-20T22:00", "", "Europe/Berlni", "time_zone", "There is no time zone Europe/Berlni"),
        ("2026-03-20T22:00", "", "../etc/passwd", "time_zone", "There is no time zone"),
        ("2026-03-20T12:59", "", BERLIN, "not_before", "has passed already"),
        ("2026-04-20T22:00", "", BERLIN, "not_before", "at most 30 days ahead"),
        ("9999-12-31T23:59", "", "America/New_York", "not_before", "is no time like"),
        ("2026-03-20T22:00", "2026-03-20T22:00", BERLIN, "until", "must end after it begins"),
        ("2026-03-20T22:00", "2026-04-20T22:00", BERLIN, "until", "at most 30 days after"),
    ],
)
def test_what_can_t_be_meant_is_refused(begin: str, end: str, zone: str, field: str, sentence: str) -> None:
    with pytest.raises(BadTime) as raised:
        asked(begin, end, zone)
    assert sentence in str(raised.value)
    assert raised.value.field == field


def test_times_are_shown_so_that_the_two_of_one_name_differ() -> None:
    first, second = (shown(utc(f"2026-10-25T{hour}:30"), BERLIN) for hour in ("00", "01"))
    assert (first, second) == ("Oct. 25, 2026, 2:30 a.m. CEST", "Oct. 25, 2026, 2:30 a.m. CET")
