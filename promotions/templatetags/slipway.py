"""Small things that many templates need: icons, marks, ages and durations."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from promotions.present.marks import Mark

register = template.Library()


@cache
def _sprite() -> str:
    return static("img/icons.svg")


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon that only repeats what words beside it say."""
    return format_html(
        '<svg class="icon icon-{} {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        name,
        extra,
        _sprite(),
        name,
    )


@register.simple_tag
def mark(what: Mark | None, extra: str = "") -> SafeString | str:
    """A status: icon and word."""
    if what is None:
        return ""
    return format_html(
        '<span class="mark mark-{} {}">{}<span class="mark-word">{}</span></span>',
        what.tone,
        extra,
        icon(what.icon),
        what.word,
    )


@register.simple_tag
def age(at: datetime | None) -> SafeString | str:
    """A moment: absolute here, "3 days ago" once the browser's script has seen it."""
    if at is None:
        return ""
    return _time(at, "data-age")


@register.simple_tag
def elapsed(since: datetime | None) -> SafeString | str:
    """How long something has been going on; the browser's script keeps it counting."""
    if since is None:
        return ""
    return _time(since, "data-elapsed", _("since {time}"), _("for {time}"))


@register.simple_tag
def since(at: datetime | None) -> SafeString | str:
    """When something began; the browser's script gives the visitor's own time of day."""
    if at is None:
        return ""
    return _time(at, "data-since", _("since {time}"), _("since {time}"))


def _time(at: datetime, attribute: str, words: str = "{time}", in_browser: str = "") -> SafeString:
    """`in_browser` is the sentence in which the script puts its own words for the time."""
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}" {}="{}">{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        attribute,
        in_browser,
        words.replace("{time}", local.strftime("%Y-%m-%d %H:%M")),
    )


@register.filter
def duration(seconds: float | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": whole % 60}
    return _("%(seconds)d s") % {"seconds": whole}
