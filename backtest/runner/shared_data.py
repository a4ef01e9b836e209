"""What the runs of one process over the same data have in common, prepared once."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.data.catalog import Catalog
from backtest.data.kept_candles import KeptCandles
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.strategy.kept_features import KeptFeatures
from backtest.venues.profile import Profile, load

JOURNAL_BYTES = 64 << 20
"""What of a run's curve and journal stays in memory; more goes to disk."""


class SharedData:
    """Venues, selections, candles as strategies see them, and features of earlier runs. For one thread at a time."""

    def __init__(self) -> None:
        self._selections: dict[object, Selection] = {}
        self._candles: dict[int, KeptCandles] = {}
        self._features: dict[tuple[int, int], KeptFeatures] = {}
        self._venues: dict[tuple[str, str], Profile] = {}

    def venue(self, name: str, place: str = "") -> Profile:
        """Return the profile of a venue; see :func:`backtest.venues.profile.load`."""
        if (name, place) not in self._venues:
            self._venues[name, place] = load(name, place)
        return self._venues[name, place]

    def select(
        self,
        catalog: Catalog,
        symbols: Sequence[str] | None,
        start_ms: int | None,
        end_ms: int | None,
        interval_ms: int | None,
    ) -> Selection:
        """Return the selection of earlier runs, or a new one; see :func:`backtest.data.select.select`."""
        key = catalog.address, None if symbols is None else tuple(symbols), start_ms, end_ms, interval_ms
        if key not in self._selections:
            # One at a time: a sweep whose runs choose their symbols would fill the memory with candles.
            self._selections, self._candles, self._features = {}, {}, {}
            self._selections[key] = select(catalog, symbols, start_ms, end_ms, interval_ms)
        return self._selections[key]

    def candles(self, selection: Selection) -> KeptCandles:
        """Return the candles of a selection."""
        return self._candles.setdefault(id(selection), KeptCandles(selection))

    def features(self, selection: Selection, every_ms: int) -> KeptFeatures:
        """Return the features over candles of this length."""
        return self._features.setdefault((id(selection), every_ms), KeptFeatures())
