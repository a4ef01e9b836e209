"""The addresses of a venue, and plain downloads from them. `--endpoint` puts one address in place of all of them."""

from __future__ import annotations

import email.utils
import ipaddress
import time
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import requests

from backtest.core.errors import UserError
from backtest.data.fetch.failures import TransientError, VenueError
from backtest.data.fetch.pacing import Pace, Patience

TIMEOUT_S = 30.0
_LOOPBACK_TIMEOUT_S = 10.0
LIMITED = (418, 429)
"""Too many requests; 418 is Binance's for an address that went on after a 429."""


class Connection:
    """How one download reaches a venue: directly, or through ``endpoint`` (scheme, host and port, perhaps a path).

    A loopback endpoint is not paced, and repeats a failed request after hundredths of a second.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = _checked(endpoint) if endpoint else None
        self.loopback = self._endpoint is not None and _is_loopback(urlsplit(self._endpoint).hostname or "")
        self.timeout_s = _LOOPBACK_TIMEOUT_S if self.loopback else TIMEOUT_S
        self.patience = Patience(first_s=0.02, most_s=1.0) if self.loopback else Patience()

    def address(self, url: str) -> str:
        """Return ``url`` with the endpoint in place of its scheme and host."""
        if self._endpoint is None:
            return url
        parts, base = urlsplit(url), urlsplit(self._endpoint)
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))

    def pace(self, interval_s: float) -> Pace:
        """Return a pace of one request per ``interval_s``; none at a loopback endpoint."""
        return Pace(0.0 if self.loopback else interval_s, self.patience)


class Files:
    """Downloads files by GET, each thread with its own connection that stays open."""

    def __init__(self, connection: Connection, pace: Pace) -> None:
        self._connection, self._pace = connection, pace

    def get(self, session: requests.Session, url: str) -> bytes | None:
        """Return the file at ``url``; None where it is missing (HTTP 404). Raises VenueError when it stays away."""
        place = self._connection.address(url)

        def request() -> bytes | None:
            self._pace.wait()
            try:
                answer = session.get(place, timeout=self._connection.timeout_s)
            except requests.RequestException as error:
                raise TransientError(unreached(error)) from error
            if answer.status_code == 404:
                return None
            raise_for(answer.status_code, answer.headers.get("Retry-After"), answer.reason, place)
            expected = answer.headers.get("Content-Length", "")
            if expected.isdigit() and "Content-Encoding" not in answer.headers and len(answer.content) != int(expected):
                raise TransientError(f"the file ends after {len(answer.content)} of {expected} bytes")
            return answer.content

        return self._pace.attempt(request, place)


def raise_for(status: int, retry_after: str | None, reason: str, place: str) -> None:
    """Raise TransientError or VenueError for an HTTP status that is no success."""
    if status in LIMITED:
        raise TransientError(f"too many requests (HTTP {status})", retry_after_s(retry_after), limited=True)
    if status >= 500:
        raise TransientError(f"HTTP {status} {reason}".strip(), retry_after_s(retry_after))
    if status >= 400:
        raise refusal(status, reason, place, "")


def refusal(status: int, reason: str, place: str, message: str) -> VenueError:
    """Return the error of a request that the venue refuses, with its own ``message`` where it has one."""
    code = f"HTTP {status} {reason}".strip() if status >= 400 else ""
    said = ": ".join(part for part in (code, message) if part)
    if status in (401, 403, 451):
        remedy = "the venue may not serve your country; name a mirror with --endpoint"
    else:
        remedy = "see whether the venue has changed its interface"
    return VenueError(f"the venue refuses ({said})", place, remedy)


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which gives seconds or a date; None where it says neither."""
    if value is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        until = email.utils.parsedate_to_datetime(value)
        return max(0.0, until.timestamp() - time.time())
    return None


def unreached(error: Exception) -> str:
    """Return why a request got no answer, in a few words."""
    text = str(error)
    for sign, said in (
        ("Connection refused", "cannot be reached (connection refused)"),
        ("Name or service not known", "cannot be reached (unknown host)"),
        ("Failed to resolve", "cannot be reached (unknown host)"),
        ("nodename nor servname", "cannot be reached (unknown host)"),
        ("timed out", "does not answer in time"),
        ("certificate", "cannot be reached (its certificate is not trusted)"),
    ):
        if sign in text:
            return said
    return "the connection was dropped"


def date_ms(header: str | None) -> int:
    """Return the instant of an HTTP Date header, ms; the machine's clock where it is missing."""
    with suppress(ValueError, TypeError):
        if header:
            return int(email.utils.parsedate_to_datetime(header).timestamp()) * 1000
    return int(time.time() * 1000)


def _checked(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{endpoint!r} is not an address", "--endpoint", "write it like http://127.0.0.1:8080")
    return endpoint


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
