"""Finding a strategy: by file, by `package.module:Class`, by the name of an entry point or of a teaching plug-in."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeAlias, cast

from backtest.core.errors import UserError, nearest
from backtest.strategy.base import Strategy, cause, check, hooks, source_file
from backtest.strategy.param import Parameter, ParamValue

GROUP = "backtest.strategies"
"""Entry points of installed packages: `name = "package.module:Class"`."""


class Listing(NamedTuple):
    """A strategy that can be named."""

    name: str
    doc: str
    """First line of its docstring."""
    origin: str
    """`teaching`, or the `package.module:Class` of an entry point."""
    parameters: tuple[Parameter, ...]
    error: str = ""
    """Why it cannot be loaded; empty when it can."""


StrategySource: TypeAlias = str | Path | type[Strategy] | Strategy
"""How a user names a strategy; see :func:`load`."""


def load(spec: StrategySource, params: Mapping[str, object] | None = None) -> Strategy:
    """The strategy that ``spec`` names, made with ``params`` and checked.

    ``spec`` is `my.py`, `my.py:Class`, `package.module:Class`, the name of an entry point or of a teaching
    plug-in, a class, or a strategy already made (which takes no params). Raises UserError.
    """
    if isinstance(spec, Strategy):
        if params:
            raise UserError(
                f"{type(spec).__name__} is an instance already", "", "set its parameters when you create it"
            )
        check(spec)
        return spec
    cls = spec if isinstance(spec, type) else find(str(spec))
    if not issubclass(cls, Strategy):
        raise UserError(f"{cls.__name__} is not a Strategy", "", "derive it: class Name(Strategy)")
    try:
        strategy = cls(**cast("Mapping[str, ParamValue]", params or {}))  # checked there
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # Not failed(): there is no instance yet, and before the run it is a file to be corrected.
        raise _broken(error, source_file(cls), f"{cls.__name__}.__init__") from error
    check(strategy)
    return strategy


def find(spec: str) -> type[Strategy]:
    """The class that a text names; see :func:`load`."""
    base, name = _parts(spec)
    if name or is_path(base):
        return _open(base, name)
    place = _named(spec)
    return _open(place.base, place.cls)


def place_of(spec: str) -> str:
    """Return the file or the module that a text names, without reading it; UserError for an unknown name."""
    base, name = _parts(spec)
    return base if name or is_path(base) else _named(spec).base


def _parts(spec: str) -> tuple[str, str]:
    """The file, module or name that a text begins with, and the class behind its colon."""
    base, colon, name = spec.rpartition(":")
    # Where no class is named the colon may be a Windows drive's.
    return (base, name) if colon and base and name.isidentifier() else (spec, "")


def available() -> list[Listing]:
    """Every strategy that can be loaded by name, sorted; one that cannot be loaded says why."""
    return [_listing(place) for place in _registered()]


def _listing(place: _Place) -> Listing:
    try:
        described = _open(place.base, place.cls).describe()
    except UserError as error:
        return Listing(place.name, "", place.origin, (), str(error))
    return Listing(place.name, described.doc, place.origin, described.parameters)


def teaching() -> dict[str, Path]:
    """The plug-ins that come with the project, by name: in a wheel inside the package, in a clone beside it."""
    package = Path(__file__).parents[1]
    inside = package / "teaching"
    folder = inside if inside.is_dir() else package.parent / "strategies"
    return {
        path.stem: path
        for path in sorted(folder.glob("*.py"))
        if not path.stem.startswith(("_", "test_")) and path.stem != "conftest"
    }


def source_sha256(strategy: Strategy | type[Strategy]) -> str | None:
    """SHA-256 of the file that the strategy was read from, as it was read; None where there is no file."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    read = getattr(sys.modules.get(cls.__module__), "__source_sha256__", None)
    if isinstance(read, str):
        return read
    file = source_file(cls)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else None


class _Place(NamedTuple):
    """Where a name leads: a file or a module, and the class in it (empty: the only one)."""

    name: str
    origin: str
    base: str
    cls: str


