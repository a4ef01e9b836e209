"""A sweep read back from its folder."""

from __future__ import annotations

import os
from pathlib import Path

from backtest.core import forks
from backtest.core.errors import UserError
from backtest.data.remote import is_remote
from backtest.research import sweep_folder as files
from backtest.research.grid import columns_of
from backtest.research.run_row import Ground
from backtest.research.sweep import Sweep, grid_of
from backtest.runner.axis import axes_of
from backtest.runner.run_document import MEMORY, read
from backtest.runner.setting import SWEEP, Group
from backtest.runner.settings import settings_of
from backtest.runner.strategy_choice import chosen
from backtest.runner.validation import checked
from backtest.strategy import loader


def read_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in a folder, whole or with the rows that are there so far.

    UserError where it is missing, or where its strategy can no longer be read.
    """
    forks.check()
    place = Path(folder)
    about = files.read_about(place)
    document = read(place / files.DOCUMENT)
    asked = checked(document.values, SWEEP)
    spec = document.strategies[0] if document.strategies else None
    held = chosen(None, asked) if asked.positions else None
    if held is None and (not spec or spec.startswith(MEMORY)):
        raise UserError("the sweep's strategy existed only in memory", str(place), "save its class in a file")
    cls = held if isinstance(held, type) else loader.find(spec or "")
    axes = axes_of(cls._parameters, asked.params, asked.vary, cls.__name__)
    grid = grid_of(axes, asked)
    if len(grid) != about.get("runs") or [axis.as_dict() for axis in axes] != about.get("axes"):
        raise UserError(f"{files.DOCUMENT} no longer says what {files.ABOUT} does", str(place), "run the sweep again")
    own = {told.name for told in settings_of(SWEEP) if told.group is Group.SWEEP} | {"params", "out", "data"}
    fixed = {name: getattr(asked, name) for name in document.values if name not in own}
    frame = files.table(grid, files.read_rows(place))
    data = asked.data if is_remote(asked.data) else os.path.normpath(asked.data)
    return Sweep(frame, columns_of(axes), Ground(spec, data, fixed), grid, place.absolute())
