"""The process of one worker: reads jobs from its standard input, plays them, and writes the answers.

What a strategy prints goes to standard error. The process ends when its input does, so it never outlives the one that
started it.
"""

from __future__ import annotations

import os
import sys

from backtest.core.errors import BacktestError
from backtest.research.workers import receive, send


def main() -> None:
    """Play jobs until there are no more."""
    source, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdin.close()
    try:
        path, task = receive(source)
        sys.path[:] = path
        try:
            player = task.player()
        except BaseException as error:  # noqa: BLE001  it becomes the line that the user sees
            known = isinstance(error, BacktestError)
            code = error.exit_code if isinstance(error, BacktestError) else 1
            send(answers, (code, str(error) if known else f"{type(error).__name__}: {error}"))
            return
        send(answers, None)
        while True:
            send(answers, player(receive(source)))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
