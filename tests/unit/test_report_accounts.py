"""Accounts for the report's tests: invented, but with every table of the schema, and with books that add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.core.enums import SCHEMA_VERSION
from backtest.results.lazy_tables import Tables
from backtest.results.ledger import COSTS, FLOWS
from backtest.results.result import Result
from backtest.results.tables import SCHEMAS

START_MS = 1_577_836_800_000  # 2020-01-01
CASH = 10_000.0


@dataclass(frozen=True)
class Life:
    """How an invented account lives: who is lost in the crash, and how long its history is."""

    margin: str = "cross"
    rows: int = 2_000
    interval_ms: int = 3_600_000
    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")
    lost: tuple[str, ...] = ()
    bad_debt: float = 0.0
    trades: bool = True
    funding: bool = True
    ambiguous: int = 0
    rejected: int = 0
    synthetic: bool = True
    seed: int = 7
    label: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def crash(self) -> int:
        return self.rows * 3 // 5


def account(life: Life) -> Result:
    """A Result with the tables, metrics and summary that such a life leaves."""
    prices = _prices(life)
    held = _held(life, prices)
    fills = _fills(life, prices, held)
    paid = _funding(life, prices, held)
    lost = _liquidations(life, prices, held)
    moved = np.zeros(life.rows)
    moved[1:] = (held[:-1] * np.diff(prices, axis=0)).sum(axis=1)
    booked = moved + _by_row(life, paid, "payment") - _by_row(life, fills, "fee") - _by_row(life, lost, "penalty")
    equity = CASH + np.cumsum(booked + _by_row(life, lost, "bad_debt"))
    tables = {
        "equity": _equity(life, prices, held, equity),
        "positions": _positions(life, prices, held),
        "orders": _orders(life, fills),
        "fills": fills,
        "funding": paid,
        "liquidations": lost,
        "margin": _margin(life, prices, held, equity),
        "ambiguous": _frame("ambiguous", ts=_close(life, np.arange(life.ambiguous)), pool=["cross"] * life.ambiguous),
        "trades": _trades(life, fills),
    }
    tables = {name: tables.get(name, schema.to_frame()) for name, schema in SCHEMAS.items()}
    tables["attribution"] = _attribution(life, tables, prices, held)
    metrics = _metrics(tables, equity)
    return Result(life.label or life.margin, _summary(life, metrics), Tables(tables))


def _frame(table: str, **columns: Any) -> pl.DataFrame:
    """The table with the columns given, the others null."""
    schema = SCHEMAS[table]
    rows = len(next(iter(columns.values())))
    series = [pl.Series(n, columns.get(n, [None] * rows)).cast(kind) for n, kind in schema.items()]
    return pl.DataFrame(series)


def _close(life: Life, row: Any) -> np.ndarray:
    return START_MS + (np.asarray(row, dtype=np.int64) + 1) * life.interval_ms


def _by_row(life: Life, frame: pl.DataFrame, column: str) -> np.ndarray:
    row = (frame["ts"].dt.epoch("ms").to_numpy() - START_MS) // life.interval_ms - 1
    total = np.zeros(life.rows)
    np.add.at(total, row, frame[column].to_numpy())
    return total


def _prices(life: Life) -> np.ndarray:
    rng = np.random.default_rng(life.seed)
    steps = rng.normal(0.0, 0.004, (life.rows, 1)) + rng.normal(0.0, 0.002, (life.rows, len(life.symbols)))
    steps *= np.sqrt(2_000 / life.rows)
    fall = slice(life.crash, life.crash + max(life.rows // 100, 1))
    steps[fall] -= 0.25 / (fall.stop - fall.start)
    return np.exp(np.cumsum(steps, axis=0)) * (8_000.0 / 30.0 ** np.arange(len(life.symbols)))


def _held(life: Life, prices: np.ndarray) -> np.ndarray:
    """Signed quantities after each close: in turns long and short, re-balanced now and then, flat at both ends."""
    held = np.zeros_like(prices)
    if not life.trades:
        return held
    for i, symbol in enumerate(life.symbols):
        for start in range(life.rows // 20, life.rows * 19 // 20, max(life.rows // 20, 2)):
            size = 9_000.0 / prices[start, i] * (1 if i % 2 == 0 else -0.9)
            held[start : start + life.rows // 20, i] = np.round(size * (1 + start % 3 * 0.1), 4)
        held[life.rows * 19 // 20 :, i] = 0.0
        if symbol in life.lost:
            held[life.crash + 3 :, i] = 0.0
    return held


def _fills(life: Life, prices: np.ndarray, held: np.ndarray) -> pl.DataFrame:
    change = np.diff(held, axis=0, prepend=0.0)
    row, i = np.nonzero(change)
    qty, price = change[row, i], prices[row, i]
    size, maker = np.abs(qty) * price, np.arange(len(row)) % 3 == 2
    forced = (row == life.crash + 3) & np.isin(np.array(life.symbols)[i], life.lost)
    return _frame(
        "fills", fill_id=np.arange(len(row)), order_id=np.arange(len(row)), ts=_close(life, row),
        symbol=np.array(life.symbols, dtype=str)[i], side=np.where(qty > 0, "buy", "sell"), qty=qty,
        price=price, decision_price=price, arrival_price=price * 0.9999,
        fee=size * np.where(maker, -0.00002, 0.0005), liquidity=np.where(maker, "maker", "taker"),
        realized_pnl=-qty * price * 0.01,
        cause=np.where(forced, "liquidation", "strategy"),
        pool=_pools(life, i), quote=-qty * price, slippage=size * np.where(maker, 0.0, 0.0001),
        spread=size * np.where(maker, 0.0, 0.00006), impact=size * np.where(maker, 0.0, 0.00003),
        drift=size * np.where(maker, 0.0, 0.00001), latency=size * np.where(maker, 0.0, 0.0002 * np.sin(row)),
    )  # fmt: skip


def _pools(life: Life, i: np.ndarray) -> list[str]:
    return [life.symbols[n] if life.margin == "isolated" else "cross" for n in i]


def _funding(life: Life, prices: np.ndarray, held: np.ndarray) -> pl.DataFrame:
    every = max(life.rows // 250, 1)
    before = np.concatenate([np.zeros((1, held.shape[1])), held[:-1]])
    row, i = np.nonzero(before * (np.arange(life.rows) % every == 0)[:, None])
    if not life.funding:
        row, i = row[:0], i[:0]
    qty, price = before[row, i], prices[row, i]
    rate = 0.0001 + 0.0002 * np.sin(row / life.rows * 9)
    return _frame(
        "funding", ts=_close(life, row), symbol=np.array(life.symbols, dtype=str)[i], qty=qty, price=price, rate=rate,
        payment=-qty * price * rate, pool=_pools(life, i), missing=np.zeros(len(row), dtype=bool),
    )  # fmt: skip


def _liquidations(life: Life, prices: np.ndarray, held: np.ndarray) -> pl.DataFrame:
    row = life.crash + 3
    gone = [i for i, symbol in enumerate(life.symbols) if symbol in life.lost and life.trades]
    qty = np.array([-held[row - 1, i] for i in gone])
    price = np.array([prices[row, i] for i in gone])
    notional = np.abs(qty * price)
    debt = np.zeros(len(gone))
    debt[:1] = life.bad_debt
    return _frame(
        "liquidations", ts=_close(life, [row] * len(gone)), pool=_pools(life, np.array(gone, dtype=int)),
        symbol=np.array([life.symbols[i] for i in gone], dtype=str), stage=["whole"] * len(gone), qty=qty, price=price,
        penalty=notional * 0.01, insurance=notional * 0.01, bad_debt=debt, equity_before=notional * 0.03 - 0.01,
        maintenance_before=notional * 0.03, equity_after=np.zeros(len(gone)), maintenance_after=np.zeros(len(gone)),
        ambiguous=np.zeros(len(gone), dtype=bool), adl_loss=np.zeros(len(gone)),
        process=np.arange(len(gone)) if life.margin == "isolated" else np.zeros(len(gone)),
    )  # fmt: skip


def _equity(life: Life, prices: np.ndarray, held: np.ndarray, equity: np.ndarray) -> pl.DataFrame:
    gross, net = np.abs(held * prices).sum(axis=1), (held * prices).sum(axis=1)
    peak = np.maximum.accumulate(np.maximum(equity, CASH))
    zeros = np.zeros(life.rows)
    return _frame(
        "equity", ts=_close(life, np.arange(life.rows)), equity=equity, wallet=equity, reserve=zeros, in_flight=zeros,
        unrealized=zeros, initial_margin=gross * 0.2, maintenance_margin=gross * 0.03,
        margin_ratio=np.where(gross > 0, gross * 0.03 / equity, 0.0), free_collateral=equity - gross * 0.2,
        gross_notional=gross, net_notional=net, drawdown=equity / peak - 1.0,
    )  # fmt: skip


def _sampled(life: Life, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, symbols) of the open positions at each hour."""
    hourly = _close(life, np.arange(life.rows)) % 3_600_000 == 0
    return np.nonzero(held * hourly[:, None])  # type: ignore[return-value]


