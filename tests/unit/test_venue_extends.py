"""A market's names and what holds for it; files that extend others."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.core.errors import UserError
from backtest.venues import profile, symbols
from tests.unit.test_venue_profile import DATED, HEAD

# ---- names


@pytest.mark.parametrize(
    ("name", "looked_for"),
    [
        ("BTC-USD", ("BTC-USD", "BTC")), ("BTCUSDT", ("BTCUSDT", "BTC")), ("BTC", ("BTC",)),
        ("BTC-USDT", ("BTC-USDT", "BTC")), ("BTC-PERP", ("BTC-PERP", "BTC")), ("BTCPERP", ("BTCPERP", "BTC")),
        ("BTC/USDT:USDT", ("BTC/USDT:USDT", "BTC")), ("BTC-USDT-SWAP", ("BTC-USDT-SWAP", "BTC")),
        ("BTC_USDC", ("BTC_USDC", "BTC")), ("XBTUSD", ("XBTUSD", "XBT", "BTC")),
        ("DOTUSD", ("DOTUSD", "DOT")), ("btcusdt", ("btcusdt", "btc", "BTC")),
        ("1000PEPEUSDT", ("1000PEPEUSDT", "1000PEPE", "PEPE")), ("kPEPE", ("kPEPE", "PEPE")),
        ("SUSD-USD", ("SUSD-USD", "SUSD")), ("1INCHUSDT", ("1INCHUSDT", "1INCH")), ("USDCUSDT", ("USDCUSDT", "USDC")),
        ("BTCUSDC-PERP", ("BTCUSDC-PERP", "BTC")), ("USDT", ("USDT",)), ("", ("",)),
    ],
)  # fmt: skip
def test_names_of_a_market(name: str, looked_for: tuple[str, ...]) -> None:
    assert symbols.names(name) == looked_for


GROUPS = (
    HEAD
    + """default_class = "small"
[classes.large]
assets = ["BTC", "ETH"]
tiers = [{ initial = 0.1, maintenance = 0.01 }]
[classes.small]
tiers = [{ initial = 0.2, maintenance = 0.02 }]
[symbols.ETH]
tiers = [{ initial = 0.3, maintenance = 0.03 }]
[symbols.ETH-USD]
tiers = [{ initial = 0.4, maintenance = 0.04 }]
"""
)


@pytest.mark.parametrize(
    ("name", "initial", "how", "fallback"),
    [
        ("ETH-USD", 0.4, "ETH-USD", False), ("ETHUSDT", 0.3, "ETH", False), ("BTCUSDT", 0.1, "class large", False),
        ("SOL-USD", 0.2, "class small", True),
    ],
)  # fmt: skip
def test_what_holds_for_a_symbol_and_why(name: str, initial: float, how: str, fallback: bool) -> None:
    mine = profile.from_text(GROUPS)
    found = mine.found(name)
    assert (mine.terms(name).tiers[0].initial, found.how, found.fallback) == (initial, how, fallback)
    said = [f"mine: {name}: not in the profile, uses the terms of {how}."] if fallback else []
    assert mine.assumptions([name], 0, 1) == said


# ---- extends


def test_a_file_changes_a_few_values_of_another(tmp_path: Path) -> None:
    """One key without a date changes every table, a date of its own begins a copy of what held before."""
    (tmp_path / "base.toml").write_text(DATED)
    file = tmp_path / "mine.toml"
    file.write_text(
        "name = 'changed'\nextends = 'base.toml'\n[[liquidation]]\nfund = 5\n[[margin]]\nfrom = 2025-01-01\n"
        "limit_size = 9\n[[margin]]\nfrom = 2023-01-01\nlimit_size = 7\n"
    )
    mine, base = profile.load(file), profile.load(tmp_path / "base.toml")
    assert (mine.name, mine.source, mine.quote) == ("changed", base.source, base.quote)
    assert (mine.law().fund_micro, mine.law().from_ms) == (5_000_000, base.law().from_ms)
    assert mine.penalty == 0.02
    terms = mine.contract(["A"]).terms["A"]
    assert [t.limit_units for t in terms] == [7_000_000, 2_500_000, 9_000_000]
    assert [t.tiers for t in terms] == [*(t.tiers for t in base.contract(["A"]).terms["A"]), terms[1].tiers]
    # What was put in by hand is not verified, whatever the rest is.
    assert [(t.status, t.assumed) for t in mine.margin or []] == [
        (None, ["limit_size"]), ("verified", []), ("verified", ["limit_size"]),
    ]  # fmt: skip
    assert mine.sha256() != base.sha256()


def test_a_new_date_does_not_inherit_the_end_of_the_old_one() -> None:
    base = "name = 'x'\nextends = 'okx_swap'\n[[margin]]\nuntil = 2024-01-01\n"
    assert profile.from_text(base).assumptions(["NEW"], 0, 1_735_689_600_000)[1] == (
        "x: NEW: margin is known until 2024-01-01 and also used for later days."
    )
    both = profile.from_text(base + "[[margin]]\nfrom = 2024-06-01\nlimit = 5\n")
    assert [str(table.until) for table in both.margin or []] == ["2024-01-01", "None"]


def test_a_rule_of_its_own_inherits_nothing() -> None:
    text = "name = 'x'\nextends = 'okx_swap'\n[[margin]]\nrule = 'open_interest'\ninitial = 0.1\nmaintenance = 0.1\n"
    with pytest.raises(UserError, match=r"^here:3: margin\.1\.multiplier: is missing"):
        profile.from_text(text, "here")


def test_margin_for_every_market_replaces_the_default_class() -> None:
    mine = profile.from_text("name = 'x'\nextends = 'dydx_v4'\n[[tiers]]\ninitial = 0.5\nmaintenance = 0.4\n")
    assert (mine.terms("NEW-USD").tiers[0].initial, mine.terms("BTC-USD").tiers[0].initial) == (0.5, 0.02)


def test_a_changed_venue_has_a_name_of_its_own() -> None:
    with pytest.raises(UserError, match="name: is missing"):
        profile.from_text("extends = 'dydx_v4'\n")


def test_an_error_is_placed_in_the_file_that_made_it(tmp_path: Path) -> None:
    base, mine = tmp_path / "base.toml", tmp_path / "mine.toml"
    base.write_text(HEAD + "[[liquidation]]\npenalty = 7\n")
    mine.write_text("name = 'm'\nextends = 'base.toml'\n\n[[liquidation]]\nfund = 5\n")
    with pytest.raises(UserError, match=r"base\.toml:6: liquidation\.1\.penalty"):
        profile.load(mine)
    base.write_text(HEAD + "[[liquidation]]\npenalty = 0.5\n")
    mine.write_text("name = 'm'\nextends = 'base.toml'\n\n[[liquidation]]\nfund = -5\n")
    with pytest.raises(UserError, match=r"mine\.toml:5: liquidation\.1\.fund"):
        profile.load(mine)
    base.write_text("extends = 'mine.toml'\n")
    with pytest.raises(UserError, match=r"base\.toml:1: extends comes back to 'mine\.toml'"):
        profile.load(mine)
    mine.write_text("name = 'm'\nextends = 'nowhere.toml'\n")
    with pytest.raises(UserError, match=r"mine\.toml:2: .*nowhere\.toml: no such venue file"):
        profile.load(mine)
