"""`RunSettings`: every setting of a run, once.

The flags of the command line and their help, the keys of a run's TOML file, the keyword arguments of the public
functions (`run_keywords.py`) and the reference page are made of it. `validation.py` checks values against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache

from backtest.core.enums import ALLOWANCES, PATHS
from backtest.core.held_book import HeldBook
from backtest.runner.setting import (
    CHECK,
    COMMANDS,
    COMPARE,
    LATENCY,
    MONTECARLO,
    RUN,
    SHARED_MARGIN,
    STRESS,
    SUB_ACCOUNTS,
    SWEEP,
    Group,
    Kind,
    Setting,
    named,
    setting,
)  # fmt: skip

DATA, ACCOUNT, COSTS = Group.DATA, Group.ACCOUNT, Group.COSTS
GUARDS, OUTPUT, NETWORK, VARIED = Group.GUARDS, Group.OUTPUT, Group.NETWORK, Group.SWEEP

HOLDING = (RUN, COMPARE, LATENCY, SWEEP, STRESS, MONTECARLO)
"""Commands that take positions in the place of a strategy."""
LEAST_CASH, MOST_CASH = 0.01, 1e9
"""A cent; and a billion, since one amount is counted exactly up to 4.5 billion (`engine.money`)."""
LEAST_LEVERAGE, MOST_LEVERAGE = 0.01, 1_000.0
MAX, DEFAULT = "max", "default"
"""The leverage that asks for no more margin than the venue's minimum."""
BY_LEVERAGE, MINIMUM, EQUAL = "leverage", "minimum", "equal"
"""What opens an isolated position, beside an amount."""
DEFAULT_VENUE = "generic"
"""The venue of a run where neither the user nor the dataset names one."""
MOST_LATENCY_MS = 30 * 86_400_000
WHOLE_BPS = 10_000.0
MOST_SEED = 2**63 - 1
MOST_POSITIONS = 1_000
LIMIT_FILLS = ("through", "touch")
MOST_SAMPLES, MOST_WORKERS, MOST_CUTS = 1_000_000, 1_024, 10_000
SAMPLERS = ("halton", "random")
RESAMPLES = ("candles", "starts", "trades")
REPORTING = tuple(command for command in COMMANDS if command != CHECK)
"""What writes a report."""
LEAST_TIMEOUT_S, MOST_TIMEOUT_S = 0.001, 366 * 86_400.0
DELAYS = (0, 50, 200, 1_000, 5_000)
"""Milliseconds: a machine beside the venue's, one on its continent, one that thinks, and a person."""