def _positions(life: Life, prices: np.ndarray, held: np.ndarray) -> pl.DataFrame:
    row, i = _sampled(life, held)
    qty, mark = held[row, i], prices[row, i]
    return _frame(
        "positions", ts=_close(life, row), symbol=np.array(life.symbols, dtype=str)[i], pool=_pools(life, i), qty=qty,
        entry_price=mark * 0.99, mark=mark, notional=qty * mark, unrealized=qty * mark * 0.01,
    )  # fmt: skip


def _margin(life: Life, prices: np.ndarray, held: np.ndarray, equity: np.ndarray) -> pl.DataFrame:
    row, i = _sampled(life, held)
    gross = np.abs(held[row, i] * prices[row, i])
    if life.margin != "isolated":
        row, first = np.unique(row, return_index=True)
        i, gross, pool_equity = i[first], np.abs(held * prices).sum(axis=1)[row], equity[row]
    else:
        pool_equity = gross * (0.12 + 0.07 * np.sin(row / 90 + i))
    return _frame(
        "margin", ts=_close(life, row), pool=_pools(life, i), equity=pool_equity, initial=gross * 0.2,
        maintenance=gross * 0.03, margin_ratio=gross * 0.03 / pool_equity,
    )  # fmt: skip


def _orders(life: Life, fills: pl.DataFrame) -> pl.DataFrame:
    n, extra = len(fills), life.rejected
    ts = [*fills["ts"].dt.epoch("ms").to_list(), *_close(life, np.arange(extra)).tolist()]
    reason = "margin: equity 9,812.40 would not cover initial 12,000.00"
    arrived = [ms + 250 for ms in ts]
    return _frame(
        "orders", order_id=np.arange(n + extra), ts_sent=ts, ts_arrived=arrived, ts_done=ts,
        symbol=[*fills["symbol"], *[life.symbols[0]] * extra], side=[*fills["side"], *["buy"] * extra],
        type=[*_kinds(fills), *["market"] * extra], qty=[*fills["qty"], *[1.5] * extra], tif=["gtc"] * (n + extra),
        status=["filled"] * n + ["rejected"] * extra, reason=[None] * n + [reason] * extra,
        filled_qty=[*fills["qty"], *[0.0] * extra], cause=["strategy"] * (n + extra),
    )  # fmt: skip


