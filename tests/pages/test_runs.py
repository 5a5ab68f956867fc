"""A run's tasks in planned order, and its logs."""

from __future__ import annotations

from django.urls import reverse

from promotions.models import StepLog
from promotions.present.runs import readable
from tests import cast
from tests.pages.conftest import SignIn


def test_tasks_stand_in_the_planned_order_with_the_reason_of_a_skip(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    run = cast.make_run(catalogue)
    page = sign_in(people.viewer).get(run.get_absolute_url()).content.decode()
    places = [page.index(f"<h3>{name}</h3>") for name in ("git-clone", "build", "lint", "clean-up")]
    assert places == sorted(places)
    assert "When Expressions evaluated to false" in page
    assert "not begun" in page


def test_a_long_log_shows_its_last_500_lines_and_is_downloaded_whole(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    text = "".join(f"line {number}\n" for number in range(2000))
    run = cast.make_run(catalogue, log=text)
    client = sign_in(people.viewer)
    page = client.get(run.get_absolute_url()).content.decode()
    assert "line 1500\n" in page
    assert "line 1499\n" not in page
    assert "Only the last lines are shown." in page
    log = StepLog.objects.get(task_run__run=run, task_run__task="build")
    raw = client.get(reverse("run-log", args=[run.pk, log.pk]))
    assert raw.content.decode() == text
    assert raw["Content-Type"] == "text/plain; charset=utf-8"
    assert raw["Content-Disposition"].startswith("attachment")


def test_a_log_is_read_without_colour_codes_and_overwritten_progress() -> None:
    assert readable("\x1b[32mok\x1b[0m\r\n10%\r50%\r100%\nbell\x07") == "ok\n100%\nbell"


def test_a_run_that_nobody_planned_shows_its_tasks(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    run = cast.make_run(catalogue, plan=[])
    page = sign_in(people.viewer).get(run.get_absolute_url()).content.decode()
    assert page.index("<h3>git-clone</h3>") < page.index("<h3>build</h3>")
