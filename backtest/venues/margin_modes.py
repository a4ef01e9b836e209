"""Margin modes of a run: read from what the user asks, and held against what the venue's profile can play."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.core.enums import MARGIN_MODES, SYMBOL_MODES
from backtest.core.errors import SettingError, UserError, nearest
from backtest.venues.profile import Profile

FLAG = "--margin"


def margin_modes(asked: Sequence[str] | str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the run's margin modes, each known and named once, and those of single symbols (`SYMBOL=mode`).

    ``"cross,DOGE-USD=isolated"`` is one account in cross margin with its own pool for one market.
    """
    given = [part.strip() for part in (asked.split(",") if isinstance(asked, str) else asked)]
    pairs = [part.partition("=") for part in given if "=" in part]
    modes = [part for part in given if "=" not in part]
    symbols = [symbol.strip() for symbol, _, _ in pairs]
    if len(set(modes)) < len(modes) or not modes or len(set(symbols)) < len(symbols):
        raise UserError(f"margin modes {', '.join(given) or '(none)'}", FLAG, "name each mode, and symbol, once")
    known = tuple(_mode(mode) for mode in modes)
    return known, {symbol.strip(): _known(mode.strip(), SYMBOL_MODES) for symbol, _, mode in pairs}


def _mode(asked: str) -> str:
    """A margin mode of a run; what is near to none may be a symbol that lacks its mode."""
    if asked in MARGIN_MODES:
        return asked
    near = nearest(asked, MARGIN_MODES)
    hint = "; write SYMBOL=isolated for one market" if near.startswith("known") else ""
    return _known(asked, MARGIN_MODES, hint)


def _known(mode: str, modes: Sequence[str], hint: str = "") -> str:
    if mode not in modes:
        raise SettingError(f"unknown margin mode {mode!r}", FLAG, nearest(mode, modes) + hint)
    return mode


def require(profile: Profile, mode: str, place: str = FLAG) -> None:
    """Raise UserError where no account of the venue can be played in this margin mode."""
    if missing := profile.lacks(mode):
        raise UserError(f"margin mode {mode!r}: {missing}", place, _remedy(profile))


def split(profile: Profile, modes: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the modes that the venue can play, and why each other one is left out; UserError if all are."""
    # By name: what the page says does not depend on the order asked for.
    left_out = {mode: missing for mode in sorted(modes) if (missing := profile.lacks(mode))}
    kept = tuple(mode for mode in modes if mode not in left_out)
    if not kept:
        require(profile, modes[0])
    return kept, left_out


def _remedy(profile: Profile) -> str:
    """What to do about a mode without figures."""
    others = [mode for mode in profile.modes if not profile.lacks(mode)]
    table = f"extend {profile.name} with a [portfolio] table in a FILE.toml"
    return f"say {' or '.join(others)}, or {table}" if others else table
