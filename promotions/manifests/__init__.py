"""Find, edit and verify image references in manifests: pure Python over a tree of files, no Django.

`find_references` lists every place that decides which version of an image runs; `compute_change`
gives the byte-exact Change for a target version, as new files, unified diff and hash. Nothing here
writes: a writer brings `Change.files` to Git.
"""

from promotions.manifests.change import Order, change_hash, compute_change, compute_release
from promotions.manifests.edit import apply_edit, insert_key, remove_key
from promotions.manifests.errors import (
    AliasRefused,
    Ambiguous,
    ManifestError,
    NotFound,
    Unparsable,
    Unsafe,
    VerificationFailed,
)
from promotions.manifests.model import Change, Edit, Kind, Part, Reference, Style, Target
from promotions.manifests.references import (
    CurrentVersion,
    choose,
    current_version,
    disagreement,
    find_references,
    said_by,
)
from promotions.manifests.tree import DirectoryTree, MemoryTree, Tree

__all__ = [
    "AliasRefused",
    "Ambiguous",
    "Change",
    "CurrentVersion",
    "DirectoryTree",
    "Edit",
    "Kind",
    "ManifestError",
    "MemoryTree",
    "NotFound",
    "Order",
    "Part",
    "Reference",
    "Style",
    "Target",
    "Tree",
    "Unparsable",
    "Unsafe",
    "VerificationFailed",
    "apply_edit",
    "change_hash",
    "choose",
    "compute_change",
    "compute_release",
    "current_version",
    "disagreement",
    "find_references",
    "insert_key",
    "remove_key",
    "said_by",
]
