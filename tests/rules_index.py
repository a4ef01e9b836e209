"""The tests of each section of the rules: `@rule("7.3")` on a test, and the page `tests/RULES.md` made of them.

Sections are those of docs/reference: `7.3` of rules.md, `orders 5` of rules-orders.md, `layer2 3` of rules-layer2.md,
`shared 1` of rules-shared-margin.md.
`python -m tests.rules_index` writes the page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "tests" / "RULES.md"
BOOKS = {
    "": "rules.md",
    "orders ": "rules-orders.md",
    "layer2 ": "rules-layer2.md",
    "shared ": "rules-shared-margin.md",
}
"""By how a section begins: its page in docs/reference."""


def rule(*sections: str) -> pytest.MarkDecorator:
    """Mark a test with the sections of the rules that it checks."""
    return pytest.mark.rule(*sections)


def sections() -> dict[str, tuple[str, str]]:
    """Every numbered section of the rules: its page and its title, by the name that `rule` takes."""
    found = {}
    for prefix, page in BOOKS.items():
        text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
        for number, title in re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? (.+)$", text, re.MULTILINE):
            found[f"{prefix}{number}"] = (page, title)
    return found


def marked() -> Iterator[tuple[str, str, str]]:
    """(section, file, test) of every decorated test; a mark of a whole file stands as its name alone."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        if "rules_index import rule" not in text:
            continue
        where = str(file.relative_to(ROOT / "tests"))
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                yield from ((section, where, node.name) for call in node.decorator_list for section in _of(call))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                yield from ((section, where, "") for section in _of(node.value))


def _of(call: ast.expr) -> list[str]:
    """The sections of `rule(…)`; none for another decorator."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "rule"):
        return []
    return [str(ast.literal_eval(argument)) for argument in call.args]


def page() -> str:
    """The index: per section its tests, or that it has none of its own."""
    tests: dict[str, list[str]] = {}
    for section, file, test in marked():
        tests.setdefault(section, []).append(f"`{file}`" + (f" `{test}`" if test else ""))
    lines = [
        "# Tests of the rules",
        "",
        "Made by `python -m tests.rules_index` of the `@rule` marks of the tests. All sections are also checked by the",
        "differential tests of `tests/reference`, which carry no marks.",
    ]
    for section, (book, title) in sections().items():
        lines += ["", f"## {book} {section.split()[-1]}: {title}", ""]
        lines += [f"- {test}" for test in dict.fromkeys(tests.get(section, ()))] or ["No test of its own."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
