"""The chart of what came and went beside prices."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.report.charts import Chart, Run, over
from backtest.report.downsampling import floats, running, stamps
from backtest.report.figure import FAINT, PALETTE, curve, money_axis, thinned
from backtest.report.outcome import LATENCY, source_title


def flows_chart(run: Run, quote: str) -> Chart:
    """Running sums of funding and of what trading cost."""
    title = f"Funding and costs, cumulative{f' ({quote})' if quote else ''}"
    tables, out = run.result.tables, run.outcome
    parts = [
        ("Funding", PALETTE[0], "funding", pl.col("payment")),
        ("Fees", PALETTE[1], "fills", -pl.col("fee")),
        ("Spread", PALETTE[3], "fills", -pl.col("spread")),
        ("Impact", PALETTE[5], "fills", -pl.col("impact")),
        (source_title(LATENCY, out.delayed), PALETTE[6], "fills", -pl.col("latency")),
        ("Liquidation penalties", PALETTE[2], "liquidations", -pl.col("penalty")),
        ("Paid by the insurance fund", PALETTE[4], "liquidations", pl.col("penalty") - pl.col("insurance")),
        ("Gas", PALETTE[7], "gas", -pl.col("amount")),
        ("Bridge fees", FAINT, "transfers", -pl.col("fee")),
    ]
    drawn = []
    for name, colour, table, amount in parts:  # one at a time is in memory
        known = tables.columns(table, "ts", *amount.meta.root_names()).select("ts", amount=amount)
        paid = floats(known, "amount")
        if np.any(paid != 0):
            drawn.append((name, colour, running(stamps(known), paid, out.start_ms, out.end_ms)))
    if not drawn:
        return Chart("flows", title, "", None, 0, "No funding was settled on a position, and trading cost nothing.")
    data = [curve(name, line, colour, ",.2f", shape="hv") for name, colour, line in drawn]
    layout = over([run]) | {"yaxis": money_axis([line.values for *_, line in drawn], zeroline=True)}
    layout["showlegend"] = True
    note = "Received above zero, paid below."
    note += "" if any(name == "Funding" for name, *_ in drawn) else " No funding was settled on a position."
    each = max(line.each for *_, line in drawn)
    return Chart("flows", title, f"{note} {thinned(each, 'payments')}".strip(), {"data": data, "layout": layout}, 300)
