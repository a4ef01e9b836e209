"""The picture of a margin calculation: one HTML file with the ladder of liquidations, both ways from the marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backtest.report import formatting as fmt
from backtest.report.charts import MODES, SHOWN, Chart
from backtest.report.figure import FAINT, INK, LIMIT, PALETTE, PAPER, Figure, axis, money_axis, plain
from backtest.report.page import environment, script_json
from backtest.report.table_rows import Cell, Table

GENERATOR = "backtest margin"
"""Named in the page's head, so that it may be written again."""
Values = Mapping[str, Any]
"""The answer of `calculator.calculation` or a part of it, as plain values."""

NEAREST, ROOM = 10.0, 1.25
"""The picture shows at least so large a move both ways, per cent, and so much more than the farthest liquidation."""
NAMED = 3
"""Symbols that are named on the chart each way; the table has every step."""
PLOT, ROW, AROUND = 320, 20, 110
"""Pixels, of height: the plot, a name above it, and what is around: the legend and the axis."""
NARROW, LETTER = 280, 6.5
"""Pixels, of width: the plot on a phone, and a letter."""


def render(answer: Values) -> str:
    """The page of one calculation (`Calculation.as_dict`) as a complete HTML document."""
    rungs, events = _rungs(answer), _events(answer)
    span = _span(events)
    seen = [rung for rung in rungs if span[0] <= 100 * rung["move"] <= span[1]]
    charts = {"ladder": _ladder_chart(answer, seen, events, span), "notionals": _notionals(answer, seen, events, span)}
    tables = (_events_table(events), _positions_table(answer), _pools_table(answer), _rungs_table(rungs))
    return (
        environment()
        .get_template("ladder.html.j2")
        .render(
            generator=GENERATOR,
            name="Margin and ladder",
            about="",
            more="",
            synthetic=False,
            omissions="",
            scope=[],
            period=f"Terms of {answer['date']}",
            quote=answer["quote"],
            venue=answer["venue"],
            margin=answer["margin"],
            words=_words(answer),
            cards=_cards(answer),
            charts=charts,
            tables={table.name: table for table in tables},
            notes=answer["notes"],
            figures=script_json({name: chart.figure for name, chart in charts.items()}),
        )
    )


def _rungs(answer: Values) -> list[Values]:
    """From the deepest fall to the highest rise, the marks themselves in the middle."""
    start = {
        "move": 0.0,
        "equity": answer["equity"],
        "maintenance": answer["maintenance"],
        "margin_ratio": answer["margin_ratio"],
        "notionals": {at["symbol"]: at["notional"] for at in answer["positions"]},
    }
    return [*reversed(answer["falling"]["rungs"]), start, *answer["rising"]["rungs"]]


def _events(answer: Values) -> list[Values]:
    """Of both ways, each in its order."""
    return [*answer["falling"]["events"], *answer["rising"]["events"]]


def _span(events: Sequence[Values]) -> tuple[float, float]:
    """Moves in per cent that the picture shows: all liquidations with some room."""
    reach = max([NEAREST, *(ROOM * 100 * abs(event["move"]) for event in events)])
    return max(-100.0, -reach), reach


def _ladder_chart(
    answer: Values, rungs: Sequence[Values], events: Sequence[Values], span: tuple[float, float]
) -> Chart:
    """Equity and maintenance margin of the account against the market's move, and where positions go."""
    moves = [100 * rung["move"] for rung in rungs]
    equity, maintenance = [rung["equity"] for rung in rungs], [rung["maintenance"] for rung in rungs]
    colour = MODES.get(answer["margin"], PALETTE[0])
    data = [
        _line("Equity", moves, equity, colour, 2.2),
        _line("Maintenance margin", moves, maintenance, LIMIT, 1.6, "dash"),
    ]
    if events:
        data.append(_marks(events, moves, equity))
    named = _first(events)
    drawn = [np.array(equity), np.array(maintenance)]
    share = PLOT / _plot(len(named))
    layout = _layout(answer, span) | {"yaxis": money_axis(drawn, rangemode="tozero", domain=[0.0, share])}
    layout["annotations"], layout["shapes"] = _labels(named, span)
    note = "The whole account. Each cross is a step of a liquidation; the tables have all steps and all levels."
    if named:
        note += " Named: the symbols that are liquidated first, each at its first step."
    height = _plot(len(named)) + AROUND
    return Chart("ladder", f"The ladder ({answer['quote']})", note, {"data": data, "layout": layout}, height)


def _line(name: str, x: list[float], y: list[float], colour: str, width: float, dash: str = "solid") -> Figure:
    return {
        "type": "scatter", "mode": "lines", "name": plain(name), "x": x, "y": y, "hovertemplate": "%{y:,.2f}",
        "line": {"color": colour, "width": width, "dash": dash},
    }  # fmt: skip


