"""Where the profit came from: a waterfall of one account, bars of several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backtest.report import formatting as fmt
from backtest.report.charts import Chart, Run
from backtest.report.figure import FAINT, GAIN, INK, LOSS, bars, folded, plain
from backtest.report.outcome import SOURCES, source_title, sources_note

_STILL = "Nothing changed the equity."


def sources_chart(run: Run, quote: str) -> Chart:
    """A waterfall from nothing to the change of equity."""
    out = run.outcome
    some = [name for name in SOURCES if fmt.number(out.sources[name]) != fmt.number(0.0)]
    amounts, total = [out.sources[name] for name in some], out.change
    title = f"Where the profit came from{f' ({quote})' if quote else ''}"
    if not any((*amounts, total)):
        return Chart("sources", title, "", None, 0, _STILL)
    names = [folded(source_title(name, out.delayed)) for name in some]
    steps = np.cumsum([0.0, *amounts])
    bar = {
        "type": "waterfall", "orientation": "h", "y": [*names, "Change of equity"],
        "x": [*amounts, total], "measure": ["relative"] * len(amounts) + ["total"],
        "text": [fmt.signed(v) for v in (*amounts, total)], "textposition": "outside", "cliponaxis": False,
        "increasing": {"marker": {"color": GAIN}}, "decreasing": {"marker": {"color": LOSS}},
        "totals": {"marker": {"color": INK}}, "connector": {"line": {"color": FAINT, "width": 1}},
        "hoverinfo": "none", "textfont": {"color": INK},
    }  # fmt: skip
    layout = bars([*amounts, total], steps.tolist())
    return Chart(
        "sources", title, sources_note(out.delayed), {"data": [bar], "layout": layout}, 90 + 32 * (len(some) + 1)
    )


def sources_side_by_side(accounts: Sequence[Run], quote: str) -> Chart:
    """The same entries for each account, one bar each."""
    late = any(run.outcome.delayed for run in accounts)
    names = [*(source_title(name, late) for name in SOURCES), "Change of equity"]
    title = f"Where the profit came from{f' ({quote})' if quote else ''}"
    data, drawn = [], [0.0]
    for run in accounts:
        amounts = [*(run.outcome.sources[n] for n in SOURCES), run.outcome.change]
        drawn += amounts
        data.append(
            {
                "type": "bar", "orientation": "h", "name": plain(run.result.label), "y": [folded(n) for n in names],
                "x": amounts, "text": [fmt.signed(v) for v in amounts], "textposition": "outside", "cliponaxis": False,
                "marker": {"color": run.colour}, "hoverinfo": "none", "textfont": {"color": INK},
            }
        )  # fmt: skip
    if not any(drawn):
        return Chart("sources", title, "", None, 0, _STILL)
    layout = bars(drawn, drawn) | {"barmode": "group", "bargap": 0.3, "showlegend": True}
    height = 130 + len(names) * (24 + 20 * len(accounts))
    return Chart("sources", title, sources_note(late), {"data": data, "layout": layout}, height)
