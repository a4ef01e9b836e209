"""Phrases that readers had to translate, each with the better one; pages, help, errors and reports do without them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT
from tests.docs.test_docs import prose

POOL = r"\bcross pool|isolated pool|\bpool is liquidated|a pool below"
BANNED = {
    r"\bthat which\b": "what",
    r"\bby itself\b": "alone, or leave it out",
    r"\banew\b": "again",
    r"\bof (?:its|their) own\b": "its own …, their own …",
    r"\bwhat becomes of\b": "what happens to",
    r"\bthere is none\b": "it has no …",
    r"\bin words and pictures\b": "leave it out",
    r"\byardstick\b": "reference",
    r"\bis law\b|\bby law\b|\bexact law\b": "rules; liquidation policy",
    r"\bdie[sd]?\b|\boutlive": "is liquidated, survives",
    r"\ba naked position\b|\bnow naked\b": "an unhedged position",
    r"\bway of an order\b|\border's way\b": "order latency",
    r"\bstands? still in\b|\bstood still\b": "stopped; an outage",
    r"\bon trust\b": "assumed",
    r"\bstrategies that teach\b": "example strategies",
    POOL: "margin account, isolated position",
    r"\bvenue's mark\b(?! candle)|\bmarket's mark\b": "venue mark, market mark",
    r"(?<!there )\bis no (?:number|multiple|file|key|hook|delay|deviation|process)\b": "is not a …",
    r"\bfrom rung to rung\b": "between two levels",
    r"\bjudge[sd]? by\b|\ba close, judged\b": "checked",
    r"\bno regular settlement\b": "no settlement",
    r"\bboth legs\b": "both positions",
    r"\bhalted trading\b": "stopped trading",
    r"\bbook of positions\b": "positions file",
}
"""Pattern of a phrase, and what to write instead."""
RULES = {f"docs/reference/rules{part}.md" for part in ("", "-layer2", "-orders", "-shared-margin")}
"""Pages that define *pool* in their second paragraph, and keep it."""
IN_CODE = {POOL, r"\bdie[sd]?\b|\boutlive"}
"""Phrases that comments and docstrings may use: a pool is a column of the tables, and a process may die."""
ERRORS = {"UserError", "RunError", "SettingError", "UsageError", "PydanticCustomError", "ValueError"}
"""Exceptions whose text a user reads; a ValueError of a venue's or chain's file among them."""
SHOWN = ("backtest/report/", "backtest/cli/", "backtest/runner/notes.py", "backtest/runner/warnings.py")
"""Where every text is for users: pages, the terminal, notes."""


def found(text: str, allowed: Collection[str] = ()) -> list[str]:
    """Each phrase of a text with the better one, except for patterns that are allowed."""
    plain = " ".join(text.split())
    return [
        f"{match[0]!r}: write {better!r}"
        for pattern, better in BANNED.items()
        if pattern not in allowed
        for match in re.finditer(pattern, plain, re.IGNORECASE)
    ]


def literals(node: ast.AST) -> Iterator[str]:
    """Return the texts below a node, each f-string as one, without docstrings."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from literals(child)


def texts(path: Path) -> Iterator[str]:
    """Return the texts of a module that users read: all of a module for users, else those of errors and of help."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.relative_to(ROOT).as_posix().startswith(SHOWN):
        yield from literals(tree)
        for node in ast.walk(tree):  # the help of a command is its docstring
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                yield ast.get_docstring(node) or ""
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ERRORS or name == "setting":
                for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield from literals(part)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_has_no_phrase_to_translate(page: str) -> None:
    assert found(prose(page), {POOL} if page in RULES else ()) == []


def test_help_errors_and_reports_have_no_phrase_to_translate() -> None:
    seen = 0
    wrong = []
    for path in sorted((ROOT / "backtest").rglob("*.py")):
        for text in texts(path):
            seen += 1
            wrong += [f"{path.relative_to(ROOT)}: {text!r}: {phrase}" for phrase in found(text)]
    assert wrong == []
    assert seen > 1_000


def told(source: str) -> Iterator[str]:
    """Docstrings and comments of a module."""
    documented = {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.start in documented):
            yield token.string


def test_docstrings_and_comments_have_no_phrase_to_translate() -> None:
    """Of the whole package but the engine, whose kernels are compiled again after each change of a comment."""
    seen = 0
    wrong = []
    for path in sorted((ROOT / "backtest").rglob("*.py")):
        if "engine" in path.parts:
            continue
        for text in told(path.read_text(encoding="utf-8")):
            seen += 1
            wrong += [f"{path.relative_to(ROOT)}: {phrase}" for phrase in found(text, IN_CODE)]
    assert wrong == []
    assert seen > 3_000
    assert [*told('x = "anew"  # anew\n"""by\nitself"""\n')] == ["# anew", '"""by\nitself"""']


def test_a_phrase_is_found_across_lines() -> None:
    assert found("What becomes\nof it is law.") == ["'What becomes of': write 'what happens to'", *found("is law")]
    assert found("It is liquidated.") == []
    assert set(PAGES) >= RULES


def test_texts_of_errors_and_help_are_collected(tmp_path: Path) -> None:
    tree = ast.parse('raise UserError(f"{a} is " f"no number", "here")\nx = "not for users"\n"""doc"""')
    (call,) = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert [*literals(call)] == ["… is no number", "here"]
    assert found("… is no number")