def _marks(events: Sequence[Values], moves: Sequence[float], equity: Sequence[float]) -> Figure:
    words = [
        f"{plain(event['symbol'])}, {event['stage']}: {fmt.quantity(event['qty'])} at {fmt.price(event['price'])}"
        for event in events
    ]
    x = [100 * event["move"] for event in events]
    return {
        "type": "scatter", "mode": "markers", "name": "Liquidation", "x": x, "y": [_at(m, moves, equity) for m in x],
        "text": words, "hovertemplate": "%{text}",
        "marker": {"symbol": "x", "size": 8, "color": LIMIT},
    }  # fmt: skip


def _first(events: Sequence[Values]) -> list[tuple[float, str]]:
    """The move in per cent at which symbols are liquidated first, and their names; the nearest ones each way."""
    found: list[tuple[float, str]] = []
    for falls in (True, False):
        firsts: dict[str, float] = {}
        for event in events:
            if (event["move"] <= 0) == falls:
                firsts.setdefault(event["symbol"], 100 * event["move"])
        together: dict[str, list[str]] = {}
        for symbol in sorted(firsts, key=lambda symbol: abs(firsts[symbol])):
            together.setdefault(f"{firsts[symbol]:.1f}", []).append(symbol)
        for names in list(together.values())[:NAMED]:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            found.append((firsts[names[0]], names[0] + more))
    return found


def _labels(named: Sequence[tuple[float, str]], span: tuple[float, float]) -> tuple[list[Figure], list[Figure]]:
    """A row above the plot for each name, and from it a line down to the axis."""
    words: list[Figure] = []
    lines: list[Figure] = []
    for n, (x, name) in enumerate(named, 1):
        top = 1 - n * ROW / _plot(len(named)) + 0.5 * ROW / _plot(len(named))
        text = f"{name} {fmt.signed(x)}%"
        # Words stand outwards where a narrow screen has room for them, else inwards, where there is more.
        room = min(abs(x - end) for end in span) / (span[1] - span[0])
        side = "right" if (x <= 0) == (room * NARROW > LETTER * len(text)) else "left"
        words.append(
            {
                "text": plain(text), "x": x, "yref": "paper", "y": top, "yanchor": "middle",
                "xanchor": side, "showarrow": False, "bgcolor": PAPER, "font": {"size": 11, "color": INK},
            }
        )  # fmt: skip
        lines.append(
            {
                "type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": top, "layer": "below",
                "line": {"color": FAINT, "width": 1, "dash": "dot"},
            }
        )  # fmt: skip
    return words, lines


def _plot(rows: int) -> int:
    """Height of the plot with so many names above it, pixels."""
    return PLOT + ROW * rows


def _at(x: float, moves: Sequence[float], values: Sequence[float]) -> float:
    """The curve's height between two rungs; at its last rung where it ends before."""
    return float(np.interp(x, moves, values))


def _notionals(answer: Values, rungs: Sequence[Values], events: Sequence[Values], span: tuple[float, float]) -> Chart:
    """What is left of each position; a step of a liquidation is an upright line at its level."""
    paths = {at["symbol"]: _path(at["symbol"], rungs, events) for at in answer["positions"]}
    ranked = sorted(paths, key=lambda symbol: (-max(abs(y) for _, y in paths[symbol]), symbol))
    data = [
        _line(symbol, [x for x, _ in paths[symbol]], [y for _, y in paths[symbol]], PALETTE[i], 1.8)
        for i, symbol in enumerate(ranked[:SHOWN])
    ]
    layout = _layout(answer, span) | {"yaxis": money_axis([np.array(line["y"]) for line in data], zeroline=True)}
    note = "Signed notional of each position: long above zero, short below; zero when it is closed."
    if len(ranked) > SHOWN:
        note += f" The {SHOWN} largest of {len(ranked)}."
    return Chart("notionals", f"What is left ({answer['quote']})", note, {"data": data, "layout": layout}, 320)


def _path(symbol: str, rungs: Sequence[Values], events: Sequence[Values]) -> list[tuple[float, float]]:
    """(move in per cent, notional) at every rung, and before and after every step."""
    points = [(rung["move"], 0, rung["notionals"][symbol]) for rung in rungs]
    for n, event in enumerate(events, 1):
        if event["symbol"] == symbol:
            # From the marks outwards: a fall is drawn from right to left.
            way = -1 if event["move"] <= 0 else 1
            sizes = (event["left"] - event["qty"], event["left"])
            points += [(event["move"], way * (2 * n + i), size * event["price"]) for i, size in enumerate(sizes)]
    return [(100 * move, notional) for move, _, notional in sorted(points)]


def _layout(answer: Values, span: tuple[float, float]) -> Figure:
    by = answer["falling"]["by"]
    what = {"all": "Move of all marks", "beta": "Move of the market"}.get(by, f"Move of {by}")
    words = {"text": plain(f"{what}, per cent"), "standoff": 6, "font": {"size": 12.5}}
    return {
        "xaxis": axis(title=words, range=list(span), ticksuffix="%", hoverformat="+.2f", zeroline=True),
        "hovermode": "x unified",
        "showlegend": True,
        "margin": {"l": 56, "r": 16, "t": 8, "b": 8},
        "meta": {"linked": True},
    }


