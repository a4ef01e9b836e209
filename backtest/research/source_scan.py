"""What in a strategy's source may know too much, found by reading it: nothing is run.

Two kinds. What a replay cannot prove is a finding: reading files, clocks and the network, chance that no seed fixes,
looking into the program's own frames. What a replay on shorter data would show is a suspicion, worth a look where the
replays have found something near it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backtest.strategy.base import Strategy, source_file

OUTSIDE = {
    "open": "reads a file",
    "input": "asks the user",
    "read_text": "reads a file",
    "read_bytes": "reads a file",
    "urlopen": "reads from the network",
    "getenv": "reads the environment",
    "_getframe": "looks into the program's frames",
    "currentframe": "looks into the program's frames",
    "get_objects": "looks at all objects of the program",
    "get_referrers": "looks at all objects of the program",
}
"""Calls by the name of the function."""
READERS = ("read_", "scan_")
"""Begin the names of the functions with which Polars and pandas read a file."""
MODULES = {
    "random": ("uses chance that no seed fixes", "self.rng"),
    "secrets": ("uses chance that no seed fixes", "self.rng"),
    "uuid": ("uses chance that no seed fixes", "self.rng"),
    "requests": ("reads from the network", ""),
    "httpx": ("reads from the network", ""),
    "urllib": ("reads from the network", ""),
    "socket": ("reads from the network", ""),
    "sqlite3": ("reads a file", ""),
    "duckdb": ("reads a file", ""),
}
"""Modules of which any call counts; what to use in its place."""
CLOCKS = {
    ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "perf_counter"), ("datetime", "now"),
    ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip
GLOBAL_CHANCE = ("seed", "default_rng", "Generator", "SeedSequence", "RandomState")
"""Of `numpy.random` what makes a generator; the rest draws from one that the whole process shares."""
FILLS = ("fill_null", "fill_nan", "fillna")
BACKWARD = ("backward", "bfill")
WHOLE = ("mean", "std", "var", "median", "max", "min", "sum", "quantile", "rank", "qcut", "mode", "skew", "kurtosis")
"""Of an expression without a window: over the whole sample."""


@dataclass(frozen=True)
class Passage:
    """A place in a strategy's source."""

    place: str
    """`file.py:LINE`."""
    said: str
    certain: bool
    """Whether it is a finding; else a suspicion that replays would confirm."""


def scan(strategy: Strategy | type[Strategy]) -> list[Passage]:
    """Read the strategy's file; nothing is found where it is missing, as in a console."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    file = source_file(cls)
    try:
        tree = ast.parse(file.read_bytes()) if file else None
    except (OSError, SyntaxError, ValueError):
        tree = None
    if file is None or tree is None:
        return []
    node = next((n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == cls.__name__), None)
    parts: list[ast.AST] = [tree] if node is None else [node, *_called(tree, node)]
    found = {(line, said): certain for part in parts for line, said, certain in _passages(part, _names(tree))}
    return [Passage(f"{Path(file).name}:{line}", said, certain) for (line, said), certain in sorted(found.items())]


def _called(tree: ast.Module, node: ast.ClassDef) -> list[ast.AST]:
    """The file's own functions that the class names, those that they name too, and its bases in the file."""
    own = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n is not node}
    reached: dict[str, ast.AST] = {}
    waiting: list[ast.AST] = [node]
    while waiting:
        for inner in ast.walk(waiting.pop()):
            name = inner.id if isinstance(inner, ast.Name) else None
            if name in own and name not in reached:
                reached[name] = own[name]
                waiting.append(own[name])
    return list(reached.values())


def _names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for, with dots."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                (a.asname or a.name.partition(".")[0]): (a.name if a.asname else a.name.partition(".")[0])
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
    return names


