"""The package's dated margin tables, made from collections of facts: `python -m tests.unit.venue_facts FOLDER`.

FOLDER holds Parquet files of the venues' published terms, one per venue, with a row per market, date and tier. What
comes out is `backtest/venues/presets/VENUE.csv.gz`, in the columns of `backtest.venues.market_tables`. Each function
says how far its facts are trusted; what they do not tell is marked as assumed there.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain, groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from backtest.venues.inheritance import PRESETS
from backtest.venues.market_tables import DATES, LISTS, NUMBERS, PLACE, RUNG, TEXTS

Row = dict[str, Any]
COLUMNS = (*PLACE, *DATES, *LISTS, *TEXTS, *NUMBERS)
CUT = dt.date(2025, 3, 12)
"""Hyperliquid announced lower leverage; what was copied in 2023 is not used past this day."""
ENDLESS = 2.0**53
"""A cap from here on is the source's word for none."""
DAY = dt.timedelta(days=1)


def binance(folder: Path) -> Iterator[Row]:
    """Brackets by the first snapshot that shows them. A market that left a snapshot keeps its brackets, assumed."""
    facts = _perpetuals(pl.read_parquet(folder / "binance_usdm_brackets.parquet"))
    known_to = facts["seen_from"].max() + DAY
    for market, tables in _by_date(facts):
        last: list[Row] = []
        for (date, rows), until in zip(tables, [*(None for _ in tables[1:]), known_to], strict=True):
            gone = rows[0]["tier"] == 0
            said = {"market": market, "from": date, "commit": rows[0]["commit"]}
            if gone:
                said |= {"status": "assumed", "note": "gone from the snapshots; the brackets before"}
            # One table has a tier without a width.
            wide = [row for row in rows if gone or row["notional_cap"] > row["notional_floor"]]
            last = last if gone else [_picked(row, "maintenance", "max_leverage") for row in wide]
            yield from ({**said, "until": until, **rung} for rung in last)


def bybit(folder: Path) -> Iterator[Row]:
    """Risk limits of three copies; largest leverages of two others bound them, or the default, where they are lower.
    A market's last table is known up to the last copy that lists the market."""
    limits = _perpetuals(pl.read_parquet(folder / "bybit_linear_risk_limits.parquet"))
    bounds = _bounds(folder, "bybit")
    listed = dict(_by_date(limits))
    seen = {**_last_days(limits), **_last_days(_leverages_of(folder, "bybit"))}
    for market in sorted({*listed, *bounds}):
        tables: list[list[Row]] = []
        for date, rows in listed.get(market, []):
            said = {"market": market, "from": date, "source": f"limits_{date:%Y}", "commit": rows[0]["commit"]}
            if rows[0]["initial_rate"] is None:
                said |= {"assumed": "tiers", "note": "the copy has no initial rates; those of the copy before"}
            rungs = _bybit_rungs(rows, tables[-1] if tables else [])
            tables.append([{**said, "rule": "tiers", **rung} for rung in rungs])
        first = tables[0][0] if tables else None
        for bound in bounds.get(market, []):
            lower = first is None or bound["most_leverage"] < 0.999 / first["initial"]
            if lower and (first is None or bound["from"] > first["from"]):
                tables.append([bound])
        tables.sort(key=lambda rows: rows[0]["from"])
        last = max(tables[-1][0]["from"], seen[market])
        for rows in tables:
            until = {"until": last + DAY} if rows is tables[-1] else {}
            yield from (row | until for row in rows)


def _bybit_rungs(rows: list[Row], before: list[Row]) -> list[Row]:
    """Tiers; the copy of BTC of 2026 has no initial rates, which are taken from the tier before with the same edge."""
    known = {rung.get("upto"): rung["initial"] for rung in before}
    out: list[Row] = []
    for row in rows:
        rung = _picked(row, "maintenance")
        initial = row["initial_rate"]
        if initial is None:
            initial = known.get(rung.get("upto"), before[-1]["initial"])
        out.append(rung | {"initial": initial})
    return out


def okx(folder: Path) -> Iterator[Row]:
    """Largest leverages alone, of one day."""
    for rows in _bounds(folder, "okx").values():
        yield from (row | {"until": row["from"] + DAY} for row in rows)


