"""The cast, scenario A's catalogue and a GitLab on loopback that holds its manifest."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection

from promotions.choices import Role
from promotions.models import RoleGrant
from promotions.policy import Refused
from promotions.workflow import StaleState
from tests import cast
from tests.api.conftest import gitlab

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
