"""The report in a real browser: it draws, it asks for nothing, it fits a phone.

Needs Chromium: the environment variable BACKTEST_CHROMIUM, or `chromium` on the path. Without it the tests are skipped,
except where CI=true: there a missing browser is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest.core import records
from backtest.report import stress_ladder_page
from backtest.report.latency_page import render_latency
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.results.chain_summary import figures
from backtest.results.result import Result
from backtest.results.tables import tables
from backtest.venues.chain import Outage
from tests.unit.results_records import CHAIN, DAY, START, bridged, replace, rows
from tests.unit.test_report_accounts import Life, account
from tests.unit.test_report_layer2 import chained, halt
from tests.unit.test_report_liquidations import crumbling, deleveraged, result_of
from tests.unit.test_report_orders import MIXED, tripped

ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DRAWN = """() => [...document.querySelectorAll("[data-figure]")].map((box) => ({
  name: box.dataset.figure,
  marks: [...box.querySelectorAll(["scatter", "bar", "waterfall", "box", "candlestick"].map((l) => `.${l}layer path`)
    + ", .heatmaplayer image")]
    .map((path) => path.getBBox()).filter((b) => b.width > 0 || b.height > 0).length,
  width: box.querySelector(".main-svg").getBoundingClientRect().width,
  room: box.getBoundingClientRect().width,
}))"""
CLIPPED = """() => [...document.querySelectorAll("[data-figure]")].flatMap((box) => {
  const frame = box.getBoundingClientRect();
  return [...box.querySelectorAll("text")].filter((t) => {
    const r = t.getBoundingClientRect();
    return r.width > 0 && (r.left < frame.left - 1 || r.right > frame.right + 1 || r.bottom > frame.bottom + 1);
  }).map((t) => `${box.dataset.figure}: ${t.textContent}`);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = os.environ.get("BACKTEST_CHROMIUM") or shutil.which("chromium")
    playwright = None
    try:
        from playwright.sync_api import sync_playwright as playwright
    except ImportError:
        path = None
    if not path or playwright is None:
        message = "no Chromium (BACKTEST_CHROMIUM or chromium on the path), or no playwright: the report was not opened"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGS)
        yield started
        started.close()


ISOLATED = Life(margin="isolated", lost=("BTC-USD",), bad_debt=12.5, rejected=3)
CROSS = Life(ambiguous=2, rejected=50)
LARGE = Life(rows=3_000, symbols=tuple(f"SYMBOL{i:02d}-USD" for i in range(12)), lost=("SYMBOL03-USD",))
MODES = [Life(margin=mode, lost=("BTC-USD",), ambiguous=1) for mode in ("isolated", "cross", "portfolio")]
APART = [
    Life(label=f"strategy-{i}", symbols=(f"SYMBOL{i:02d}-USD", "BTC-USD"), lost=("BTC-USD",) * (i == 0), seed=i)
    for i in range(5)
]
WIDE = {
    "venue": "generic", "margin": "isolated", "collateral": 60_000,
    "positions": [
        {"symbol": f"SYMBOL{i:02d}-USD", "qty": (-1) ** i * 10, "mark": 1_000 + i, "leverage": 3 + 4 * i}
        for i in range(5)
    ],
}  # fmt: skip
NEAR = {
    "venue": "generic", "margin": "cross", "collateral": 3_000,
    "positions": [{"symbol": f"SYMBOL{i:02d}-USD", "qty": 10, "mark": 1_000} for i in range(5)],
}  # fmt: skip
TRIPS = [0.37 * (n % 11 - 6) for n in range(400)]
DELAYS = (0, 50, 200, 1_000, 5_000, 60_000)


def slower() -> str:
    """An account at several delays, lost at the slowest."""
    made = []
    for delay in DELAYS:
        lost = ("BTC-USD", "ETH-USD") if delay == DELAYS[-1] else ()
        result = account(Life(label=f"{delay}ms", seed=7 + delay % 7, lost=lost))
        config = result.summary["config"] | {"latency_ms": delay}
        made.append(Result(result.label, result.summary | {"config": config}, result.tables))
    return render_latency(made)


def on_a_chain() -> Result:
    """Money between the venue and a reserve, a fill undone, and a halt in the midst of it."""
    record = bridged()
    made = result_of(record)
    halts = (Outage(START + DAY, START + DAY * 5 // 4, "by hand"), *CHAIN.outages)
    chain = replace(CHAIN, grace_ms=DAY // 4, outages=halts)
    seen = [{"ts_ms": START + n * DAY, "symbol": 0, "market": 100.0, "venue": 100.0 + n % 2} for n in range(1, 6)]
    frames = tables(replace(record, sight=rows(records.SIGHT, *seen)), chain=chain)
    return Result("cross", made.summary | {"chain": figures(record, chain, frames["fills"])}, frames)


PAGES = {
    "run": (7, (1280, 420), lambda: render(account(CROSS))),
    "pools": (7, (420,), lambda: render(account(ISOLATED))),
    "many": (7, (1280, 420), lambda: render(account(LARGE))),
    "minutes": (7, (420,), lambda: render(account(Life(rows=60_000, interval_ms=60_000)))),
    "idle": (1, (420,), lambda: render(account(Life(trades=False)))),
    "one candle": (1, (420,), lambda: render(account(Life(rows=1, trades=False)))),
    "comparison": (4, (1280, 420), lambda: render_comparison([account(ISOLATED), account(CROSS)])),
    "three modes": (4, (1280, 420), lambda: render_comparison([account(life) for life in MODES])),
    "steps": (2, (1280, 420), lambda: render(result_of(crumbling(300)))),
    "deleveraged": (4, (420,), lambda: render(result_of(deleveraged(0.5)))),
    "trips": (5, (1280, 420), lambda: render(result_of(replace(tripped(*TRIPS), orders=MIXED.orders)))),
    "sub-accounts": (
        4,
        (1280, 420),
        lambda: render_comparison([account(life) for life in APART], account(Life(label="combined"))),
    ),
    "ladder": (2, (1280, 420), lambda: stress_ladder_page.render(backtest.margin(WIDE).as_dict())),
    "all at once": (2, (420,), lambda: stress_ladder_page.render(backtest.margin(NEAR).as_dict())),
    "slower": (3, (1280, 420), slower),
    "on a chain": (9, (1280, 420), lambda: render(on_a_chain())),
    "idle comparison": (1, (420,), lambda: render_comparison([account(Life(trades=False))] * 2)),
}
"""How many charts each has at least, at which widths it is opened, and how it is made."""


def _open(browser: Any, place: Path, width: int, scheme: str = "light") -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    page.goto(place.as_uri())
    page.wait_for_selector("html[data-drawn]", state="attached", timeout=20_000)
    return page, errors, asked


@pytest.mark.parametrize("name", PAGES)
def test_page_draws_and_asks_for_nothing(browser: Any, tmp_path: Path, name: str) -> None:
    charts, widths, make = PAGES[name]
    place = tmp_path / f"{name}.html"
    place.write_text(make(), encoding="utf-8")
    for width in widths:
        page, errors, asked = _open(browser, place, width)
        assert errors == []
        assert asked == [place.as_uri()]
        drawn = page.evaluate(DRAWN)
        assert len(drawn) >= charts
        for chart in drawn:
            assert chart["marks"] > 0, chart
            assert abs(chart["width"] - chart["room"]) < 2, chart
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CLIPPED) == []
        page.close()


OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll("#chart-ladder .annotation-text")].map((t) => t.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
}"""


def test_names_on_the_ladder_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "ladder.html"
    place.write_text(stress_ladder_page.render(backtest.margin(WIDE).as_dict()), encoding="utf-8")
    for width in (1280, 420):
        page, _, _ = _open(browser, place, width)
        # Three longs go as the market falls, two shorts as it rises: each has its name.
        assert page.locator("#chart-ladder .annotation-text").count() == 5
        assert page.evaluate(OVERLAPS) == []
        page.close()


def test_tables_of_words_and_figures_fit_a_small_window(browser: Any, tmp_path: Path) -> None:
    """The cause of an outage stands in the last column; 1,100 px are a window beside another one."""
    rich = account(Life())
    equity = rich.tables["equity"].with_columns(pl.col("equity") * 40)  # seven digits before the point
    rich = Result(rich.label, rich.summary, rich.tables | {"equity": equity})
    result = chained(rich, outages=[halt(10, 12, "placed where the positions would have lost most")])
    place = tmp_path / "halt.html"
    place.write_text(render(result), encoding="utf-8")
    page, _, _ = _open(browser, place, 1100)
    rooms = page.evaluate(
        "() => [...document.querySelectorAll('#layer2 .scroll')].map((s) => [s.scrollWidth, s.clientWidth])"
    )
    assert rooms
    assert all(needed <= there for needed, there in rooms), rooms
    page.close()


def test_zooming_one_chart_zooms_the_others(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "run.html"
    place.write_text(render(account(CROSS)), encoding="utf-8")
    page, errors, _ = _open(browser, place, 1280)
    page.evaluate("""() => Plotly.relayout("chart-margin", {"xaxis.range": ["2020-02-01", "2020-02-10"]})""")
    shown = """() => document.getElementById("chart-leverage").layout.xaxis.range.map((d) => String(d).slice(0, 10))"""
    page.wait_for_function(f"() => ({shown})()[0] === '2020-02-01'")
    assert page.evaluate(shown) == ["2020-02-01", "2020-02-10"]
    assert errors == []
    page.close()


def test_dark_theme_recolours_the_charts(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "run.html"
    place.write_text(render(account(CROSS)), encoding="utf-8")
    page, errors, _ = _open(browser, place, 1280)
    colour = """document.getElementById("chart-equity").data[0].line.color"""
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {colour} !== '{light}'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(245, 246, 248)"
    assert errors == []
    page.close()
