"""Every answer carries a Content-Security-Policy without inline scripts."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse

from promotions.middleware import content_security_policy


def policy(path: str, **headers: str) -> str:
    request = HttpRequest()
    request.path = path
    answer = content_security_policy(lambda _: HttpResponse(headers=headers))(request)
    return answer.headers["Content-Security-Policy"]


def test_pages_load_only_from_this_server_and_run_nothing_inline() -> None:
    assert "default-src 'self'" in policy("/")
    assert "unsafe" not in policy("/")
    assert "frame-ancestors 'none'" in policy("/")


@pytest.mark.parametrize("path", ["/api/docs/", "/api/docs/redoc/"])
def test_the_api_s_documentation_may_style_itself_but_not_script_inline(path: str) -> None:
    assert "style-src 'self' 'unsafe-inline'" in policy(path)
    assert "script-src" not in policy(path)


def test_a_view_s_own_policy_stays() -> None:
    own = {"Content-Security-Policy": "default-src 'none'"}
    assert policy("/", **own) == "default-src 'none'"
