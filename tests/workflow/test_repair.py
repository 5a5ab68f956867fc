"""GitLab's lock fails open: what our commit undid is written again (reference gitlab-api.md, "Commits")."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.sandbox.server import InThread
from promotions import engine
from promotions.choices import PromotionStatus
from promotions.steps.repair import mend
from tests.writers.conftest import box
from tests.writers.farm import make, path_of

__all__ = ["box"]
OURS = b"a: 1\nimage: new\nb: 2\n"


def test_a_change_elsewhere_in_the_file_is_put_back() -> None:
    assert mend(OURS, OURS, b"# top\na: 1\nimage: new\nb: 2\n") == b"# top\na: 1\nimage: new\nb: 2\n"
    later = b"a: 1\nimage: new\nb: 2\n# later\n"
    assert (
        mend(OURS, later, b"# top\na: 1\nimage: new\nb: 2\n") == b"# top\na: 1\nimage: new\nb: 2\n# later\n"
    )


def test_two_comments_in_one_place_are_both_kept_and_two_values_are_not_guessed_at() -> None:
    assert mend(OURS, OURS + b"# later\n", OURS + b"# undone\n") in (
        OURS + b"# later\n# undone\n",
        OURS + b"# undone\n# later\n",
    )
    assert mend(OURS, OURS + b"c: 3\n", OURS + b"c: 4\n") is None
    assert mend(OURS, OURS + b"\tno yaml\n", OURS + b"# undone\n") is None


@pytest.mark.usefixtures("transactional_db")
def test_a_commit_that_slipped_in_keeps_its_lines_and_is_repaired_once(box: InThread, tmp_path: Path) -> None:
    farm = make(box, tmp_path, 1)
    promotion = farm.ask(farm.stages[0])
    box.world.faults["commit_race"] = {"count": 1, "mode": "slip", "path": path_of("app-00")}
    for _ in range(2):
        engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.SUCCEEDED, promotion.message
    subjects = farm.git("log", "--format=%s", "main").splitlines()
    assert subjects == [
        f"Restore what {promotion.written_commit[:8]} undid in {path_of('app-00')}",
        "Promote app-00 in prod to 1.1.0",
        f"Adjust {path_of('app-00')} by hand",
        "Plant everything",
    ]
    assert farm.trailers() == {str(promotion.key): 1}
    text = farm.file("app-00")
    assert "many/app-00:1.1.0" in text
    assert "# looked at by hand" in text
