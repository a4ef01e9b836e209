"""The house rules, as a test: size, names, direction of imports, one door per library, no clock and no chance.

Every rule takes one file and gives its complaints; every rule is itself tried on a small bad snippet below.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES, FUNCTION_LINES = 400, 70

ROOMS = (
    "core", "data", "venues", "engine", "strategy", "results", "report", "calculator", "runner", "research", "cli",
)  # fmt: skip
"""In the order in which data walk through them: each may import from itself and from those before it."""
ABOVE_ALL = ("__init__", "__main__")
"""The package's own front: hands out names of every room."""

DOORS = {
    "duckdb": "data", "fsspec": "data", "aiohttp": "data", "ccxt": "data", "requests": "data",
    "numba": "engine", "llvmlite": "engine",
    "plotly": "report", "jinja2": "report", "markupsafe": "report", "click": "cli", "rich": "cli",
    "dask": "research", "distributed": "research",
}  # fmt: skip
INPUTS = {"data", "venues", "calculator", "runner"}
"""Rooms that read what users write, and check it with pydantic."""
FREE = {"numpy", "polars", "pyarrow"}
"""Third-party libraries that any room may use."""

CLOCKS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
    "time.thread_time", "time.thread_time_ns", "time.localtime", "time.gmtime", "time.ctime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
}  # fmt: skip
CHANCE = {"random", "uuid", "secrets", "os.urandom", "numpy.random"}
SEEDED = {"default_rng", "Generator", "PCG64", "PCG64DXSM", "Philox", "SeedSequence"}
"""What numpy.random has without a global state."""
ALLOWED = {
    ("backtest/cli/", "time.monotonic"), ("backtest/engine/", "time.thread_time"),
    ("backtest/data/fetch/", "time.monotonic"), ("backtest/data/fetch/", "time.time"),
}  # fmt: skip
"""The progress bar appears after a second of real time; kernels that have been interpreted for some time are compiled;
downloads are paced, and end now. Nothing of it reaches a result."""

VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
# Written in pieces, so that this file does not break its own rule.
LEFT_OPEN = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
MACHINE = re.compile(
    r"(?<![\w.])/(work|farm|root|tmp|home|Users)" + r"/|C:\\Users|"
    r"py" + r"pi\.org|python" + r"hosted|npm" + r"js\.(org|com)|crates" + r"\.io|deb\.de" + r"bian"
)