def _registered() -> list[_Place]:
    """Everything that can be loaded by name, sorted."""
    places = {_Place(name, "teaching", str(path), "") for name, path in teaching().items()}
    # A set: one distribution may be found twice on the path, as a clone and as installed.
    points = importlib.metadata.entry_points(group=GROUP)
    places |= {_Place(point.name, point.value, point.module, point.attr or "") for point in points}
    return sorted(places)


def _named(name: str) -> _Place:
    registered = _registered()
    found = [place for place in registered if place.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"{place.base}:{place.cls}" if place.cls else place.base for place in found)
        raise UserError(f"{len(found)} strategies are named {name!r}", "", f"choose {choices}")
    if Path(f"{name}.py").is_file():
        raise UserError(f"no strategy is named {name!r}", "", f"did you mean the file {name}.py?")
    near = nearest(name, {place.name for place in registered})
    raise UserError(f"no strategy is named {name!r}", "", f"{near} (or give a file, my.py, or package.module:Class)")


def is_path(base: str) -> bool:
    """Whether the first part of a strategy's text is a file's path, and no module's or strategy's name."""
    return base.endswith(".py") or "/" in base or "\\" in base


def _open(base: str, name: str) -> type[Strategy]:
    """The class ``name``, or the only one, of a file or of a module."""
    return _pick(_read_file(Path(base)) if is_path(base) else _import(base), name, base)


def _read_file(path: Path) -> ModuleType:
    """The file as a module. It is compiled from the bytes that are hashed; no bytecode is left beside it."""
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        near = nearest(path.name, (p.name for p in path.parent.glob("*.py"))) if path.parent.is_dir() else ""
        remedy = near if near.startswith("did you mean") else "check the path, or see `backtest strategies list`"
        raise UserError("no such file", str(path), remedy) from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", str(path), "give a Python file") from None
    file = path.resolve()
    try:
        code = compile(source, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"syntax error: {said}", f"{path}{line}", "correct the file") from None
    # Named by path and text, so that two files of one name, an installed module of that name, and the same file
    # before and after an edit stay apart.
    name = f"backtest_strategy_{path.stem}_{hashlib.sha256(str(file).encode() + source).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__dict__["__source_sha256__"] = hashlib.sha256(source).hexdigest()
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102  running the user's own file is what was asked for
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise _broken(error, file, "on import", str(path)) from error
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            file = name.replace(".", "/") + ".py"
            raise UserError(f"no module named {error.name!r}", name, f"install it, or give a file: {file}") from None
        frames = traceback.extract_tb(error.__traceback__)
        outside = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
        raise _broken(error, Path(outside[-1].filename) if outside else None, f"importing {name}") from error


def _pick(module: ModuleType, name: str, place: str) -> type[Strategy]:
    """The class ``name`` of a module; with no name the one strategy that the module itself defines."""
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    }
    if name:
        chosen = vars(module).get(name)
        if chosen is None:
            raise UserError(f"no class {name}", place, nearest(name, own))
        if not (isinstance(chosen, type) and issubclass(chosen, Strategy)):
            raise UserError(f"{name} is not a Strategy", place, "derive it: class Name(Strategy)")
        return chosen
    # A base that shares code among strategies decides nothing itself; it is not a second strategy.
    deciding = {key: value for key, value in own.items() if hooks(value) & {"on_candle", "targets"}} or own
    if not deciding:
        raise UserError("no Strategy in the file", place, "define one: class Name(Strategy)")
    if len(deciding) > 1:
        choices = " or ".join(f"{place}:{key}" for key in sorted(deciding))
        raise UserError(f"{len(deciding)} strategies in the file", place, f"choose {choices}")
    return next(iter(deciding.values()))


def _broken(error: BaseException, file: Path | None, doing: str, shown: str = "") -> UserError:
    """What went wrong in a file that was to be loaded: its place, its line there and the cause."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file and frame.filename == str(file)]
    place = (shown or (file.name if file else doing)) + (f":{lines[-1]}" if lines else "")
    if isinstance(error, UserError):
        return UserError(error.thing, f"{place}, {error.place}" if error.place else place, error.remedy)
    return UserError(f"{doing}: {cause(error)}", place, "correct the file, or install what it imports")
