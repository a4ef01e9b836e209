"""Candles of each traded market with what the account did in it: entries, exits, stops, liquidations, funding."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.charts import over as over_time_of
from backtest.report.downsampling import DUST, floats, stamps
from backtest.report.figure import Figure, axis, money_axis, plain
from backtest.report.packing import array
from backtest.report.section import Subject

NAME = "market"
MARKS = 4_000
"""Fills of one market that are marked."""
KINDS = ("long", "short", "exit", "stop", "liquidation")
"""What a mark shows: the order of the marks on the page, see `market.js`."""
FILLS = ("ts", "symbol", "order_id", "qty", "price", "quote", "cause", "fee", "realized_pnl")
STOPS = ("stop_market", "stop_limit", "trailing_stop", "take_profit_market", "take_profit_limit")
FORCED = ("liquidation", "adl")


def market_chart(subject: Subject) -> Chart:
    """Return the chart of all traded markets; the page draws one at a time."""
    title = f"Candles and fills{f' ({subject.quote})' if subject.quote else ''}"
    fills, candles = subject.result.tables.columns("fills", *FILLS), subject.candles
    if not len(fills):
        return Chart(NAME, title, "", None, 0, "No order was filled.")
    if candles is None:
        return Chart(NAME, title, "", None, 0, "This report was written without candles: run it again to see them.")
    traded = (
        fills.group_by("symbol")
        .agg(pl.col("quote").abs().sum().alias("size"))
        .sort("size", "symbol", descending=[True, False])
    )
    markets = {symbol: _market(subject, symbol, fills, candles) for symbol in traded["symbol"]}
    first = next(iter(markets.values()))
    layout = over_time_of([subject.run]) | {
        "yaxis": axis(domain=[0.24, 1.0]),
        "yaxis2": money_axis([np.array([0.0, 1.0])], domain=[0.0, 0.16], anchor="x", zeroline=True, nticks=3),
        "showlegend": True,
        "hovermode": "closest",
    }
    layout["xaxis"] |= {"anchor": "y2", "rangeslider": {"visible": False}}
    figure: Figure = {"data": [], "layout": layout, "markets": {plain(name): one for name, one in markets.items()}}
    return Chart(NAME, title, _note(first), figure, 520)


def _note(market: dict[str, Any]) -> str:
    long = fmt.interval(market["long_ms"])
    if not market["fine_ms"]:
        return f"{long} candles. Below: funding, received above zero."
    fine = fmt.interval(market["fine_ms"])
    return (
        f"{long} candles over the whole run; zoomed in, {fine} candles around fills, liquidations and the worst hours, "
        f"and elsewhere the range of each {long}. Below: funding, received above zero. "
        "A trade chosen in the table is shown here."
    )


def _market(subject: Subject, symbol: str, fills: pl.DataFrame, candles: pl.DataFrame) -> dict[str, Any]:
    """What the page needs to draw one market."""
    own = candles.filter(pl.col("symbol") == symbol)
    lengths = sorted(own["interval_ms"].unique().to_list())
    long, fine = lengths[-1] if lengths else 0, lengths[0] if len(lengths) > 1 else 0
    paid = subject.result.tables.columns("funding", "ts", "symbol", "payment").filter(
        (pl.col("symbol") == symbol) & (pl.col("payment") != 0)
    )
    return {
        "long_ms": long,
        "fine_ms": fine,
        "long": _prices(own.filter(pl.col("interval_ms") == long)),
        "fine": _prices(own.filter(pl.col("interval_ms") == fine)) if fine else None,
        "fills": _fills(subject, fills.filter(pl.col("symbol") == symbol)),
        "funding": _payments(paid, max(long, 1)),
    }


def _prices(candles: pl.DataFrame) -> dict[str, Any]:
    """Times of the opens, ms, and prices as single floats: a pixel is coarser."""
    prices = {name: array(floats(candles, name), "f4") for name in ("open", "high", "low", "close")}
    return {"t": array(stamps(candles)), **prices}


def _fills(subject: Subject, fills: pl.DataFrame) -> dict[str, Any]:
    held = fills.with_columns(after=pl.col("qty").cum_sum()).with_columns(before=pl.col("after") - pl.col("qty"))
    types = subject.result.tables.columns("orders", "order_id", "type").unique("order_id")
    held = held.join(types, on="order_id", how="left", maintain_order="left").head(MARKS)
    grows = pl.col("after").abs() > pl.col("before").abs() - DUST
    kind = (
        pl.when(pl.col("cause").is_in(FORCED)).then(4)
        .when(grows & (pl.col("qty") > 0)).then(0)
        .when(grows).then(1)
        .when(pl.col("type").is_in(STOPS) & ~grows).then(3)
        .otherwise(2)
    )  # fmt: skip
    rows = held.select("qty", "price", "cause", "type", "fee", "realized_pnl").iter_rows()
    said = [_said(*row) for row in rows]
    kinds = held.select(kind.alias("kind"))["kind"].to_numpy()
    return {"t": array(stamps(held)), "y": array(floats(held, "price")), "kind": kinds.tolist(), "text": said}


def _said(qty: float, price: float, cause: str, order: str | None, fee: float, realized: float) -> str:
    deed = "bought" if qty > 0 else "sold"
    how = (order or cause).replace("_", " ") if cause == "strategy" else cause
    gain = f", realised {fmt.signed(realized)}" if abs(realized) > DUST else ""
    return plain(f"{how}: {deed} {fmt.quantity(abs(qty))} at {fmt.price(price)}, fee {fmt.signed(-fee)}{gain}")


def _payments(paid: pl.DataFrame, every_ms: int) -> dict[str, Any]:
    """Funding, summed over each of the longer candles where there are many settlements."""
    step = every_ms if len(paid) > 1_000 else 1
    summed = (
        paid.group_by(at=pl.col("ts").dt.epoch("ms") // step * step, maintain_order=True)
        .agg(pl.col("payment").sum())
        .sort("at")
    )
    return {"t": array(summed["at"].cast(pl.Float64).to_numpy()), "y": array(floats(summed, "payment"))}
