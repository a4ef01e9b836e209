"""The page of a real run in a browser: tables sort, filter and copy what Parquet holds, a click on a trade moves the
candles, its figures are those that SQL finds in the tables, and it is rebuilt from them to the same bytes."""

from __future__ import annotations

import csv
import io
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import backtest
from backtest.report import formatting as fmt
from backtest.report.packing import inflated, script_hash, unpacked
from backtest.results import report_files
from backtest.runner.rebuild import rebuild
from tests.commands.test_report_browser import DRAWN, _open, browser
from tests.small_market import MANIFEST, candles, put
from tests.unit.test_report import Page

__all__ = ["browser"]

SWING = '''from backtest import Strategy


class Swing(Strategy):
    """Buys and sells in turns, so that there are many trades."""

    def on_candle(self, market, account):
        for n, symbol in enumerate(market.symbols):
            account.target(symbol, qty=(self.turn + n) % 3 - 1)
        self.turn += 1

    def on_start(self, market, account):
        self.turn = 0
'''


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 30 days with hundreds of trades."""
    place = tmp_path_factory.mktemp("page")
    frame = candles(30 * 24).with_columns(wave=(pl.int_range(pl.len()) / 50).sin() * 8)
    frame = frame.with_columns(pl.col("open", "high", "low", "close") + pl.col("wave")).drop("wave")
    data = place / "market"
    put(frame, data, "candles")
    put(frame.with_columns(pl.col("open", "high", "low", "close") / 2), data, "candles", "ETH-USD")
    (data / "dataset.toml").write_text(MANIFEST, encoding="utf-8")
    (place / "swing.py").write_text(SWING, encoding="utf-8")
    backtest.run(str(place / "swing.py"), data, out=place / "report", allow=("missing-funding",), fee_bps=2)
    return place / "report"


def one(sql: str, report: Path) -> Any:
    """The only value of a query over the report's tables: `{equity}` is the path of one."""
    with duckdb.connect() as con:
        named = re.sub(r"\{(\w+)\}", lambda m: f"'{report / m[1]}.parquet'", sql)
        return con.execute(named).fetchone()[0]  # type: ignore[index]


