"""Invented markets: Hypothesis strategies for plays, and the same play as a dataset on disk.

What is drawn is bytes, a handful per candle, mark, settlement or message. A zero byte always means the dullest thing
(a flat candle, no premium, the first row), so that a failing play shrinks towards one that can be read. Orders of the
script are in `tickets`.
"""

from __future__ import annotations

import dataclasses
import random
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.reference.chain import Beside
from tests.reference.chains import TRANSFERS, beside, moves
from tests.reference.charges import charges, with_order_rules
from tests.reference.market import Candle, Config, Message, Play, Symbol
from tests.reference.tickets import Desk, crowd
from tests.reference.venues import venues

BASE_MS = 19_000 * 90_000_000
"""March 2024; a whole multiple of every mark interval in use, so marks lie on the clock's grid."""
INTERVALS_MS = (60_000, 300_000, 3_600_000, 1_000)
NAMES = ("SOL", "BTC", "XRP", "ETH")
PRICES = (  # base price in ticks, tick, step_micro
    (200, "0.5", 1_000_000),
    (400, "0.25", 1_000),
    (20_000, "1", 1),
    (273_417, "0.1", 1_000),
    (12_345, "0.0001", 1_000_000),
    (51_234, "0.0000001", 50_000_000),
    (100_003, "0.01", 7),
)
RATES = (0.0001, -0.0001, 0.00037, -0.0005, 0.0009765625, 0.003, -0.0025, 0.0, 0.01, -0.02, 0.03)
TARGET = 150
"""From this byte on a message is a target, before it an order."""
VOLUMES = (0.0, 0.05, 0.3, 1.0, 1.0, 3.0, 10.0, 50.0)
"""In thousands of quote units."""
LEVERAGES = (10.0, 5.0, 20.0, 3.0, 7.5, 2.0)
COST_RATES = (0.0, 0.0005, 2.5 / 10_000, 9.765625 / 10_000, 0.002, 0.03)


def signed(byte: int) -> int:
    """-127 … 127, 0 for 0."""
    return -(byte >> 1) if byte & 1 else byte >> 1


def blocks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


# ---- candles


