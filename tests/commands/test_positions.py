"""`--positions`: a file instead of a strategy, the same account in `margin`, `run` and `compare`, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import UserError
from tests.rules_index import rule
from tests.small_market import Ended

DATA: dict[str, Any] = {"data": "binance-2025", "start": "2025-10-09", "end": "2025-10-12"}
BTC = {"symbol": "BTCUSDT", "qty": 0.5, "entry": 100_000.1, "leverage": 10}
ETH = {"symbol": "ETHUSDT", "qty": -8, "entry": 4_300.5}
BOOK = [BTC, ETH]
VENUES = ("binance_usdm", "dydx_v4", "hyperliquid", "bybit_linear", "generic", "okx_swap")


def micro(value: float) -> int:
    return round(value * 1_000_000)


@rule("2.1")
@pytest.mark.parametrize("venue", VENUES)
def test_margin_run_and_compare_agree_at_the_first_instant(venue: str) -> None:
    book = {"venue": venue, "margin": "cross", "collateral": 30_000, "positions": BOOK}
    compared = backtest.compare(positions=book, **DATA, margin=("isolated", "cross", "portfolio"))
    for result in compared.results:
        asked = backtest.margin(book, margin=result.label, data=DATA["data"], at=DATA["start"], down=5, up=5)
        alone = backtest.run(positions=book, **DATA, margin=result.label)
        assert alone.digest == result.digest
        for found in (result.summary["opening"], alone.summary["opening"]):
            assert micro(found["equity"]) == micro(asked.equity)
            assert micro(found["initial_margin"]) == micro(asked.initial)
            assert micro(found["maintenance_margin"]) == micro(asked.maintenance)
            pools = {one.pool: one for one in asked.pools}
            for pool in found["pools"]:
                name = pool["pool"] if pool["pool"] in pools else "wallet" if "wallet" in pools else result.label
                same = pools[name]
                expected = [micro(value) for value in (same.equity, same.initial, same.maintenance)]
                assert [micro(pool[n]) for n in ("equity", "initial", "maintenance")] == expected
        assert result.metrics["start_cash"] == pytest.approx(asked.equity, abs=1e-6)


def test_books_in_all_formats_give_the_same_digest(tmp_path: Path) -> None:
    files = {
        "a.csv": "symbol;qty;entry;leverage\nETHUSDT;-8;4300.5;\nBTCUSDT;0.5;100000.1;10\n",
        "a.json": json.dumps(BOOK),
        "b.json": json.dumps({"positions": BOOK}),
        "calculator.toml": 'venue = "binance_usdm"\nmargin = "cross"\ncollateral = 9000\ndate = 2025-10-09\n'
        + "".join(
            "[[positions]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items()) + "mark = 1\n"
            for row in BOOK
        ),
    }
    digests = {backtest.run(positions=BOOK, cash=9_000, **DATA).digest}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        cash = {} if name.startswith("calculator") else {"cash": 9_000}
        digests.add(backtest.run(positions=tmp_path / name, **cash, **DATA).digest)
    assert len(digests) == 1


def test_a_report_holds_its_positions_and_runs_again(tmp_path: Path, command: Callable[..., Ended]) -> None:
    (tmp_path / "book.csv").write_text("symbol,qty,entry\nBTCUSDT,0.5,100000.1\nETHUSDT,-8,\n")
    flags = ["--data", DATA["data"], "--start", DATA["start"], "--end", DATA["end"], "--cash", "9000"]
    out = tmp_path / "report"
    first = command("run", "--positions", str(tmp_path / "book.csv"), *flags, "--out", str(out), "--json")
    (tmp_path / "book.csv").unlink()
    again = command("run", "--config", str(out / "run.toml"), "--out", str(tmp_path / "again"), "--json")
    assert json.loads(first.out)["digest"] == json.loads(again.out)["digest"]
    assert backtest.verify(out).ok
    fills = pl.read_parquet(out / "fills.parquet")
    assert fills["cause"].to_list()[:2] == ["opening", "strategy"]
    assert fills["fee"].to_list()[0] == 0 < fills["fee"].to_list()[1]
    asked = backtest.margin(from_run=out, at="2025-10-10T21:00", down=5, up=5)
    equity = pl.read_parquet(out / "equity.parquet").filter(pl.col("ts").dt.strftime("%d %H") == "10 21")
    assert (asked.equity, asked.margin) == (pytest.approx(equity["equity"][0], abs=2e-6), "cross")
    worst = backtest.margin(from_run=out, at="worst", down=5, up=5)
    ratios = pl.read_parquet(out / "equity.parquet")["margin_ratio"]
    assert worst.margin_ratio == pytest.approx(ratios.max(), rel=1e-6)


def test_rebalancing_brings_the_weights_back() -> None:
    held = backtest.run(positions=BOOK, cash=90_000, **DATA)
    moved = backtest.run(positions=BOOK, cash=90_000, rebalance="12h", fee_bps=0, **DATA)
    assert held.tables["fills"].height == 2  # nothing is traded
    opening = moved.summary["opening"]
    weights = {one["symbol"]: one["qty"] for one in opening["positions"]}
    assert weights == {"BTCUSDT": 0.5, "ETHUSDT": -8}
    traded = moved.tables["fills"].filter(pl.col("cause") == "strategy")["ts"].dt.hour().unique().sort()
    assert traded.to_list() == [0, 12]
    equity, positions = moved.tables["equity"], moved.tables["positions"]
    # an hour after a decision at noon: within what the hour has moved of the weight at the start
    hour = positions["ts"].unique().sort()[13]
    one = positions.filter((pl.col("ts") == hour) & (pl.col("symbol") == "BTCUSDT")).row(0, named=True)
    mark = backtest.margin({"positions": BOOK}, venue="generic", margin="cross", collateral=90_000,
                           data="binance-2025", at=DATA["start"], down=5, up=5)  # fmt: skip
    weight = mark.positions[0].notional / mark.equity
    total = equity.filter(pl.col("ts") == hour)["equity"][0]
    assert one["notional"] / total == pytest.approx(weight, rel=0.02)


def test_positions_are_swept_and_delayed(tmp_path: Path) -> None:
    swept = backtest.sweep(positions=BOOK, **DATA, vary={"cash": [9_000, 20_000]}, threads=True, out=tmp_path / "sweep")
    assert swept.frame["digest"].null_count() == 0
    assert len(set(swept.frame["digest"])) == 2
    assert swept.result(0).digest == backtest.run(positions=BOOK, cash=9_000, **DATA).digest
    curve = backtest.latency(positions=[{"symbol": "BTCUSDT", "qty": 0.1}], grid="0,60000", **DATA)
    late = [result.tables["fills"]["ts"].dt.minute()[0] for result in curve.results]
    assert late == [0, 1]


BAD = {
    "symbol,qty\nBTCUSDT,1\nBTCUSDT,2\n": "BTCUSDT has a position above",
    "symbol,qty\nBTCUSDT,0\n": "qty (BTCUSDT): is 0",
    "symbol,quantity\nBTCUSDT,1\n": "unknown key",
    "symbol,qty\nBTCUSD,1\n": "did you mean 'BTCUSDT'?",
    "symbol,qty\nBTCUSDT,0.00015\n": "not a multiple of the market's step",
    "symbol,qty,entry\nBTCUSDT,1,-5\n": "-5 is not above 0",
    "symbol,qty,posted\nBTCUSDT,1,500\n": "is given without an entry",
    "symbol,qty\n": "there is no position",
    "symbol,qty\nBTCUSDT,1,000\n": "3 cells under 2 columns",
    '{"positions": [{"symbol": "BTCUSDT", "qty": 1}], "open_orders": [{"symbol": "BTCUSDT", "qty": 1}]}': "open orders",
    "symbol,qty,mode\nBTCUSDT,1,crss\n": "did you mean 'cross'?",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(UserError) as error:
        backtest.run(positions=tmp_path / "bad.txt", **DATA)
    assert BAD[text] in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "bad.txt") in str(error.value)


def test_a_position_needs_a_price_at_the_start_and_stands_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no strategy is given"):
        backtest.run(**DATA)
    with pytest.raises(UserError, match="leave one of them out"):
        backtest.run("sma_cross", positions=BOOK, **DATA)
    with pytest.raises(UserError, match="give them with positions="):
        backtest.run("sma_cross", rebalance="1d", **DATA)
    with pytest.raises(UserError, match=r"is 3,.* less than isolated positions have posted"):
        backtest.run(positions=[{**BTC, "mode": "isolated", "posted": 12_000}], cash=9_000, **DATA)
