"""Addresses that came from outside, made safe to link to."""

from __future__ import annotations

from urllib.parse import urlsplit


def safe_url(url: str) -> str:
    """Return the address when a link to it can only navigate, else "".

    Vendors' answers and catalogue values reach pages as links: `javascript:` must not.
    """
    if url.startswith("/") and not url.startswith("//"):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.netloc else ""
