"""Fragments: the parts of pages that change by themselves, rendered once for everybody who sees them.

A page includes the same template with the same row, so what is pushed later is what a reload would show.
"""

from __future__ import annotations

from collections.abc import Callable

from django.template.loader import render_to_string

from promotions.present import (
    application,
    approvals,
    deliveries,
    matrix,
    promotion,
    promotions,
    releases,
    runs,
    upstreams,
)

# Each reads its row by the key; None when the object is gone.
FRAGMENTS: dict[str, Callable[[str], object | None]] = {
    "cell": matrix.cell,
    "stage": application.stage_card,
    "versions": application.versions,
    "promotion": promotion.page,
    "promotions": promotions.recent,
    "member": releases.member,
    # Only a sign to ask for the personal parts again.
    "approvals": approvals.changed,
    "run": runs.run,
    "runs": runs.recent,
    "log": runs.log,
    "deliveries": deliveries.inbox,
    "upstreams": upstreams.freshness,
}


def render(fragment: str, key: str) -> str:
    """Return the fragment as HTML to be swapped in place, in the active language.

    The root element has a stable id and `hx-swap-oob`. "" when the object is gone, so that pages keep
    what they show. Raises KeyError for a fragment that does not exist, ValueError for an impossible key.
    """
    row = FRAGMENTS[fragment](key)
    if row is None:
        return ""
    return render_to_string(f"fragments/{fragment}.html", {fragment: row, "oob": True}).strip()