def test_the_page_is_rebuilt_to_the_same_bytes_without_strategy_and_data(report: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(report, tmp_path / "alone")
    written = (report / "report.html").read_bytes()
    (alone / "report.html").unlink()
    assert rebuild(alone) == alone / "report.html"
    assert (alone / "report.html").read_bytes() == written
    fills = pl.read_parquet(alone / "fills.parquet").with_columns(pl.col("fee") + 1)
    fills.write_parquet(alone / "fills.parquet")
    with pytest.raises(backtest.UserError, match="are not those that the summary's digest"):
        rebuild(alone)


def test_verify_makes_the_page_and_its_candles_again(report: Path, tmp_path: Path) -> None:
    assert backtest.verify(report).ok
    other = shutil.copytree(report, tmp_path / "other")
    drawn = pl.read_parquet(other / "candles.parquet")
    drawn.with_columns(pl.col("low") - 1).write_parquet(other / "candles.parquet")
    assert "candles.parquet" in backtest.verify(other, trust=True).unequal


def test_figures_are_those_that_sql_finds(report: Path) -> None:
    """Independent of the package: DuckDB over the Parquet files."""
    text = Page((report / "report.html").read_text(encoding="utf-8")).text
    cash = 100_000.0
    end = one("select last(equity + reserve + in_flight order by ts) from {equity}", report)
    expected = {
        "Return": f"{'+' * (end > cash)}{fmt.percent(end / cash - 1)}",
        "Equity at the end": fmt.number(end),
        "Fees": fmt.number(-one("select sum(fee) from {fills}", report)),
        "Trades": f"{one('select count(*) from {trades}', report):,}",
        "Fills": f"{one('select count(*) from {fills}', report):,}",
        "Orders rejected": f"{one('select count(*) from {orders} where status = $$rejected$$', report):,}",
        "Largest drawdown at closes": fmt.percent(
            one("""select min(t / greatest(100000, m) - 1) from (select equity t, max(equity) over (order by ts) m
                from {equity})""", report)
        ),
        "Largest leverage": f"{one('select max(gross_notional / equity) from {equity}', report):,.2f}x",
        "Mean leverage": f"{one('select avg(gross_notional / equity) from {equity}', report):,.2f}x",
        "Distance to liquidation at closes": fmt.percent(
            one("""select min((equity - maintenance_margin) / gross_notional) from {equity}
                where gross_notional > 0""", report)
        ),
        "Winning trades": fmt.percent(one("select avg((net > 0)::int) from {trades}", report)),
        "Profit factor": fmt.number(
            one("select sum(net) filter (net > 0) / -sum(net) filter (net < 0) from {trades}", report)
        ),
        "Expectancy per trade": fmt.signed(one("select avg(net) from {trades}", report)),
        "Average win": fmt.signed(one("select avg(net) filter (net > 0) from {trades}", report)),
        "Average loss": fmt.signed(one("select avg(net) filter (net < 0) from {trades}", report)),
        "Time with a position": fmt.percent(one("select avg((gross_notional > 0)::int) from {equity}", report)),
    }  # fmt: skip
    daily = """with m as (select last(equity order by ts) e, date_trunc('day', ts - interval 1 millisecond) d
        from {equity} group by d order by d), r as (select e / lag(e, 1, 100000.0) over (order by d) - 1 r from m) """
    expected["Sharpe"] = fmt.number(one(f"{daily} select sqrt(365) * avg(r) / stddev_samp(r) from r", report))
    expected["Volatility per year"] = fmt.percent(one(f"{daily} select sqrt(365) * stddev_samp(r) from r", report))
    wrong = {title: said for title, said in expected.items() if f"{title} {said}" not in text}
    assert wrong == {}
    assert f"VaR {fmt.percent(one(f'{daily} select quantile_cont(r, 0.05) from r', report))}" in str(
        Page((report / "report.html").read_text(encoding="utf-8")).figures["distribution"]
    )


def test_candles_reach_every_wick(report: Path) -> None:
    """The highest and the lowest price of each market are drawn, however long the candles."""
    drawn = pl.read_parquet(report / "candles.parquet")
    market = pl.read_parquet(report.parent / "market" / "candles" / "**" / "*.parquet")
    for (_, _), part in drawn.group_by("symbol", "interval_ms"):
        assert set(part["ts"].diff().drop_nulls().dt.total_milliseconds() % part["interval_ms"][0]) == {0}
    longest = drawn.filter(pl.col("interval_ms") == pl.col("interval_ms").max())
    assert longest["high"].max() == pytest.approx(market["high"].max())
    assert longest["low"].min() == pytest.approx(market["low"].min())


def test_the_policy_allows_two_scripts_and_no_request(report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', unescape(html.split("<title>")[0]))
    page = Page(html)
    allowed = {script_hash(page.scripts[""]), script_hash(unpacked(page.scripts["library"]))}
    assert set(re.findall(r"'sha256-[^']+'", policy)) == allowed
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    assert len(html) < 2_100_000 + len(page.scripts["figures"]) + len(page.scripts["rows"])
    assert "</script>" not in inflated(html).split('id="figures">')[1].split("</script>")[0]


RANGE = """(id) => document.getElementById(id).layout.xaxis.range.map((d) => Date.parse(`${d}Z`.replace(" ", "T")))"""
COPIED = """async () => { window.copied = ""; navigator.clipboard.writeText = async (t) => { window.copied = t; }; }"""


def test_tables_sort_filter_page_and_copy(report: Path, browser: Any) -> None:
    page, errors, asked = _open(browser, report / "report.html", 1280)
    assert [(chart["name"], chart["marks"]) for chart in page.evaluate(DRAWN) if not chart["marks"]] == []
    page.evaluate(COPIED)
    table = page.locator("#table-trades")
    trades = pl.read_parquet(report / "trades.parquet")
    assert table.locator("tbody tr").count() == 25
    assert f"1–25 of {len(trades):,}" in table.locator(".count").inner_text()
    table.get_by_role("button", name="Copy CSV").click()
    rows = list(csv.DictReader(io.StringIO(page.evaluate("window.copied"))))
    assert len(rows) == len(trades)
    for name in ("net", "qty", "entry_price", "fees"):
        assert [float(row[name]) for row in rows] == trades[name].to_list()
    assert [row["ts_entry"] for row in rows] == trades["ts_entry"].dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_list()
    table.get_by_role("button", name="Net", exact=True).click()
    table.get_by_role("button", name="Copy CSV").click()
    ordered = [float(row["net"]) for row in csv.DictReader(io.StringIO(page.evaluate("window.copied")))]
    shown = [float(fmt.number(value).replace(",", "")) for value in ordered]
    assert shown == sorted(shown)
    assert sorted(ordered) == sorted(trades["net"].to_list())
    table.get_by_role("searchbox").fill("eth-usd")
    table.get_by_role("button", name="Copy Markdown").click()
    lines = page.evaluate("window.copied").splitlines()
    assert len(lines) == 2 + trades.filter(pl.col("symbol") == "ETH-USD").height
    assert all("ETH-USD" in line for line in lines[2:])
    table.get_by_role("button", name="Next").click()
    assert table.locator(".count").inner_text().startswith("26–")
    assert (errors, asked) == ([], [(report / "report.html").as_uri()])
    page.close()


def test_a_click_on_a_trade_moves_the_candles(report: Path, browser: Any) -> None:
    page, errors, _ = _open(browser, report / "report.html", 1280)
    trades = pl.read_parquet(report / "trades.parquet")
    before = page.evaluate("document.getElementById('chart-market').layout.xaxis.range.map(Number)")
    row = next(n for n, symbol in enumerate(trades["symbol"].to_list()) if symbol == "ETH-USD" and n > 9)
    page.locator("#table-trades tbody .go").nth(row).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('chart-market').dataset.trade")
    assert page.evaluate("document.getElementById('market-choice').value") == "ETH-USD"
    after = page.evaluate(
        "document.getElementById('chart-market').layout.xaxis.range.map((d) => Date.parse(`${d}Z`.replace(' ', 'T')))"
    )
    entry, end = (trades[name][row].timestamp() * 1000 for name in ("ts_entry", "ts_exit"))
    assert after[0] < entry <= end < after[1]
    assert after[1] - after[0] < (before[1] - before[0]) / 4
    shown = page.evaluate(
        "document.getElementById('chart-equity').layout.xaxis.range.map((d) => Date.parse(`${d}Z`.replace(' ', 'T')))"
    )
    assert shown == after
    assert errors == []
    page.close()


def test_a_report_without_candles_is_still_a_report(report: Path, tmp_path: Path) -> None:
    old = shutil.copytree(report, tmp_path / "old")
    (old / "candles.parquet").unlink()
    rebuild(old)
    assert "run it again to see them" in Page((old / "report.html").read_text(encoding="utf-8")).text
    assert report_files.stored(old).beside == {}
