"""The fast way through rows in which nothing happens: no order, no settlement, no sample, and no danger.

Between two events the positions stand still, so a row costs one pass over what is held: its value at
the close for the equity row, and at its worst price for the bound. It changes nothing but the curve.
"""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    APART,
    BASE,
    CALENDAR_DUE,
    CALLED,
    CASH,
    COST,
    EXPIRES_AT,
    FLIGHTS,
    FUNDING_AT,
    GUARDED,
    HELD,
    IN_FLIGHT,
    INITIAL,
    INITIAL_LESS,
    INTERVAL,
    INV_LEVERAGE,
    ISOLATE_ABOVE,
    LAST_ROW,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    MARK_RISE,
    MARKET,
    POOL,
    PORTFOLIO,
    PROCESSES,
    RESTING,
    RISE,
    ROWS,
    SAMPLE,
    SPEC_TIERS,
    STALE,
    STAMP,
    START,
    STEP,
    TARGET_AT,
    TARGET_ROW,
    TIER_WIDTH,
    UNITS,
    UPTO,
    WALLET,
    WATCHED,
)
from backtest.engine.levels import refresh, touched
from backtest.engine.lowest import NEAREST, note_row, outside
from backtest.engine.margin import adverse
from backtest.engine.outage import quiet_before
from backtest.engine.requirement import initial_need, tier_need
from backtest.engine.slots import first_of, next_arrival
from backtest.engine.virtual import split
from backtest.engine.world import World

MICRO = 1e6


@kernel
def quiet_until(
    w: World,
    first: int,
    end: int,
) -> int:
    """The first row in `[first, end]` in which something is due by the calendar, whatever prices do."""
    book, acct, spec, run, funding, targets = w.book, w.acct, w.spec, w.run, w.funding, w.targets
    if acct[PROCESSES] > 0:
        return first
    d, start, every = int(run[INTERVAL]), int(run[START]), int(run[SAMPLE])
    end = min(end, int(run[ROWS]) - 1)
    if acct[FLIGHTS] > 0:
        end = min(end, (int(next_arrival(w)) - start) // d)
    if acct[RESTING] > 0:
        # an order may end by its time, or with its symbol, though nothing is held
        end = min(end, max(first, (acct[EXPIRES_AT] - start) // d))
        for i in range(spec.shape[0]):
            if first_of(book, i) >= 0:
                if book[i, STALE] != 0:
                    refresh(w, i)
                end = min(end, int(spec[i, LAST_ROW]))
    at = acct[TARGET_AT]
    if at < targets.shape[0]:
        end = min(end, int(targets[at, TARGET_ROW]))
    if w.outages.shape[0] > 0:
        end = min(end, max(first, (quiet_before(w, start + first * d) - start) // d))
    held, mixed = False, False
    for i in range(spec.shape[0]):
        if book[i, LOTS] != 0 or split(w, i):
            held = True
            mixed = mixed or (run[APART] != 0.0 and book[i, POOL] == spec.shape[0])
            end = min(end, int(spec[i, LAST_ROW]))
    if held and (mixed or run[PORTFOLIO] != 0.0 or run[ISOLATE_ABOVE] > 0.0 or run[GUARDED] != 0.0):
        return first  # what has to be looked at is more than sums over positions
    if run[GUARDED] != 0.0 and acct[IN_FLIGHT] > 0:
        return first  # the gas of a transfer is paid at a close, after the guards have looked at it
    end = min(end, acct[CALENDAR_DUE])
    at = acct[FUNDING_AT]
    if at < funding.shape[0]:
        end = min(end, (int(funding[at, STAMP]) - start) // d)
    if held:
        # the row that closes on the next sampling instant, or first after it
        next_sample = ((start + first * d) // every + 1) * every
        end = min(end, (next_sample - start + d - 1) // d - 1)
    return max(first, end)


@kernel
def take_stock(w: World) -> tuple[int, float, float]:
    """What stands still between events: `(positions held, cash, cost)`, the positions listed in HELD and UNITS."""
    count = 0
    cash, cost = float(w.acct[WALLET]), 0.0
    for i in range(w.spec.shape[0]):
        if w.book[i, LOTS] != 0:
            w.book[count, HELD] = i
            w.spec[count, UNITS] = float(w.book[i, LOTS]) * w.spec[i, STEP]
            cost += float(w.book[i, COST])
            cash += float(w.book[i, CASH])
            count += 1
    return count, cash, cost


@kernel
def take_watch(w: World) -> int:
    """How many symbols have orders at the venue; WATCHED lists them. Their levels stand still until one acts."""
    count = 0
    if w.acct[RESTING] > 0:
        for i in range(w.spec.shape[0]):
            if first_of(w.book, i) >= 0:
                w.book[count, WATCHED] = i
                count += 1
    return count


@kernel
def stirs(w: World, j: int, count: int, cash: float) -> bool:
    """Whether in panel row `j` some pool might not be healthy on the mark that an oracle makes, or is to be called
    there, or has recovered: in the doubles of `call_margin`. What `glide` finds on the market mark says nothing."""
    panel, book, spec, off, cross = w.panel, w.book, w.spec, int(w.run[MARK]), w.spec.shape[0]
    equity, asked, health, slack = cash, 0.0, cash, 4.0
    for h in range(count):
        i, u = book[h, HELD], spec[h, UNITS]
        v, worst = panel[off + 3, j, i] * u, adverse(panel, off, j, i, book[i, LOTS]) * u
        need = initial_need(spec, i, abs(v))
        loss = worst - tier_need(spec, i, abs(worst), MAINTENANCE, MAINTENANCE_LESS)
        room = 4.0 + 1e-12 * abs(worst)
        if w.run[APART] != 0.0:
            own = float(book[i, CASH])
            if not own + loss > room or (own + v < need) != (book[i, CALLED] != 0):
                return True
        equity += v
        asked += need
        health += loss
        slack += room
    if count == 0 or w.run[APART] != 0.0:
        return False
    return not health > slack or (equity < asked) != (book[cross, CALLED] != 0)


@kernel
def glide(w: World, first: int, end: int, notes: bool) -> int:
    """Write the curve of rows `[first, end)` and return `end`, or the first row that needs a closer look.

    `notes`: they are played for good, so their lows are noted.

    A row does if some pool might not be healthy with each leg at its worst (by more than rounding: at most a
    micro is rounded off each value and each requirement, and doubles err by far less than 1e-12 of the
    gross), or if a pool crosses its initial margin.
    """
    panel, book, acct, spec, run, curve = w.panel, w.book, w.acct, w.spec, w.run, w.curve
    off, market = int(run[MARK]), int(run[MARKET])
    made = off != market  # by an oracle
    apart, cross, base = run[APART] != 0.0, spec.shape[0], acct[BASE]
    count, cash, cost = take_stock(w)
    beside, watched = outside(w), take_watch(w)
    for k in range(first, end):
        j = k - base
        for h in range(watched):
            i = book[h, WATCHED]
            if touched(panel, spec, 0, j, i, RISE) or touched(panel, spec, off, j, i, MARK_RISE):
                return k
        if made and stirs(w, j, count, cash):
            return k
        value, gross, initial, least, health, slack = 0.0, 0.0, 0.0, 0.0, cash, 4.0
        bottom, roof, nearer = cash + beside, 0.0, made
        for h in range(count):
            i, u = book[h, HELD], spec[h, UNITS]
            opened, closed = panel[market, j, i], panel[market + 3, j, i]
            if u > 0.0:
                worst = min(opened, panel[market + 2, j, i], closed) * u
            else:
                worst = max(opened, panel[market + 1, j, i], closed) * u
            v = closed * u
            n, worst_n = abs(v), abs(worst)
            largest, top = max(n, worst_n), max(worst_n, abs(panel[market + 1, j, i] * u))
            asked, need, worst_need = n * spec[i, INV_LEVERAGE], 0.0, 0.0
            for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
                asked = max(asked, n * spec[i, at + INITIAL] - spec[i, at + INITIAL_LESS])
                rate, less = spec[i, at + MAINTENANCE], spec[i, at + MAINTENANCE_LESS]
                need = max(need, n * rate - less)
                worst_need = max(worst_need, worst_n * rate - less)
                if spec[i, at + UPTO] >= largest:
                    break  # no tier above the notional's own is larger, but for a deduction's last micro
            if apart:
                own = float(book[i, CASH])
                if not own + worst - worst_need > 4.0 + 1e-12 * worst_n:
                    return k
                if (own + v < asked) != (book[i, CALLED] != 0) and not made:
                    return k
                nearer = nearer or own + worst - worst_need < w.lowest[NEAREST] * top
            else:
                roof += top
            bottom += worst
            health += worst - worst_need
            slack += 4.0 + 1e-12 * worst_n
            value += v
            gross += n
            initial += asked
            least += need
        if count > 0 and not apart:
            if not health > slack:
                return k
            # the same doubles as the curve's, which is what a call is decided on
            if ((cash + value) / MICRO < initial / MICRO) != (book[cross, CALLED] != 0) and not made:
                return k
        note_row(w, k, notes, nearer or health < w.lowest[NEAREST] * roof, bottom, cash + value + beside)
        row = curve[j]
        row[0], row[1], row[2] = (cash + value) / MICRO, (cash + cost) / MICRO, (value - cost) / MICRO
        row[3], row[4], row[5], row[6] = initial / MICRO, least / MICRO, gross / MICRO, value / MICRO
    return end