def _words(answer: Values) -> list[str]:
    need = fmt.number(answer["maintenance"])
    words = [f"Equity is {fmt.number(answer['equity'])} {answer['quote']}, maintenance margin {need}."]
    for ladder, way in ((answer["falling"], "falls"), (answer["rising"], "rises")):
        first = ladder["events"][0] if ladder["events"] else None
        if first is None:
            words.append(f"Nothing is liquidated as the market {way} {_per_cent(ladder['rungs'][-1]['move'])}.")
            continue
        left = [symbol for symbol, qty in ladder["left"].items() if qty]
        words.append(
            f"As the market {way}, {first['symbol']} is liquidated first, at {_move(first['move'])}; at "
            f"{_move(ladder['rungs'][-1]['move'])} equity is {fmt.number(ladder['equity'])} and "
            f"{fmt.listing(left) or 'no position'} {'are' if len(left) > 1 else 'is'} left."
        )
    return words


def _cards(answer: Values) -> list[dict[str, str]]:
    ratio = f"Margin ratio {fmt.number(answer['margin_ratio'], 3)}; liquidation at 1"
    figures = (
        ("Equity", "equity", f"Collateral {fmt.number(answer['collateral'])}"),
        ("Maintenance margin", "maintenance", ratio),
        ("Initial margin", "initial", "Open orders included"),
        ("Free collateral", "free_collateral", "Free for new positions"),
    )
    return [
        {"title": f"{title} ({answer['quote']})", "figure": fmt.number(answer[name]), "more": more, "colour": ""}
        for title, name, more in figures
    ]


def _events_table(events: Sequence[Values]) -> Table:
    head = ("Move", "Symbol", "Stage", "Price", "Quantity", "Left", "Penalty", "Insurance fund", "Bad debt")
    rows = [
        (
            _cell(_move(event["move"])), Cell(event["symbol"]), Cell(event["stage"]), _cell(fmt.price(event["price"])),
            _cell(fmt.quantity(event["qty"])), _cell(fmt.quantity(event["left"])),
            _money(0.0 - event["penalty"]), _cell(fmt.signed(0.0 - event["insurance"])),
            *(_money(event[name]) for name in ("bad_debt", *_BOTH)),
        )
        for event in events
    ]  # fmt: skip
    titles = (*head, "Equity before", "after", "Maintenance margin before", "after")
    return _table("events", "Liquidations, step by step", titles, rows, "No position is liquidated.")


_BOTH = ("equity_before", "equity_after", "maintenance_before", "maintenance_after")


def _positions_table(answer: Values) -> Table:
    titles = ("Symbol", "Quantity", "Entry", "Mark", "Notional", "Unrealised", "Initial", "Maintenance")
    rows = [
        (
            Cell(at["symbol"]), _cell(fmt.quantity(at["qty"])), _cell(fmt.price(at["entry"])),
            _cell(fmt.price(at["mark"])),
            _cell(fmt.number(at["notional"])),
            *(_money(at[name]) for name in ("unrealized", "initial", "maintenance")),
            _cell(_price(at["liquidation_price"])), _cell(_move(at["liquidation_move"])),
            _cell(_price(at["bankruptcy_price"])),
        )
        for at in answer["positions"]
    ]  # fmt: skip
    return _table("book", "Positions, all other marks unchanged", (*titles, "Liquidation", "Move", "Bankruptcy"), rows)


def _pools_table(answer: Values) -> Table:
    names = ("equity", "initial", "maintenance", "free_collateral")
    rows = [
        (Cell(pool["pool"]), *(_money(pool[name]) for name in names), _cell(fmt.number(pool["margin_ratio"], 3)))
        for pool in answer["pools"]
    ]
    return _table("pools", "Pools", ("Pool", "Equity", "Initial", "Maintenance", "Free", "Margin ratio"), rows)


def _rungs_table(rungs: Sequence[Values]) -> Table:
    rows = [
        (
            _cell(_move(rung["move"])), _money(rung["equity"]), _money(rung["maintenance"]),
            _cell(fmt.number(rung["margin_ratio"], 3)), _money(sum(map(abs, rung["notionals"].values()))),
        )
        for rung in rungs
    ]  # fmt: skip
    titles = ("Move", "Equity", "Maintenance", "Margin ratio", "Gross notional")
    return _table("rungs", "Every rung", titles, rows)


def _table(name: str, title: str, titles: Sequence[str], rows: Sequence[tuple[Cell, ...]], empty: str = "") -> Table:
    figures = rows[0] if rows else tuple(Cell(t) for t in titles)
    head = tuple(Cell(words, cell.figure) for words, cell in zip(titles, figures, strict=True))
    return Table(name, title, head, tuple(rows), empty=empty)


def _cell(words: str) -> Cell:
    return Cell(words, True)


def _money(amount: float) -> Cell:
    shown = fmt.number(amount)
    return Cell(shown, True, "minus" if shown.startswith("-") else "")


def _move(move: float | None) -> str:
    return "none" if move is None else fmt.signed(move * 100) + "%"


def _per_cent(move: float) -> str:
    return f"by {fmt.number(abs(move) * 100, 1).removesuffix('.0')}%"


def _price(price: float | None) -> str:
    return "none" if price is None else fmt.price(price)
