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
from functools import partial
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
# Many short rounds: the shorter one is, the likelier nothing else runs during it.
ROUNDS = 60
LIMIT_MS, LIMIT_RATIO = 0.5, 30.0


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The mean time of one call over `repeats` calls."""
    # The processor's time: nothing here waits, and what else the machine does must not decide.
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats * 1000


def round_trip(data: bytes) -> bytes:
    yaml = ruamel.yaml.YAML()
    documents = list(yaml.load_all(data))
    out = io.BytesIO()
    yaml.dump_all(documents, out)
    return out.getvalue()


def measure() -> tuple[float, float]:
    """Mean milliseconds of an edit and of a round trip, over the typical files.

    The two take turns, and the best round of each counts: the machine's other work only ever adds.
    """
    edits, trips = [], []
    for name, key in KEYS.items():
        data = (TYPICAL / name).read_bytes()
        edit = partial(apply_edit, data, key, NEW.get(name, "1.1.0"))
        trip = partial(round_trip, data)
        assert edit() != data
        rounds = [(milliseconds(edit, 20), milliseconds(trip, 1)) for _ in range(ROUNDS)]
        edits.append(min(each for each, _ in rounds))
        trips.append(min(each for _, each in rounds))
    return statistics.mean(edits), statistics.mean(trips)


def main() -> int:
    edit, trip = measure()
    ratio = trip / edit
    print(f"edit {edit:.3f} ms a file, ruamel.yaml round trip {trip:.1f} ms: {ratio:.0f} times faster")
    return 0 if edit < LIMIT_MS and ratio >= LIMIT_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
