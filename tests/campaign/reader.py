"""An auditor of reports that shares no code with the program: SQL over the Parquet tables, the data and the summary.

Each check is a query for what contradicts; a report in order has no row of any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb

TABLES = (
    "equity", "positions", "orders", "fills", "funding", "liquidations", "transfers", "gas", "ledger", "trades",
    "trades_fifo", "attribution",
)  # fmt: skip
VIEWS = """
CREATE VIEW balance AS
  SELECT account, sum(micro)::HUGEINT AS micro FROM (
    SELECT debit AS account, amount_micro AS micro FROM ledger
    UNION ALL SELECT credit, -amount_micro FROM ledger) GROUP BY account;
CREATE VIEW posted AS
  SELECT code, sum(CASE WHEN debit IN ('wallet', 'reserve') OR debit LIKE 'pool:%' THEN amount_micro
    ELSE -amount_micro END)::BIGINT AS micro FROM ledger GROUP BY code;
CREATE VIEW last AS SELECT * FROM equity ORDER BY ts DESC LIMIT 1;
CREATE VIEW held AS SELECT p.* FROM positions p, last WHERE p.ts = last.ts;
CREATE VIEW cash AS
  SELECT coalesce(sum(micro), 0) / 1e6 AS quote FROM balance WHERE account = 'wallet' OR account LIKE 'pool:%';
CREATE VIEW flat AS
  SELECT symbol, sum(quote) AS quote, sum(fee) AS fee, sum(realized_pnl) AS realized, count(*) AS n
  FROM fills GROUP BY symbol HAVING abs(sum(qty)) < 1e-9;
