"""A venue's rules in words, as the reports and `backtest venues show` print them."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.core import durations
from backtest.core.enums import MICRO
from backtest.venues.fees import Discount, FeeTier
from backtest.venues.order_limits import Orders
from backtest.venues.terms import BySize, Law, Price, Ranking, Shortfall, Take, Terms

_ORDER = {
    Ranking.SYMBOL: "in order of name", Ranking.LARGEST: "the largest first", Ranking.LOSS: "the largest loss first",
    Ranking.MAINTENANCE: "the largest maintenance margin first",
}  # fmt: skip
_REST = {
    Shortfall.BAD_DEBT: "the rest is bad debt", Shortfall.ADL: "the rest is auto-deleveraged",
    Shortfall.SOCIALISED: "the rest is shared by all accounts",
}  # fmt: skip


def percent(rate: float) -> str:
    """A fraction as per cent."""
    return f"{rate * 100:.6g} %"


def money(micro: int) -> str:
    """Micro-units as an amount, with thousands."""
    return f"{micro / MICRO:,.15g}"


def law(rule: Law) -> str:
    """How it liquidates, in one line."""
    parts = [_take(rule), _price(rule)]
    if rule.take not in (Take.POOL, Take.RAMP):
        parts.insert(1, _ORDER[rule.ranking])
    if rule.delay_ms:
        parts.append(f"after {durations.text(rule.delay_ms)}")
    if rule.bounded:
        parts.append("never worse than the bankruptcy price")
    if rule.buffer:
        parts.append(f"until equity is {percent(rule.buffer)} above maintenance")
    if rule.backstop:
        parts.append(f"a backstop takes over the margin account below {percent(rule.backstop)} of maintenance")
    return "; ".join([*parts, _loss(rule)])


def _take(rule: Law) -> str:
    pace = f" every {durations.text(rule.every_ms)}" if rule.every_ms else ""
    if rule.take is Take.POOL:
        return "the whole margin account at once"
    if rule.take is Take.POSITION:
        return f"one whole position{pace}"
    if rule.take is Take.TIER:
        return f"a position down to the tier below{pace}"
    if rule.take is Take.RAMP:
        rest = f", all of one below {money(rule.small_micro)}" if rule.small_micro else ""
        start, full = percent(rule.ramp_start), durations.text(rule.ramp_ms)
        return f"what covers {start} of the shortage, growing by all of it in {full}{rest}{pace}"
    bounds = [f"at least {money(rule.minimum_micro)}"] if rule.minimum_micro else []
    bounds += [f"at most {money(rule.cap_micro)}"] if rule.cap_micro is not None else []
    above = f", of one above {money(rule.above_micro)}" if rule.above_micro else ""
    limits = f" ({', '.join(bounds)})" if bounds else ""
    within = f" within {durations.text(rule.cooldown_ms)}" if rule.cooldown_ms is not None else ""
    then = f", then whole{within}" if rule.then_whole else ""
    return f"{percent(rule.portion)} of a position{limits}{pace}{above}{then}"


def _price(rule: Law) -> str:
    slipped = f" less {percent(rule.slippage)}" if rule.slippage else ""
    if rule.price is Price.MARK:
        return "at the mark"
    if rule.price is Price.BOOK:
        return f"at the book's price{slipped}"
    if rule.price is Price.FILLABLE:
        widest = f"{rule.spread_to_maintenance:g} maintenance margins"
        return f"at the book's price{slipped}, at most {widest} from the mark"
    if rule.price is Price.BANKRUPTCY:
        return "at the bankruptcy price"
    if rule.price is Price.ORACLE:
        fee = f" less {percent(rule.liquidator_fee)} for the liquidator" if rule.liquidator_fee else ""
        return f"at the mark{fee}"
    grows = f"{percent(rule.discount_start)} and {percent(rule.discount_per_s)} more each second"
    return f"at the mark less {grows}, at most {percent(rule.discount_max)}"


def _loss(rule: Law) -> str:
    if rule.fund_micro is None:
        return f"no insurance fund; {_REST[rule.shortfall]}"
    parts = [f"insurance fund {money(rule.fund_micro)}"]
    if rule.fund_cap_micro is not None:
        parts.append(f"at most {money(rule.fund_cap_micro)} in {durations.text(rule.block_ms)}")
    if not rule.fund_when_bankrupt:
        parts.append("not for equity below zero")
    return f"{', '.join(parts)}; {_REST[rule.shortfall]}"


def growth(terms: Terms) -> str:
    """What is asked beside a ladder's rates: growth with size, rounding, a limit; empty for nothing."""
    parts = [f"{kind} {_size(size)}" for kind, size in _grown(terms) if size.linear or size.root or size.step]
    if terms.ceil:
        parts.append("amounts rounded up")
    flat = -terms.tiers[0].initial_deduction
    if flat > 0:
        parts.append(f"{money(flat)} on top")
    if terms.limit_units is not None:
        parts.append(f"size at most {money(terms.limit_units)}")
    return "; ".join(parts)


