"""What a command would replay: its accounts, data and assumptions, known before anything is replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backtest.data.catalog import Catalog, DataSource
from backtest.runner import fee_schedule
from backtest.runner.account_runner import AccountRunner
from backtest.runner.latency_curve import parse_grid, slower
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import seated
from backtest.runner.setting import COMPARE, LATENCY, RUN, SHARED_MARGIN, SUB_ACCOUNTS
from backtest.runner.settings import RunSettings
from backtest.runner.shared_margin import LABEL, plan_shared
from backtest.runner.stream import Progress, stream
from backtest.runner.sub_accounts import asked_of_each, union_of
from backtest.strategy.loader import StrategySource
from backtest.venues.margin_modes import split


@dataclass(frozen=True)
class Preview:
    """The accounts of a command, planned."""

    labels: tuple[str, ...]
    plans: tuple[Plan, ...]
    """One per account, in the order of the labels."""
    modes: tuple[str, ...]
    """Margin mode of each account."""
    left_out: dict[str, str]
    """Margin modes that the venue does not have, and why."""

    @property
    def passes(self) -> int:
        """How often the data are replayed: once more to place an outage, once more for the cost of the mark."""
        first = self.plans[0]
        again = first.config.mark_cost and first.chaining.sees_apart and len(self.plans) == 1
        return 1 + bool(first.chaining.halts.worst_ms) + bool(again)

    def assumptions(self) -> list[str]:
        """Sentences on what the accounts take for granted: fees, slippage, and what the venue's profile assumes."""
        first = self.plans[0]
        s, c = first.selection, first.config
        end_ms = s.start_ms + s.rows * s.interval_ms
        slippage = [f"{c.slippage_bps:g} bps"] * (c.slippage_bps > 0) + list(c.slippage)
        said = [
            f"Fees: {fee_schedule.in_words(first.profile, c, s.start_ms, end_ms)}.",
            f"Slippage: {', '.join(slippage) or 'none'}.",
        ]
        said += ["The data are synthetic."] * s.catalog.synthetic
        said += [f"Margin mode {mode} is left out: {why}." for mode, why in self.left_out.items()]
        return said + first.profile.assumptions(s.symbols, s.start_ms, end_ms, fees=c.fee_bps is None)

    def replay(self, progress: Progress) -> None:
        """Replay the first account until ``progress`` raises; nothing of it is kept."""
        player = seated(self.plans[0], self.modes[0], AccountRunner)
        stream(self.plans[0].selection, [player], progress, SAMPLE_ROWS)


SAMPLE_ROWS = 500


def preview(command: str, strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    """Plan what the function of this name would replay; UserError as it would raise."""
    return _PREVIEWS[command](strategies, data, asked)


def _first(strategies: Sequence[StrategySource]) -> StrategySource | None:
    """The strategy; None where there are positions in its place."""
    return strategies[0] if strategies else None


def _one(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    planned = plan_of(_first(strategies), data, asked)
    return Preview(asked.margin_modes, (planned,), asked.margin_modes, {})


def _modes(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    planned = plan_of(_first(strategies), data, asked)
    kept, left_out = split(planned.profile, asked.margin_modes)
    return Preview(kept, (planned,) * len(kept), kept, left_out)


def _delays(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    planned, delays = plan_of(_first(strategies), data, asked), parse_grid(asked.grid)
    plans = tuple(slower(planned, delay) for delay in delays)
    return Preview(tuple(f"{delay}ms" for delay in delays), plans, asked.margin_modes * len(plans), {})


def _sub_accounts(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    accounts = asked_of_each(strategies, asked, asked.margin_modes[0])
    union = union_of(accounts, catalog)
    plans = tuple(plan_of(one.strategy, catalog, one.settings, union) for one in accounts)
    return Preview(tuple(one.label for one in accounts), plans, tuple(one.margin for one in accounts), {})


def _shared_margin(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> Preview:
    planned = plan_shared(strategies, data, asked)
    return Preview((LABEL,), (planned.account,), (planned.mode,), {})


_PREVIEWS: dict[str, Callable[[Sequence[StrategySource], DataSource, RunSettings], Preview]] = {
    RUN: _one, COMPARE: _modes, LATENCY: _delays, SUB_ACCOUNTS: _sub_accounts,
    SHARED_MARGIN: _shared_margin,
}  # fmt: skip