def hyperliquid(folder: Path) -> Iterator[Row]:
    """Three copies of the venue's answer, with what was read elsewhere of the time between the first two."""
    facts = pl.read_parquet(folder / "hyperliquid_margin.parquet")
    copies = {dt.date(2023, 7, 17): "copy_2023", dt.date(2025, 9, 18): "copy_2025", dt.date(2026, 3, 10): "copy_2026"}
    fitted = {"BTC": 50, "ETH": 50, "SOL": 20, "DOGE": 20}
    documented = ("BTC", "ETH", "SOL", "XRP", "DOGE")
    for market, tables in _by_date(facts):
        named = {"market": market}
        after = next((rows for date, rows in tables if date >= dt.date(2025, 9, 18)), None)
        for date, rows in tables:
            if date < CUT:
                seen = {**named, "from": date, "source": copies[date], "commit": rows[0]["commit"]}
                yield from _leverages(seen, rows)
                seen |= {"from": date + DAY, "status": "assumed", "note": "of 17 July 2023; not seen again"}
                yield from _leverages(seen, rows)
        if market in fitted:
            said = {"source": "prices", "status": "derived", "assumed": "from", "max_leverage": fitted[market]}
            said["note"] = "one tier: what fits the liquidation prices of October and November 2024"
            yield {**named, "from": dt.date(2024, 10, 1), **said}
        if after and (tables[0][0] < CUT or market in fitted):
            told = market in ("BTC", "ETH")
            cut = {**named, "from": CUT, "source": "copy_2025 press" if told else "copy_2025"}
            cut |= {"commit": after[0]["commit"]}
            cut |= {"status": "derived" if told else "assumed"}
            cut |= {
                "note": "40x and 25x were announced that day; the second tier may be younger"
                if told
                else "of 18 September 2025"
            }
            yield from _leverages(cut, after)
        for date, rows in tables:
            if date >= CUT:
                until = None if market in documented or rows is not tables[-1][1] else dt.date(2026, 3, 11)
                seen = {**named, "from": date, "source": copies[date], "commit": rows[0]["commit"], "until": until}
                yield from _leverages(seen, rows)
        if market in documented:
            read = {**named, "from": dt.date(2026, 8, 22), "source": "tiers", "until": dt.date(2026, 8, 23)}
            yield from _leverages(read, tables[-1][1])


def _leverages(said: Row, rows: list[Row]) -> Iterator[Row]:
    for row in rows:
        yield {**said, "upto": row["notional_cap"], "max_leverage": row["max_leverage"]}


