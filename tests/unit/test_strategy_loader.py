"""Loading by file, module and name; every mistake in one line; the scaffold."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from textwrap import dedent

import pytest

from backtest.core.errors import UserError
from backtest.strategy.base import Strategy
from backtest.strategy.loader import GROUP, available, load, source_sha256, teaching
from backtest.strategy.scaffold import new

ONE = """
    from backtest import Param, Strategy

    class One(Strategy):
        \"\"\"The only one.\"\"\"
        n: int = Param(5, ge=1, le=9)
        def on_candle(self, market, account):
            pass
"""
TWO = (
    ONE
    + """
    class Two(One):
        pass
"""
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into an empty current folder; gives its name."""
    monkeypatch.chdir(tmp_path)

    def writing(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return name

    return writing


@pytest.fixture
def installed(write, tmp_path, monkeypatch):
    """A package `plugged` that is importable and has the entry points of a file."""

    def installing(points, **files):
        for name, text in files.items():
            write(f"site/plugged_{name}.py", text)
        write("site/plugged-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
        write("site/plugged-1.0.dist-info/entry_points.txt", f"[{GROUP}]\n{points}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    yield installing
    for name in [name for name in sys.modules if name.startswith("plugged_")]:
        del sys.modules[name]


def refused(spec, params=None):
    with pytest.raises(UserError) as caught:
        load(spec, params)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_file(write):
    file = write("one.py", ONE)
    strategy = load(file, {"n": "7"})
    assert (type(strategy).__name__, strategy.n) == ("One", 7)
    assert load("one.py:One").n == 5
    assert source_sha256(strategy) == hashlib.sha256(dedent(ONE).encode()).hexdigest()


def test_by_class_and_by_instance(write):
    cls = type(load(write("one.py", ONE)))
    assert load(cls, {"n": 2}).n == 2
    made = cls(n=3)
    assert load(made) is made
    assert refused(made, {"n": 4}) == "One is an instance already; set its parameters when you create it"
    assert refused(dict) == "dict is not a Strategy; derive it: class Name(Strategy)"


def test_a_file_leaves_nothing_behind_and_is_read_anew(write, tmp_path):
    before = set(sys.modules)
    first = load(write("json.py", ONE))
    assert "json" in sys.modules
    assert sys.modules["json"].loads("1") == 1  # the file of that name has not taken its place
    assert [name.rpartition("_")[0] for name in set(sys.modules) - before] == ["backtest_strategy_json"]
    # Two edits inside one tick of the file system's clock, of equal length: bytecode by time stamp would be stale.
    second = load(write("json.py", ONE.replace("Param(5", "Param(6")))
    assert (first.n, second.n) == (5, 6)
    assert source_sha256(first) == hashlib.sha256(dedent(ONE).encode()).hexdigest() != source_sha256(second)
    assert not list(tmp_path.rglob("__pycache__"))


def test_two_files_of_one_name(write):
    here, there = load(write("a/one.py", ONE)), load(write("b/one.py", ONE.replace("Param(5", "Param(8")))
    assert (here.n, there.n) == (5, 8)
    assert type(here).__module__ != type(there).__module__
    assert source_sha256(here) != source_sha256(there)


def test_a_base_that_decides_nothing_is_not_a_second_strategy(write):
    base = """
        from backtest import Strategy
        class Base(Strategy):
            def size(self):
                return 1
        class Leaf(Base):
            def on_candle(self, market, account):
                pass
    """
    assert type(load(write("leaf.py", base))).__name__ == "Leaf"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.py", "x = 1\n", "none.py: no Strategy in the file; define one: class Name(Strategy)"),
        ("two.py", TWO, "two.py: 2 strategies in the file; choose two.py:One or two.py:Two"),
        ("bad.py", "x = 1\ndef f(:\n", "bad.py:2: syntax error: invalid syntax; correct the file"),
        ("nul.py", "x = 1\0\n", "nul.py: syntax error: source code string cannot contain null bytes"),
        ("imp.py", "\nimport no_such_thing\n", "imp.py:2: on import: ModuleNotFoundError: No module named"),
        ("div.py", "def f():\n    1 / 0\n\nf()\n", "div.py:2: on import: ZeroDivisionError: division by zero"),
        ("out.py", "raise SystemExit(3)\n", "out.py:1: on import: SystemExit: 3"),
        ("par.py", ONE.replace("Param(5", "Param(50"), "par.py:4, One: parameter n = 50 is out of range; give a whole"),
        ("dec.py", ONE.replace("on_candle", "on_cnadle"), "dec.py, class One: neither on_candle nor targets"),
        (
            "ini.py",
            ONE + "        def __init__(self, **params):\n            super().__init__(**params)\n            1 / 0\n",
            "ini.py:11: One.__init__: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_file_that_cannot_be_loaded_is_one_line(write, name, text, said):
    assert refused(write(name, text)).startswith(said)


def test_a_failed_import_leaves_no_module(write):
    before = set(sys.modules)
    refused(write("half.py", ONE + "\n    1 / 0\n"))
    assert set(sys.modules) == before


def test_what_is_not_there(write):
    write("one.py", ONE + "\n    helper = 3\n")
    assert refused("on.py") == "on.py: no such file; did you mean 'one.py'?"
    assert refused("no/such.py").startswith("no/such.py: no such file; check the path")
    assert refused("one.py:Oen") == "one.py: no class Oen; did you mean 'One'?"
    assert refused("one.py:helper") == "one.py: helper is not a Strategy; derive it: class Name(Strategy)"
    assert refused("one") == "no strategy is named 'one'; did you mean the file one.py?"
    assert refused("sma_corss").startswith("no strategy is named 'sma_corss'; did you mean 'sma_cross'?")
    assert refused("one.py", {"m": 1}) == "One: unknown parameter 'm'; known: n"
    assert refused("./") == ".: cannot be read (Is a directory); give a Python file"


def test_by_module(installed):
    installed("", good=ONE, bad="import no_such_thing\n")
    assert load("plugged_good:One", {"n": 9}).n == 9
    assert refused("plugged_good:Two") == "plugged_good: no class Two; known: One"
    assert refused("plugged_gone:One") == (
        "plugged_gone: no module named 'plugged_gone'; install it, or give a file: plugged_gone.py"
    )
    assert refused("plugged_good.deeper:One").startswith("plugged_good.deeper: no module named 'plugged_good.deeper'")
    assert refused("plugged_bad:One").startswith(
        "plugged_bad.py:1: importing plugged_bad: ModuleNotFoundError: No module named 'no_such_thing'"
    )


def test_by_entry_point(installed):
    points = "mine = plugged_one:One\nwhole = plugged_one\nbroken = plugged_two:Gone\nsma_cross = plugged_one:One"
    installed(points, one=ONE, two=ONE)
    assert load("mine", {"n": 4}).n == 4
    assert load("whole", {"n": 4}).n == 4
    assert refused("broken") == "plugged_two: no class Gone; did you mean 'One'?"
    assert refused("sma_cross").startswith("2 strategies are named 'sma_cross'; choose plugged_one:One or ")
    listed = {row.name: row for row in available() if row.origin != "teaching"}
    assert listed["mine"].doc == "The only one."
    assert [p.name for p in listed["mine"].parameters] == ["n"]
    assert (listed["mine"].origin, listed["mine"].error) == ("plugged_one:One", "")
    assert "no class Gone" in listed["broken"].error


def test_the_teaching_plugins_are_listed_and_load_by_name():
    rows = [row for row in available() if row.origin == "teaching"]
    assert [row.name for row in rows] == [
        "breakout", "funding_carry", "hedged_pair", "lifeline", "maker_grid", "momentum_rotation", "pairs_trade",
        "sma_cross",
    ]  # fmt: skip
    assert list(teaching()) == [row.name for row in rows]
    assert all(row.doc and row.parameters and not row.error for row in rows)
    assert all(isinstance(load(row.name), Strategy) for row in rows)


def test_an_installed_package_carries_its_own_plugins(write, tmp_path, monkeypatch):
    write("strategies/stranger.py", ONE)  # in site-packages, some other project's
    write("backtest/teaching/one.py", ONE)
    write("backtest/teaching/test_one.py", ONE)
    write("backtest/teaching/__init__.py", "")
    monkeypatch.setattr("backtest.strategy.loader.__file__", str(tmp_path / "backtest" / "strategy" / "loader.py"))
    assert list(teaching()) == ["one"]
    assert load("one").n == 5


def test_nothing_is_registered_by_this_project_itself():
    assert not [p for p in importlib.metadata.entry_points(group=GROUP) if p.name in teaching()]


def test_the_scaffold_makes_a_strategy_that_loads(tmp_path):
    strategy, test = new("my_idea", tmp_path / "plugins")
    assert (strategy.name, test.name) == ("my_idea.py", "test_my_idea.py")
    made = load(strategy, {"window": "12"})
    assert (type(made).__name__, made.window, made.every_ms) == ("MyIdea", 12, 3_600_000)
    assert type(made).describe().doc
    compile(test.read_text(), str(test), "exec")
    assert '"my_idea.py"' in test.read_text()


def test_the_scaffold_overwrites_nothing(tmp_path):
    (tmp_path / "test_idea.py").write_text("mine")
    with pytest.raises(UserError, match=r"test_idea\.py: the file is already there; choose another name"):
        new("idea", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["test_idea.py"]
    assert (tmp_path / "test_idea.py").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["", "my-idea", "1st", "class", "a/b", "../x", "idée", "_x", "test_x", "strategy", "json", "none", "backtest"],
)
def test_the_scaffold_refuses_a_name(name, tmp_path):
    with pytest.raises(UserError) as caught:
        new(name, tmp_path / "made")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_the_scaffold_refuses_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        new("idea", tmp_path / "file")
