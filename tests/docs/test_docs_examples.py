"""The worked examples of model.md and venues.md, played by the engine: the pages' numbers are these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.venues.profile import load

HOUR_MS = 3_600_000
START_MS = 1_709_251_200_000
"""2024-03-01T00:00Z."""

Candle = tuple[float, float, float, float]


class Hold(backtest.Strategy):
    """Goes to fixed quantities at the first close, so that they fill at the open of the second candle."""

    def __init__(self, **quantities: float) -> None:
        super().__init__()
        self.quantities = quantities

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol, quantity in self.quantities.items():
            account.target(symbol, qty=quantity)
        self.quantities = {}


def rows(candles: list[Candle | float], interval_ms: int = HOUR_MS) -> pl.DataFrame:
    """A number is a candle that stays at that price."""
    full = [candle if isinstance(candle, tuple) else (candle,) * 4 for candle in candles]
    stamps = [START_MS + k * interval_ms for k in range(len(full))]
    prices = {name: [float(c[j]) for c in full] for j, name in enumerate(("open", "high", "low", "close"))}
    ts = pl.Series("ts", stamps).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame({"ts": ts, **prices, "volume": [1.0] * len(full)})


def write(folder: Path, kind: str, symbol: str, frame: pl.DataFrame) -> None:
    place = folder / kind / f"symbol={symbol}"
    place.mkdir(parents=True)
    frame.write_parquet(place / "part.parquet")


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Play hourly candles by symbol with quantities held from the second candle on."""

    def play(candles: dict[str, list[Candle | float]], held: dict[str, float], **settings: Any) -> Any:
        if not (tmp_path / "candles").exists():
            for symbol, prices in candles.items():
                write(tmp_path, "candles", symbol, rows(prices))
            steps = "".join(f"[symbols.{symbol}]\nstep = 0.001\n" for symbol in candles)
            (tmp_path / "dataset.toml").write_text('[dataset]\ninterval = "1h"\n' + steps, encoding="utf-8")
        allow = () if (tmp_path / "funding").exists() else ("missing-funding",)
        return backtest.run(Hold(**held), tmp_path, allow=allow, **settings)

    return play


# Both fall 12 % in the second candle and come back: BTC to 52,800, ETH to 2,640.
FALL = {"BTC": [60_000, (60_000, 60_000, 52_800, 60_000), 60_000], "ETH": [3_000, (3_000, 3_000, 2_640, 3_000), 3_000]}
BOOK = {"BTC": 10.0, "ETH": -200.0}


def test_hedged_book_lives_on_the_joint_path(play: Any) -> None:
    result = play(FALL, BOOK, cash=100_000)
    assert result.metrics["pool_liquidations"] == 0
    assert result.metrics["final_equity"] == 100_000
    assert result.metrics["ambiguous_candles"] == 1


def test_hedged_book_dies_when_every_leg_is_at_its_worst(play: Any) -> None:
    # At 52,800 and 3,000 at once: equity 100,000 − 72,000 = 28,000; maintenance 3 % of 528,000 + 600,000 = 33,840.
    result = play(FALL, BOOK, cash=100_000, path="worst")
    assert result.metrics["pool_liquidations"] == 1
    assert result.metrics["ambiguous_candles"] == 1
    assert play(FALL, BOOK, cash=100_000, path="best").metrics["pool_liquidations"] == 0


def test_single_long_is_liquidated_by_the_wick(play: Any) -> None:
    # 40,000 + 10 (p − 60,000) = 0.03 × 10 p at p = 560,000 / 9.7; health goes from 22,000 to −47,840 in 20 minutes.
    result = play({"BTC": FALL["BTC"]}, {"BTC": 10.0}, cash=40_000)
    (row,) = result.tables["liquidations"].to_dicts()
    assert row["price"] == pytest.approx(57_731.958763, abs=1e-6)
    assert row["ts"].strftime("%H:%M:%S") == "01:06:18"
    assert row["equity_before"] == pytest.approx(17_319.59, abs=0.005)
    assert row["maintenance_before"] == pytest.approx(17_319.59, abs=0.005)
    assert row["penalty"] == pytest.approx(5_773.20, abs=0.005)
    assert result.metrics["final_equity"] == pytest.approx(11_546.39, abs=0.005)
    assert play({"BTC": FALL["BTC"]}, {"BTC": 10.0}, cash=40_000, path="best").metrics["final_equity"] == 40_000


@pytest.mark.parametrize(
    ("margin", "leverage", "initial", "price"),
    [
        ("cross", None, 3_000, 51_546.39),  # 50,000 / 0.97
        ("cross", 10, 6_000, 51_546.39),
        ("isolated", "max", 3_000, 58_762.89),  # 57,000 / 0.97
        ("isolated", 10, 6_000, 55_670.10),  # 54,000 / 0.97
        ("isolated", None, 6_000, 55_670.10),  # the default of generic is 10 times
    ],
)
def test_liquidation_price(play: Any, margin: str, leverage: float | str | None, initial: float, price: float) -> None:
    result = play({"BTC": [60_000] * 3}, {"BTC": 1.0}, cash=10_000, margin=margin, leverage=leverage)
    pool = result.tables["margin"].row(-1, named=True)
    assert (pool["initial"], pool["maintenance"]) == (initial, 1_800)
    assert pool["equity"] == (10_000 if margin == "cross" else initial)
    assert result.tables["positions"]["liquidation_price"][-1] == pytest.approx(price, abs=0.005)


