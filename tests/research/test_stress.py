"""`backtest stress`: each event against numbers worked out by hand, and the table against single runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Stress, UserError
from backtest.data.catalog import Catalog
from backtest.data.scenarios.cascade import cascade
from backtest.data.scenarios.curve import moved
from backtest.data.scenarios.overlay import MarketShock, Overlay
from backtest.data.scenarios.shocked_candles import Hold
from backtest.data.select import select
from tests import small_market as small

START = datetime(2024, 3, 1, tzinfo=UTC)
PLAIN = {"fee_bps": 0.0, "cash": 100_000.0, "margin": "cross", "venue": "generic"}
MANIFEST = (
    '[dataset]\ninterval = "{every}m"\nquote = "USD"\n\n'
    "[symbols.BTC-USD]\nstep = 0.001\n[symbols.ETH-USD]\nstep = 0.001\n"
)


def dataset(folder: Path, closes: dict[str, Sequence[float]], every: int = 60, rate: float = 0.0) -> Path:
    """Candles that go straight from close to close, marks like them, and funding every eight hours."""
    for symbol, values in closes.items():
        rows = len(values)
        ts = [START + timedelta(minutes=every) * i for i in range(rows)]
        opens = [values[0], *values[:-1]]
        frame = pl.DataFrame(
            {
                "ts": ts, "open": opens, "high": [max(p) for p in zip(opens, values, strict=True)],
                "low": [min(p) for p in zip(opens, values, strict=True)], "close": list(values),
                "volume": [1_000.0] * rows,
            },
            schema_overrides={"ts": small.STAMP},
        )  # fmt: skip
        small.put(frame, folder, "candles", symbol)
        small.put(frame.drop("volume"), folder, "mark", symbol)
        stamps = [START + timedelta(hours=8) * i for i in range(-(-rows * every // 480))]
        funding = pl.DataFrame({"ts": stamps, "rate": [rate] * len(stamps)}, schema_overrides={"ts": small.STAMP})
        small.put(funding, folder, "funding", symbol)
    (folder / "dataset.toml").write_text(MANIFEST.format(every=every))
    return folder


def holding(**quantities: float) -> type[backtest.Strategy]:
    """A strategy that buys these quantities at the second open and keeps them."""

    class Holding(backtest.Strategy):
        def on_start(self, market: backtest.Market, account: backtest.Account) -> None:
            self.bought = False

        def on_candle(self, market: backtest.Market, account: backtest.Account) -> None:
            if not self.bought:
                self.bought = True
                for name, quantity in quantities.items():
                    account.target(f"{name}-USD", qty=quantity)

    return Holding


@pytest.fixture
def stressed(tmp_path: Path) -> Callable[..., Stress]:
    """Stress a book under one scenario of these tables."""

    def play(data: Path, book: dict[str, float], tables: str, **settings: object) -> Stress:
        pack = tmp_path / "pack.toml"
        pack.write_text(f'[[scenario]]\nname = "one"\n{tables}')
        return backtest.stress(holding(**book), data, scenario=str(pack), workers=1, **{**PLAIN, **settings})  # type: ignore[arg-type]

    return play


def outcome(made: Stress) -> dict[str, object]:
    """The row of the scenario."""
    return made.frame.filter(pl.col("scenario") == "one").row(0, named=True)


def flat(tmp_path: Path, hours: int = 72, price: float = 30_000.0, **more: float) -> Path:
    return dataset(tmp_path / "flat", {"BTC-USD": [price] * hours}, **more)  # type: ignore[arg-type]


def test_a_fall_liquidates_at_the_exact_price(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    # 20 BTC at 30,000 on 100,000: equity 100,000 + 20 (p − 30,000) = 3 % of 20 p where 19.4 p = 500,000: p = 25,773.20.
    data = flat(tmp_path)
    tables = 'at = "start+24h"\n[scenario.price]\nmove = "{}"\nover = "10m"\n'
    dead = outcome(stressed(data, {"BTC": 20}, tables.format("-15%")))
    assert not dead["survived"]
    # 25,773.20 is −14.09 % of 15 % in 10 minutes: 9.392 minutes after the open, on the line to the low at 20 minutes.
    assert dead["first_liquidation"].date() == (START + timedelta(days=1)).date()  # type: ignore[attr-defined]
    assert "25,773.2" in str(dead["reason"])
    alive = outcome(stressed(data, {"BTC": 20}, tables.format("-14%")))
    assert alive["survived"]
    assert alive["end_equity"] == pytest.approx(100_000 + 20 * (25_800 - 30_000))


def test_others_move_by_the_beta_of_the_thirty_days_before(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    # Every other hour BTC is 0.1 % higher and then back; ETH moves 1.5 times as far. The last hours are flat.
    returns = [0.001, 1 / 1.001 - 1] * 380 + [0.0] * 40
    btc, eth = [30_000.0], [2_000.0]
    for r in returns:
        btc.append(btc[-1] * (1 + r))
        eth.append(eth[-1] * (1 + 1.5 * r))
    scale = 2_000.0 / eth[-1]
    data = dataset(tmp_path / "beta", {"BTC-USD": btc, "ETH-USD": [e * scale for e in eth]})
    tables = 'at = "start+770h"\n[scenario.price]\nsymbols = ["BTC"]\nmove = "-10%"\nothers = "beta"\n'
    # Bought at the start: profits before the shock are those of the plain run.
    made = stressed(data, {"BTC": 10, "ETH": -150}, tables)
    plain = made.frame.row(0, named=True)
    # BTC 30,000 → 27,000 and ETH 2,000 → 1,700: −30,000 + 45,000.
    assert outcome(made)["end_equity"] == pytest.approx(plain["end_equity"] - 30_000 + 45_000, abs=0.01)


def test_funding_times_three_for_a_week(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    # 10 BTC at 30,000 pay 0.01 % of 300,000 = 30 every 8 hours: in a week 21 × 90 = 1,890 and not 630.
    data = flat(tmp_path, hours=240, rate=0.0001)
    made = stressed(data, {"BTC": 10}, 'at = "start+24h"\n[scenario.funding]\nfactor = 3\nfor = "7d"\n')
    plain = made.frame.row(0, named=True)
    assert plain["funding"] - outcome(made)["funding"] == pytest.approx(1_890 - 630)  # type: ignore[operator]
    set_ = stressed(data, {"BTC": 10}, 'at = "start+24h"\n[scenario.funding]\nrate = "0.03%"\nfor = "7d"\n')
    assert outcome(set_)["funding"] == outcome(made)["funding"]


@pytest.mark.parametrize(
    "tables",
    ["", '[scenario.price]\nmove = "0%"\n', '[scenario.funding]\nfactor = 1\nfor = "1d"\n',
     '[scenario.liquidity]\nspread = 1\ndepth = 1\nfor = "3h"\n', "[scenario.terms]\nmargin = 1\n"],
)  # fmt: skip
def test_a_scenario_without_effect_has_the_digest_of_the_plain_run(
    tmp_path: Path, stressed: Callable[..., Stress], tables: str
) -> None:
    data = flat(tmp_path, hours=240, rate=0.0001)
    slippage = {"slippage": ["half-spread=2", "impact=0.5"]}
    made = stressed(data, {"BTC": 10}, f'at = "start+24h"\n{tables}', **slippage)
    plain = backtest.run(holding(BTC=10), data, **PLAIN, **slippage)  # type: ignore[arg-type]
    assert made.frame["digest"].to_list() == [plain.digest, plain.digest]
    assert not outcome(made)["changed"]
    assert str(outcome(made)["reason"]).startswith("Unchanged: ")


def test_events_that_are_settings_give_the_digest_of_the_setting(
    tmp_path: Path, stressed: Callable[..., Stress]
) -> None:
    # 30-minute candles that fall by 8 % in one of them, and come back: the worst half hour of a long.
    values = [30_000.0] * 60 + [27_600.0] + [30_000.0] * 60
    data = dataset(tmp_path / "fall", {"BTC-USD": values}, every=30)
    halted = outcome(stressed(data, {"BTC": 10}, '[scenario.outage]\nfor = "30m"\n'))
    plain = backtest.run(holding(BTC=10), data, outages=["worst:30m"], **PLAIN)  # type: ignore[arg-type]
    assert halted["digest"] == plain.digest
    # Row 60 falls: it begins at the close of row 59.
    assert halted["at"] == START + timedelta(minutes=30 * 60)
    risen = dataset(tmp_path / "risen", {"BTC-USD": [30_000.0 + n for n in range(72)]})
    closed = outcome(stressed(risen, {"BTC": 10}, 'at = "start+30h"\n[scenario.adl]\nshare = "50%"\n'))
    plain = backtest.run(holding(BTC=10), risen, adl=["2024-03-02T06:00,*,0.5"], **PLAIN)  # type: ignore[arg-type]
    assert closed["digest"] == plain.digest
    assert closed["changed"]


def test_higher_margin_liquidates(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    # 20 BTC at 30,000 ask for 3 % of 600,000 = 18,000: five times that is 90,000 of the 100,000, six times 108,000.
    data = flat(tmp_path)
    tables = 'at = "start+24h"\n[scenario.terms]\nmargin = {}\nfor = "2h"\n'
    assert outcome(stressed(data, {"BTC": 20}, tables.format(5)))["survived"]
    dead = outcome(stressed(data, {"BTC": 20}, tables.format(6)))
    assert dead["first_liquidation"] == START + timedelta(days=1)


def test_marks_follow_lag_stay_or_go_alone(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    data = flat(tmp_path)
    tables = 'at = "start+24h"\n[scenario.price]\nmove = "-20%"\nover = "30m"\nrecover = "100% in 30m"\nmark = "{}"\n'
    died = {
        way: outcome(stressed(data, {"BTC": 20}, tables.format(way)))["first_liquidation"]
        for way in ("follows", "lags 3h", "only", "none")
    }
    assert died["none"] is None
    assert died["follows"] == died["only"]
    assert died["lags 3h"] == died["follows"] + timedelta(hours=3)  # type: ignore[operator]
    frozen = tables.format("follows") + '[scenario.oracle]\nfreeze = "2h"\n'
    assert outcome(stressed(data, {"BTC": 20}, frozen))["survived"]


def test_a_wider_spread_costs_in_its_hours_alone(tmp_path: Path, stressed: Callable[..., Stress]) -> None:
    # 10 BTC at 30,000 with half a spread of 2 bps cost 60; five times that in the hour in which they are bought.
    data = flat(tmp_path)
    tables = 'at = "{}"\n[scenario.liquidity]\nspread = 5\nfor = "1h"\n'
    hit = stressed(data, {"BTC": 10}, tables.format("start+1h"), slippage=["half-spread=2"])
    assert hit.frame["end_equity"].to_list() == pytest.approx([100_000 - 60, 100_000 - 300])
    missed = stressed(data, {"BTC": 10}, tables.format("start+3h"), slippage=["half-spread=2"])
    assert not outcome(missed)["changed"]


def test_a_shocked_candle_covers_its_path(tmp_path: Path) -> None:
    # Highs first, as the close is lower. Knots 100, 120, 90, 96 at 0, 20, 40 and 60 minutes. The factor is 1 until
    # minute 30, jumps to 0.5 there and rises to 0.6 at the close: 100, 120, (105 → 52.5), 90 × 8/15 = 48, 57.6.
    opened = datetime(2024, 3, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {"ts": [opened, opened + timedelta(hours=1)], "open": [100.0, 96.0], "high": [120.0, 97.0],
         "low": [90.0, 95.0], "close": [96.0, 96.0], "volume": [1.0, 1.0]},
        schema_overrides={"ts": small.STAMP},
    )  # fmt: skip
    small.put(frame, tmp_path / "one", "candles", "BTC-USD")
    catalog = Catalog.open(tmp_path / "one")
    at = int(opened.timestamp()) * 1000 + 30 * 60_000
    curve = moved(at, [(0, -0.5), (30 * 60_000, -0.4)])
    shocked = replace(catalog, overlay=Overlay((MarketShock("BTC-USD", (curve,), (curve,)),)))
    (chunk,) = select(shocked).chunks(10)
    expected = [[100, 96 * 0.6], [120, 97 * 0.6], [48, 95 * 0.6], [57.6, 96 * 0.6]]
    assert chunk.panel[:4, :, 0] == pytest.approx(np.array(expected))
    # The mark stands at 105, what it is worth before the jump, for the rest of this candle and half of the next.
    hold = Hold(at, at + 60 * 60_000)
    frozen = replace(catalog, overlay=Overlay((MarketShock("BTC-USD", (curve,), (curve,), (hold,)),)))
    (chunk,) = select(frozen).chunks(10)
    # Second row: stands at 105 until minute 30, then 57.6 → 57 by the path 57.6, 57, 58.2, 57.6 (lows first).
    marks = chunk.panel[4:8, :, 0]
    assert marks[:, 0] == pytest.approx([100, 120, 100, 105])
    assert marks[:, 1] == pytest.approx([105, 105, 57.6, 57.6])


class Leaving(backtest.Strategy):
    """Buys at the first close, sells at the thirtieth, and takes money out at the fortieth."""

    def on_start(self, market: backtest.Market, account: backtest.Account) -> None:
        self.hours = 0

    def on_candle(self, market: backtest.Market, account: backtest.Account) -> None:
        hours = round((market.now - START) / timedelta(hours=1))
        if hours in (1, 30):
            account.target("BTC-USD", qty=10 if hours == 1 else 0)
        if hours == 40:
            account.withdraw(5_000)


def test_a_trader_who_is_away_decides_nothing_and_a_frozen_venue_pays_nothing(tmp_path: Path) -> None:
    data, pack = flat(tmp_path), tmp_path / "pack.toml"
    pack.write_text(
        '[[scenario]]\nname = "away"\nat = "start+29h"\n[scenario.trader]\noffline = "2h"\n'
        '[scenario.price]\nmove = "-10%"\nafter = "10h"\n'
        '[[scenario]]\nname = "frozen"\nat = "start+39h"\n[scenario.withdrawal]\nfrozen = "2h"\n'
        '[[scenario]]\nname = "later"\nat = "start+41h"\n[scenario.withdrawal]\nfrozen = "2h"\n'
    )
    made = backtest.stress(Leaving, data, scenario=str(pack), workers=1, **PLAIN)  # type: ignore[arg-type]
    # Not sold: 10 BTC lose 3,000 each. What was paid out is part of the total: only the digest shows the refusal.
    assert made.frame["end_equity"].to_list() == [100_000, 70_000, 100_000, 100_000]
    assert made.frame["changed"].to_list() == [None, True, True, False]


def test_nobody_liquidates_others_empty_the_fund_and_trade_ahead(
    tmp_path: Path, stressed: Callable[..., Stress]
) -> None:
    data = flat(tmp_path)
    fall = 'at = "start+24h"\n[scenario.price]\nmove = "-16%"\nover = "30m"\nrecover = "100% in 1h"\n'
    assert not outcome(stressed(data, {"BTC": 20}, fall))["survived"]
    assert outcome(stressed(data, {"BTC": 20}, fall + '[scenario.keepers]\nabsent = "2h"\n'))["survived"]
    # The path of the hour: 30,000 until minute 20, 25,200 at minute 40, 27,600 at the close. At minute 42 it is 25,440,
    # below 25,773.20; the end of the window is met to a sixtieth of it.
    late = outcome(stressed(data, {"BTC": 20}, fall + '[scenario.keepers]\nabsent = "42m"\n'))
    begun = START + timedelta(hours=24, minutes=42)
    assert begun <= late["first_liquidation"] <= begun + timedelta(seconds=42)  # type: ignore[operator]
    # 10 BTC at 30,000 pay 5 bps: 150.
    ahead = 'at = "start"\n[scenario.front_running]\nchain = "priority-fee"\nfor = "3h"\n'
    assert outcome(stressed(data, {"BTC": 10}, ahead))["end_equity"] == pytest.approx(100_000 - 150)
    # 20 BTC gap from 30,000 to 22,500 on 100,000: 50,000 below zero, which the fund pays as long as it has it.
    gap = 'at = "start+24h"\n[scenario.price]\nmove = "-25%"\n'
    venue = {"venue": "binance_usdm"}
    kept = outcome(stressed(data, {"BTC": 20}, gap, **venue))
    drawn = outcome(stressed(data, {"BTC": 20}, gap + '[scenario.fund]\ndrawn = "100%"\n', **venue))
    assert kept["digest"] != drawn["digest"]


def test_a_cascade_by_hand() -> None:
    # Levels −1 %, −4 %, −9 %, −19 % with 5, 20, 35 and 40 of 100; σ 4 %, turnover 100. At 95 the first two go:
    # 1 − 0.04 × √0.25 = 0.98, and 93.1 reaches no further. At 90 × 0.98 = 88.2 the third: 1 − 0.04 × √0.6.
    made = cascade([0, 1, 2], [100, 95, 90], 100, 0.04, 100, 3, 1)
    last = 1 - 0.04 * 0.6**0.5
    points = [(0, 1), (1, 1), (1, 0.98), (2, 0.98), (2, last), (3, last), (4, 1)]
    assert np.array(made.curve.points) == pytest.approx(np.array(points))
    assert (made.liquidated, made.without) == (60, 90)
    assert made.extreme == pytest.approx(90 * last)


def test_a_cascade_without_open_interest_changes_nothing_and_with_more_a_long_is_never_safer(
    tmp_path: Path, stressed: Callable[..., Stress]
) -> None:
    rng = np.random.default_rng(3)
    walk = 30_000 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    data = dataset(tmp_path / "walk", {"BTC-USD": list(map(float, walk))})
    tables = 'at = "start+120h"\n[scenario.price]\nmove = "-10%"\nover = "2h"\n'
    plain = outcome(stressed(data, {"BTC": 10}, tables))
    none = outcome(stressed(data, {"BTC": 10}, tables, cascade=0))
    assert none["digest"] == plain["digest"]
    rows = [outcome(stressed(data, {"BTC": 10}, tables, cascade=oi)) for oi in (1e7, 1e8, 1e9, 1e10)]
    distances = [plain["min_distance"], *(row["min_distance"] for row in rows)]
    assert distances == sorted(distances, reverse=True)  # type: ignore[type-var]
    assert distances[-1] < distances[0]  # type: ignore[operator]
    assert "open interest liquidated, low" in str(rows[-1]["reason"])


def test_the_shocked_stream_is_what_a_dataset_of_it_would_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    walks = {s: 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 200))) for s in ("BTC-USD", "ETH-USD")}
    data = dataset(tmp_path / "walk", {s: list(map(float, w)) for s, w in walks.items()}, rate=0.0002)
    at = int(START.timestamp()) * 1000 + 50 * 3_600_000 + 7 * 60_000
    curve = moved(at, [(600_000, -0.15), (4 * 3_600_000, -0.05)])
    late = curve.later(1_800_000)
    overlay = Overlay((MarketShock("BTC-USD", (curve,), (late,)), MarketShock("ETH-USD", (late,), (curve,))))
    catalog = replace(Catalog.open(data), overlay=overlay)
    written = tmp_path / "written"
    (chunk,) = select(catalog).chunks(1_000)
    ts = [START + timedelta(hours=n) for n in range(200)]
    for i, symbol in enumerate(walks):
        for kind, first in (("candles", 0), ("mark", 4)):
            columns = dict(zip(("open", "high", "low", "close"), chunk.panel[first : first + 4, :, i], strict=True))
            more = {"volume": [1_000.0] * 200} if kind == "candles" else {}
            small.put(
                pl.DataFrame({"ts": ts, **columns, **more}, schema_overrides={"ts": small.STAMP}), written, kind, symbol
            )
        source = data / "funding" / f"symbol={symbol}" / "part.parquet"
        small.put(pl.read_parquet(source), written, "funding", symbol)
    (written / "dataset.toml").write_text(MANIFEST.format(every=60))
    book = holding(BTC=900, ETH=-900)
    settings = {**PLAIN, "leverage": 20, "fee_bps": 5.0}
    of_files = backtest.compare(book, written, **{**settings, "margin": "isolated,cross"})  # type: ignore[arg-type]
    of_overlay = backtest.compare(book, catalog, chunk_rows=7, **{**settings, "margin": "isolated,cross"})  # type: ignore[arg-type]
    assert [r.digest for r in of_files.results] == [r.digest for r in of_overlay.results]
    assert sum(r.metrics["liquidations"] for r in of_files.results) > 0


def test_the_command_writes_a_folder_that_verifies(place: Path) -> None:
    (place / "mine.toml").write_text(
        '[[scenario]]\nname = "fall"\n[scenario.price]\nmove = "-30%"\nover = "2h"\n'
        '[[scenario]]\nname = "nothing"\nat = "start+4h"\n'
    )
    told = ("stress", "hold.py", "--data", "market", "--scenario", "mine.toml", "--vary", "venue=generic,dydx_v4")
    ended = small.process(place, *told, "-p", "size=9", "--cash", "500", "--out", "made")
    assert ended.code == 0, ended.err
    assert "Scenarios survived" in ended.out
    frame = pl.read_parquet(place / "made" / "survival.parquet")
    assert frame.height == 3 * 2 * 2
    assert set(frame["venue"]) == {"generic", "dydx_v4"}
    fallen = frame.filter((pl.col("scenario") == "fall") & (pl.col("margin") == "cross"))
    assert not fallen["survived"].any()
    page = (place / "made" / "report.html").read_text()
    assert "scenario-fall" in page
    again = small.process(place, "verify", "made")
    assert again.code == 0, again.err
    (place / "made" / "pack.toml").write_text((place / "mine.toml").read_text().replace("-30%", "-1%"))
    small.one_line(small.process(place, "verify", "made"), 1, "survival.parquet")


HEAD = '[[scenario]]\nname = "a"\n'
WRONG = {
    '[scenario.price]\nmvoe = "-5%"\n': "mine.toml:4: unknown key 'mvoe'; did you mean 'move'?",
    '[scenario.price]\nmove = "-101%"\n': "mine.toml:4: move: -101% is below -100 %",
    'at = "start"\n[[scenario.price]]\nmove = "-5%"\nover = "2h"\n[[scenario.price]]\nmove = "5%"\nafter = "1h"\n': (
        "two price events of BTC-USD overlap"
    ),
    'at = "start"\n[scenario.price]\nsymbols = ["XRP"]\nmove = "-5%"\n': "the data have no market 'XRP'",
    'at = "2030-01-01"\n': "lies outside of the run",
    'at = "start"\n[scenario.price]\nsigma = -6\n': "cannot be measured before",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_a_pack_may_not_say_is_one_line(place: Path, text: str) -> None:
    (place / "mine.toml").write_text(HEAD + text)
    with pytest.raises(UserError) as error:
        backtest.stress(holding(BTC=1), place / "market", scenario=str(place / "mine.toml"), margin="cross", workers=1)
    assert WRONG[text] in str(error.value)
    assert "\n" not in str(error.value)