def candle_ticks(block: bytes, last: int, base: int) -> tuple[int, int, int, int]:
    """Open, high, low, close in ticks, from bytes (mood, jump, move, upper wick, lower wick)."""
    mood, jump, move, up, down = block[:5]
    unit = 2 if mood < 170 else 6 if mood < 215 else 20 if mood < 245 else 60  # in 1/10,000 of the price

    def away(price: int, strength: int) -> int:
        moved = price + price * strength * unit // 10_000
        if not base // 4 < moved < base * 4:  # turn back rather than vanish or explode
            moved = price - price * strength * unit // 20_000
        return max(moved, 1)

    opened = away(last, signed(jump) // 2) if jump > 200 else last
    closed = away(opened, signed(move))
    high = max(opened, closed) + opened * (up // 2) * unit // 20_000
    low = max(1, min(opened, closed) - opened * (down // 2) * unit // 20_000)
    return opened, high, low, closed


def stormy(number: int, rows: int) -> bytes:
    """Bytes of candles that all move, by several per cent; three times out of four with few jumps."""
    drawn = random.Random(number).randbytes(6 * rows)
    most = 256 if number % 4 == 1 else 205
    return b"".join(bytes([150 + b[0] % 70, b[1] * most // 256, *b[2:]]) for b in blocks(drawn, 6))


@st.composite
def trades(draw: st.DrawFn, rows: int, interval_ms: int, start_ms: int, style: int, data: bytes) -> dict[int, Candle]:
    """One symbol's candles: from its listing to its end, with gaps if it has that habit."""
    base, tick, _ = PRICES[style]
    gappy = draw(st.booleans())
    late = draw(st.sampled_from((0, 0, 0, 1, 2, rows // 3)))
    early = draw(st.sampled_from((0, 0, 0, 1, 2, rows // 3)))
    # Half of the markets have prices as a feed computes them, with binary dust, instead of the nearest to a decimal.
    dusty = draw(st.booleans())
    candles: dict[int, Candle] = {}
    last, gap = base, False
    for k, block in enumerate(blocks(data, 6)[: rows - early]):
        ticks = candle_ticks(block, last, base)
        gap = gappy and (block[5] >= 216 or (gap and block[5] >= 80))
        if k < late or gap:
            continue
        prices = [float(t) * float(tick) if dusty else float(t * Decimal(tick)) for t in ticks]
        volume = random.Random(block).choice(VOLUMES) * 1_000 / prices[3]
        candles[start_ms + k * interval_ms] = Candle(*prices, volume=volume)
        last = ticks[3]
    if not candles:
        candles[start_ms + late * interval_ms] = Candle(*[float(base * Decimal(tick))] * 4)
    return candles


# ---- marks


def mark_candle(block: bytes, inside: list[Candle], last: float) -> Candle:
    """The mark over the candles it covers: a premium at either end, wicks narrower or wider than the trades'."""
    opened = (inside[0].open if inside else last) * (1 + signed(block[0]) / 10_000)
    closed = (inside[-1].close if inside else last) * (1 + signed(block[1]) / 10_000)
    top, bottom = max(opened, closed), min(opened, closed)
    high = max([c.high for c in inside], default=last)
    low = min([c.low for c in inside], default=last)

    def reach(body: float, wick: float, byte: int, outwards: int) -> float:
        if byte < 128:
            return body + (wick - body) * (1 - byte / 128)
        return wick * (1 + outwards * (byte - 128) / 1_000)

    high, low = max(top, reach(top, high, block[2], 1)), min(bottom, reach(bottom, low, block[3], -1))
    digits = 17 if block[4] & 1 else 9  # every digit of the double, or a decimal as a venue prints it
    return Candle(*[float(f"{price:.{digits}g}") for price in (opened, high, low, closed)])


@st.composite
def marks(draw: st.DrawFn, candles: dict[int, Candle], interval_ms: int) -> tuple[dict[int, Candle], int | None]:
    """No marks, marks of the candles' interval with holes, or coarser ones on the clock's grid."""
    factor = draw(st.sampled_from((0, 1, 5, 2)))
    if factor == 0:
        return {}, None
    mark_ms = factor * interval_ms
    first, last_ms = min(candles) // mark_ms * mark_ms, max(candles)
    stamps = range(first, last_ms + mark_ms, mark_ms)
    made: dict[int, Candle] = {}
    last = candles[min(candles)].open
    for at, block in zip(stamps, blocks(draw(exactly(5 * len(stamps))), 5), strict=True):
        inside = [candles[t] for t in range(at, at + mark_ms, interval_ms) if t in candles]
        if block[4] < 200:
            made[at] = mark_candle(block, inside, last)
        last = inside[-1].close if inside else last
    return (made, mark_ms) if made else ({}, None)


# ---- funding


@st.composite
def funding(draw: st.DrawFn, life_start: int, life_end: int, interval_ms: int) -> list[tuple[int, float | None]]:
    """No settlements, a regular grid with holes, or odd stamps.

    Either is such that a feed that infers missing stamps finds exactly those that are None here. A grid's holes are
    single and far from its ends. Odd stamps stray by at most a tenth of their spacing, so no gap exceeds one and a half
    times another, and the first and the last lie nearer to the ends of the symbol's life than a spacing. Four stamps
    on either side lie outside its life, where there is no funding.
    """
    kind = draw(st.sampled_from(("none", "odd", "grid")))
    if kind == "none":
        return []
    if kind == "odd":
        inside = odd_stamps(draw, life_start, life_end, interval_ms)
    else:
        inside = grid_stamps(draw, life_start, life_end, interval_ms)
    picks = draw(exactly(2 * len(inside.stamps)))
    out: list[tuple[int, float | None]] = [(ts, RATES[1]) for ts in inside.around]
    hole = -9
    for i, ts in enumerate(inside.stamps):
        rate = RATES[picks[2 * i] % len(RATES)]
        holes = inside.regular and 4 <= i < len(inside.stamps) - 4 and i - hole > 4 and picks[2 * i + 1] > 200
        hole = i if holes else hole
        out.append((ts, None if holes else rate))
    return sorted(out)


class Stamps:
    def __init__(self, stamps: list[int], life: tuple[int, int], spacing: int, regular: bool) -> None:
        first, last = stamps[0], stamps[-1]
        self.stamps = [ts for ts in stamps if life[0] <= ts < life[1]]
        self.around = [first - k * spacing for k in range(1, 5)] + [last + k * spacing for k in range(1, 5)]
        self.around += [ts for ts in stamps if ts not in self.stamps]
        self.regular = regular


def grid_stamps(draw: st.DrawFn, start: int, end: int, interval_ms: int) -> Stamps:
    spacing = interval_ms * draw(st.sampled_from((8, 4, 2, 1))) // 4  # 2, 1, 1/2 or 1/4 of a candle
    phase = draw(st.sampled_from((0, spacing // 3, spacing - 1)))
    return Stamps(list(range(start + phase, max(end, start + phase + 1), spacing)), (start, end), spacing, True)


def odd_stamps(draw: st.DrawFn, start: int, end: int, interval_ms: int) -> Stamps:
    """Stamps at 0.3, 1.3, 2.3 … spacings, the last 0.3 before the end, each strayed or drawn to a row's open."""
    count = draw(st.integers(1, min(60, 3 * (end - start) // interval_ms)))
    spacing = (end - start) * 10 // (10 * count - 4)
    stray = spacing // 10
    stamps = []
    for i, byte in enumerate(draw(exactly(count))):
        middle = start + 3 * spacing // 10 + i * spacing
        nearest = start + (middle - start + interval_ms // 2) // interval_ms * interval_ms
        close_by = abs(nearest - middle) <= stray and byte < 128
        stamps.append(nearest if close_by else middle + stray * signed(byte) // 127)
    return Stamps(stamps, (start, end), spacing, False)


# ---- the account


@st.composite
def accounts(draw: st.DrawFn, names: list[str], interval_ms: int, run: tuple[int, int]) -> Config:
    """Any margin mode, sometimes with symbols that differ, isolation by share, and deleveraging events inside `run`."""
    margin = draw(st.sampled_from(("cross", "isolated", "portfolio")))
    modes = {}
    if draw(st.integers(0, 3)) == 3:
        modes = {name: draw(st.sampled_from(("cross", "isolated"))) for name in names}
    return Config(
        cash_micro=draw(st.sampled_from((10_000_000_000, 1_000_000_000, 1_234_567_891))),
        margin=margin,
        modes=modes,
        isolate_above=draw(st.sampled_from((None, None, None, 0.6, 0.35))),
        posted=draw(st.sampled_from((None, None, 150_000_000, 3_333_333_333))),
        adl=draw(failures(names, interval_ms, run)),
        adl_top=draw(st.integers(1, 3)),
        leverage=leverages(draw(st.integers(0, 2**32 - 1)), names),
        path=draw(st.sampled_from(("coherent", "worst", "best"))),
        latency_ms=draw(
            st.sampled_from(
                (0, 0, 1, interval_ms // 3, interval_ms // 2 + 1, interval_ms, interval_ms * 4 // 3, 3 * interval_ms)
            )
        ),
        slippage=draw(st.sampled_from(COST_RATES)),
        fee=draw(st.sampled_from(COST_RATES)),
        allow_missing_funding=draw(st.sampled_from((True, True, True, False))),
        **charges(draw(st.integers(0, 2**32 - 1)), names, run),
    )


def leverages(seed: int, names: list[str]) -> dict[str, float]:
    """What is set at the start; in a third of the plays some symbols have none, and the venue's default at times."""
    drawn = random.Random(seed)
    some = drawn.random() < 1 / 3
    return {name: drawn.choice(LEVERAGES) for name in names if not some or drawn.random() < 0.5}


@st.composite
def failures(draw: st.DrawFn, names: list[str], interval_ms: int, run: tuple[int, int]) -> list[tuple[int, str, float]]:
    """Deleveraging events, in a quarter of the plays, anywhere in the run; two may share an instant."""
    if draw(st.integers(0, 3)) < 3:
        return []
    made = []
    for row, inside, which, closed in blocks(draw(exactly(4 * draw(st.integers(1, 4)))), 4):
        stamp = run[0] + (run[1] - run[0]) * row // 256 // interval_ms * interval_ms
        stamp += interval_ms * (inside - 127) // 131 if inside > 127 else 0
        symbol = "" if which < 100 else names[which % len(names)]
        made.append((min(stamp, run[1] - 1), symbol, (1.0, 0.5, 0.3, 0.1)[closed % 4]))
    return sorted(made, key=lambda event: event[0])


# ---- the script


def transfer(at: int, kind: int, size: int, route: int, cash: int, around: Beside) -> Message:
    """Of up to 1.3 of the reserve, or of half of the account's cash; now and then of nothing."""
    if kind < TRANSFERS + 3:
        amount = around.reserve * size // 200
        return Message(at, "deposit", amount=amount, route=route % len(around.chain.deposits))
    amount = cash * size // 500
    return Message(at, "withdraw", amount=amount, route=route % len(around.chain.withdrawals))


def message(
    block: bytes, row: int, symbols: list[Symbol], config: Config, around: Beside, desk: Desk, play_ms: tuple[int, int]
) -> Message:
    """From bytes (row, kind, symbol, size, flags, type, details); sent at the row's close, or the nearest of the
    symbol's life."""
    start_ms, interval_ms = play_ms
    symbol = symbols[block[2] % len(symbols)]
    open_ms = min(max(start_ms + row * interval_ms, symbol.first_ms), symbol.last_ms)
    at, kind = open_ms + interval_ms, block[1]
    # Of the account's buying power in this symbol; more than one in the corners, to be refused.
    strength = signed(block[3]) / 127 * config.leverage.get(symbol.name, 8.0) * 1.3 / len(symbols) ** 0.5
    if TARGET <= kind < 195:
        return Message(at, "target", symbol.name, weight=round(strength, 3), reduce_only=block[4] >= 225)
    if TRANSFERS <= kind < TRANSFERS + 5 and around != Beside():
        return transfer(at, kind, block[3], block[4], config.cash_micro, around)
    if 195 <= kind < 205:
        return Message(at, "mode", symbol.name, mode=("isolated", "cross")[block[3] % 2])
    if 205 <= kind < 212:
        return Message(at, "add_margin", symbol.name, amount=config.cash_micro * (block[3] + 1) // 300)
    if 212 <= kind < 218:
        return Message(at, "leverage", symbol.name, value=(10.0, 3.0, 20.0, 5.5)[block[3] % 4])
    price = symbol.candles[symbol.first_ms].open
    lots = round(config.cash_micro * strength / (price * symbol.step_micro)) or 1
    even = random.Random(block[5:])
    if 218 <= kind < 230:
        return desk.cancel(at, block[3])
    if 230 <= kind < 234:
        return Message(at, "cancel_all", ("", symbol.name)[block[3] % 2])
    if 234 <= kind < 248:
        return desk.amend(at, block[3], even)
    if kind >= 248:
        return desk.oco(at, symbol, lots, even)
    return desk.order(at, symbol, lots, block[4], block[5], even)


@st.composite
def scripts(
    draw: st.DrawFn, symbols: list[Symbol], interval_ms: int, rows: int, config: Config, around: Beside, tense: bool
) -> list[Message]:
    """Every symbol is opened when it begins, as a rule; then messages anywhere, in order of time.

    In a third of the plays a crowd of orders joins them at one close or at several; transfers where money can be moved.
    """
    start_ms = min(s.first_ms for s in symbols)
    traded = {at for s in symbols for at in s.candles}
    drawn = blocks(draw(exactly(2 * len(symbols))), 2)
    if tense:
        # Targets, either side, that use 0.85 of the account's buying power together: liquidation is then a few per
        # cent off.
        drawn = [bytes([TARGET, 2 * round(83 / len(symbols) ** 0.5) + (kind & 1)]) for kind, _ in drawn]
    opening = [bytes([0, kind, i, size, 0, 0, 0, 0]) for i, (kind, size) in enumerate(drawn)]
    count = draw(st.integers(0, 2 * rows))
    later = blocks(draw(exactly(8 * count)), 8) + crowd(draw(st.integers(0, 2**32 - 1)))
    if around != Beside():
        later += moves(draw(st.integers(0, 2**32 - 1)))
    keyed = sorted([(0, b) for b in opening] + [(b[0] * rows // 256, b) for b in later], key=lambda pair: pair[0])
    desk = Desk(interval_ms, config.latency_ms)
    made = []
    for row, block in keyed:
        said = message(block, row, symbols, config, around, desk, (start_ms, interval_ms))
        # A strategy is called where something closed a candle.
        if said.sent_ms - interval_ms in traded:
            desk.sent(said)
            made.append(said)
    return sorted(made, key=lambda m: m.sent_ms)


@st.composite
def plays(draw: st.DrawFn) -> Play:
    """1 to 4 symbols over 5 to 40 rows, an account and its messages.

    In half of the plays the account is all in, the prices move in every row and the venue has stages, which free draws
    seldom make together.
    """
    tense = draw(st.sampled_from((False, True)))
    interval_ms = draw(st.sampled_from(INTERVALS_MS))
    rows = draw(st.integers(5, 40))
    start_ms = BASE_MS + draw(st.integers(0, 4)) * interval_ms
    symbols: list[Symbol] = []
    data = b""
    for name in NAMES[: draw(st.integers(1, 4))]:
        style = draw(st.integers(0, len(PRICES) - 1))
        if not (data and draw(st.booleans())):  # else it moves as the one before: hedges are then hedges
            data = stormy(draw(st.integers(0, 2**32)), rows) if tense else draw(exactly(6 * rows))
        candles = draw(trades(rows, interval_ms, start_ms, style, data))
        mark, mark_ms = draw(marks(candles, interval_ms))
        paid = draw(funding(min(candles), max(candles) + interval_ms, interval_ms))
        symbols.append(Symbol(name, PRICES[style][2], candles, mark, mark_ms, paid))
    start_ms = min(s.first_ms for s in symbols)
    run = (start_ms, max(s.last_ms for s in symbols) + interval_ms)
    config = draw(accounts([s.name for s in symbols], interval_ms, run))
    if tense:
        leverage = dict.fromkeys(config.leverage, draw(st.sampled_from((20.0, 10.0))))
        config = dataclasses.replace(config, leverage=leverage, fee=0.0005, slippage=0.0)
    prices = {s.name: s.candles[s.first_ms].open for s in symbols}
    venue = draw(venues(prices, config.cash_micro, interval_ms, run, tense))
    venue = with_order_rules(venue, draw(st.integers(0, 2**32 - 1)), config.cash_micro, run)
    around = beside(draw(st.integers(0, 2**32 - 1)), run, interval_ms, config.cash_micro)
    messages = draw(scripts(symbols, interval_ms, rows, config, around, tense))
    return Play(symbols, interval_ms, venue, config, messages, around)


# ---- on disk


def duration(ms: int) -> str:
    """`90 s` is `90s`, `120 s` is `2m`."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def write_dataset(play: Play, folder: Path) -> None:
    """Write the play's market in the layout of a dataset; missing settlements are left out, for the feed to find.

    Each symbol may have marks of another interval (``mark_interval`` in its table).
    """
    lines = ["[dataset]", f'interval = "{duration(play.interval_ms)}"', 'quote = "USDC"', 'venue = "generic"']
    lines += ['provenance = "synthetic: invented by a test"']
    for symbol in sorted(play.symbols, key=lambda s: s.name):
        lines += ["", f"[symbols.{symbol.name}]", f"step = {Decimal(symbol.step_micro) / 1_000_000:f}"]
        if symbol.marks:
            assert symbol.mark_interval_ms is not None
            lines.append(f'mark_interval = "{duration(symbol.mark_interval_ms)}"')
            write_candles(folder / "mark" / f"symbol={symbol.name}", symbol.marks, volume=False)
        write_candles(folder / "candles" / f"symbol={symbol.name}", symbol.candles, volume=True)
        paid = [(ts, rate) for ts, rate in symbol.funding if rate is not None]
        if paid:
            stamps, rates = zip(*paid, strict=True)
            write_table(folder / "funding" / f"symbol={symbol.name}", {"ts": times(stamps), "rate": pa.array(rates)})
    (folder / "dataset.toml").write_text("\n".join(lines) + "\n")


def write_candles(folder: Path, candles: dict[int, Candle], volume: bool) -> None:
    stamps = sorted(candles)
    columns = {"ts": times(stamps)}
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array([getattr(candles[ts], name) for ts in stamps], pa.float64())
    if volume:
        columns["volume"] = pa.array([candles[ts].volume for ts in stamps], pa.float64())
    write_table(folder, columns)


def times(stamps: list[int] | tuple[int, ...]) -> pa.Array:
    return pa.array(stamps, pa.int64()).cast(pa.timestamp("ms", tz="UTC"))


def write_table(folder: Path, columns: dict[str, pa.Array]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")
