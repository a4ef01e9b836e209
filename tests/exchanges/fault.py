"""What goes wrong on the way, put in on purpose: each fault changes the answers to some requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.exchanges.request import Answer, Request

Change = Callable[[Answer], Answer]


@dataclass
class Fault:
    """`change` is made to the answers of the requests whose line of text contains `where`.

    The first `after` of them are spared, then `times` are hit. `hits` counts.
    """

    where: str
    change: Change
    times: int = 1
    after: int = 0
    hits: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def apply(self, request: Request, answer: Answer) -> Answer:
        if self.where not in request.text:
            return answer
        with self._lock:
            self._seen += 1
            hit = self.after < self._seen <= self.after + self.times
            self.hits += hit
        return self.change(answer) if hit else answer


def status(code: int, body: bytes = b"", **headers: str) -> Change:
    """Another status: 429 with `Retry-After`, 418, 500, 502, 503."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: Answer(code, body or b"{}", named)


def cut(share: float) -> Change:
    """The connection drops after this share of the body; the headers promise all of it."""
    return lambda answer: answer.but(cut=int(len(answer.body) * share))


def slow(seconds: float) -> Change:
    """The answer takes so long."""
    return lambda answer: answer.but(wait_s=seconds)


def flipped(share: float) -> Change:
    """One byte of the body is another: a corrupt ZIP, a wrong checksum."""

    def change(answer: Answer) -> Answer:
        at = min(int(len(answer.body) * share), len(answer.body) - 1)
        byte = answer.body[at]
        other = (48 + (byte == 48)) if answer.kind.startswith("text") else 255 - byte
        return answer.but(body=answer.body[:at] + bytes([other]) + answer.body[at + 1 :])

    return change


def doubled(*keys: str) -> Change:
    """The first and the last row of a page are there twice; `keys` lead to the list of rows."""

    def change(answer: Answer) -> Answer:
        said = json.loads(answer.body)
        rows = said
        for key in keys:
            rows = rows[key]
        if rows:
            rows[:] = [rows[0], *rows, rows[-1]]
        return answer.but(body=json.dumps(said).encode())

    return change


def swapped(body: bytes) -> Change:
    """Another body under the same status."""
    return lambda answer: answer.but(body=body)
