"""A request as an exchange reads it, what it answers, and how it refuses what its documents do not allow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Status, body and headers. `cut`: the connection is dropped after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    cut: int | None = None
    wait_s: float = 0.0

    @staticmethod
    def json(value: Any, status: int = 200, **headers: str) -> Answer:
        return Answer(status, json.dumps(value, separators=(",", ":")).encode(), headers)

    def but(self, **changes: Any) -> Answer:
        return replace(self, **changes)


class Refused(Exception):
    """The request breaks a documented rule: `why` is recorded, and `answer` is what the exchange says to it."""

    def __init__(self, why: str, answer: Answer) -> None:
        super().__init__(why)
        self.answer = answer


Refuse = Callable[[str], Refused]
"""Makes a refusal in the words of an exchange from what is wrong with a parameter."""


@dataclass
class Request:
    """Method, path without the query, and the parameters: those of the query, or of a JSON body."""

    method: str
    path: str
    parameters: dict[str, Any]

    @property
    def text(self) -> str:
        """All of it in one line, for logs and for faults to match."""
        return f"{self.method} {self.path} {json.dumps(self.parameters, sort_keys=True)}"


class Parameters:
    """The parameters of one request, each taken once; what is left over at the end is not documented."""

    def __init__(self, given: Mapping[str, Any], refuse: Refuse) -> None:
        self._left, self._refuse = dict(given), refuse

    def text(self, name: str, allowed: object = None, need: bool = False, default: str = "") -> str:
        """One of `allowed` (any container of texts), where it is given."""
        if name not in self._left:
            if need:
                raise self._refuse(f"parameter {name} is missing")
            return default
        value = self._left.pop(name)
        if not isinstance(value, str) or value == "" or (allowed is not None and value not in allowed):  # type: ignore[operator]
            raise self._refuse(f"parameter {name}={value!r} is not one of those documented")
        return value

    def number(
        self, name: str, least: int = 0, most: int = 10**15, need: bool = False, default: int | None = None
    ) -> int | None:
        """A whole number, in a query or in JSON."""
        if name not in self._left:
            if need:
                raise self._refuse(f"parameter {name} is missing")
            return default
        value = self._left.pop(name)
        whole = isinstance(value, int) or (isinstance(value, str) and value.isdigit())
        if not whole or not least <= int(value) <= most:
            raise self._refuse(f"parameter {name}={value!r} is not a whole number from {least} to {most}")
        return int(value)

    def limit(self, name: str, most: int, default: int) -> int:
        value = self.number(name, 1, most, default=default)
        assert value is not None
        return value

    def mapping(self, name: str) -> Parameters:
        """The parameters inside another one, in JSON."""
        value = self._left.pop(name, None)
        if not isinstance(value, dict):
            raise self._refuse(f"parameter {name} is no object")
        return Parameters(value, self._refuse)

    def done(self) -> None:
        if self._left:
            raise self._refuse(f"undocumented parameters {sorted(self._left)}")
