"""The session engine: Django's own in the database, with the person's id beside each session."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from promotions.models import Session


class SessionStore(DatabaseStore):
    """Named by settings.SESSION_ENGINE as "promotions.sessions"."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        made = super().create_model_instance(data)
        assert isinstance(made, Session)
        user_id = str(data.get(SESSION_KEY, ""))
        made.user_id = int(user_id) if user_id.isdigit() else None
        return made