@dataclass(frozen=True)
class RunSettings:
    """The settings of one command. Money in quote units, times and lengths of time in ms, as `validation` gives."""

    strategy: str = ""
    """As the user names it, or the class of one that is in memory. Not a setting here: an argument of each function."""
    data: str = setting(
        "", "Dataset: a folder, a Parquet file with a symbol column, or binance-2025, which comes with the package.",
        DATA, Kind.FILE, "PATH", absent="required", example='"binance-2025"',
    )  # fmt: skip
    symbols: tuple[str, ...] | None = setting(
        None, "Markets to replay, separated by commas.", DATA, Kind.NAMES, "SYMBOL,...",
        absent="all of the dataset", example='["BTC-USD", "ETH-USD"]',
    )  # fmt: skip
    start: int | None = setting(
        None, "Start of the period: a date or an ISO time, UTC, inclusive.", DATA, Kind.TIME, "TIME",
        unit="ms since 1970", absent="the start of the data", flags=("--start", "--from"), recorded="start_ms",
        example="2024-03-01",
    )  # fmt: skip
    end: int | None = setting(
        None, "End of the period: a date or an ISO time, UTC, exclusive.", DATA, Kind.TIME, "TIME",
        unit="ms since 1970", absent="the end of the data", flags=("--end", "--to"), recorded="end_ms",
        example="2024-03-01T10:30:00Z",
    )  # fmt: skip
    interval: int | None = setting(
        None, "Replay candles of this length, resampled from the dataset's.", DATA, Kind.LENGTH, "LENGTH", unit="ms",
        absent="that of the dataset", recorded="interval_ms", example='"1h"',
    )  # fmt: skip
    drill: int | None = setting(
        None, "With --interval: replay candles that could trigger an order or a liquidation on finer candles of this "
        "length.", DATA, Kind.LENGTH, "LENGTH", unit="ms", absent="never", recorded="drill_ms", example='"5m"',
        commands=(RUN, COMPARE, LATENCY, SUB_ACCOUNTS, SHARED_MARGIN, SWEEP, CHECK),
    )  # fmt: skip
    path: str = setting(
        "coherent", "Price path inside a candle: coherent, worst or best.", DATA, Kind.CHOICE, "PATH", choices=PATHS,
        example='"worst"',
    )  # fmt: skip
    allow: tuple[str, ...] = setting(
        (), "Run in spite of missing data: missing-funding.", DATA, Kind.TEXTS, "NAME", choices=ALLOWANCES,
        absent="nothing", example='["missing-funding"]',
    )  # fmt: skip
    seed: int = setting(
        0, "Random seed for the strategy, latency and outages.", DATA, Kind.WHOLE, "N", within=(0, MOST_SEED),
        example="7",
    )  # fmt: skip
    cuts: int = setting(
        20, "Number of cuts: replays on data that end there.", DATA, Kind.WHOLE, "N", within=(1, MOST_CUTS),
        commands=(CHECK,), recorded="-", example="50",
    )  # fmt: skip
    paths: int = setting(
        1_000, "Number of histories.", DATA, Kind.WHOLE, "N", within=(1, MOST_SAMPLES), commands=(MONTECARLO,),
        recorded="-", example="200",
    )  # fmt: skip
    block: str | None = setting(
        None, "Mean length of the blocks of candles, or all for the history as it is.", DATA, Kind.TEXT, "LENGTH|all",
        absent="as long as volatility clusters", commands=(MONTECARLO,), recorded="-", example='"7d"',
    )  # fmt: skip
    resample: str = setting(
        "candles", "What is drawn at random: candles (replayed through the engine), starts (start dates) or trades "
        "(their order; nothing is replayed).", DATA, Kind.CHOICE, "WHAT", choices=RESAMPLES, commands=(MONTECARLO,),
        recorded="-", example='"starts"',
    )  # fmt: skip
    params: Mapping[str, object] = setting(
        {}, "Parameter of the strategy; a sweep also takes 5:50:5 and 20,50,100; with several strategies 2.NAME=VALUE "
        "sets that of the second only.", ACCOUNT, Kind.PARAMS, "NAME=VALUE", absent="those of the strategy",
        flags=("--param", "-p"), example="{ fast = 10 }",
    )  # fmt: skip
    positions: HeldBook | None = setting(  # noqa: RUF009  it is frozen
        None, "Hold the positions of a CSV, TOML or JSON file instead of running a strategy.", ACCOUNT, Kind.POSITIONS,
        "FILE", absent="none", commands=HOLDING,
        example='[{ symbol = "BTC-USD", qty = 0.5, entry = 60000 }]',
    )  # fmt: skip
    rebalance: int | None = setting(
        None, "With --positions: bring positions back to their weights at the start, once in this time.", ACCOUNT,
        Kind.LENGTH, "LENGTH", unit="ms", absent="never", recorded="rebalance_ms", commands=HOLDING, example='"1d"',
    )  # fmt: skip
    venue: str | None = setting(
        None, "Venue: a name or alias of `backtest venues list`, or a FILE.toml.", ACCOUNT, Kind.FILE, "NAME|FILE",
        absent="that of the dataset, else generic", example='"binance_usdm"',
    )  # fmt: skip
    margin: tuple[str, ...] = setting(
        ("cross",), "Margin mode: cross, isolated or portfolio; SYMBOL=isolated or SYMBOL=cross for single markets.",
        ACCOUNT, Kind.NAMES, "MODE,...", recorded="-",
        defaults=tuple((command, ("isolated", "cross")) for command in (COMPARE, STRESS, MONTECARLO)),
        example='["cross", "DOGE-USD=isolated"]',
    )  # fmt: skip
    leverage: float | str | None = setting(
        None, "Notional over initial margin; max: the highest that the venue allows.", ACCOUNT,
        Kind.NUMBER_OR_WORD, "NUMBER|max", unit="x", within=(LEAST_LEVERAGE, MOST_LEVERAGE), choices=(MAX,),
        absent="the venue's default in isolated margin, else max", example="5",
    )  # fmt: skip
    isolated_margin: float | str = setting(
        BY_LEVERAGE, "Collateral that opens an isolated position: leverage (position size over --leverage, or over the "
        "venue's default), minimum (the venue's initial margin), equal (--cash over the number of markets) or an "
        "amount in quote currency.", ACCOUNT, Kind.NUMBER_OR_WORD, "HOW|AMOUNT", unit="quote",
        within=(LEAST_CASH, MOST_CASH), choices=(BY_LEVERAGE, MINIMUM, EQUAL), example='"equal"',
    )  # fmt: skip
    cash: float = setting(
        100_000.0, "Deposit, in quote currency.", ACCOUNT, Kind.NUMBER, "AMOUNT", unit="quote",
        within=(LEAST_CASH, MOST_CASH), example="50000",
    )  # fmt: skip
    reserve: float = setting(
        0.0, "Money outside the venue, in quote currency, which pays for top-ups.", ACCOUNT, Kind.NUMBER, "AMOUNT",
        unit="quote", within=(0, MOST_CASH), example="20000",
    )  # fmt: skip
    isolate_above: float | None = setting(
        None, "Isolate a position that makes up more than this share of the cross margin account's maintenance margin.",
        ACCOUNT, Kind.NUMBER, "SHARE", unit="share", within=(0.01, 1), absent="never", example="0.5",
    )  # fmt: skip
    adl: tuple[str, ...] = setting(
        (), "Inject auto-deleveraging events: TIME,SYMBOL,SHARE (* for the market that ranks first), "
        "move=5%/10m,SHARE, or a FILE.csv.", ACCOUNT, Kind.TEXTS, "EVENT", absent="none", example='["move=5%/10m,0.2"]',
    )  # fmt: skip
    adl_top: int = setting(
        1, "Maximum number of positions that simultaneous --adl events close.", ACCOUNT, Kind.WHOLE, "N",
        within=(0, MOST_POSITIONS), example="3",
    )  # fmt: skip
    sub_accounts: bool = setting(
        False, "Run each strategy in its own sub-account, with a share of --cash.", ACCOUNT, Kind.SWITCH,
        commands=(RUN,), recorded="-", example="true",
    )  # fmt: skip
    split: tuple[str, ...] | None = setting(
        None, "With --sub-accounts: percentages of --cash and --reserve, one per strategy.", ACCOUNT, Kind.NUMBERS,
        "PERCENT,...", unit="%", absent="equal", commands=(SUB_ACCOUNTS,), recorded="-", example='["60", "40"]',
    )  # fmt: skip
    shared_margin: bool = setting(
        False, "Let strategies share one account.", ACCOUNT, Kind.SWITCH, commands=(RUN,), recorded="-", example="true",
    )  # fmt: skip
    margin_limit: tuple[str, ...] | None = setting(
        None, "With --shared-margin: most initial margin of a strategy, a share of the equity; for all, or for each.",
        ACCOUNT, Kind.NAMES, "PERCENT,...", absent="none", commands=(SHARED_MARGIN,), recorded="-", example='["40%"]',
    )  # fmt: skip
    loss_cap: tuple[str, ...] | None = setting(
        None, "With --sub-accounts or --shared-margin: close everything and stop trading after this loss (20% of the "
        "deposit, or an amount like 5000, or none), one for all or one per strategy.", ACCOUNT, Kind.NAMES, "LOSS,...",
        absent="none", commands=(SUB_ACCOUNTS, SHARED_MARGIN), recorded="-", example='["20%"]',
    )  # fmt: skip
    offline: tuple[str, ...] = setting(
        (), "Decide nothing for a while: LENGTH@TIME, or LENGTH@worst where the positions would lose most.", ACCOUNT,
        Kind.TEXTS, "LENGTH@TIME", absent="never", commands=(RUN, COMPARE), example='["2h@worst"]',
    )  # fmt: skip
    override: tuple[str, ...] = setting(
        (), "Step in by hand from TIME on: cancel-all, close-all, or stop (close all and decide no more).", ACCOUNT,
        Kind.TEXTS, "TIME,ACT", absent="never", commands=(RUN, COMPARE), example='["2025-10-10T21:00,close-all"]',
    )  # fmt: skip
    fee_bps: float | None = setting(
        None, "Taker fee, and maker fee unless --maker-fee-bps is given.", COSTS, Kind.NUMBER, "BPS", unit="bps",
        within=(0, WHOLE_BPS), absent="the fee tiers of the venue", example="5",
    )  # fmt: skip
    maker_fee_bps: float | None = setting(
        None, "Maker fee; negative for a rebate.", COSTS, Kind.NUMBER, "BPS", unit="bps",
        within=(-WHOLE_BPS, WHOLE_BPS), absent="as --fee-bps, or the fee tiers of the venue", example="-0.5",
    )  # fmt: skip
    fee_discount: str | None = setting(
        None, "Discount on the venue's fees: a name that it has, such as bnb, or a share.", COSTS, Kind.TEXT,
        "NAME|SHARE", absent="none", example='"10%"',
    )  # fmt: skip
    slippage_bps: float = setting(
        0.0, "Fixed slippage of every taker fill.", COSTS, Kind.NUMBER, "BPS", unit="bps", within=(0, WHOLE_BPS),
        example="1.5",
    )  # fmt: skip
    slippage: tuple[str, ...] = setting(
        (), "Slippage model: half-spread=BPS (or corwin-schultz, abdi-ranaldo, edge), impact=Y:DELTA, volume=K, "
        "depth=FILE.parquet, stress=FACTOR, drift=K, band=PERCENT.", COSTS, Kind.PAIRS, "KIND=VALUE", absent="none",
        example='["half-spread=1", "impact=0.8"]',
    )  # fmt: skip
    volume_share: str | None = setting(
        None, "Maximum share of a candle's volume that can fill: 10%, or taker=10%,maker=5%.", COSTS, Kind.TEXT,
        "SHARE", absent="no limit", example='"10%"',
    )  # fmt: skip
    limit_fill: str = setting(
        "through", "Fill a limit order when the price trades through it, or as soon as it touches it: through or "
        "touch.", COSTS, Kind.CHOICE, "WHEN", choices=LIMIT_FILLS, example='"touch"',
    )  # fmt: skip
    guards: tuple[str, ...] = setting(
        (), "Guard that watches the account at each close, such as stop=5% or drawdown=20%.", GUARDS, Kind.PAIRS,
        "KIND=VALUE", absent="those of the strategy", flags=("--guard", "--guards"), example='["stop=5%"]',
    )  # fmt: skip
    out: str | None = setting(
        None, "Folder of the report.", OUTPUT, Kind.FILE, "FOLDER", recorded="-",
        absent="a folder in reports/; in Python no report", commands=REPORTING, example='"reports/mine"',
    )  # fmt: skip
    timeout: float | None = setting(
        None, "Stop with exit code 1, and write nothing, if it takes longer; of a sweep, fail the run that does.",
        OUTPUT, Kind.NUMBER, "SECONDS",
        unit="s", within=(LEAST_TIMEOUT_S, MOST_TIMEOUT_S), absent="never", recorded="-", example="600",
    )  # fmt: skip
    mark_cost: bool = setting(
        True, "Measure the P&L effect of the venue mark by a second replay.",
        OUTPUT, Kind.SWITCH, commands=(RUN,), recorded="-", example="false",
    )  # fmt: skip
    check: bool = setting(
        True, "Check for look-ahead: replay a short part on data that end there and compare.",
        OUTPUT, Kind.SWITCH, commands=(RUN, COMPARE), recorded="-", example="false",
    )  # fmt: skip
    latency_ms: int = setting(
        0, "Delay from a decision until its message leaves; a chain's latency is added.", NETWORK, Kind.WHOLE, "MS",
        unit="ms", within=(0, MOST_LATENCY_MS), commands=tuple(c for c in COMMANDS if c != LATENCY), example="250",
    )  # fmt: skip
    grid: tuple[int, ...] = setting(
        DELAYS, "Delays to compare, each as --latency-ms of one account.", NETWORK, Kind.NUMBERS, "MS,...", unit="ms",
        commands=(LATENCY,), recorded="-", example="[0, 500]",
    )  # fmt: skip
    chain: str | None = setting(
        None, "Send orders and money over a chain: a name of `backtest venues chains`, a FILE.toml, or venue for the "
        "venue's own.", NETWORK, Kind.FILE, "NAME|FILE", absent="instant and free", example='"arbitrum"',
    )  # fmt: skip
    outages: tuple[str, ...] = setting(
        (), "Stop the chain: START/LENGTH or START/END, a FILE (.toml, .json, .csv), history, poisson=2/year:60m:8h "
        "(rate, median, 90th percentile), or worst:30m at the costliest moment.", NETWORK, Kind.TEXTS, "WHEN",
        absent="none", example='["worst:30m"]',
    )  # fmt: skip
    reorg: int | None = setting(
        None, "Undo fills that happened within this time before an outage.", NETWORK, Kind.LENGTH, "LENGTH", unit="ms",
        absent="that of the chain", recorded="reorg_ms", example='"30s"',
    )  # fmt: skip
    force_inclusion: bool = setting(
        False, "During an outage send messages through Layer 1, if the chain allows it.", NETWORK, Kind.SWITCH,
        example="true",
    )  # fmt: skip
    oracle: tuple[str, ...] = setting(
        (), "Derive the venue mark from the market mark: delay=3s, heartbeat=1h, deviation=0.5%, average=30s, median; "
        "limit=60s rejects orders if it is older; stale=30s and grace=1h apply after an outage.", NETWORK, Kind.PAIRS,
        "KIND=VALUE", absent="the mark price of the data", example='["delay=3s"]',
    )  # fmt: skip
    gas: bool = setting(True, "Charge the chain's gas.", NETWORK, Kind.SWITCH, example="false")
    scenario: str = setting(
        "crashes", "Scenarios to replay: a pack of the package, or a FILE.toml.", Group.STRESS, Kind.FILE, "PACK|FILE",
        commands=(STRESS,), recorded="-", example='"mine.toml"',
    )  # fmt: skip
    cascade: float | str | None = setting(
        None, "Add a cascade of liquidations to each scenario that moves prices: the open interest of one side of each "
        "market in quote currency, or default (half of the daily turnover).", Group.STRESS, Kind.NUMBER_OR_WORD,
        "AMOUNT|default", unit="quote", within=(0, 1e15), choices=(DEFAULT,), absent="those of the pack",
        commands=(STRESS,), recorded="-", example='"default"',
    )  # fmt: skip
    vary: Mapping[str, object] = setting(
        {}, "Vary a setting: a list like margin=isolated,cross or a range like leverage=2:10:2.", VARIED, Kind.PARAMS,
        "SETTING=VALUES", absent="nothing", commands=(SWEEP, STRESS, COMPARE), recorded="-",
        example='{ margin = ["isolated", "cross"] }',
    )  # fmt: skip
    where: str | None = setting(
        None, "Run only combinations for which this SQL expression over the varied names is true.", VARIED, Kind.TEXT,
        "EXPRESSION", absent="all", commands=(SWEEP,), recorded="-", example='"fast < slow"',
    )  # fmt: skip
    samples: int | None = setting(
        None, "Draw this many combinations instead of running all.", VARIED, Kind.WHOLE, "N",
        within=(1, MOST_SAMPLES), absent="all combinations", commands=(SWEEP,), recorded="-", example="200",
    )  # fmt: skip
    sampler: str = setting(
        "halton", "How --samples draws: halton (quasi-random) or random, both from --seed.", VARIED, Kind.CHOICE,
        "SAMPLER", choices=SAMPLERS, commands=(SWEEP,), recorded="-", example='"random"',
    )  # fmt: skip
    workers: int | None = setting(
        None, "Number of worker processes.", VARIED, Kind.WHOLE, "N", within=(1, MOST_WORKERS), absent="one per core",
        commands=(SWEEP, STRESS, MONTECARLO), recorded="-", example="4",
    )  # fmt: skip
    cluster: str | None = setting(
        None, "Run on the Dask cluster whose scheduler has this address, like tcp://HOST:8786.", VARIED, Kind.TEXT,
        "ADDRESS", absent="this machine", commands=(SWEEP,), recorded="-", example='"tcp://127.0.0.1:8786"',
    )  # fmt: skip
    threads: bool = setting(
        False, "Run the workers as threads of this process, for strategies with targets.", VARIED, Kind.SWITCH,
        commands=(SWEEP,), recorded="-", example="true",
    )  # fmt: skip
    venue_from_data: bool = False
    """Whether the venue is the dataset's, none having been asked for. Not a setting."""

    @property
    def start_ms(self) -> int | None:
        """Start of the period, ms since 1970."""
        return self.start

    @property
    def end_ms(self) -> int | None:
        """End of the period, ms since 1970, exclusive."""
        return self.end

    @property
    def interval_ms(self) -> int | None:
        """Length of the candles that are replayed; None: that of the dataset."""
        return self.interval

    @property
    def drill_ms(self) -> int | None:
        """Length of the finer candles; None: candles are replayed whole."""
        return self.drill

    @property
    def reorg_ms(self) -> int | None:
        """Fills so shortly before an outage are undone; None: as the chain has it."""
        return self.reorg

    @property
    def most_leverage(self) -> float | None:
        """The leverage that was asked for; infinite for as much as the venue allows, None: none was."""
        return math.inf if isinstance(self.leverage, str) else self.leverage

    def posted_amount(self, markets: int) -> float | None:
        """What opens an isolated position, quote units; None: its initial margin. ``markets``: those of the run."""
        amount = self.cash / markets if self.isolated_margin == EQUAL else self.isolated_margin
        return amount if isinstance(amount, float) else None

    @property
    def margin_modes(self) -> tuple[str, ...]:
        """Margin modes, without those of single markets."""
        return tuple(text for text in self.margin if "=" not in text)

    @property
    def modes(self) -> dict[str, str]:
        """Margin mode of single markets, by symbol: cross or isolated."""
        pairs = [text.partition("=") for text in self.margin if "=" in text]
        return {symbol: mode for symbol, _, mode in sorted(pairs)}

    def as_dict(self) -> dict[str, object]:
        """Plain values by their names in a report's summary."""
        values = asdict(replace(self, positions=None)) | {"positions": self.positions and self.positions.plain()}
        kept = {told.name: told.recorded or told.name for told in all_settings() if told.recorded != "-"}
        given = {recorded: values[name] for name, recorded in kept.items()}
        own = {"strategy": self.strategy, "venue_from_data": self.venue_from_data, "modes": self.modes}
        return {**given, **own}


@cache
def all_settings() -> tuple[Setting, ...]:
    """Every setting, in the order of :class:`RunSettings`."""
    return tuple(named(f.metadata["setting"], f.name) for f in fields(RunSettings) if "setting" in f.metadata)


def settings_of(command: str) -> tuple[Setting, ...]:
    """The settings that a command has."""
    return tuple(told for told in all_settings() if command in told.commands)


def find(name: str) -> Setting:
    """The setting of a name; KeyError for another name."""
    return {told.name: told for told in all_settings()}[name]