@dataclass(frozen=True)
class Source:
    """One file of the repository: its path from the root, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def room(self) -> str:
        """`data` for backtest/data/panel.py, empty outside backtest/."""
        parts = Path(self.path).with_suffix("").parts
        return parts[1] if parts[0] == "backtest" else ""

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """(line, dotted name) of everything imported, wherever in the file; `from a import b` is `a.b`."""
        out = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                out += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                out += [(node.lineno, f"{'.' * node.level}{node.module or ''}.{a.name}") for a in node.names]
        return out

    @cached_property
    def uses(self) -> list[tuple[int, str]]:
        """(line, dotted name) of every imported thing that is used, with aliases undone."""
        alias = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                alias |= {
                    a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                alias |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        return [(line, ".".join([alias[head], *rest])) for line, head, *rest in _chains(self.tree) if head in alias]


def _chains(tree: ast.AST) -> Iterator[tuple[int, *tuple[str, ...]]]:
    """(line, "a", "b", "c") for every a.b.c in the tree, and for its beginnings."""
    for node in ast.walk(tree):
        names: list[str] = []
        at = node
        while isinstance(at, ast.Attribute):
            names.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name):
            yield at.lineno, at.id, *reversed(names)


def long_file(source: Source) -> list[str]:
    lines = len(source.text.splitlines())
    return [f"{lines} lines, more than {FILE_LINES}"] if lines > FILE_LINES else []


def long_function(source: Source) -> list[str]:
    functions = (n for n in ast.walk(source.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = ((n, (n.end_lineno or n.lineno) - n.lineno + 1) for n in functions)
    return [
        f"{n.lineno}: {n.name} has {size} lines, more than {FUNCTION_LINES}"
        for n, size in sizes
        if size > FUNCTION_LINES
    ]


def vague_name(source: Source) -> list[str]:
    words = {word for part in Path(source.path).with_suffix("").parts for word in part.lower().split("_")}
    return [f"a file named {word} has no one noun" for word in sorted(words & VAGUE)]


def left_open(source: Source) -> list[str]:
    return _lines(source, LEFT_OPEN, "left open")


def machine(source: Source) -> list[str]:
    return _lines(source, MACHINE, "a machine's path or a registry's address")


def _lines(source: Source, pattern: re.Pattern[str], what: str) -> list[str]:
    found = ((n, pattern.search(line)) for n, line in enumerate(source.text.splitlines(), 1))
    return [f"{n}: {what}: {match[0]}" for n, match in found if match]


def direction(source: Source) -> list[str]:
    if source.room in ABOVE_ALL:
        return []
    if source.room not in ROOMS:
        return [f"{source.room} is no room; add it to ROOMS, in its place"]
    out = []
    for line, name in source.imports:
        parts = name.split(".")
        if not parts[0]:
            out.append(f"{line}: {name} is a relative import")
        elif parts[0] == "backtest":
            target = parts[1] if len(parts) > 1 else ""
            if target not in ROOMS and source.room != ROOMS[-1]:  # the command line uses the package as anyone does
                out.append(f"{line}: {name} comes from the package's front; import from the room")
            elif target in ROOMS and ROOMS.index(target) > ROOMS.index(source.room):
                out.append(f"{line}: {name}: {source.room} comes before {target}")
    return out


def door(source: Source) -> list[str]:
    roots = [(line, name.split(".")[0]) for line, name in source.imports]
    return [
        f"{line}: {root} belongs in {DOORS.get(root, ' and '.join(sorted(INPUTS)))}"
        for line, root in roots
        if DOORS.get(root, source.room) != source.room or (root == "pydantic" and source.room not in INPUTS)
    ]


def clock_or_chance(source: Source) -> list[str]:
    imported = [(line, name) for line, name in source.imports if name.split(".")[0] in CHANCE]
    used = [(line, name) for line, name in source.uses if name in CLOCKS or name == "os.urandom" or _unseeded(name)]
    allowed = {name for folder, name in ALLOWED if source.path.startswith(folder)}
    return [f"{line}: {name}" for line, name in sorted({*imported, *used}) if name not in allowed]


def _unseeded(name: str) -> bool:
    return name.startswith("numpy.random.") and name.split(".")[2] not in SEEDED


def seedless(source: Source) -> list[str]:
    """default_rng() without a seed asks the machine for one."""
    calls = (n for n in ast.walk(source.tree) if isinstance(n, ast.Call) and not n.args and not n.keywords)
    made = ((n.lineno, n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, "id", "")) for n in calls)
    return [f"{line}: {name}() without a seed" for line, name in made if name in SEEDED]


def bare_except(source: Source) -> list[str]:
    handlers = (n for n in ast.walk(source.tree) if isinstance(n, ast.ExceptHandler))
    return [f"{n.lineno}: bare except" for n in handlers if n.type is None]


def no_docstring(source: Source) -> list[str]:
    return [] if not source.text.strip() or ast.get_docstring(source.tree) else ["no docstring"]


Rule = Callable[[Source], list[str]]
PACKAGE_RULES: tuple[Rule, ...] = (
    long_file, long_function, direction, door, clock_or_chance, seedless, bare_except, no_docstring,
)  # fmt: skip
PYTHON_RULES: tuple[Rule, ...] = (bare_except, no_docstring, seedless)
TEXT_RULES: tuple[Rule, ...] = (vague_name, left_open, machine)


def _files() -> list[str]:
    """Every file that is, or is about to be, in the repository; without git, every file of its folders."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        folders = ("backtest", "strategies", "tests", "benchmarks", "docs", ".ci")
        found = [*ROOT.glob("*"), *(file for folder in folders for file in (ROOT / folder).rglob("*"))]
        names = [str(file.relative_to(ROOT)) for file in found]
    return sorted(name for name in names if (ROOT / name).is_file() and "__pycache__" not in name)


