"""A branch of a promotion's own. Its name may be taken already: another's branch is never touched."""

from __future__ import annotations

from django.utils.translation import gettext as _

from integrations.errors import NotFound
from promotions.choices import WriteMode
from promotions.models import Promotion
from promotions.repositories import Commit, Repository
from promotions.steps.base import Failed, Waiting
from promotions.wording import branch_name

# So many leftovers of one tag are no accident, and each look at one costs GitLab some requests.
_MOST_NAMES = 20


def is_own(promotion: Promotion) -> bool:
    """Tell whether the promotion makes a branch for itself."""
    return promotion.stage.write_mode == WriteMode.OWN_BRANCH


def holder(repository: Repository, promotion: Promotion) -> str:
    """Return who has a branch of the name we would give ours, as a sentence, or "" where nobody has.

    Asked before writing: that a host refuses to make a branch twice is only the second line of defence.
    """
    branch = branch_name(promotion)
    try:
        tip = repository.tip(branch)
    except NotFound:
        return ""
    other = Promotion.objects.filter(written_commit=tip).exclude(pk=promotion.pk).first()
    if other is not None:
        return _("The branch %(branch)s is left from promotion #%(number)d (%(status)s).") % {
            "branch": branch,
            "number": other.pk,
            "status": other.get_status_display(),
        }
    commit = repository.commit(tip)
    return _("The branch %(branch)s is somebody else's: its last commit is %(sha)s by %(author)s.") % {
        "branch": branch,
        "sha": commit.id[:8],
        "author": commit.author_name,
    }


def take_another(promotion: Promotion, why: str) -> Waiting | Failed:
    """Go on with the next name. `why` stays with the step, so that the page can tell it afterwards."""
    if promotion.branch_round >= _MOST_NAMES:
        return Failed(
            _("%(why)s So are %(count)d more names like it: remove branches that nobody needs, then retry.")
            % {"why": why, "count": _MOST_NAMES - 1}
        )
    return Waiting(
        _("%s Taking another name.") % why,
        look_in=0,
        fields={"branch_round": promotion.branch_round + 1},
        data={"taken": why},
    )


def shared_with(repository: Repository, promotion: Promotion, commit: Commit) -> str:
    """Return whose commits ours would bring along to the manifest branch, as a sentence, or "".

    A branch that somebody made in the moment between our look and our write gets our commit on top of
    theirs: GitLab checks first and writes after (gitlab-api.md, "Commits").
    """
    others = [
        each for each in repository.since(promotion.stage.manifest_branch, commit.id) if each.id != commit.id
    ]
    if not others:
        return ""
    return _("Our commit %(sha)s came to lie upon %(other)s by %(author)s on %(branch)s.") % {
        "sha": commit.id[:8],
        "other": others[-1].id[:8],
        "author": others[-1].author_name,
        "branch": branch_name(promotion),
    }
