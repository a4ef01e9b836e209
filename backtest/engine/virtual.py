"""Virtual positions: what each of the strategies that share one account holds of it (rules-shared-margin.md).

Where one strategy has the account for itself there are none, and what is asked here is the account's own.
"""

from __future__ import annotations

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import COST, ENTERED, HALT_BY, HALT_MS, LOTS, OWNER
from backtest.engine.world import World

# virtual: int64[strategies × (symbols + 1), VIRTUAL_WIDTH]: of each strategy a row per symbol, and one for its account.
# The first two columns are those of the book: who reads positions there finds virtual ones here.
V_LOTS, V_COST, V_CASH, V_ENTERED, V_TAKEN, V_HALT_MS, V_HALT_BY, VIRTUAL_WIDTH = range(8)
# V_CASH micro received less paid, without the deposit; V_TAKEN size of what was traded last, as V_LOTS of that trade;
# the halt is in the row of the account
# margin_limits: float64[strategies]: share of the equity, inf: no limit


@inlined
def shared(w: World) -> bool:
    """Whether several strategies may share the account."""
    return w.margin_limits.shape[0] > 0


@inlined
def place_of(w: World, s: int, i: int) -> int:
    """The row of strategy `s` for symbol `i`; behind the symbols that of its account."""
    return s * w.book.shape[0] + i


@kernel
def held_by(w: World, s: int, i: int) -> int:
    """Signed lots of `i` that strategy `s` holds."""
    return int(w.virtual[place_of(w, s, i), V_LOTS]) if shared(w) else int(w.book[i, LOTS])


@kernel
def cost_by(w: World, s: int, i: int) -> int:
    """What they cost at average, micro."""
    return int(w.virtual[place_of(w, s, i), V_COST]) if shared(w) else int(w.book[i, COST])


@kernel
def entered_by(w: World, s: int, i: int) -> int:
    """When that position was opened or last flipped, ms."""
    return int(w.virtual[place_of(w, s, i), V_ENTERED]) if shared(w) else int(w.book[i, ENTERED])


@kernel
def halted_since(w: World, s: int) -> int:
    """When trading of strategy `s` was halted, ms; 0: it goes on."""
    return int(w.virtual[place_of(w, s, w.spec.shape[0]), V_HALT_MS]) if shared(w) else int(w.acct[HALT_MS])


@kernel
def halted_by(w: World, s: int) -> int:
    """The guard that has halted strategy `s`."""
    return int(w.virtual[place_of(w, s, w.spec.shape[0]), V_HALT_BY]) if shared(w) else int(w.acct[HALT_BY])


@kernel
def halt(w: World, s: int, now: int, guard: int) -> None:
    """Halt trading of strategy `s` as of `now`."""
    if shared(w):
        account = place_of(w, s, w.spec.shape[0])
        w.virtual[account, V_HALT_MS], w.virtual[account, V_HALT_BY] = now, guard
    else:
        w.acct[HALT_MS], w.acct[HALT_BY] = now, guard


@kernel
def split(w: World, i: int) -> bool:
    """Whether some strategy holds a virtual position in `i`, though the account may hold none."""
    for s in range(w.margin_limits.shape[0]):
        if w.virtual[place_of(w, s, i), V_LOTS] != 0:
            return True
    return False


@inlined
def owner_of(w: World, at: int) -> int:
    """The strategy that sent the message at `at`."""
    return int(w.queue[at, OWNER])
