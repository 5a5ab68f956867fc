"""May it, and why not: pure gates over facts gathered from our own tables."""

from promotions.policy.facts import approvals_needed, gather, rules_for
from promotions.policy.gates import GATES, Gate, lacking, refusals, stopping
from promotions.policy.looking import one_look
from promotions.policy.terms import Act, Facts, Refusal, Refused, Weight

__all__ = [
    "GATES",
    "Act",
    "Facts",
    "Gate",
    "Refusal",
    "Refused",
    "Weight",
    "approvals_needed",
    "gather",
    "lacking",
    "one_look",
    "refusals",
    "rules_for",
    "stopping",
]
