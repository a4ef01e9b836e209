"""How the strategies of a shared account stand at a close (docs/reference/rules-shared-margin.md sections 1 and 5)."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.journal import put_holding, put_standing
from backtest.engine.layout import INTERVAL, MARKET
from backtest.engine.margin import WHOLE, initial_of, units
from backtest.engine.money import money
from backtest.engine.path import lows_first
from backtest.engine.virtual import V_CASH, V_COST, V_LOTS, place_of
from backtest.engine.world import World


@kernel
def value_by(w: World, s: int, i: int, price: float) -> int:
    """The virtual position of strategy `s` in `i` at a mark, micro: its part of the value of all up to it."""
    held = int(w.virtual[place_of(w, s, i), V_LOTS])
    if held == 0:
        return 0
    before = 0
    for one in range(s):
        before += int(w.virtual[place_of(w, one, i), V_LOTS])
    value = money(price, units(w.spec, i, before + held))
    return value - money(price, units(w.spec, i, before)) if before != 0 else value


@kernel
def profit_of(w: World, s: int, j: int, field: int) -> int:
    """Profit and loss of strategy `s` at the marks in panel field `field` of panel row `j`, micro."""
    count = w.spec.shape[0]
    total = int(w.virtual[place_of(w, s, count), V_CASH])
    for i in range(count):
        row = w.virtual[place_of(w, s, i)]
        total += int(row[V_CASH])
        if row[V_LOTS] != 0:
            total += value_by(w, s, i, w.panel[field, j, i])
    return total


@kernel
def sample_shares(w: World, j: int, t_end: int) -> None:
    """Journal how every strategy stands at the close of panel row `j`, and what it holds."""
    close, end = int(w.run[MARKET]) + 3, 3 * int(w.run[INTERVAL])
    lows = lows_first(w.panel, j)
    account = initial_of(w, WHOLE, j, lows, end, False)
    for s in range(w.margin_limits.shape[0]):
        put_standing(w, t_end, s, profit_of(w, s, j, close), initial_of(w, s, j, lows, end, False), account)
        for i in range(w.spec.shape[0]):
            row = w.virtual[place_of(w, s, i)]
            if row[V_LOTS] != 0:
                value = value_by(w, s, i, w.panel[close, j, i])
                put_holding(w, t_end, s, i, int(row[V_LOTS]), int(row[V_COST]), value)
