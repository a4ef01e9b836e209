"""A venue's public calls through ccxt: its addresses, its rate limits and its errors.

Calls are ccxt's *implicit* ones, each an endpoint of the venue, and answers are read as the venue documents them.
ccxt's unified calls cut pages in their own ways, and misspell the bounds of dYdX's candles.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import ccxt

from backtest.data.fetch.connection import LIMITED, Connection, date_ms, refusal, retry_after_s, unreached
from backtest.data.fetch.failures import TransientError, shortened
from backtest.data.fetch.pacing import Pace


class Client:
    """Calls endpoints of one venue, from any thread."""

    def __init__(self, ccxt_id: str, connection: Connection) -> None:
        self._class = getattr(ccxt, ccxt_id)
        self._connection = connection
        described = self._class()
        self.pace: Pace = connection.pace(float(described.rateLimit) / 1000)
        self.timeframes: dict[str, str] = dict(described.timeframes)
        self.now_ms = 0
        """The venue's time at its last answer; 0 before the first."""
        self._own = threading.local()

    def call(self, endpoint: str, params: Mapping[str, object]) -> Any:
        """Return the parsed answer of an endpoint by its ccxt name, such as ``fapiPublicGetKlines``.

        Raises VenueError with one line when the venue refuses it, or stays away in spite of patience.
        """
        if not hasattr(self._own, "exchange"):
            self._own.exchange = self._connected()
        return getattr(self._own.exchange, endpoint)(dict(params))

    def _connected(self) -> Any:
        """A ccxt exchange of this thread that reaches the venue by our connection and pace."""
        exchange = self._class({"enableRateLimit": True, "timeout": int(self._connection.timeout_s * 1000)})
        plain_fetch, plain_answer = exchange.fetch, exchange.on_rest_response
        seen = _Seen()

        def answered(
            code: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, *more: Any
        ) -> Any:
            seen.status, seen.reason, seen.headers, seen.body = code, reason or "", headers, body
            self.now_ms = date_ms(headers.get("Date"))
            return plain_answer(code, reason, url, method, headers, body, *more)

        def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            place = self._connection.address(url)

            def request() -> Any:
                seen.status = 0
                try:
                    found = plain_fetch(place, method, headers, body)
                except ccxt.BaseError as error:
                    raise seen.failure(error, place.partition("?")[0]) from error
                if isinstance(found, str):
                    raise TransientError("the answer is not JSON, or was cut off")
                return found

            return self.pace.attempt(request, place.partition("?")[0])

        exchange.on_rest_response, exchange.fetch = answered, fetch
        exchange.throttle = self.pace.wait  # ccxt's own is not shared by threads
        return exchange


class _Seen:
    """The last answer that a thread got: ccxt's errors do not tell it."""

    status = 0
    reason = ""
    body = ""
    headers: Mapping[str, str] = {}

    def failure(self, error: ccxt.BaseError, place: str) -> Exception:
        """Return what an error of ccxt means here: something that may pass, or a refusal."""
        if self.status == 0:
            return TransientError(unreached(error.__cause__ or error))
        wait_s = retry_after_s(self.headers.get("Retry-After"))
        if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection) or self.status in LIMITED:
            refused = self.status in (401, 403, 451)  # Bybit's 403 is either
            said = "refused, or too many requests" if refused else "too many requests"
            return TransientError(f"{said} (HTTP {self.status})", wait_s, limited=True)
        if self.status >= 500 or (self.status < 400 and isinstance(error, ccxt.NetworkError)):  # busy, in maintenance
            return TransientError(shortened(self.body) or f"HTTP {self.status} {self.reason}", wait_s)
        return refusal(self.status, self.reason, place, shortened(self.body))