def _kinds(fills: pl.DataFrame) -> list[str]:
    """Makers rest as limits; of the takers every other one is a stop."""
    return [
        "limit" if side == "maker" else ("market", "stop_market")[n % 2] for n, side in enumerate(fills["liquidity"])
    ]  # fmt: skip


def _attribution(life: Life, tables: dict[str, pl.DataFrame], prices: np.ndarray, held: np.ndarray) -> pl.DataFrame:
    """As the books would have it; what fills paid in their price stands apart from the moves."""
    moves = (held[:-1] * np.diff(prices, axis=0)).sum(axis=0)
    fills, lost = tables["fills"], tables["liquidations"].with_columns(fund=pl.col("penalty") - pl.col("insurance"))
    rows = {"symbol": list(life.symbols)}

    def per_symbol(frame: pl.DataFrame, column: str) -> np.ndarray:
        return np.array([float(frame.filter(pl.col("symbol") == s)[column].sum()) for s in life.symbols])

    paid = {name: per_symbol(fills, name) for name in ("spread", "impact", "latency")}
    flows = {
        "price_moves": moves + sum(paid.values()), "funding": per_symbol(tables["funding"], "payment"),
        "fees": per_symbol(fills, "fee"), **paid, "penalties": per_symbol(lost, "penalty"),
        "insurance": per_symbol(lost, "fund"), "bad_debt": per_symbol(lost, "bad_debt"),
    }  # fmt: skip
    change = sum((-1 if name in COSTS else 1) * values for name, values in flows.items())
    ts = [_close(life, life.rows - 1)] * len(life.symbols)
    return _frame("attribution", ts=ts, **rows, **flows, change=change)


