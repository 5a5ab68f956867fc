"""Which version of an image is the newest: the key `newest` of an image or a stage."""

from __future__ import annotations

from typing import Any

from promotions.catalogue.reading import Keys
from promotions.policy.ordering import By, check_extract


def newest_of(keys: Keys) -> dict[str, Any]:
    """Return the column's content, {} where nothing is said; what is wrong is added to the problems."""
    if "newest" not in keys:
        return {}
    below = keys.keys("newest", short_for="by")
    extract = below.text("extract")
    if extract and (problem := check_extract(extract)):
        below.wrong("extract", f"{problem}.")
    values: dict[str, Any] = {
        "by": str(below.choice("by", list(By), By.SEMVER)),
        "only": [glob for glob, _line in below.texts("only")],
        "ignore": [glob for glob, _line in below.texts("ignore")],
        "extract": extract,
        "prereleases": below.flag("prereleases", False),
    }
    if values["prereleases"] and values["by"] not in (By.SEMVER, By.CALVER):
        below.wrong("prereleases", f"means nothing when ordered by {values['by']}.")
    below.finish()
    return {name: value for name, value in values.items() if value}
