"""Request rates as the documents state them: so much weight in a sliding window."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

SLACK = 1.1
"""Requests sent evenly arrive unevenly; a client at exactly its limit is not refused for that."""


@dataclass
class Quota:
    """At most `weight` in any `window_s` seconds, for each key (an address, a symbol; one where there is no other)."""

    weight: float
    window_s: float
    _spent: dict[str, deque[tuple[float, float]]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, cost: float, key: str = "") -> float:
        """Spend `cost`, or return the whole seconds after which there is room for it; 0 when it was spent."""
        now = time.monotonic()
        with self._lock:
            spent = self._spent[key]
            while spent and spent[0][0] <= now - self.window_s:
                spent.popleft()
            over = sum(w for _, w in spent) + cost - self.weight * SLACK
            if over <= 0:
                spent.append((now, cost))
                return 0
            for at, weight in spent:
                over -= weight
                if over <= 0:
                    return max(1, math.ceil(at + self.window_s - now))
            return math.ceil(self.window_s)
