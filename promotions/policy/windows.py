"""When a Stage is frozen: cron and calendar rules in a time zone. Pure: no database, no clock.

Rules are walked in local wall time and only then placed on the world's clock, so that daylight saving is
decided here and nowhere else: a start in the hour that is skipped begins when the clocks jump; of an hour
that comes twice a start takes the first and an end the second, so that a freeze is rather too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Without a py.typed; its answers are given their type where they come in.
from croniter import (  # type: ignore[import-untyped]
    CroniterBadCronError,
    CroniterBadDateError,
    croniter,
)

# GitLab spells zones as Rails does (reference gitlab-api.md, Freeze periods); these differ from IANA's names.
RAILS_ZONES = {
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Mountain Time (US & Canada)": "America/Denver",
    "Central Time (US & Canada)": "America/Chicago",
    "Eastern Time (US & Canada)": "America/New_York",
    "Atlantic Time (Canada)": "America/Halifax",
    "London": "Europe/London",
    "Dublin": "Europe/Dublin",
    "Lisbon": "Europe/Lisbon",
    "Amsterdam": "Europe/Amsterdam",
    "Berlin": "Europe/Berlin",
    "Bern": "Europe/Zurich",
    "Brussels": "Europe/Brussels",
    "Copenhagen": "Europe/Copenhagen",
    "Madrid": "Europe/Madrid",
    "Paris": "Europe/Paris",
    "Prague": "Europe/Prague",
    "Rome": "Europe/Rome",
    "Stockholm": "Europe/Stockholm",
    "Vienna": "Europe/Vienna",
    "Warsaw": "Europe/Warsaw",
    "Athens": "Europe/Athens",
    "Helsinki": "Europe/Helsinki",
    "Kyiv": "Europe/Kyiv",
    "Moscow": "Europe/Moscow",
    "Mumbai": "Asia/Kolkata",
    "New Delhi": "Asia/Kolkata",
    "Singapore": "Asia/Singapore",
    "Beijing": "Asia/Shanghai",
    "Hong Kong": "Asia/Hong_Kong",
    "Tokyo": "Asia/Tokyo",
    "Seoul": "Asia/Seoul",
    "Sydney": "Australia/Sydney",
    "Auckland": "Pacific/Auckland",
    "Brasilia": "America/Sao_Paulo",
}
# A rule whose next start lies further away than this is taken as one that never comes.
_HORIZON = timedelta(days=366 * 9)
# So many windows without a gap between them are taken as a freeze without end.
_MOST_WINDOWS = 100


class BadRule(ValueError):
    """The rule can't be read; the message says why."""


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name or of one of Rails'; raises BadRule."""
    try:
        return ZoneInfo(RAILS_ZONES.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadRule(f"there is no time zone {name!r}") from error


def _on_the_clock(local: datetime, tz: ZoneInfo, *, is_end: bool) -> datetime:
    """Place a wall time on the world's clock (UTC)."""
    placed = local.replace(tzinfo=tz, fold=1 if is_end else 0)
    # zoneinfo reads a skipped 02:30 with the offset before the jump: 03:30, an hour late for a start.
    back = placed.astimezone(UTC).astimezone(tz).replace(tzinfo=None)
    if back != local:
        return after_the_gap(local, tz)
    return placed.astimezone(UTC)


def after_the_gap(local: datetime, tz: ZoneInfo) -> datetime:
    """Return the moment at which the clocks jump over `local` (UTC)."""
    low, high = local - timedelta(hours=3), local
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        seen = middle.replace(tzinfo=tz).astimezone(UTC).astimezone(tz).replace(tzinfo=None)
        low, high = (middle, high) if seen == middle else (low, middle)
    jump = low.replace(tzinfo=tz).astimezone(UTC)
    return (jump + timedelta(seconds=1)).replace(microsecond=0)


def _wall(at: datetime, tz: ZoneInfo) -> datetime:
    return at.astimezone(tz).replace(tzinfo=None)


def check_cron(expression: str) -> str:
    """Return why this is no cron expression of five fields, or ""."""
    if len(expression.split()) != 5:
        return "needs five fields: minute, hour, day of month, month, day of week"
    try:
        croniter(expression, datetime(2026, 1, 1)).get_next(datetime)  # noqa: DTZ001
    except (CroniterBadCronError, CroniterBadDateError, ValueError, KeyError) as error:
        return f"can't be read as cron: {error}"
    return ""


def _step(expression: str, local: datetime, *, back: bool) -> datetime | None:
    """The next time of a cron expression after `local`, or with `back` the last one at or before it."""
    # Cron knows whole minutes only: within one of them the answer stays the same.
    return _walk(expression, local.replace(second=0, microsecond=0), back)


@lru_cache(maxsize=4096)
def _walk(expression: str, minute: datetime, back: bool) -> datetime | None:
    # croniter's "previous" leaves out the moment itself.
    start = minute + timedelta(seconds=1) if back else minute
    try:
        walk = croniter(expression, start, max_years_between_matches=9)
        found: datetime = walk.get_prev(datetime) if back else walk.get_next(datetime)
    except CroniterBadDateError:
        return None
    except (CroniterBadCronError, ValueError, KeyError) as error:
        raise BadRule(f"{expression!r} can't be read as cron: {error}") from error
    return found


@dataclass(frozen=True, slots=True)
class Recurring:
    """From each time of `starts` to the next one of `ends`, or for `lasts`; cron in `time_zone`."""

    starts: str
    time_zone: str
    ends: str = ""
    lasts: timedelta = timedelta(0)

    def frozen_until(self, at: datetime) -> datetime | None:
        """Return the end of the window that `at` lies in; None when it lies in none. Raises BadRule."""
        tz = zone(self.time_zone)
        begun = self._last_start(at, tz)
        if begun is None:
            return None
        end = self._end_of(begun, tz)
        return end if end is not None and end > at else None

    def _last_start(self, at: datetime, tz: ZoneInfo) -> datetime | None:
        # A start in a skipped hour has a later wall time than its moment: look one step further ahead.
        local = _wall(at, tz) + timedelta(hours=3)
        for _turn in range(200):
            found = _step(self.starts, local, back=True)
            if found is None or _wall(at, tz) - found > _HORIZON:
                return None
            if _on_the_clock(found, tz, is_end=False) <= at:
                return found
            local = found - timedelta(seconds=1)
        return None

    def _end_of(self, begun: datetime, tz: ZoneInfo) -> datetime | None:
        if self.lasts:
            # A length is time that passes, not time on the wall.
            return _on_the_clock(begun, tz, is_end=False) + self.lasts
        found = _step(self.ends, begun, back=False)
        return _on_the_clock(found, tz, is_end=True) if found else None


@dataclass(frozen=True, slots=True)
class Once:
    """From one local time to another, ISO 8601 without an offset, in `time_zone`."""

    begins_at: str
    ends_at: str
    time_zone: str

    def frozen_until(self, at: datetime) -> datetime | None:
        """Return the end if `at` lies between; raises BadRule."""
        tz = zone(self.time_zone)
        begin = _on_the_clock(local_time(self.begins_at), tz, is_end=False)
        end = _on_the_clock(local_time(self.ends_at), tz, is_end=True)
        return end if begin <= at < end else None


Window = Recurring | Once


def local_time(text: str) -> datetime:
    """Return a wall time written as 2026-12-24T18:00; raises BadRule."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRule(f"{text!r} is no time like 2026-12-24T18:00") from error
    if found.tzinfo is not None:
        raise BadRule(f"{text!r} must not name an offset: the time zone says it")
    return found


def is_frozen(windows: Iterable[Window], at: datetime) -> bool:
    """Tell whether any of the windows holds at this moment. Raises BadRule."""
    return any(window.frozen_until(at) is not None for window in windows)


def next_open(windows: Iterable[Window], at: datetime) -> datetime | None:
    """Return the first moment from `at` on in which no window holds; None when there is none in sight."""
    kept = tuple(windows)
    moment = at
    for _turn in range(_MOST_WINDOWS):
        ends = [end for window in kept if (end := window.frozen_until(moment)) is not None]
        if not ends:
            return moment
        moment = max(ends)
        if moment - at > _HORIZON:
            return None
    return None


_LENGTH = re.compile(r"(?:(\d{1,4})d)?\s*(?:(\d{1,5})h)?\s*(?:(\d{1,6})m)?")


def length(text: str) -> timedelta:
    """Return a length of time written as 90m, 2h, 1d 12h; raises BadRule."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise BadRule(f"{text!r} is no length of time like 90m, 2h or 1d 12h")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)
