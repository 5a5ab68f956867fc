"""The data a sandbox starts with: one module per scenario of the reference (scenarios/README.md)."""

from __future__ import annotations

NAMES = ("a", "b", "c", "d", "e")


def chosen(text: str) -> tuple[str, ...]:
    """Return the scenarios that "b", "a,c", "all" or "empty" stands for, in their order; else ValueError."""
    names = {name.strip() for name in text.lower().split(",") if name.strip()} - {"empty"}
    wanted = set(NAMES) if names == {"all"} else names
    if unknown := sorted(wanted - set(NAMES)):
        raise ValueError(f"there is no scenario {', '.join(unknown)}: choose from {', '.join(NAMES)}, all")
    return tuple(name for name in NAMES if name in wanted)
