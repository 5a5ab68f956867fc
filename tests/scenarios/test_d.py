"""Scenario D: values in block and flow style, several images in one file, a key named by its path."""

from __future__ import annotations

from tests.scenarios import drive
from tests.scenarios.elsewhere import Target, syncs_of_automated
from tests.system import System

VALUES = "charts/shop/values-prod.yaml"


def test_three_images_of_one_values_file_go_with_one_line_each(system: System) -> None:
    """All at once to one file and branch: each is one commit, none undoes another."""
    web, worker, migrations = (
        Target(system, f"shop-{name}", "shop-charts") for name in ("web", "worker", "migrations")
    )
    old = {target: target.settled() for target in (web, worker, migrations)}
    assert set(old.values()) == {"1.4.0"}
    digests = [worker.version(label)["digest"] for label in ("1.4.0", "1.5.0")]
    before = system.git("shop-charts", "show", f"main:{VALUES}")

    asked = {target: target.request("1.5.0") for target in old}
    for promotion in asked.values():
        drive.approve(system, promotion)
    for target, promotion in asked.items():
        target.succeed(promotion)

    assert web.diff(web.the_commit(asked[web])) == [
        '-    tag: "1.4.0"            # the storefront',
        '+    tag: "1.5.0"            # the storefront',
    ]
    flow = "  image: {{ repository: harbor.centre.com/shop/worker,  tag: '{}', digest: \"{}\" }}"
    assert worker.diff(worker.the_commit(asked[worker])) == [
        "-" + flow.format("1.4.0", digests[0]),
        "+" + flow.format("1.5.0", digests[1]),
    ]
    assert migrations.diff(migrations.the_commit(asked[migrations])) == [
        "-    version:   1.4.0        # no tool guesses this one",
        "+    version:   1.5.0        # no tool guesses this one",
    ]
    after = system.git("shop-charts", "show", f"main:{VALUES}")
    assert after == before.replace("1.4.0", "1.5.0").replace(digests[0], digests[1])
    dev = Target(system, "shop-web", "shop-charts", environment="dev")
    assert dev.settled() == "1.4.0"
    assert syncs_of_automated(system) == []
