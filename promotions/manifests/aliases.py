"""Values shared through YAML anchors: changed only when every use of them is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promotions.manifests.errors import AliasRefused
from promotions.manifests.keypath import Item, Path, Step, parse_path, render, walk
from promotions.manifests.model import Reference
from promotions.manifests.nodes import AliasNode, Document, Parsed, Scalar

# Keys under which people park anchors: extension fields and what Helm and Compose ignore by habit.
_HOLDERS = ("x-", ".", "_")


def check_shared(parsed: Parsed, meant: Sequence[tuple[Reference, Scalar]]) -> None:
    """Raises AliasRefused when a scalar is reached by a path that is not among the places meant."""
    for document in parsed.documents:
        here = [(each, scalar) for each, scalar in meant if each.document == document.number]
        # Most documents have no alias at all, and are not walked.
        if document.aliases and here:
            _check_document(parsed, document, here)


def _check_document(parsed: Parsed, document: Document, meant: Sequence[tuple[Reference, Scalar]]) -> None:
    # What is shared is the scalar in the file; YAML inside it has no anchors of the outside.
    wanted = {id(_outermost(scalar)): scalar for _, scalar in meant}
    paths = [parse_path(reference.key_path) for reference, _ in meant]
    for path, scalar in _uses(parsed, document):
        shared = wanted.get(id(scalar))
        if shared is not None and not any(_leads(path, steps) for steps in paths):
            key = next(each.key_path for each, found in meant if found is shared)
            cause = (
                f"{key} shares its value with {render(path)} through an alias, which is not meant to change"
            )
            raise AliasRefused(parsed.file, shared.line, cause)


def _uses(parsed: Parsed, document: Document) -> Iterator[tuple[Path, Scalar]]:
    for path, scalar in walk(document.root, file=parsed.file):
        if not (isinstance(path[0] if path else None, str) and str(path[0]).startswith(_HOLDERS)):
            yield path, scalar
    for key in document.alias_keys:
        if isinstance(key, AliasNode) and isinstance(key.target, Scalar):
            yield ("<key>",), key.target


def _outermost(scalar: Scalar) -> Scalar:
    return scalar.source.holder if scalar.source else scalar


def _leads(path: Path, steps: Path) -> bool:
    """Whether written `steps` are this path; what lies inside a scalar belongs to the scalar."""
    return len(steps) >= len(path) and all(map(_same, path, steps))


def _same(found: Step, written: Step) -> bool:
    if isinstance(found, Item) and isinstance(written, Item):
        return found[1:] == written[1:] if written.key else found.number == written.number
    return found == written
