"""YAML inside a scalar: inline Kustomize patches, an Argo CD Application's `helm.values`.

Only where every inner line lies in the file as it is (literal blocks, one-line strings without
escapes), so that an inner scalar has bytes of its own in the file. Folded blocks have not.
"""

from __future__ import annotations

from promotions.manifests.nodes import Embedded, MappingNode, Node, Parsed, Scalar, SequenceNode
from promotions.manifests.parse import parse
from promotions.manifests.scalars import body_span


def embedded(outer: Parsed, holder: Scalar) -> Embedded | None:
    """The YAML in `holder`, or None where its lines cannot be mapped to the file's bytes.

    Raises Unparsable or Unsafe when the inner text is refused.
    """
    # One level is what people write; a second would need offsets through two indentations.
    if holder.source is not None:
        return None
    if holder.style == "|":
        starts = _block_starts(outer.text, holder)
        first_line = holder.line + 1
    else:
        starts = _line_start(outer.text, holder)
        first_line = holder.line
    if starts is None:
        return None
    parsed = parse(holder.value.encode("utf-8"), outer.file)
    inner = Embedded(holder, parsed, starts, first_line)
    _adopt(inner)
    return inner


def _line_start(text: str, holder: Scalar) -> list[int] | None:
    span = body_span(text, holder)
    if span is None or "\n" in holder.value:
        return None
    quotes = 1 if holder.style else 0
    start, end = span[0] + quotes, span[1] - quotes
    return [start] if text[start:end] == holder.value else None


def _block_starts(text: str, holder: Scalar) -> list[int] | None:
    """The offsets of the inner lines; the indentation is what stands before them, the same in all."""
    # The header line (`|-`, perhaps with a comment) is not part of the text.
    position = text.find("\n", holder.event.start_mark.index) + 1
    starts: list[int] = []
    indents: set[int] = set()
    for line in holder.value.rstrip("\n").split("\n"):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        written = text[position:end].removesuffix("\r")
        if not written.endswith(line):
            return None
        indent = len(written) - len(line)
        starts.append(position + indent)
        indents.update({indent} if line else ())
        position = end + 1
    # An explicit indentation mark (`|2`) can leave blanks inside the text; such a block is left alone.
    return starts if len(indents) == 1 else None


def _adopt(inner: Embedded) -> None:
    stack: list[Node] = [each.root for each in inner.parsed.documents if each.root]
    while stack:
        node = stack.pop()
        if isinstance(node, Scalar):
            node.source = inner
        elif isinstance(node, MappingNode):
            stack.extend((*node.entries.values(), *node.merges, *node.complex))
        elif isinstance(node, SequenceNode):
            stack.extend(node.items)
