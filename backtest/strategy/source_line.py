"""The line of a strategy's file that defines a hook or one of its features."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from backtest.strategy.base import Strategy, source_file


def source_line(strategy: Strategy | type[Strategy], hook: str, feature: str | None = None) -> str:
    """Return `file.py:LINE` of a hook, or of the entry of ``feature`` in `features`, or the class."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    code = getattr(inspect.unwrap(getattr(cls, hook)), "__code__", None)
    if code is None:
        return f"class {cls.__name__}"
    file, line = Path(code.co_filename), int(code.co_firstlineno)
    if feature is not None:
        line = _entry(file, line, feature) or line
    known = source_file(cls)
    return f"{file.name}:{line}" if known or file.is_file() else f"class {cls.__name__}.{hook}"


def _entry(file: Path, line: int, feature: str) -> int | None:
    """The line where a text ``feature`` stands first inside the function that begins at ``line``."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and line in (node.lineno, *(d.lineno for d in node.decorator_list)):
            found = [n.lineno for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value == feature]
            return min(found, default=None)
    return None