# Down 10 % and back to where it was.
DIP = {
    "BTC": [60_000, (60_000, 60_000, 54_000, 54_000), (54_000, 60_000, 54_000, 60_000), 60_000],
    "ETH": [3_000, (3_000, 3_000, 2_700, 2_700), (2_700, 3_000, 2_700, 3_000), 3_000],
}
PAIR = {"BTC": 2.0, "ETH": -40.0}


def test_pair_in_cross(play: Any) -> None:
    result = play(DIP, PAIR, cash=100_000)
    assert result.metrics["pool_liquidations"] == 0
    assert result.tables["equity"]["equity"].to_list() == [100_000] * 4
    assert result.tables["margin"]["maintenance"].to_list() == [6_480, 7_200, 7_200]  # 3 % of 216,000, of 240,000


def test_pair_in_isolated(play: Any) -> None:
    # BTC's pool: 6,000 + 2 (p − 60,000) = 0.03 × 2 p at p = 114,000 / 1.94. It lost 2 × 1,237.11 = 2,474.23; of the
    # 3,525.77 left 1 % of 117,525.77 is the penalty, and 2,350.52 goes to the wallet, which had 88,000.
    result = play(DIP, PAIR, cash=100_000, margin="isolated", leverage="max")
    (row,) = result.tables["liquidations"].to_dicts()
    assert (row["symbol"], row["bad_debt"]) == ("BTC", 0)
    expected = {"price": 58_762.89, "equity_before": 3_525.77, "penalty": 1_175.26, "equity_after": 2_350.52}
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=0.005)
    # At the low the short is 12,000 ahead (90,350.52 + 18,000), and it gives that back on the way up.
    equity = result.tables["equity"]["equity"].to_list()
    assert equity == pytest.approx([100_000, 108_350.52, 96_350.52, 96_350.52], abs=0.005)


STAGED = """
name = "staged"
extends = "generic"
[[liquidation]]
take = "share"
portion = 0.2
every = "30s"
price = "mark"
"""
# From 60,000 to a low and back within the second hour: the low comes after 20 minutes.
SLIDE = [60_000, (60_000, 60_000, 51_400, 60_000), 60_000]


def test_a_fifth_at_a_time_saves_the_rest(play: Any, tmp_path: Path) -> None:
    # 10,000 + (p − 60,000) = 0.03 p at p = 50,000 / 0.97 = 51,546.39, equity there 1,546.39. A fifth is 0.2 BTC, worth
    # 10,309.28, and 1 % of it is 103.09. What is left: 1,443.30 against 3 % of 0.8 × 51,546.39 = 1,237.11.
    (tmp_path / "staged.toml").write_text(STAGED, encoding="utf-8")
    result = play({"BTC": SLIDE}, {"BTC": 1.0}, cash=10_000, venue=tmp_path / "staged.toml")
    (row,) = result.tables["liquidations"].to_dicts()
    assert (row["stage"], row["qty"]) == ("partial", -0.2)
    expected = {
        "price": 51_546.39, "penalty": 103.09, "equity_before": 1_546.39, "maintenance_before": 1_546.39,
        "equity_after": 1_443.30, "maintenance_after": 1_237.11,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=0.005)
    # The next step would come at (0.8 × 51,546.39 − 1,443.30) / 0.776 = 51,280.68, below the low; and then
    # 1,443.30 + 0.8 × (60,000 − 51,546.39) = 8,206.19.
    assert result.metrics["final_equity"] == pytest.approx(8_206.19, abs=0.005)
    assert result.metrics["liquidation_steps"] == 1


def test_the_whole_pool_at_once_leaves_what_it_had_then(play: Any) -> None:
    # 1,546.39 less 1 % of 51,546.39.
    result = play({"BTC": SLIDE}, {"BTC": 1.0}, cash=10_000)
    assert result.tables["liquidations"]["stage"].to_list() == ["whole"]
    assert result.metrics["final_equity"] == pytest.approx(1_030.93, abs=0.005)


