"""The default leverage of the profiles, and what a run says that its isolated positions posted."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import backtest
from backtest.venues import profile
from backtest.venues.default_leverage import assumed, default_at
from tests.scenarios.scenario import play
from tests.scenarios.test_scenarios_leverage import DEFAULT, MARKETS, venue
from tests.small_market import Ended, one_line

NOW = 1_767_225_600_000
"""1 January 2026, ms."""


def first(command: Callable[..., Ended], place: Path, *asked: str) -> str:
    """The first sentence that the command says, below the line on what the run leaves out; the page says it too."""
    done = command(*asked, "--data", str(place / "data"), "--allow", "missing-funding", "--out", str(place / "out"))
    assert done.code == 0, done.err
    said = next(line for line in done.out.splitlines() if line.endswith(".") and "charged" not in line)
    page = (place / "out" / "report.html").read_text()
    assert html.unescape(re.sub("</?span[^>]*>", "", page)).count(said), page[page.index("Isolated") :][:300]
    return said


HOLD = """from backtest import Param, Strategy


class Hold(Strategy):
    own: float = Param(0.0, ge=0, le=100, doc="Leverage that it sets of BTC; 0: none.")

    def on_candle(self, market, account):
        if self.own:
            account.set_leverage("BTC", self.own)
        account.target("BTC", qty=1)
"""


def test_the_first_sentence_says_what_was_posted(tmp_path: Path, command: Callable[..., Ended]) -> None:
    play(tmp_path / "data", MARKETS, {})
    hold = str(tmp_path / "hold.py")
    Path(hold).write_text(HOLD)
    own = venue(tmp_path, DEFAULT)
    low = venue(tmp_path / "low", DEFAULT, initial=0.1)

    def said(*asked: str) -> str:
        return first(command, tmp_path, *asked)

    binance = ("--venue", "binance")
    default = "1/20 of each position (20x, the default of binance_usdm)."
    assert said("compare", hold, *binance) == f"Isolated posted {default}"
    assert said("run", hold, *binance, "--margin", "isolated") == f"Isolated posted {default}"
    mixed = said("run", hold, *binance, "--margin", "cross,BTC=isolated")
    assert mixed == f"Isolated positions in BTC posted {default}"
    assert said("run", hold, *binance, "--isolate-above", "0.5") == f"Positions isolated by share posted {default}"
    assert said("run", hold, *binance, "--margin", "isolated", "--leverage", "5") == (
        "Isolated posted 1/5 of each position (5x, --leverage)."
    )
    assert said("compare", hold, *binance, "--leverage", "max") == (
        "Isolated posted the minimum that binance_usdm requires of each position (--leverage max)."
    )
    assert said("compare", hold, "--venue", low) == (
        f"Isolated posted 1/20 of each position (20x, the default of {low}; BTC 10x and ETH 10x at most)."
    )
    assert said("compare", hold, "--venue", own, "-p", "own=3") == (
        f"Isolated posted 1/20 of each position (20x, the default of {own}), but where the strategy set a leverage "
        "itself (BTC)."
    )
    alone = said("run", hold, "--venue", own, "-p", "own=3", "--margin", "isolated", "--symbols", "BTC")
    assert alone == "Isolated posted margin by the strategy's own leverage."
    none = said("compare", hold, "--venue", venue(tmp_path / "none"))
    assert none.endswith("own.toml requires of each position (its profile names no default leverage).")
    assert "posted" not in said("run", hold, *binance)
    both = ("run", hold, hold, "--sub-accounts", "--margin", "isolated", *binance)
    assert (
        f"Isolated posted {default}"
        in command(
            *both, "--data", str(tmp_path / "data"), "--allow", "missing-funding", "--out", str(tmp_path / "subs")
        ).out
    )
    assert command("verify", str(tmp_path / "subs")).code == 0


@pytest.mark.parametrize("asked", ["most", "0", "nan", "-1", "10x"])
def test_a_leverage_is_a_number_or_max(tmp_path: Path, command: Callable[..., Ended], asked: str) -> None:
    (tmp_path / "hold.py").write_text(HOLD)
    one_line(command("run", str(tmp_path / "hold.py"), "--data", "no", "--leverage", asked), 2, "--leverage", asked)


# ---- the profiles


def test_every_profile_has_a_default_and_says_how_far_it_is_known(command: Callable[..., Ended]) -> None:
    found = {known.name: default_at(known.default_leverage, NOW) for known in profile.available()}
    assert found == {
        "binance_usdm": 20, "bybit_linear": 10, "drift_v2": 10, "dydx_v3": 10, "dydx_v4": 2, "generic": 10, "gmx_v2": 2,
        "hyperliquid": 20, "okx_swap": 3, "synthetix_v3": 10,
    }  # fmt: skip
    for known in profile.available():
        assert all(
            table.status and (table.source or table.status == "assumed") for table in known.default_leverage or ()
        )
        assert "default leverage" in command("venues", "show", known.name).out
    assert assumed("bybit_linear", profile.load("bybit").default_leverage, NOW) == [
        "bybit_linear: default leverage assumed (from memory)."
    ]


def test_a_file_may_change_it(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('name = "own"\nextends = "binance"\n[[default_leverage]]\nleverage = 7\n')
    known = profile.load(tmp_path / "own.toml")
    assert default_at(known.default_leverage, NOW) == 7
    (tmp_path / "bad.toml").write_text('name = "own"\nextends = "binance"\n[[default_leverage]]\nleverage = 0.5\n')
    with pytest.raises(backtest.UserError, match=r"default_leverage\.1\.leverage"):
        profile.load(tmp_path / "bad.toml")
