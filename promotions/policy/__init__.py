"""May it, and why not: pure gates over facts gathered from our own tables."""

from promotions.policy.facts import gather
from promotions.policy.gates import Act, Facts, Refusal, Refused, refusals

__all__ = ["Act", "Facts", "Refusal", "Refused", "gather", "refusals"]
