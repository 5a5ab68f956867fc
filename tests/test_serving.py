"""The settings serve pages with all middleware, warnings being errors here."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client


@pytest.mark.django_db
def test_healthz_answers_and_style_sheets_of_packages_are_served_without_collecting_them_first(
    settings: Any,
) -> None:
    settings.WHITENOISE_AUTOREFRESH = False
    client = Client()
    assert client.get("/healthz").status_code == 200
    sheet = client.get("/static/admin/css/base.css")
    assert sheet.status_code == 200
    assert b"".join(sheet).startswith(b"/*")
    sheet.close()