def _passages(part: ast.AST, names: dict[str, str]) -> Iterator[tuple[int, str, bool]]:
    across = {id(inner) for node in ast.walk(part) if _across(node) for inner in ast.walk(node)}
    for node in ast.walk(part):
        if isinstance(node, ast.Call):
            yield from _outside(node, names)
            if id(node) not in across:
                yield from _ahead(node)
        elif isinstance(node, ast.Global):
            yield node.lineno, f"changes {', '.join(node.names)} of the module, which all accounts share", False
    if isinstance(part, ast.ClassDef):
        for inner in part.body:
            value = inner.value if isinstance(inner, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.List | ast.Dict | ast.Set):
                yield (
                    inner.lineno,
                    "a list, dict or set of the class, which all accounts share; make it in on_start",
                    False,
                )


def _outside(node: ast.Call, names: dict[str, str]) -> Iterator[tuple[int, str, bool]]:
    """What a call takes from outside of the replay."""
    path = _path(node.func, names)
    if not path:
        return
    *before, name = path
    module = before[0] if before else path[0] if len(path) == 1 and "." in path[0] else ""
    if name in OUTSIDE and (len(path) == 1 or name != "open" or before == ["io"]):
        yield node.lineno, f"{OUTSIDE[name]} ({'.'.join(path)}), so whether it is of the past cannot be checked", True
    elif name.startswith(READERS) and module in ("polars", "pandas", "pyarrow", "geopandas"):
        yield node.lineno, f"reads a file ({'.'.join(path)}), so whether it is of the past cannot be checked", True
    elif tuple(path[-2:]) in CLOCKS:
        yield node.lineno, f"reads the clock ({'.'.join(path)}); use market.now", True
    elif path[:2] == ["numpy", "random"]:
        if name not in GLOBAL_CHANCE or (name == "default_rng" and not node.args and not node.keywords):
            yield node.lineno, f"uses chance that no seed fixes ({'.'.join(path)}); use self.rng", True
    elif module in MODULES and len(path) > 1:
        said, better = MODULES[module]
        yield node.lineno, f"{said} ({'.'.join(path)})" + (f"; use {better}" if better else ""), True


def _ahead(node: ast.Call) -> Iterator[tuple[int, str, bool]]:
    """What a call on columns takes from later rows."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    given = {word.arg: word.value for word in node.keywords}
    first = node.args[0] if node.args else given.get("n")
    if name in ("shift", "diff", "pct_change") and isinstance(first, ast.UnaryOp) and isinstance(first.op, ast.USub):
        yield node.lineno, f"{name} by a negative number takes later rows", False
    if _is(given.get("center"), True):
        yield node.lineno, f"{name}(center=True) takes later rows", False
    if name in FILLS and any(_is(value, word) for value in (*given.values(), *node.args) for word in BACKWARD):
        yield node.lineno, f"{name} fills from later rows", False
    if name in ("backward_fill", "bfill", "interpolate", "reverse"):
        yield node.lineno, f"{name} takes later rows", False
    if (
        name == "join_asof"
        and isinstance(given.get("strategy"), ast.Constant)
        and not _is(given["strategy"], "backward")
    ):
        yield node.lineno, "join_asof joins later rows", False
    if name in WHOLE and isinstance(node.func, ast.Attribute) and _column(node.func.value):
        yield node.lineno, f"{name} without a window is over the whole sample", False


def _across(node: ast.AST) -> bool:
    """Whether an expression is over the markets of one time: `….over("ts")`."""
    over = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "over"
    return over and any(_is(word, "ts") for word in getattr(node, "args", []))


def _column(node: ast.expr) -> bool:
    """Whether an expression is a column: `candle.close`, `pl.col(…)`, or what is made of one."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "candle":
            return True
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "col":
            return True
    return False


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value and type(node.value) is type(value)


def _path(node: ast.expr, names: dict[str, str]) -> list[str]:
    """The dotted name of what is called, its imports followed; empty where it is not a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return [*names.get(node.id, node.id).split("."), *reversed(parts)]
    # A method of something that was made on the spot: Path("x").read_text().
    return ["", *reversed(parts)] if parts else []
