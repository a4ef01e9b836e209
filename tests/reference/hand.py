"""Small plays written by hand: rows of a minute from time 0, lots of 0.001, money in quote units."""

from __future__ import annotations

from tests.reference.chain import Beside
from tests.reference.engine import play
from tests.reference.market import Candle, Config, Message, Play, Symbol
from tests.reference.outcome import Outcome
from tests.reference.terms import Law, OrderRules, Portfolio, Terms, Tier, Venue

MINUTE = 60_000
GENERIC = [Tier(None, 0.05, 0.03)]


def micro(quote: float) -> int:
    return round(quote * 1_000_000)


def candles(*rows: tuple[float, ...] | float | None) -> dict[int, Candle]:
    """A number is a flat candle, None a gap; a fifth number is the volume."""
    made = {}
    for k, row in enumerate(rows):
        if row is not None:
            made[k * MINUTE] = Candle(*(row if isinstance(row, tuple) else (row,) * 4))
    return made


def market(name: str, *rows: tuple[float, ...] | float | None, **more: object) -> Symbol:
    return Symbol(name, 1_000, candles(*rows), **more)  # type: ignore[arg-type]


def lots(base: float) -> int:
    return round(base * 1000)


def order(row: int, symbol: str, base: float, reduce_only: bool = False, **fields: object) -> Message:
    """`base` units of the base, sent at the close of `row`; of any type by its `fields`."""
    return Message(
        (row + 1) * MINUTE,
        "order",
        symbol,
        lots=lots(base),
        reduce_only=reduce_only,
        **fields,  # type: ignore[arg-type]
    )


def run(
    symbols: list[Symbol],
    messages: list[Message],
    cash: float,
    tiers: list[Tier] = GENERIC,
    leverage: float = 20.0,
    terms: dict[str, list[Terms]] | None = None,
    law: Law | list[Law] | None = None,
    portfolio: Portfolio | None = None,
    rules: OrderRules | None = None,
    beside: Beside | None = None,
    **config: object,
) -> Outcome:
    """`terms` are those of some symbols; the others have `tiers` and a penalty of 1 %."""
    names = [s.name for s in symbols]
    account = Config(micro(cash), leverage=dict.fromkeys(names, leverage), **config)  # type: ignore[arg-type]
    asked = {name: [Terms(tiers, penalty=0.01)] for name in names} | (terms or {})
    laws = law if isinstance(law, list) else [law or Law()]
    venue = Venue(asked, laws, portfolio or Portfolio(), [rules or OrderRules()])
    return play(Play(symbols, MINUTE, venue, account, messages, beside or Beside()))
