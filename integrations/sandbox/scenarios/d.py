"""Scenario D: a chart whose values name several images, with one values file per environment."""

from __future__ import annotations

from integrations.sandbox.gitlab.git import Person
from integrations.sandbox.scenarios import d_sources as text
from integrations.sandbox.scenarios.history import History
from integrations.sandbox.scenarios.parts import add_application, add_project, people, stored_image, url_of
from integrations.sandbox.world import World

SOURCE = "gitlab/shop"
CHARTS = "gitlab/shop-charts"
IMAGES = ("shop/web", "shop/worker", "shop/migrations")
CHART = "charts/shop"


async def seed(world: World) -> None:
    """Make both projects, the images of 1.4.0 (which runs) and 1.5.0 (which waits), both Applications."""
    everybody = people(world)
    add_project(world, SOURCE, source_history(everybody), about="Scenario D: the shop's code")
    for version in ("1.4.0", "1.5.0"):
        for image in IMAGES:
            await stored_image(world, image, version, project=SOURCE, revision=f"v{version}")
    # The values pin a digest, which is known only when the image is stored.
    worker = world.images.digest("shop/worker", "1.4.0") or ""
    add_project(world, CHARTS, charts_history(everybody, worker), about="Scenario D: the chart")
    for name in ("dev", "prod"):
        source = {
            "repoURL": url_of(world, CHARTS),
            "path": CHART,
            "targetRevision": "main",
            "helm": {"valueFiles": [f"values-{name}.yaml"]},
        }
        await add_application(world, f"shop-{name}", source, namespace="shop")


def source_history(everybody: dict[str, Person]) -> History:
    """Return the past of the code with its two releases."""
    past = History()
    aiko, priya = everybody["aiko"], everybody["priya"]
    first = past.commit("main", 22, aiko, "Sell things\n", {"shop.py": "PRICE = 10\n"})
    past.tag("v1.4.0", first, 22, priya, "Release 1.4.0\n")
    second = past.commit("main", 2, aiko, "Sell more things\n", {"shop.py": "PRICE = 9\n"})
    past.tag("v1.5.0", second, 2, priya, "Release 1.5.0\n")
    return past


def charts_history(everybody: dict[str, Person], worker: str) -> History:
    """Return the past of the chart; `worker` is the digest that the values pin."""
    past = History()
    templates = {f"{CHART}/templates/{name}.yaml": body for name, body in text.TEMPLATES.items()}
    chart = {f"{CHART}/Chart.yaml": text.CHART, f"{CHART}/values.yaml": text.VALUES}
    past.commit("main", 21.9, everybody["priya"], "Add the chart\n", templates | chart)
    for name, body in (("dev", text.DEV), ("prod", text.PROD)):
        files = {f"{CHART}/values-{name}.yaml": body.replace("@DIGEST@", worker)}
        past.commit("main", 21.8, everybody["priya"], f"Add {name}\n", files)
    return past
