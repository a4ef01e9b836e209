"""What the exchanges have in common: addresses with a documented function behind each, and a rate for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tests.exchanges.market import DAY, HOUR, MINUTE, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused, Request

Endpoint = Callable[[Parameters], Answer]

INTERVALS = {
    "1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "30m": 30 * MINUTE, "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR, "6h": 6 * HOUR, "8h": 8 * HOUR, "12h": 12 * HOUR, "1d": DAY,
}  # fmt: skip
"""Lengths of candles by their usual names, those of a day and less."""


class Routes(ABC):
    """An exchange whose addresses are fixed. Subclasses fill `routes` and say how they refuse."""

    prefixes: tuple[str, ...] = ()

    def __init__(self, market: Market, rates: bool = True) -> None:
        self.market, self.rates = market, rates
        self.routes: dict[str, Endpoint] = {}

    def owns(self, path: str) -> bool:
        return path.startswith(self.prefixes)

    def answer(self, request: Request) -> Answer:
        endpoint = self.routes.get(request.path)
        if endpoint is None:
            raise Refused("no such address", self.unknown())
        if request.method != self.method:
            raise Refused(f"{request.method} is not documented here", self.unknown())
        parameters = Parameters(request.parameters, self.refusal)
        return endpoint(parameters)

    method = "GET"

    def unknown(self) -> Answer:
        """The answer to an address that there is not."""
        return Answer(404, b"Not Found", kind="text/plain")

    @abstractmethod
    def refusal(self, why: str) -> Refused:
        """The refusal of a parameter."""

    @abstractmethod
    def throttled(self, wait_s: float) -> Answer:
        """The answer to a request above the rate, after which there is room in `wait_s` seconds."""

    def spend(self, quota: Quota, cost: float = 1, key: str = "") -> None:
        """Charge a request; above the documented rate it is refused, and that is recorded."""
        wait = quota.wait_s(cost, key) if self.rates else 0
        if wait:
            raise Refused(f"more than {quota.weight:g} in {quota.window_s:g} s", self.throttled(wait))