def test_a_hedge_in_the_three_modes(play: Any) -> None:
    # Generic's portfolio: at least 30 % of the sum, else 3 % of the net and 2 % of each leg (maintenance 1.8 % and
    # 1.2 %). With 600,000 on each side: 5 % × 1,200,000 = 60,000 and 3 % × 1,200,000 = 36,000 in cross; the net is
    # nothing, so 2 % and 1.2 % of 1,200,000, 24,000 and 14,400, in portfolio (the floors are 18,000 and 10,800).
    prices = {"BTC": [60_000] * 3, "ETH": [3_000] * 3}
    for margin, initial, maintenance in (("cross", 60_000, 36_000), ("portfolio", 24_000, 14_400)):
        pool = play(prices, BOOK, cash=100_000, margin=margin).tables["margin"].row(-1, named=True)
        assert (pool["initial"], pool["maintenance"]) == (initial, maintenance)
    pools = play(prices, BOOK, cash=100_000, margin="isolated", leverage="max").tables["margin"].tail(2)
    assert pools["initial"].to_list() == [30_000, 30_000]
    assert pools["maintenance"].to_list() == [18_000, 18_000]


GAP = {"BTC": [60_000, 60_000, 55_000, 55_000]}


def test_gap_through_an_isolated_pool(play: Any) -> None:
    # 3,000 posted, 5,000 lost at the open: the pool is 2,000 under, and the wallet keeps its 7,000.
    result = play(GAP, {"BTC": 1.0}, cash=10_000, margin="isolated", leverage="max")
    (row,) = result.tables["liquidations"].to_dicts()
    assert (row["price"], row["equity_before"], row["maintenance_before"]) == (55_000, -2_000, 1_650)
    assert (row["penalty"], row["bad_debt"]) == (0, 2_000)
    assert result.metrics["final_equity"] == 7_000
    ledger = result.tables["ledger"].select("debit", "credit", pl.col("amount_micro") / 1e6, "code").rows()
    assert ledger == [
        ("wallet", "capital", 10_000, "deposit"),
        ("trades", "pool:BTC", 60_000, "trade"),
        ("pool:BTC", "wallet", 3_000, "margin"),
        ("pool:BTC", "trades", 55_000, "trade"),
        ("pool:BTC", "bad_debt", 2_000, "bad_debt"),
    ]


def test_gap_in_cross(play: Any) -> None:
    result = play(GAP, {"BTC": 1.0}, cash=10_000)
    assert result.metrics["pool_liquidations"] == 0
    assert result.metrics["final_equity"] == 5_000
    assert result.tables["margin"]["maintenance"][-1] == 1_650


def test_funding_is_paid_on_what_was_held_before_the_stamp(play: Any, tmp_path: Path) -> None:
    # Sent at 01:00, filled at the open of 01:00: the settlement of 01:00 finds nothing, that of 02:00 finds 1 BTC.
    stamps = pl.Series("ts", [START_MS + k * HOUR_MS for k in range(3)]).cast(pl.Datetime("ms", "UTC"))
    write(tmp_path, "funding", "BTC", pl.DataFrame({"ts": stamps, "rate": [0.0001] * 3}))
    result = play({"BTC": [60_000] * 3}, {"BTC": 1.0}, cash=10_000)
    assert result.tables["fills"]["ts"].dt.hour().to_list() == [1]
    assert result.tables["funding"].select(pl.col("ts").dt.hour(), "payment").rows() == [(2, -6.0)]


def test_derived_mark(tmp_path: Path) -> None:
    # Half-hour candles at 60,000, 60,500, 61,000; marks at 10:00 and 11:00 (here rows 0 and 2): basis 0.999, 1.001.
    half = HOUR_MS // 2
    write(tmp_path, "candles", "BTC", rows([60_000, 60_500, 61_000, 61_000], half))
    write(tmp_path, "mark", "BTC", rows([(59_940, 61_100, 59_900, 61_061), (61_061, 61_100, 61_000, 61_061)]))
    chunk = next(select(Catalog.open(tmp_path)).chunks(100))
    opens = chunk.panel[4, :, 0]
    assert opens[0] == 59_940
    assert opens[1] == 60_500  # basis 1.000, half way between
    assert opens[2] == 61_061
    assert not np.isnan(chunk.panel).any()


def test_tiers_of_the_page(tmp_path: Path) -> None:
    # Up to 1,000,000: 5 % and 3 %; beyond: 10 % and 6 %. The deductions are 1,000,000 × 5 % and × 3 %.
    file = tmp_path / "v.toml"
    head = 'name = "v"\nsource = "docs"\ndate = 2026-01-01\nquote = "USDC"\n'
    first = "[[tiers]]\nupto = 1_000_000\ninitial = 0.05\nmaintenance = 0.03\n"
    file.write_text(head + first + "[[tiers]]\ninitial = 0.10\nmaintenance = 0.06\n", encoding="utf-8")
    low, high = load(file).tiers("ANY")
    assert (low.initial_deduction, low.maintenance_deduction) == (0, 0)
    assert (high.initial_deduction, high.maintenance_deduction) == (50_000_000_000, 30_000_000_000)
    # 1,500,000: 150,000 − 50,000 = 100,000 initial, 90,000 − 30,000 = 60,000 maintenance
    assert 1_500_000 * high.initial - high.initial_deduction / 1e6 == pytest.approx(100_000)
    assert 1_500_000 * high.maintenance - high.maintenance_deduction / 1e6 == pytest.approx(60_000)
