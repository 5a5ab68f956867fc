"""Secrets by reference: read at each use, and never in a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from promotions.secrets import SecretMissing, resolve


def test_a_reference_to_the_environment_or_a_file_gives_its_value_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "one")
    file = tmp_path / "secret"
    file.write_text("zwei\u00e4 \n\n", encoding="utf-8")
    assert resolve("env:A_SECRET") == "one"
    assert resolve(f"file:{file}") == "zwei\u00e4 \n", "one line break is the editor's"
    file.write_text("rotated")
    assert resolve(f"file:{file}") == "rotated"
    assert resolve("") == ""


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("env:NOBODY_SET_THIS", "The environment variable NOBODY_SET_THIS is not set."),
        ("env:", "The environment variable  is not set."),
        ("file:/nowhere", "The secret file /nowhere can't be read: No such file or directory."),
        ("file:/", "The secret file / can't be read: Is a directory."),
        ("hunter2", '"hunter2" is not a kind of secret reference: use env:NAME or file:/path.'),
        ("vault:x/y", '"vault" is not a kind of secret reference: use env:NAME or file:/path.'),
    ],
)
def test_a_reference_that_points_at_nothing_is_said_in_a_sentence(reference: str, sentence: str) -> None:
    with pytest.raises(SecretMissing) as missing:
        resolve(reference)
    assert str(missing.value) == sentence


def test_a_file_that_is_no_text_is_refused_without_showing_a_byte_of_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xffhunter2")
    with pytest.raises(SecretMissing) as missing:
        resolve(f"file:{file}")
    assert "hunter2" not in str(missing.value)
    assert missing.value.__cause__ is None
