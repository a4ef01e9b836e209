"""A server on loopback that speaks the public formats of the exchanges, all at once: their paths do not overlap.

```python
with Server(Market()) as server:
    ...  # the real command, or ccxt, with `--endpoint`, server.url
server.broken == []  # no request broke a documented rule
```
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from tests.exchanges.fault import Fault
from tests.exchanges.market import Market
from tests.exchanges.request import Answer, Refused, Request


class Exchange(Protocol):
    """One exchange: which paths are its own, and what it answers."""

    rates: bool

    def owns(self, path: str) -> bool: ...

    def answer(self, request: Request) -> Answer: ...


class Entry(NamedTuple):
    """A line of the log."""

    at_s: float
    request: Request
    status: int
    size: int


class Server(ThreadingHTTPServer):
    """Serves until the `with` block ends. `log` has all requests, `broken` what broke a documented rule."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, market: Market, *, rates: bool = True) -> None:
        from tests.exchanges.listing import exchanges

        super().__init__(("127.0.0.1", 0), _Handler)
        self.market = market
        self.exchanges = exchanges(market, rates)
        self.faults: list[Fault] = []
        self.log: list[Entry] = []
        self.broken: list[str] = []
        self.peak = 0
        """The most requests that were under way at once."""
        self._under_way, self._count = 0, threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request while it is answered."""
        with self._count:
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            yield
        finally:
            with self._count:
                self._under_way -= 1

    def add(self, where: str, change: Callable[[Answer], Answer], times: int = 1, after: int = 0) -> Fault:
        """Put a fault in, and return it."""
        self.faults.append(Fault(where, change, times, after))
        return self.faults[-1]

    def asked(self, where: str) -> list[Entry]:
        """The requests whose line of text contains `where`."""
        return [entry for entry in list(self.log) if where in entry.request.text]

    def answer(self, request: Request) -> Answer:
        try:
            owner = next((e for e in self.exchanges if e.owns(request.path)), None)
            if owner is None:
                raise Refused("no such address", Answer(404, b"not found", kind="text/plain"))
            answer = owner.answer(request)
        except Refused as refused:
            self.broken.append(f"{refused}: {request.text}")
            answer = refused.answer
        except Exception as error:  # noqa: BLE001 - a fault of the server must not pass for one of the client
            self.broken.append(f"the server itself failed with {error!r}: {request.text}")
            answer = Answer(500, repr(error).encode(), kind="text/plain")
        for fault in self.faults:
            answer = fault.apply(request, answer)
        self.log.append(Entry(time.monotonic(), request, answer.status, len(answer.body)))
        return answer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or is killed, is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        self._send(Request("GET", split.path, self._single(parse_qsl(split.query, keep_blank_values=True))))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self._send(Request("POST", urlsplit(self.path).path, body if isinstance(body, dict) else {"body": repr(raw)}))

    def _single(self, pairs: list[tuple[str, str]]) -> dict[str, str]:
        if len({name for name, _ in pairs}) != len(pairs):
            self.server.broken.append(f"a parameter twice: {self.path}")
        return dict(pairs)

    def _send(self, request: Request) -> None:
        with self.server.under_way():
            self._write(self.server.answer(request))

    def _write(self, answer: Answer) -> None:
        if answer.wait_s:
            time.sleep(answer.wait_s)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.cut is None:
            self.wfile.write(answer.body)
            return
        self.wfile.write(answer.body[: answer.cut])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: `Server.log` has it."""