def _grown(terms: Terms) -> list[tuple[str, BySize]]:
    sizes = (("initial", terms.initial_by_size), ("maintenance", terms.maintenance_by_size))
    both = terms.initial_by_size == terms.maintenance_by_size
    return [("both" if both else kind, size) for kind, size in sizes[: 1 if both else 2] if size is not None]


def _size(size: BySize) -> str:
    if size.step:
        return f"+ {percent(size.step)} per {size.increment:g} above {size.baseline:g}"
    if size.root:
        return f"at least {size.share:g} of it + {size.root:g} x root of the size"
    return f"+ {percent(size.linear)} per unit of size"


def fees(window_days: int, tiers: Sequence[FeeTier]) -> str:
    """Maker and taker fees of every tier; last those that ask for more than volume."""
    first, higher = tiers[0], [tier for tier in tiers[1:] if tier.by_volume]
    parts = [f"maker {first.maker_bps:f}, taker {first.taker_bps:f} bps"]
    if higher:
        steps = ", ".join(f"{tier.volume:,f} {_both(tier)}" for tier in higher)
        parts.append(f"by volume of {window_days} days: {steps}")
    if shares := dict.fromkeys(_both(tier) for tier in tiers if not tier.by_volume):
        parts.append(f"by shares of the venue's volume, not reached: {', '.join(shares)}")
    return "; ".join(parts)


def _both(tier: FeeTier) -> str:
    return f"{tier.maker_bps:f}/{tier.taker_bps:f}"


def discount(known: Discount) -> str:
    """A share off, and who gets it."""
    return f"{percent(float(known.share))} off positive fees" + (f" ({known.note})" if known.note else "")


def orders(table: Orders) -> str:
    """The least value of an order, how far from the last price it fills, and how many there may be."""
    markets = table.markets.items()
    own = ", ".join(f"{name} {one.min_notional:,f}" for name, one in markets if one.min_notional is not None)
    least = f"worth at least {table.min_notional:,f}" + (f" ({own})" if own else "")
    parts = [least] if table.min_notional or own else []
    bands = ", ".join(f"{name} {percent(float(one.price_band))}" for name, one in markets if one.price_band is not None)
    if table.price_band is not None or bands:
        every = "" if table.price_band is None else f" {percent(float(table.price_band))}"
        parts.append(f"price band{every}" + (f" ({bands})" if bands else ""))
    parts += [f"at most {table.most:,}"] if table.most is not None else []
    parts += [f"at most {table.most_each:,} in one market"] if table.most_each is not None else []
    return ", ".join(parts) or "any"


def rates(ladders: Sequence[Terms]) -> str:
    """Initial and maintenance rates of the lowest tiers, each pair once."""
    firsts = sorted({(terms.tiers[0].initial, terms.tiers[0].maintenance) for terms in ladders})
    rising = " in the lowest tier" if any(len(terms.tiers) > 1 for terms in ladders) else ""
    said = " or ".join(f"initial {i * 100:g} %, maintenance {m * 100:g} %" for i, m in firsts)
    return said + rising
