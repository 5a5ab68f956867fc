"""The size limits of the house style: functions, files, templates. Prints the figures, fails over a limit."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("promotions", "integrations", "manage.py")
LONGEST_FUNCTION, MEDIAN_FUNCTION, P90_FUNCTION = 60, 10, 30
LONGEST_FILE, P90_FILE = 500, 250
LONGEST_TEMPLATE, LONGEST_FRAGMENT = 150, 50


def tracked(*patterns: str) -> list[Path]:
    """Files that belong to the repository, new ones included, ignored ones not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def function_lengths(path: Path) -> Iterable[tuple[int, str]]:
    """Lines of every function's body, its docstring and decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield (
                body[-1].end_lineno - body[0].lineno + 1,
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
            )


def p90(values: list[int]) -> int:
    return sorted(values)[int(len(values) * 0.9)] if values else 0


def over(found: list[tuple[int, str]], limit: int, what: str) -> list[str]:
    return [f"{name}: {size} lines, {what} may have {limit}" for size, name in found if size > limit]


def files(paths: list[Path]) -> list[tuple[int, str]]:
    return [(len(p.read_text(encoding="utf-8").splitlines()), str(p.relative_to(ROOT))) for p in paths]


def spread(name: str, sizes: list[int]) -> str:
    middle = statistics.median(sizes or [0])
    return f"{name}: {len(sizes)}, median {middle:g}, p90 {p90(sizes)}, max {max(sizes or [0])}"


def main() -> int:
    python = [path for path in tracked("*.py") if "migrations" not in path.parts]
    product = [path for path in python if path.relative_to(ROOT).parts[0] in PRODUCT]
    functions = [pair for path in product for pair in function_lengths(path)]
    modules = files(python)
    templates = files(tracked("templates/*.html"))
    fragments = [pair for pair in templates if Path(pair[1]).name.startswith("_") or "/partials/" in pair[1]]
    lengths = [size for size, _ in functions]
    product_sizes = [size for size, _ in files(product)]
    print(spread("functions", lengths))
    print(spread("files", product_sizes))
    print(spread("templates", [size for size, _ in templates]))
    wrong = over(functions, LONGEST_FUNCTION, "a function")
    wrong += over(
        [p for path in python for p in function_lengths(path) if p not in functions],
        LONGEST_FUNCTION,
        "a test",
    )
    wrong += over(modules, LONGEST_FILE, "a file")
    wrong += over(templates, LONGEST_TEMPLATE, "a template")
    wrong += over(fragments, LONGEST_FRAGMENT, "a fragment")
    for figure, limit, what in (
        (statistics.median(lengths or [0]), MEDIAN_FUNCTION, "median function"),
        (p90(lengths), P90_FUNCTION, "p90 of functions"),
        (p90(product_sizes), P90_FILE, "p90 of files"),
    ):
        if figure > limit:
            wrong.append(f"the {what} has {figure:g} lines, the limit is {limit}")
    print("\n".join(wrong) or "within the limits")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
