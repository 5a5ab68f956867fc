"""Webhook deliveries as pure functions on raw bytes. Contract: bodies follow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from integrations.hints import Reading, WebhookSecrets


def verify(headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets, now: datetime) -> bool:
    raise NotImplementedError


def dedupe_key(headers: Mapping[str, str], body: bytes) -> str:
    raise NotImplementedError


def natural_key(headers: Mapping[str, str], body: bytes) -> str:
    raise NotImplementedError


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    raise NotImplementedError


def redact(headers: Mapping[str, str], body: bytes) -> bytes:
    raise NotImplementedError
