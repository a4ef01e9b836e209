"""A forked process that plays one act: it may be killed, and this one goes on."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

PATIENCE_S = 180


class Gone(NamedTuple):
    """How a forked process ended: what it gave back (None: it died), and its exit code or minus its signal."""

    given: Any
    code: int


def fork(act: Callable[[], Any], patience_s: float = PATIENCE_S) -> Gone:
    """Play ``act`` in a fork of this process; what it returns comes back by JSON.

    The fork is taken before any query of Polars, whose threads a copy would lack.
    """
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            os.write(writing, json.dumps(act()).encode())
            code = 0
        except Exception:  # noqa: BLE001  it ends with the process
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    said = _all(reading, child, patience_s)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Gone(json.loads(said) if said else None, code)


def _all(reading: int, child: int, patience_s: float) -> bytes:
    end, said = time.monotonic() + patience_s, b""
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        more = os.read(reading, 1 << 16)
        if not more:
            break
        said += more
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    return said
