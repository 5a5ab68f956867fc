"""Secrets by reference: "env:NAME" or "file:/path". Values are never stored, logged or shown."""

from __future__ import annotations

import os
from pathlib import Path


class SecretMissing(Exception):
    """The reference points at nothing. The message names the reference, never a value."""


def resolve(reference: str) -> str:
    """Return the secret a reference stands for; "" stands for none.

    Files are read at each call, so that a rotated Kubernetes Secret is used without a restart; one
    trailing line break is dropped, as editors add one.
    """
    if not reference:
        return ""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(name)
        if value is None:
            raise SecretMissing(f"The environment variable {name} is not set.")
        return value
    if scheme == "file":
        try:
            return Path(name).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise SecretMissing(f"The secret file {name} can't be read: {error.strerror}.") from error
        except ValueError:
            # The decoding error holds the bytes, so it is not chained.
            raise SecretMissing(f"The secret file {name} is not a text in UTF-8.") from None
    raise SecretMissing(f'"{scheme}" is not a kind of secret reference: use env:NAME or file:/path.')