"""


def _micro(column: str, table: str, where: str = "true") -> str:
    return f"(SELECT coalesce(sum(round(({column}) * 1e6)), 0)::BIGINT FROM {table} WHERE {where})"


def _posted(code: str) -> str:
    return f"(SELECT coalesce(sum(micro), 0) FROM posted WHERE code = '{code}')"


def _metric(name: str, value: str, off: str = "2e-6") -> str:
    """The summary says of ``name`` what the tables give."""
    return f"SELECT {name}, ({value}) FROM metrics WHERE abs({name} - ({value})) > {off}"


CHECKS: dict[str, str] = {
    "a posting moves a positive amount between two accounts": """
        SELECT * FROM ledger WHERE amount_micro <= 0 OR debit = credit OR amount_micro IS NULL""",
    "the ledger balances to zero": "SELECT sum(micro) FROM balance HAVING sum(micro) <> 0",
    "cash and positions are the equity of the last close": """
        SELECT cash.quote, net, last.equity FROM cash, last, (SELECT coalesce(sum(notional), 0) AS net FROM held)
        WHERE abs(cash.quote + net - last.equity) > 1e-5 + 1e-12 * abs(net)
          AND NOT EXISTS (SELECT ts FROM transfers WHERE transfers.ts >= last.ts UNION SELECT ts FROM gas
            WHERE gas.ts >= last.ts)""",
    "final equity is cash, positions, reserve and money in flight": """
        SELECT m.final_equity FROM metrics m, cash, (SELECT coalesce(sum(notional), 0) AS net FROM held),
          (SELECT coalesce(sum(micro), 0) / 1e6 AS outside FROM balance WHERE account IN ('reserve', 'in_flight'))
        WHERE abs(m.final_equity - cash.quote - net - outside) > 1e-5 + 1e-12 * abs(net)""",
    "equity is wallet and unrealized": """
        SELECT * FROM equity WHERE abs(equity - wallet - unrealized) > 2e-6
          OR abs(free_collateral - (equity - initial_margin)) > 2e-6""",
    "the drawdown is that of the total": """
        SELECT * FROM (SELECT ts, drawdown, total / greatest(start_cash, max(total) OVER (ORDER BY ts)) - 1 AS mine
          FROM (SELECT ts, drawdown, equity + reserve + in_flight AS total FROM equity), metrics)
        WHERE abs(drawdown - mine) > 1e-9""",
    "the margin ratio is maintenance over equity": """
        SELECT * FROM equity WHERE maintenance_margin > 0 AND equity > 1e-3
          AND abs(margin_ratio * equity - maintenance_margin) > 1e-6 + 1e-9 * abs(maintenance_margin)""",
    "positions add up to the equity table on the hour": """
        SELECT * FROM (SELECT e.ts, any_value(e.net_notional) AS net, any_value(e.gross_notional) AS gross,
          any_value(e.unrealized) AS unreal, coalesce(sum(p.notional), 0) AS net2,
          coalesce(sum(abs(p.notional)), 0) AS gross2, coalesce(sum(p.unrealized), 0) AS unreal2
          FROM equity e LEFT JOIN positions p USING (ts) WHERE date_trunc('hour', ts) = ts GROUP BY e.ts)
        WHERE abs(net - net2) > 1e-4 OR abs(gross - gross2) > 1e-4 OR abs(unreal - unreal2) > 1e-4""",
    "a fill's cash is its quantity at its price": """
        SELECT * FROM fills WHERE abs(quote + qty * price) > 2e-6 + 1e-9 * abs(quote)
          OR (side = 'buy') <> (qty > 0) OR abs(slippage - spread - impact - drift) > 2e-6 OR qty = 0""",
    "a taker's fill, less its costs, is at a price of the data; a maker's at no better one": """
        SELECT f.fill_id, f.ts, f.symbol, f.mid, min(c.low), max(c.high) FROM
          (SELECT *, price - sign(qty) * slippage / abs(qty) AS mid, 2e-6 / abs(qty) + 1e-7 * price AS off,
           span, time_bucket(span, ts) AS opened FROM fills, candle WHERE cause IN ('strategy', 'guard')) f
          LEFT JOIN candles c ON c.symbol = f.symbol AND c.ts < f.opened + f.span
            AND c.ts >= CASE WHEN f.ts = f.opened THEN f.opened - f.span ELSE f.opened END
        GROUP BY f.fill_id, f.ts, f.symbol, f.mid, f.off, f.liquidity, f.side
        HAVING count(c.low) = 0
          OR f.mid < min(c.low) - f.off AND (f.liquidity = 'taker' OR f.side = 'buy')
          OR f.mid > max(c.high) + f.off AND (f.liquidity = 'taker' OR f.side = 'sell')""",
    "a maker's fill is at its limit": """
        SELECT f.*, o.limit_price FROM fills f JOIN orders o USING (order_id)
        WHERE f.liquidity = 'maker' AND f.cause = 'strategy' AND o.limit_price IS NOT NULL
          AND abs(f.price - o.limit_price) > 2e-6 / abs(f.qty) + 1e-9 * f.price""",
    "funding is paid by its rate": """
        SELECT * FROM funding WHERE NOT missing AND abs(payment + qty * price * rate) > 2e-6 + 1e-9 * abs(payment)
          OR missing AND payment <> 0""",
    "the rates of funding are those of the data": """
        SELECT f.* FROM funding f LEFT JOIN rates r USING (ts, symbol)
        WHERE NOT f.missing AND (r.rate IS NULL OR r.rate <> f.rate)""",
    "what is held is what was filled": """
        SELECT symbol FROM (SELECT symbol, qty FROM fills UNION ALL SELECT symbol, -qty FROM held)
        GROUP BY symbol HAVING abs(sum(qty)) > 1e-9""",
    "an order's filled quantity is that of its fills": """
        SELECT o.order_id, any_value(o.filled_qty), coalesce(sum(f.qty), 0) FROM orders o
          LEFT JOIN fills f ON f.order_id = o.order_id AND f.cause <> 'reorg'
        WHERE o.type <> 'amend' AND NOT EXISTS (FROM fills WHERE cause = 'reorg') GROUP BY o.order_id
        HAVING abs(any_value(o.filled_qty) - coalesce(sum(f.qty), 0)) > 1e-9""",
    "a fill is of an order of its market": """
        SELECT f.* FROM fills f LEFT JOIN orders o USING (order_id)
        WHERE f.order_id IS NOT NULL AND (o.symbol IS NULL OR o.symbol <> f.symbol)""",
    "fills and the ledger": f"SELECT 1 WHERE {_posted('trade')} <> {_micro('quote', 'fills')}",
    "fees and the ledger": f"SELECT 1 WHERE -{_posted('fee')} <> {_micro('fee', 'fills')}",
    "funding and the ledger": f"SELECT 1 WHERE {_posted('funding')} <> {_micro('payment', 'funding')}",
    "penalties and the ledger": f"SELECT 1 WHERE -{_posted('penalty')} <> {_micro('penalty', 'liquidations')}",
    "bad debt and the ledger": f"SELECT 1 WHERE {_posted('bad_debt')} <> {_micro('bad_debt', 'liquidations')}",
    "insurance and the ledger": f"""
        SELECT 1 WHERE {_posted("insurance")} <> {_micro("penalty - insurance", "liquidations")}""",
    "round trips add up to fills": """
        SELECT * FROM flat JOIN (SELECT symbol, sum(realized) AS trips, sum(fees) AS paid FROM trades GROUP BY symbol)
          USING (symbol) WHERE abs(quote - trips) > 2e-6 * n OR abs(fee - paid) > 2e-6 * n
            OR abs(realized - quote) > 2e-6 * n""",
    "pieces by first in, first out add up to fills": """
        SELECT * FROM flat JOIN (SELECT symbol, sum(realized) AS trips, sum(fees) AS paid FROM trades_fifo
          GROUP BY symbol) USING (symbol) WHERE abs(quote - trips) > 2e-6 * n OR abs(fee - paid) > 2e-6 * n""",
    "a trip's net is its parts": """
        SELECT * FROM trades WHERE abs(net - (realized - fees + funding - penalty + insurance)) > 5e-6""",
    "attribution is the change of the total": """
        SELECT * FROM (SELECT coalesce(sum(change), 0) AS change FROM attribution), metrics
        WHERE abs(change - (final_equity - start_cash)) > 1e-5""",
    "attribution's parts add up": """
        SELECT * FROM attribution WHERE abs(change - (price_moves + funding - fees - spread - impact - latency
          - penalties + insurance + bad_debt - gas - bridge_fees)) > 5e-6""",
    "gas and the ledger": """
        SELECT * FROM (SELECT coalesce(sum(micro), 0) / 1e6 AS paid FROM balance WHERE account = 'gas'), metrics
        WHERE abs(paid - gas) > 2e-6""",
    "summary: fills": _metric("fills", "SELECT count(*) FROM fills", "0"),
    "summary: trades": _metric("trades", "SELECT count(*) FROM trades", "0"),
    "summary: funding": _metric("funding", "SELECT coalesce(sum(payment), 0) FROM funding", "1e-5"),
    "summary: fees": _metric("fees", "SELECT coalesce(sum(fees), 0) FROM attribution", "1e-5"),
    "summary: penalties": _metric("penalties", "SELECT coalesce(sum(penalty), 0) FROM liquidations", "1e-5"),
    "summary: bad debt": _metric("bad_debt", "SELECT coalesce(sum(bad_debt), 0) FROM liquidations", "1e-5"),
    "summary: drawdown": _metric("max_drawdown", "SELECT least(0, min(drawdown)) FROM equity", "1e-9"),
    "summary: start": _metric(
        "start_cash", "SELECT sum(amount_micro) / 1e6 FROM ledger WHERE code = 'deposit'", "2e-6"
    ),
}


def imbalances(report: Path, data: Path) -> Iterator[str]:
    """What contradicts in each account of a report."""
    for summary in sorted(report.rglob("summary.json")):
        if (summary.parent / "ledger.parquet").exists():
            yield from (f"{summary.parent.name}: {text}" for text in _account(summary.parent, data))


def _account(folder: Path, data: Path) -> Iterator[str]:
    con = duckdb.connect()
    try:
        for name in TABLES:
            con.execute(f"CREATE VIEW {name} AS FROM read_parquet('{folder / name}.parquet')")
        for name, kind in (("candles", "candles"), ("rates", "funding")):
            con.execute(f"CREATE VIEW {name} AS FROM read_parquet('{data}/{kind}/*/*.parquet', hive_partitioning=true)")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        figures = summary["metrics"]
        con.execute(f"CREATE TABLE candle AS SELECT to_milliseconds({summary['data']['interval_ms']}) AS span")
        columns = ", ".join(f'{value if value is not None else "NULL"} AS "{key}"' for key, value in figures.items())
        con.execute(f"CREATE TABLE metrics AS SELECT {columns}")
        con.execute(VIEWS)
        for name, query in CHECKS.items():
            found = con.execute(query).fetchall()
            if found:
                yield f"{name}: {len(found)} rows, as {found[0]}"
    finally:
        con.close()
