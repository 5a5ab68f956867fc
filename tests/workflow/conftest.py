"""The cast, scenario A's catalogue and a GitLab on loopback that holds its manifest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection

from promotions import operations
from promotions.choices import Role, WriteMode
from promotions.models import Connection, Promotion, RoleGrant, Stage
from promotions.policy import Refused
from promotions.workflow import StaleState
from tests import cast
from tests.api.conftest import gitlab
from tests.integrations.loopback import loopback
from tests.workflow.small_gitlab import SmallGitLab

__all__ = ["gitlab"]


@pytest.fixture
def people(db: None) -> cast.People:
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)


@pytest.fixture
def second_approver(catalogue: cast.Catalogue) -> User:
    user = User.objects.create_user("second")
    RoleGrant.objects.create(user=user, role=Role.APPROVER, application=catalogue.application)
    return user


@pytest.fixture
def second_developer(catalogue: cast.Catalogue) -> User:
    user = User.objects.create_user("colleague")
    RoleGrant.objects.create(user=user, role=Role.DEVELOPER, application=catalogue.application)
    return user


@pytest.fixture
def git(catalogue: cast.Catalogue) -> Iterator[SmallGitLab]:
    """Production takes direct commits, and no Argo CD or verification follows."""
    Stage.objects.update(write_mode=WriteMode.DIRECT, argocd_application="", verification_pipeline="")
    with loopback() as server:
        Connection.objects.filter(slug__in=("gitlab", "harbor")).update(url=server.url)
        yield SmallGitLab(server)


@pytest.fixture
def approved(catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab) -> Promotion:
    stage = Stage.objects.get(pk=catalogue.production.pk)
    promotion = operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="today")
    operations.approve(promotion, by=people.approver, change_hash=promotion.change_hash)
    return promotion


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do all of it at the same moment, each in a thread and a database session of its own.

    Returns what each gave or raised, in the order given.
    """
    barrier = threading.Barrier(len(acts), timeout=20)
    outcomes: list[object] = [None] * len(acts)

    def run(index: int, act: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            outcomes[index] = act()
        except (StaleState, Refused, AssertionError) as error:
            outcomes[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes
