"""The fast way through rows in which nothing happens: no order, no settlement, no sample, and no danger.

Between two events the positions stand still, so a row costs one pass over what is held: its value at
the close for the equity row, and at its worst price for the bound. It changes nothing but the curve.
"""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    BASE,
    CALLED,
    CASH,
    COST,
    FUNDING_AT,
    HELD,
    INITIAL,
    INITIAL_LESS,
    INTERVAL,
    INV_LEVERAGE,
    ISOLATED,
    LAST_ROW,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    QUEUED,
    ROWS,
    SAMPLE,
    SPEC_TIERS,
    STAMP,
    START,
    STEP,
    TARGET_AT,
    TARGET_ROW,
    TIER_WIDTH,
    UNITS,
    WALLET,
    Floats,
    Ints,
)

MICRO = 1e6


@kernel
def quiet_until(
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    funding: Floats,
    targets: Floats,
    first: int,
    end: int,
) -> int:
    """The first row in `[first, end]` in which something is due by the calendar, whatever prices do."""
    if acct[QUEUED] > 0:
        return first
    d, start, every = int(run[INTERVAL]), int(run[START]), int(run[SAMPLE])
    end = min(end, int(run[ROWS]) - 1)
    at = acct[TARGET_AT]
    if at < targets.shape[0]:
        end = min(end, int(targets[at, TARGET_ROW]))
    held = False
    for i in range(book.shape[0]):
        if book[i, LOTS] != 0:
            held = True
            end = min(end, int(spec[i, LAST_ROW]))
    at = acct[FUNDING_AT]
    if at < funding.shape[0]:
        end = min(end, (int(funding[at, STAMP]) - start) // d)
    if held:
        # the row that closes on the next sampling instant, or first after it
        next_sample = ((start + first * d) // every + 1) * every
        end = min(end, (next_sample - start + d - 1) // d - 1)
    return max(first, end)


@kernel
def take_stock(book: Ints, acct: Ints, spec: Floats, isolated: bool) -> tuple[int, float, float]:
    """What stands still between events: `(positions held, cash, cost)`, the positions listed in HELD and UNITS."""
    count = 0
    cash, cost = float(acct[WALLET]), 0.0
    for i in range(book.shape[0]):
        if book[i, LOTS] != 0:
            book[count, HELD] = i
            spec[count, UNITS] = float(book[i, LOTS]) * spec[i, STEP]
            cost += float(book[i, COST])
            if isolated:
                cash += float(book[i, CASH])
            count += 1
    return count, cash, cost


@kernel
def glide(
    panel: Floats,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    curve: Floats,
    first: int,
    end: int,
) -> int:
    """Write the curve of rows `[first, end)` and return `end`, or the first row that needs a closer look.

    A row does if some pool might not be healthy with each leg at its worst (by more than rounding: at most a
    micro is rounded off each value and each requirement, and doubles err by far less than 1e-12 of the
    gross), or if a pool crosses its initial margin.
    """
    off = int(run[MARK])
    isolated = run[ISOLATED] != 0.0
    base = acct[BASE]
    count, cash, cost = take_stock(book, acct, spec, isolated)
    for k in range(first, end):
        j = k - base
        value, gross, initial, least, health, slack = 0.0, 0.0, 0.0, 0.0, cash, 4.0
        for h in range(count):
            i, u = book[h, HELD], spec[h, UNITS]
            opened, closed = panel[off, j, i], panel[off + 3, j, i]
            if u > 0.0:
                worst = min(opened, panel[off + 2, j, i], closed) * u
            else:
                worst = max(opened, panel[off + 1, j, i], closed) * u
            v = closed * u
            n, worst_n = abs(v), abs(worst)
            asked, need, worst_need = n * spec[i, INV_LEVERAGE], 0.0, 0.0
            for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
                asked = max(asked, n * spec[i, at + INITIAL] - spec[i, at + INITIAL_LESS])
                rate, less = spec[i, at + MAINTENANCE], spec[i, at + MAINTENANCE_LESS]
                need = max(need, n * rate - less)
                worst_need = max(worst_need, worst_n * rate - less)
            if isolated:
                own = float(book[i, CASH])
                if not own + worst - worst_need > 4.0 + 1e-12 * worst_n:
                    return k
                if (own + v < asked) != (book[i, CALLED] != 0):
                    return k
            health += worst - worst_need
            slack += 4.0 + 1e-12 * worst_n
            value += v
            gross += n
            initial += asked
            least += need
        if count > 0 and not isolated:
            if not health > slack:
                return k
            # the same doubles as the curve's, which is what a call is decided on
            if ((cash + value) / MICRO < initial / MICRO) != (book[0, CALLED] != 0):
                return k
        row = curve[k]
        row[0] = (cash + value) / MICRO
        row[1] = (cash + cost) / MICRO
        row[2] = (value - cost) / MICRO
        row[3] = initial / MICRO
        row[4] = least / MICRO
        row[5] = gross / MICRO
        row[6] = value / MICRO
    return end
