"""How fast one edit is, against a ruamel.yaml round trip of the same files in the same run.

    python tests/bench/bench_edit.py

Prints one line of ratios; exits with 1 when a limit of the issue is missed (0.5 ms a file, 30 times).
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import ruamel.yaml

from promotions.manifests import apply_edit

TYPICAL = Path(__file__).parent / "typical"
KEYS = {
    "deployment.yaml": "spec.template.spec.containers[name=flask-k8s-example].image",
    "kustomization.yaml": "images[name=harbor.centre.com/k8s/flask-k8s-example].newTag",
    "values.yaml": "image.tag",
}
NEW = {"deployment.yaml": "harbor.centre.com/k8s/flask-k8s-example:1.1.0"}
ROUNDS = 7
LIMIT_MS, LIMIT_RATIO = 0.5, 30.0


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The best mean of several rounds: the machine's other work only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(repeats):
            work()
        best = min(best, (time.perf_counter() - started) / repeats)
    return best * 1000


def round_trip(data: bytes) -> bytes:
    yaml = ruamel.yaml.YAML()
    documents = list(yaml.load_all(data))
    out = io.BytesIO()
    yaml.dump_all(documents, out)
    return out.getvalue()


def measure() -> tuple[float, float]:
    """Mean milliseconds of an edit and of a round trip, over the typical files."""
    edits, trips = [], []
    for name, key in KEYS.items():
        data = (TYPICAL / name).read_bytes()
        new = NEW.get(name, "1.1.0")
        assert apply_edit(data, key, new) != data
        edits.append(milliseconds(lambda d=data, k=key, n=new: apply_edit(d, k, n), 100))  # type: ignore[misc]
        trips.append(milliseconds(lambda d=data: round_trip(d), 4))  # type: ignore[misc]
    return statistics.mean(edits), statistics.mean(trips)


def main() -> int:
    edit, trip = measure()
    ratio = trip / edit
    print(f"edit {edit:.3f} ms a file, ruamel.yaml round trip {trip:.1f} ms: {ratio:.0f} times faster")
    return 0 if edit < LIMIT_MS and ratio >= LIMIT_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
