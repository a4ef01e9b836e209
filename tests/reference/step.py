"""Section 7.3: one step of a liquidation: which position, how much of it, at what price, and the fund's part."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Process
from tests.reference.fund import Fund
from tests.reference.numbers import part, part_down, part_up, share
from tests.reference.standing import Standing


@dataclass(frozen=True)
class Cut:
    """What a step closes: `lots` of `held`, both unsigned, with their value, own maintenance and bankruptcy quote."""

    symbol: str
    lots: int
    held: int
    value: int
    own: int
    bankruptcy: int


def step(standing: Standing, process: Process, fund: Fund, refused: set[str]) -> bool:
    """Take a step; those that cannot be filled are added to `refused`. False where none can."""
    while (symbol := pick(standing, refused)) is not None:
        cut = cut_of(standing, process, symbol)
        quote = quoted(standing, process, cut)
        if quote is not None and settle(standing, fund, cut, quote):
            process.steps += 1
            standing.account.stepped[standing.name] = standing.now
            return True
        refused.add(symbol)
    return False


def pick(standing: Standing, refused: set[str]) -> str | None:
    """The first of equals by the venue's ranking; in a portfolio, of those whose closing takes risk away."""
    values = {name: v for name, v in standing.values.items() if name not in refused and closable(standing, name) > 0}
    if not values:
        return None
    own, cost, ranking = standing.own, standing.account.cost, standing.asked.law.ranking
    if ranking == "symbol":
        return next(iter(values))
    if ranking == "largest":
        return max(values, key=lambda name: abs(values[name]))
    if ranking == "loss":
        return min(values, key=lambda name: values[name] - cost[name])
    assert ranking == "maintenance"
    return max(values, key=lambda name: own[name])


def closable(standing: Standing, symbol: str) -> int:
    """Most lots that a step may close; in a portfolio no more than bring its net to zero."""
    held = abs(standing.account.lots[symbol])
    if not standing.pool.is_portfolio:
        return held
    net, moved = standing.pool.net(standing.point), standing.asked.betas(standing.values)[symbol]
    if moved * net <= 0:
        return 0
    return held if abs(moved) <= abs(net) else part_down(held, abs(net), abs(moved))


def can_step(standing: Standing) -> bool:
    """Whether some position may be closed by a step at all, refused or not."""
    return any(closable(standing, name) > 0 for name in standing.values)


def cut_of(standing: Standing, process: Process, symbol: str) -> Cut:
    held, value, own = abs(standing.account.lots[symbol]), standing.values[symbol], standing.own[symbol]
    lots = min(how_many(standing, process, symbol, held), closable(standing, symbol))
    cut_value, cut_own = part(value, lots, held), part(own, lots, held)
    bankruptcy = cut_value - standing.part_of_equity(cut_own)
    return Cut(symbol, lots, held, cut_value, cut_own, bankruptcy)


def how_many(standing: Standing, process: Process, symbol: str, held: int) -> int:
    law, size = standing.asked.law, abs(standing.values[symbol])
    if law.take == "position" or size == 0:
        return held
    if law.take == "share":
        last = standing.account.stepped.get(standing.name)
        cooldown = law.every_ms if law.cooldown_ms is None else law.cooldown_ms
        cooling = last is not None and standing.now - last <= 3 * cooldown
        if size <= law.above_micro or (law.then_whole and (process.steps > 0 or cooling)):
            return held
        wanted = max(min(law.minimum_micro, size), share(size, law.portion))
        if law.cap_micro is not None:
            wanted = min(wanted, law.cap_micro)
        return held if wanted >= size else max(1, part_down(held, wanted, size))
    if law.take == "tier":
        below = [edge for edge in standing.asked.ladders[symbol].edges if edge < size]
        return part_up(held, size - below[-1], size) if below else held
    assert law.take == "ramp"
    covering = ramp_wanted(standing, process, symbol)
    return held if covering is None or covering >= size else max(1, part_up(held, covering, size))