def _trades(life: Life, fills: pl.DataFrame) -> pl.DataFrame:
    ends = fills.filter(pl.int_range(pl.len()) % 2 == 1)
    n = len(ends)
    net = ends["realized_pnl"] - ends["fee"]
    return _frame(
        "trades", symbol=ends["symbol"], side=["long", "short"] * (n // 2) + ["long"] * (n % 2),
        ts_entry=ends["ts"], ts_exit=ends["ts"], qty=ends["qty"].abs(),
        entry_price=ends["price"], exit_price=ends["price"] * 1.01, realized=ends["realized_pnl"], fees=ends["fee"],
        funding=[0.25] * n, net=net, hold=[53.5] * n, exit_cause=ends["cause"], penalty=[0.0] * n,
        insurance=[0.0] * n, exit_reason=np.where(np.arange(n) % 4 == 3, "trailing_stop", "market"),
        mfe=np.maximum(net, 0) + 40.0, mae=np.minimum(net, 0) - 25.0 * (1 + np.sin(np.arange(n))), mfe_price=[2.0] * n,
        mae_price=[-1.0] * n, mfe_share=[0.02] * n, mae_share=[-0.01] * n,
    )  # fmt: skip


def _metrics(tables: dict[str, pl.DataFrame], equity: np.ndarray) -> dict[str, Any]:
    end = float(equity[-1])
    lost, fills, flows = tables["liquidations"], tables["fills"], tables["attribution"]
    made = fills.filter(pl.col("liquidity") == "maker")
    return {
        "start_cash": CASH, "final_equity": end, "final_reserve": 0.0, "final_in_flight": 0.0,
        "return": end / CASH - 1, "cagr": 0.1234, "volatility": 0.4,
        "sharpe": 0.87, "sortino": None, "calmar": None, "max_drawdown": float(tables["equity"]["drawdown"].min() or 0),
        "max_drawdown_days": 12.5, "turnover": 31.4, "hit_rate": 0.5, "profit_factor": None,
        "trades": len(tables["trades"]), "open_trades": 0, "mean_leverage": 1.6, "max_leverage": 3.21,
        "margin_use_peak": 0.7, "maintenance_use_peak": 0.1, "min_distance_to_liquidation": 0.123,
        "max_drawdown_inside": float(tables["equity"]["drawdown"].min() or 0), "min_distance_inside": 0.12,
        **{name: float(flows[name].sum()) for name in FLOWS}, "adl_loss": float(lost["adl_loss"].sum()),
        "slippage": float(fills["slippage"].sum()), "rebates": -float(made["fee"].sum()),
        "maker_share": float(made["quote"].abs().sum() / fills["quote"].abs().sum()) if len(fills) else None,
        "liquidations": len(lost), "pool_liquidations": lost["process"].n_unique(), "liquidation_steps": len(lost),
        "backstops": 0, "deleveraged": 0,
        "ambiguous_candles": len(tables["ambiguous"]), "margin_calls": 2, "orders": len(tables["orders"]),
        "rejected_orders": len(tables["orders"]) - len(fills), "cancelled_orders": 0, "expired_orders": 0,
        "refused_amendments": 0, "fills": len(fills), "undone_fills": 0,
        "missing_settlements": 0,
    }  # fmt: skip


def _summary(life: Life, metrics: dict[str, Any]) -> dict[str, Any]:
    first, last = (int(_close(life, n)) for n in (-1, life.rows - 1))
    summary = {
        "kind": "run",
        "schema_version": SCHEMA_VERSION,
        "label": life.label or life.margin,
        "strategy": {
            "name": "hedged_pair", "params": {"ratio": 0.9, "lookback": 720}, "source": "3f" * 32,
            "every_ms": 3_600_000,
            "doc": "Long the first market, short the second, re-balanced when they drift apart.",
        },
        "config": {
            "venue": "generic", "margin": life.margin, "leverage": 5.0, "cash": CASH, "path": "coherent",
            "latency_ms": 250, "slippage_bps": 1.0, "fee_bps": 5.0, "params": {}, "allow": [],
        },
        "data": {
            "name": "sample", "symbols": list(life.symbols), "interval_ms": life.interval_ms, "from_ms": first,
            "to_ms": last,
            "rows": life.rows * len(life.symbols), "synthetic": life.synthetic, "provenance": "invented, seed 7",
            "marks": dict.fromkeys(life.symbols, "mark candles of the dataset"), "fingerprint": "ab" * 32,
        },
        "versions": {"backtest": "0.1.0", "python": "3.11.9", "polars": "2.1.0", "duckdb": "2.0.1"},
        "seed": life.seed,
        "metrics": metrics,
        "counts": {"gap_rows": 0, "derived_marks": 1_284},
        "digest": "c0ffee" * 10,
        "warnings": ["no slippage charged (set --slippage-bps or --slippage)"],
        "notes": ["Where a mark candle is missing, the mark is the trade path times the basis."],
    }  # fmt: skip
    return summary | life.extra


@pytest.mark.parametrize(
    "life",
    [
        Life(),
        Life(margin="isolated", lost=("BTC-USD",), bad_debt=12.5),
        Life(trades=False),
        Life(funding=False, ambiguous=2, rejected=3),
        Life(rows=30, symbols=tuple(f"S{i:02d}" for i in range(12))),
    ],
)
def test_the_invented_account_is_like_a_real_one(life: Life) -> None:
    result = account(life)
    assert {name: frame.schema for name, frame in result.tables.items()} == SCHEMAS
    m = result.metrics
    explained = sum((-1 if name in COSTS else 1) * m[name] for name in FLOWS)
    assert result.tables["attribution"]["change"].sum() == pytest.approx(explained)
    assert explained == pytest.approx(m["final_equity"] - m["start_cash"], abs=1e-6)
