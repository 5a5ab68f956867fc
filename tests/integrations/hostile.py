"""Bodies nobody should send: the test list at the end of reference webhook-security.md."""

from __future__ import annotations

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not json": b"hello",
    "half": b'{"object_kind": "push"',
    "array": b"[]",
    "null": b"null",
    "text": b'"x"',
    "number": b"1",
    "nested 10^5 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "array nested 10^5 deep": b"[" * 100_000,
    "integer of 10^5 digits": b'{"object_kind":"push","project_id":' + b"9" * 100_000 + b"}",
    "NaN": b'{"object_kind": NaN}',
    "infinity": b'{"type": -Infinity}',
    "not utf-8": b'{"object_kind":"\xff\xfe"}',
    "utf-16": '{"object_kind":"push"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + b"[1]",
    "26 MiB": b'{"a":"' + b"x" * (26 * 1024 * 1024) + b'"}',
    "kind is a list": b'{"object_kind": ["push"], "type": ["PUSH_ARTIFACT"]}',
    "kind with NUL": b'{"object_kind": "pu\\u0000sh", "type": "PUSH\\u0000"}',
    "kind with a lone surrogate": b'{"object_kind": "\\ud800", "type": "\\udfff"}',
    "nothing in it": b"{}",
}
