"""Notes of a run: what was assumed of the venue, its pools and its deleveraging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backtest.core import records
from backtest.core.enums import CROSS_POOL, NO_ORDER, Reason, Stage, Status
from backtest.core.records import Record
from backtest.runner.chain_config import ChainConfig
from backtest.runner.notes import notes
from backtest.runner.validation import checked
from backtest.venues.chain import Oracle
from backtest.venues.profile import load
from tests.unit.results_records import START, closes, idle, rows

DAY = 86_400_000
VENUE = """
name = "small"
source = "a test"
date = 2024-01-01
quote = "USDC"
modes = ["isolated"]
[defaults]
penalty = 0.01
[[tiers]]
initial = 0.05
maintenance = 0.03
"""


def said(folder: Path, record: Record, **settings: Any) -> list[str]:
    file = folder / "venue.toml"
    file.write_text(VENUE)
    asked = checked({"slippage_bps": 1.0, "fee_bps": 5.0, **settings})
    return notes(load(str(file)), asked, record)


def test_nothing_out_of_the_ordinary(tmp_path: Path) -> None:
    assert said(tmp_path, idle(margin="isolated")) == []


def test_a_mode_that_the_venue_does_not_have(tmp_path: Path) -> None:
    assert said(tmp_path, idle(margin="portfolio"), margin="portfolio,BTC-USD=isolated") == [
        "Venue small has no portfolio margin, only isolated: its rules were used with it.",
        "Margin modes of single markets: BTC-USD isolated.",
    ]


def test_isolation_by_share(tmp_path: Path) -> None:
    first = said(tmp_path, idle(), isolate_above=0.4)
    assert first[-1] == "Positions with more than 0.4 of the maintenance margin were isolated: none."
    bought = rows(
        records.FILL, {"symbol": 0, "pool": CROSS_POOL, "lots": 1}, {"symbol": 1, "pool": CROSS_POOL, "lots": 1}
    )
    moved = rows(records.MOVE, {"symbol": 1, "amount": -5})
    record = idle(symbols=("A", "B"), step_micro=np.array([1, 1]), fills=bought, moves=moved)
    assert said(tmp_path, record, isolate_above=0.4)[-1].endswith("were isolated: B.")


def test_what_deleveraging_events_did(tmp_path: Path) -> None:
    events = ("2024-01-01,*,0.5",)
    taken = rows(
        records.LIQUIDATION, {"stage": Stage.DELEVERAGED}, {"stage": Stage.PARTIAL}, {"stage": Stage.DELEVERAGED}
    )
    record = idle(
        margin="isolated", liquidations=taken, counts={"deleveraging events without a profitable position": 3}
    )
    assert said(tmp_path, record, adl=events) == [
        "Deleveraging events were assumed: 2 positions were deleveraged, 3 events found no profitable position."
    ]
    assert said(tmp_path, idle(margin="isolated"), adl=events) == [
        "Deleveraging events were assumed: 0 positions were deleveraged."
    ]


def test_orders_refused_on_an_old_mark_are_counted(tmp_path: Path) -> None:
    limited = ChainConfig(oracle=Oracle(limit_ms=90_000))
    file = tmp_path / "venue.toml"
    file.write_text(VENUE)
    asked = checked({"slippage_bps": 1.0, "fee_bps": 5.0, "oracle": "limit=90s"})

    def told(*ends: tuple[Status, Reason]) -> list[str]:
        placed = [
            {"order_id": n, "status": status, "reason": reason, "parent": NO_ORDER, "group": NO_ORDER}
            for n, (status, reason) in enumerate(ends)
        ]
        record = idle(margin="isolated", orders=rows(records.ORDER, *placed))
        return notes(load(str(file)), asked, record, chaining=limited)

    stale, lost = (Status.REJECTED, Reason.STALE), (Status.REJECTED, Reason.OUTAGE)
    said = "Orders, except reduce-only ones, are rejected if the venue mark is older than 90 s: "
    assert told(lost) == [f"{said}none was."]
    assert told(stale, lost) == [f"{said}1 was."]
    assert told(stale, lost, stale) == [f"{said}2 were."]


def test_what_of_an_oracle_is_approximate(tmp_path: Path) -> None:
    file = tmp_path / "venue.toml"
    file.write_text(VENUE)

    def told(oracle: Oracle, **settings: Any) -> list[str]:
        asked = checked({"slippage_bps": 1.0, "fee_bps": 5.0, **settings})
        record = idle(margin="isolated", interval_ms=3_600_000)
        return notes(load(str(file)), asked, record, chaining=ChainConfig(oracle=oracle))

    assert told(Oracle(delay_ms=600_000)) == ["The venue mark was derived from the market mark: 10 min late."]
    (said,) = told(Oracle(delay_ms=1_000, deviation=0.005))[1:]
    assert said == (
        "The oracle is approximate: its deviation is computed at four points of a candle, 20 min apart. Price "
        "moves in between can decide a liquidation: shorter candles (--interval) are more exact."
    )
    (said,) = told(Oracle(median=True, average_ms=1_000, heartbeat_ms=1_000), interval="1h", drill="5m")[1:]
    assert said.startswith(
        "The oracle is approximate: its median, average and heartbeat are computed at four points of a candle, "
        "20 min apart (also with --drill)."
    )


def test_what_the_venue_is_not_known_to_do() -> None:
    """A preset's own sentences are among the notes, and only those of the run's symbols and days."""
    profile = load("dydx_v4")
    record = idle(symbols=("BTC-USD", "NOSUCH-USD"), step_micro=np.array([1, 1]), curve=closes(np.zeros((3, 7))))
    expected = profile.assumptions(record.symbols, START, START + 3 * DAY)
    assert any("NOSUCH-USD" in line for line in expected)
    found = notes(profile, checked({}), record)
    assert [line for line in found if line in expected] == expected
