"""Times people set for a promotion: local times placed on the world's clock, and what is said of them. Pure.

A local time that daylight saving skips is refused. Of one that comes twice a beginning takes the first and
an end the second, as freezes do (windows.py), and a sentence says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.policy.windows import BadRule, after_the_gap, zone

# Further ahead people would have forgotten what they asked for, and approvals would be old.
FURTHEST = timedelta(days=30)


class BadTime(ValueError):
    """The time can't be used; the message says why in a sentence. `field` is which of the values."""

    def __init__(self, message: str, field: str = "not_before") -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class When:
    """The times of a scheduled promotion, in UTC. Without `until` the gates must be open at `not_before`."""

    not_before: datetime
    until: datetime | None
    time_zone: str
    note: str = ""


def understand(not_before: str, until: str, time_zone: str, *, now: datetime) -> When:
    """Read the times as people write them: 2026-11-21T22:00 in `time_zone`, or with an offset of their own.

    Raises BadTime.
    """
    begin, begin_note = _place(not_before, time_zone, field="not_before")
    end, end_note = _place(until, time_zone, field="until") if until else (None, "")
    if begin <= now:
        raise BadTime(_("%(time)s has passed already.") % {"time": shown(begin, time_zone)})
    if begin > now + FURTHEST:
        raise BadTime(_("A time must be at most %(days)d days ahead.") % {"days": FURTHEST.days})
    if end is not None and end <= begin:
        raise BadTime(_("It must end after it begins."), "until")
    if end is not None and end > begin + FURTHEST:
        message = _("It must end at most %(days)d days after it begins.") % {"days": FURTHEST.days}
        raise BadTime(message, "until")
    return When(begin, end, time_zone, " ".join(note for note in (begin_note, end_note) if note))


def _place(text: str, time_zone: str, *, field: str) -> tuple[datetime, str]:
    try:
        tz = zone(time_zone)
    except BadRule as error:
        message = _("There is no time zone %(name)s; an example is Europe/Berlin.") % {"name": time_zone}
        raise BadTime(message, "time_zone") from error
    try:
        said = datetime.fromisoformat(text)
        if said.tzinfo is not None:
            return said.astimezone(UTC), ""
        first, second = (said.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
        words = {"time": f"{said:%H:%M}", "date": f"{said:%Y-%m-%d}", "zone": time_zone}
        if first.astimezone(tz).replace(tzinfo=None) != said:
            jump = after_the_gap(said, tz).astimezone(tz)
            message = _(
                "There is no %(time)s on %(date)s in %(zone)s: the clocks jump over it to %(jump)s."
                " Choose another time."
            )
            raise BadTime(message % {**words, "jump": f"{jump:%H:%M}"}, field)
    except (OverflowError, ValueError) as error:
        if isinstance(error, BadTime):
            raise
        raise BadTime(_("%(text)s is no time like 2026-12-24T22:00.") % {"text": text}, field) from error
    if first == second:
        return first, ""
    if field == "until":
        note = _("%(time)s comes twice on %(date)s in %(zone)s; the second one is meant.")
        return second, note % words
    return first, _("%(time)s comes twice on %(date)s in %(zone)s; the first one is meant.") % words


def shown(at: datetime, time_zone: str) -> str:
    """Return a moment as people of a time zone read it; its abbreviation tells 02:30 from 02:30."""
    local = at.astimezone(zone(time_zone))
    return f"{date_format(local, 'DATETIME_FORMAT')} {local.tzname()}"