def ramp_wanted(standing: Standing, process: Process, symbol: str) -> int | None:
    """Notional that covers a share of the shortage; None where closing covers nothing."""
    law, size = standing.asked.law, abs(standing.values[symbol])
    shortage = standing.buffered - standing.equity
    pct = min(1.0, law.ramp_start + (standing.now - process.crossed) / (3 * law.ramp_ms))
    if shortage < law.small_micro:
        pct = 1.0
    free = standing.own[symbol] / size - law.liquidator_fee - standing.asked.terms[symbol].penalty
    return None if free <= 0 else round(share(shortage, pct) / free)


def quoted(standing: Standing, process: Process, cut: Cut) -> int | None:
    """Signed cash for closing the cut; None where it is refused."""
    law, value = standing.asked.law, cut.value
    if law.price in ("mark", "bankruptcy"):
        return value
    if law.price == "oracle":
        return value - share(abs(value), law.liquidator_fee)
    if law.price == "auction":
        seconds = (standing.now - process.crossed) / 3000
        discount = min(law.discount_max, law.discount_start + law.discount_per_s * seconds)
        return value - share(abs(value), discount)
    assert law.price in ("book", "fillable")
    if law.price == "fillable" and not is_fillable(standing, cut.symbol):
        return None
    sign = 1 if standing.account.lots[cut.symbol] > 0 else -1
    return in_book(standing, cut.symbol, sign * cut.lots * standing.account.steps[cut.symbol], value)


def in_book(standing: Standing, symbol: str, units: int, marked: int) -> int:
    """What closing `units` brings on the trade path, less slippage; in a gap they are `marked`."""
    traded = symbol in standing.row.trades
    book = standing.row.trade_value(symbol, units, standing.at) if traded else marked
    return book - share(abs(book), standing.asked.law.slippage)


def is_fillable(standing: Standing, symbol: str) -> bool:
    """Whether the book's price at this instant is the limit price or better: a comparison of the whole position."""
    units = standing.account.units(symbol)
    marked = standing.row.checked_value(symbol, units, standing.at)
    return in_book(standing, symbol, units, marked) >= marked - share(standing.own[symbol], widest(standing))


def widest(standing: Standing) -> float:
    """Distance of the fillable price from the mark, in maintenance margins."""
    law, maintenance = standing.asked.law, standing.maintenance
    if maintenance == 0:
        return 0.0
    fallen = law.bankruptcy_adjustment * (1 - standing.equity / maintenance)
    return min(1.0, max(0.0, fallen)) * law.spread_to_maintenance


def to_fund(standing: Standing, cut: Cut, quote: int) -> int:
    """What the fund receives of a fill; negative: what it would have to pay."""
    law = standing.asked.law
    over = quote - cut.bankruptcy
    if law.price == "bankruptcy":
        return over
    penalty = share(abs(quote), standing.asked.terms[cut.symbol].penalty)
    if law.bounded:
        return over if over < 0 else min(over, penalty)
    return min(penalty, max(0, standing.equity + quote - cut.value))


def settle(standing: Standing, fund: Fund, cut: Cut, quote: int) -> bool:
    """Close the cut and write its row. False: the fund may not pay what is missing, and nothing happened."""
    law, pool = standing.asked.law, standing.name
    stage = "position" if cut.lots == cut.held else "partial"
    insurance, bad_debt, adl_loss = to_fund(standing, cut, quote), 0, 0
    can_pay = fund.can_pay(law, standing.ts_ms)
    if -insurance > can_pay:
        if not law.fund_when_bankrupt:
            return False
        if law.shortfall == "adl":
            stage, adl_loss = "adl", cut.bankruptcy - quote
            quote, insurance = cut.bankruptcy, 0
        else:
            bad_debt = -insurance - can_pay
            insurance = -can_pay
    before = (standing.equity, standing.maintenance)
    cause = "adl" if stage == "adl" else "liquidation"
    traded = standing.close(cut.symbol, cut.lots, cut.value, quote, cause)
    standing.account.pay(pool, bad_debt - insurance)
    if insurance >= 0:
        fund.receive(insurance)
    else:
        fund.pay(-insurance, law, standing.ts_ms)
    after = (standing.equity, standing.maintenance)
    standing.note(cut.symbol, stage, traded, before, after, insurance, bad_debt, adl_loss)
    return True