def dydx(folder: Path) -> Iterator[Row]:
    """Markets and tiers of the genesis, caps of an upgrade, three markets of an answer. Prepared proposals are left
    out, and so are tiers without a date."""
    markets = pl.read_parquet(folder / "dydx_v4_markets.parquet").filter(pl.col("kind") != "prepared proposal")
    upgrade = pl.read_parquet(folder / "dydx_v4_liquidity_tiers.parquet").filter(pl.col("kind").str.contains("upgrade"))
    caps = {row["tier"]: row for row in upgrade.to_dicts()}
    # Which tier a market was in, once the tiers had changed, is not known but for three: tier 1 is taken as small-cap.
    later = {
        "large-cap": {"initial": 0.02, "maintenance_share": 0.6},
        "mid-cap": {"initial": 0.05, "maintenance_share": 0.6, **_open_interest(40e6, 100e6)},
        "small-cap": {"initial": 0.1, "maintenance_share": 0.5, **_open_interest(20e6, 50e6)},
        "long-tail": {"initial": 0.2, "maintenance_share": 0.5, **_open_interest(5e6, 10e6)},
    }
    mid = ("SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "SUI", "TRX")
    for market, tables in _by_date(markets):
        first = tables[0][1][0]
        base, tier = market.removesuffix("-USD"), first["liquidity_tier"]
        rates = {"market": market, "initial": first["initial_margin_rate"], "maintenance_share": _share(first)}
        yield {**rates, "from": first["seen_from"], "source": "networks", "commit": first["commit"]}
        cap = caps[tier]
        said = {"from": cap["seen_from"], "source": "upgrade", "commit": cap["commit"], "assumed": "from open_interest"}
        note = "the day of the code; the chain took it later"
        yield {**rates, **said, **_caps(cap), "note": note}
        group = "mid-cap" if base in mid else ("large-cap", "small-cap", "long-tail")[tier]
        said = {"market": market, "from": dt.date(2025, 1, 1), "source": "genesis", "status": "assumed"}
        yield said | later[group] | {"note": f"{group} of a later genesis; the day and the tier are assumed"}
        for date, rows in tables[1:]:
            said = {"market": market, "from": date, "source": "indexer", "commit": rows[0]["commit"]}
            said |= {"until": date + DAY, "assumed": "open_interest"}
            yield {
                **said,
                "initial": rows[0]["initial_margin_rate"],
                "maintenance_share": _share(rows[0]),
                **_caps(rows[0]),
            }


def _share(row: Row) -> float:
    return round(row["maintenance_margin_rate"] / row["initial_margin_rate"], 6)


def _caps(row: Row) -> Row:
    return _open_interest(row["oi_lower_cap_usd"], row["oi_upper_cap_usd"]) if row["oi_upper_cap_usd"] else {}


def _open_interest(low: float, high: float) -> Row:
    """Caps between which initial margin is scaled; open interest itself is taken as none."""
    return {"open_interest": 0.0, "open_interest_lower": low, "open_interest_upper": high}


def gmx(folder: Path) -> Iterator[Row]:
    """Every market of every chain, by the day of the commit; a market is priced coin, chain and the pool's tokens."""
    facts = pl.read_parquet(folder / "gmx_v2_market_config.parquet")
    facts = facts.filter(pl.col("min_collateral_factor").is_not_null() | ~pl.col("listed"))
    bare = {"WETH": "ETH", "WETH.e": "ETH", "WAVAX": "AVAX", "BTC.b": "BTC", "XAUt0": "XAUT"}
    keys = ["chain", "index", "long_token", "short_token"]
    size = facts.group_by(keys).agg(pl.col("max_open_interest_long").last().fill_null(0), pl.col("listed").last())
    order = size.sort(
        [pl.col("chain") != "arbitrum", pl.col("chain") != "avalanche", -pl.col("max_open_interest_long"), *keys]
    )
    known_to = facts["seen_from"].max() + DAY
    for key in order.select(keys).rows():
        network, index, long, short = key
        coin = bare.get(index, index)
        rows = facts.filter(*(pl.col(k) == v for k, v in zip(keys, key, strict=True))).sort("seen_from").to_dicts()
        last: Row | None = None
        for row, after in [*pairwise([*rows, None])]:
            said = {"market": f"{coin}/USD:{network}:{long}-{short}", "chain": network, "from": row["seen_from"]}
            said |= {"commit": row["commit"], "until": None if after else known_to}
            if row["listed"]:
                last = _gmx_terms(row, coin)
            if last:
                gone = {} if row["listed"] else {"status": "assumed", "note": "gone from the file; the terms before"}
                yield {**said, **last, **gone}


def _gmx_terms(row: Row, coin: str) -> Row:
    """Before there was a factor for liquidation, the smallest collateral applied there too. Open interest is taken as
    none, as at the other venues."""
    factor, closing = row["min_collateral_factor"], row["min_collateral_factor_liquidation"]
    penalty = 0.002 if coin in ("BTC", "ETH") else 0.003
    rates = {"initial": max(factor, closing or 0.0), "maintenance": factor if closing is None else closing}
    return {**rates, "multiplier": row["oi_multiplier_long"] or 0.0, "open_interest": 0.0, "penalty": penalty}


def synthetix(folder: Path) -> Iterator[Row]:
    """Markets of two chains by the day of the deployment file."""
    facts = pl.read_parquet(folder / "synthetix_v3_perps.parquet").filter(pl.col("skew_scale").is_not_null())
    known_to = facts["seen_from"].max() + DAY
    facts = facts.sort(pl.col("chain") != "base", "market", "seen_from")
    for (network, market), tables in groupby(facts.to_dicts(), itemgetter("chain", "market")):
        rows = list(tables)
        for row, after in pairwise([*rows, None]):
            said = {
                "market": f"{market}/USD:{network}",
                "chain": network,
                "from": row["seen_from"],
                "commit": row["commit"],
            }
            said |= {"until": None if after else known_to}
            terms = {"initial": row["minimum_initial_margin_ratio"], "ratio": row["initial_margin_ratio"]}
            terms |= {"skew_scale": row["skew_scale"], "maintenance_share": row["maintenance_margin_scalar"]}
            terms |= {"flat": row["minimum_position_margin_usd"]}
            # A cap of 0 closes a market to new positions; a run cannot say so, and takes none.
            size = row["max_market_size"]
            terms |= {"limit_size": size if 0 < size <= 1e12 else None, "limit": row["max_market_value_usd"] or None}
            yield {**said, **terms}


def _perpetuals(facts: pl.DataFrame) -> pl.DataFrame:
    """Without futures that expire, and without markets that settle in the base."""
    parts = pl.col("market").str.extract_groups(r"^(.+)/(\w+):(\w+)$")
    linear = parts.struct["2"] == parts.struct["3"]
    return facts.filter(linear)


def _by_date(facts: pl.DataFrame) -> Iterator[tuple[str, list[tuple[dt.date, list[Row]]]]]:
    """Rows of each market, grouped by date."""
    tier = ["tier"] if "tier" in facts.columns else []
    for market, rows in groupby(facts.sort("market", "seen_from", *tier).to_dicts(), itemgetter("market")):
        yield market, [(date, list(one)) for date, one in groupby(rows, itemgetter("seen_from"))]


def _leverages_of(folder: Path, venue: str) -> pl.DataFrame:
    facts = pl.read_parquet(folder / "max_leverage_snapshots.parquet")
    return _perpetuals(facts.filter(pl.col("venue") == venue))


def _last_days(facts: pl.DataFrame) -> dict[str, dt.date]:
    """The day of the last copy that lists a market."""
    return dict(facts.group_by("market").agg(pl.col("seen_from").max()).rows())


def _picked(row: Row, *keys: str) -> Row:
    named = {"maintenance": "maintenance_rate", "max_leverage": "max_leverage"}
    cap = row["notional_cap"]
    upto = {} if cap is None or cap >= ENDLESS else {"upto": cap}
    return upto | {key: row[named[key]] for key in keys}


def _bounds(folder: Path, venue: str) -> dict[str, list[Row]]:
    """Largest leverages by market, where they change."""
    out: dict[str, list[Row]] = {}
    for market, tables in _by_date(_leverages_of(folder, venue)):
        known = 0.0
        for date, (row, *_) in tables:
            if row["max_leverage"] != known:
                said = {"market": market, "from": date, "source": f"leverage_{date:%Y_%m}", "commit": row["commit"]}
                out.setdefault(market, []).append(said | {"most_leverage": row["max_leverage"]})
                known = row["max_leverage"]
    return out


FILES: dict[str, Callable[[Path], Iterable[Row]]] = {
    "binance_usdm": binance, "bybit_linear": bybit, "okx_swap": okx, "hyperliquid": hyperliquid, "dydx_v4": dydx,
    "gmx_v2": gmx, "synthetix_v3": synthetix,
}  # fmt: skip


def text(rows: Iterable[Row]) -> str:
    """The file of rows of tiers: a line per table; columns that no table fills are left out."""
    whole = [list(one) for _, one in groupby(rows, itemgetter("market", "from"))]
    rungs = [key for key in RUNG if any(key in row for row in chain(*whole)) and not _plain(whole)]
    said = [key for key in COLUMNS if key not in rungs and any(one[0].get(key) is not None for one in whole)]
    out = [",".join([*said, *([f"tiers {' '.join(rungs)}"] if rungs else [])])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for one in whole:
        tiers = ";".join(" ".join(_text(row.get(key), "-") for key in rungs) for row in one)
        ladder = [tiers if any(key in one[0] for key in rungs) else ""] if rungs else []
        writer.writerow([*(_text(one[0].get(key)) for key in said), *ladder])
    return "\n".join([*out, buffer.getvalue()])


def _plain(whole: list[list[Row]]) -> bool:
    """Whether the rule has parameters of its own and no tiers."""
    return any("maintenance_share" in row or "multiplier" in row for row in chain(*whole))


def _text(value: Any, none: str = "") -> str:
    if value is None:
        return none
    if isinstance(value, float | int):
        return f"{Decimal(repr(value)).normalize():f}"
    return str(value)


def packed(folder: Path, venue: str) -> bytes:
    """A venue's file."""
    return gzip.compress(text(FILES[venue](folder)).encode(), 9, mtime=0)


def main(folder: Path) -> None:
    """Write the files of every venue."""
    for name in FILES:
        path = PRESETS / f"{name}.csv.gz"
        path.write_bytes(packed(folder, name))
        sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
