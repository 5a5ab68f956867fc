"""How fast 10,000 audit entries are verified, against reading the same rows without looking at them.

    python tests/bench/bench_audit.py

Prints one line; exits with 1 when the issue's limit (2 s) is missed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.served import database

ENTRIES = 10_000
LIMIT = 2.0


def measure() -> tuple[float, float]:
    """Return the best of three verifications and of three plain reads, in seconds."""
    from django.db import transaction

    from promotions.audit.verify import _rows, verify
    from promotions.workflow import record

    with transaction.atomic():
        for number in range(ENTRIES):
            record(
                "thing.done", subject=f"thing {number}", by=None, reason="Because " * 10, before=1, after=2
            )
    verified, read = [], []
    for _round in range(3):
        started = time.perf_counter()
        result = verify()
        verified.append(time.perf_counter() - started)
        assert (result.count, result.findings) == (ENTRIES, [])
        started = time.perf_counter()
        assert sum(1 for _row in _rows()) == ENTRIES
        read.append(time.perf_counter() - started)
    return min(verified), min(read)


def main() -> int:
    with database():
        verified, read = measure()
    print(
        f"{ENTRIES} entries verified in {verified:.2f} s, {verified / read:.1f} times as long as reading them"
    )
    return 0 if verified < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