def _source(path: str) -> Source | None:
    try:
        return Source(path, (ROOT / path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return None


FILES = _files()


def _rules(path: str) -> tuple[Rule, ...]:
    if not path.endswith(".py"):
        return TEXT_RULES
    return TEXT_RULES + (PACKAGE_RULES if path.startswith("backtest/") else PYTHON_RULES)


@pytest.mark.parametrize("path", FILES)
def test_file_keeps_the_rules(path: str) -> None:
    source = _source(path)
    complaints = [f"{path}:{text}" for rule in _rules(path) for text in rule(source)] if source else []
    assert not complaints, "\n".join(complaints)


def test_there_is_something_to_look_at() -> None:
    # An empty listing would pass every rule.
    assert {"backtest/core/errors.py", "tests/unit/test_tidy.py", "pyproject.toml"} <= set(FILES)


def _circle(imports: Mapping[str, Collection[str]]) -> list[str]:
    """The first circle that is found, as its modules in order; empty where there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        found: list[str] = []
        for target in sorted(imports[module]) if module not in done else ():
            found = found or walk(target, [*path, module])
        done.add(module)
        return found

    return next((circle for module in sorted(imports) if (circle := walk(module, []))), [])


def test_no_two_modules_import_each_other() -> None:
    # Not even for the type checker: a module that needs the other's type is in the wrong place.
    names = {file.removesuffix(".py").replace("/", "."): file for file in FILES if file.startswith("backtest/")}
    imports = {}
    for module, file in names.items():
        source = _source(file) if file.endswith(".py") else None
        wanted = {part for _, name in source.imports for part in (name, name.rpartition(".")[0])} if source else set()
        imports[module] = wanted & set(names) - {module}
    imports["backtest.engine.builder"].discard("backtest.engine.replay")  # in the process that it starts
    assert not _circle(imports)
    assert _circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]


BAD: list[tuple[Rule, str, str]] = [
    (long_file, "backtest/data/a.py", "x = 1\n" * 401),
    (long_function, "backtest/data/a.py", "def f():\n" + "    x = 1\n" * 70),
    (vague_name, "backtest/data/utils.py", ""),
    (vague_name, "backtest/data/order_manager.py", ""),
    (left_open, "docs/a.md", "first\n" + "TO" + "DO: second"),
    (machine, "docs/a.md", "see /ro" + "ot/x"),
    (machine, "docs/a.md", "https://py" + "pi.org/simple"),
    (direction, "backtest/data/a.py", "from backtest.engine import money"),
    (direction, "backtest/data/a.py", "def f():\n    import backtest.cli"),
    (direction, "backtest/data/a.py", "from backtest import run"),
    (direction, "backtest/data/a.py", "from . import panel"),
    (direction, "backtest/attic/a.py", ""),
    (door, "backtest/engine/a.py", "import duckdb"),
    (door, "backtest/engine/a.py", "import pydantic"),
    (door, "backtest/report/a.py", "from rich.table import Table"),
    (clock_or_chance, "backtest/data/a.py", "import time\ntime.time()"),
    (clock_or_chance, "backtest/data/a.py", "from time import time as now\nnow()"),
    (clock_or_chance, "backtest/data/a.py", "from datetime import UTC, datetime\ndatetime.now(UTC)"),
    (clock_or_chance, "backtest/data/a.py", "import time\ntime.monotonic()"),
    (clock_or_chance, "backtest/data/a.py", "import uuid"),
    (clock_or_chance, "backtest/data/a.py", "from random import choice"),
    (clock_or_chance, "backtest/data/a.py", "import numpy as np\nnp.random.seed(1)"),
    (seedless, "backtest/data/a.py", "import numpy as np\nnp.random.default_rng()"),
    (bare_except, "backtest/data/a.py", "try:\n    x = 1\nexcept:\n    pass"),
    (no_docstring, "backtest/data/a.py", "x = 1"),
]
GOOD: list[tuple[Rule, str, str]] = [
    (long_file, "backtest/data/a.py", "x = 1\n" * 400),
    (long_function, "backtest/data/a.py", "def f():\n" + "    x = 1\n" * 69),
    (machine, "docs/a.md", "../shared/data, framework/" + "tmp/x and https://example.org/"),
    (
        direction,
        "backtest/engine/a.py",
        "from backtest.core.errors import UserError\nfrom backtest.engine.money import share",
    ),
    (direction, "backtest/cli/a.py", "import backtest\nfrom backtest import run"),
    (door, "backtest/data/a.py", "import duckdb\nimport numpy"),
    (door, "backtest/runner/a.py", "import pydantic"),
    (door, "backtest/data/a.py", "import pydantic"),
    (clock_or_chance, "backtest/cli/a.py", "import time\ntime.monotonic()"),
    (clock_or_chance, "backtest/data/a.py", "import numpy as np\nnp.random.default_rng(7)\ntime = 1"),
    (seedless, "backtest/data/a.py", "import numpy as np\nnp.random.default_rng(7)"),
    (no_docstring, "backtest/data/__init__.py", ""),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_rule_finds_the_bad(rule: Rule, path: str, text: str) -> None:
    assert len(rule(Source(path, text))) == 1


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_rule_leaves_the_good(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)) == []


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_of_the_package_is_packed() -> None:
    """The list of packages is written by hand, because strategies/ is packed as backtest.teaching."""
    listed = set(_project()["tool"]["setuptools"]["packages"])  # type: ignore[index]
    folders = {str(Path(f).parent).replace("/", ".") for f in FILES if f.startswith("backtest/") and f.endswith(".py")}
    assert listed == folders | {"backtest.teaching"}


def test_every_file_beside_the_modules_is_packed() -> None:
    """A wheel has the templates, presets and chains that the patterns of package-data name."""
    tools = _project()["tool"]["setuptools"]  # type: ignore[index]
    patterns = [
        f"{package.replace('.', '/')}/{glob}" for package, globs in tools["package-data"].items() for glob in globs
    ]
    data = [file for file in FILES if file.startswith("backtest/") and not file.endswith(".py")]
    assert len(data) > 20
    assert [file for file in data if not any(fnmatch(file, pattern) for pattern in patterns)] == []


def test_every_dependency_is_pinned_and_nothing_else_is_said() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in pins if not line.startswith("#")}
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line) for line in pins if not line.startswith("#"))
    project = _project()["project"]
    extras = project["optional-dependencies"]  # type: ignore[index]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]  # type: ignore[index]
    assert {re.split(r"[<>=;\[\s]", name)[0] for name in wanted} <= pinned


def test_every_library_of_the_package_has_a_door() -> None:
    names = {re.split(r"[<>=]", name)[0] for name in _project()["project"]["dependencies"]}  # type: ignore[index]
    assert names <= set(DOORS) | FREE | {"pydantic"}
