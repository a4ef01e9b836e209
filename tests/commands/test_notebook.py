"""The package in a Jupyter kernel: a real one, with no more installed than `ipykernel`, and what a notebook prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

import backtest
from tests import small_market as small

ONLY_IPYKERNEL = "import sys; sys.modules['ipywidgets'] = None"
"""Importing it fails from here on, as where it was never installed."""
RUN = 'import backtest; backtest.run("hold.py", "market")'
LONGEST_LINE = 200
POSITION = {"symbol": "BTC-USD", "qty": 0.1, "mark": 10_000}
BOOK = {"venue": "generic", "margin": "cross", "collateral": 1_000, "positions": [POSITION]}


def cells(folder: Path, *sources: str) -> list[str]:
    """Run the cells in a fresh kernel; each one's value as text. A cell that raises fails the test."""
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        assert message["msg_type"] != "error", f"{content['ename']}: {content['evalue']}"
        if message["msg_type"] == "execute_result":
            said.append(content["data"]["text/plain"])

    manager = KernelManager(kernel_name="python3")
    # interpreted: two days of hours are played before Numba would be loaded
    manager.start_kernel(cwd=str(folder), env={**small.environment(), "NUMBA_DISABLE_JIT": "1"})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        for source in sources:
            client.execute_interactive(source, timeout=120, output_hook=hear)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return said


def test_a_run_in_a_kernel_with_only_ipykernel_prints_one_line(tmp_path: Path) -> None:
    small.write(tmp_path)
    (printed,) = cells(tmp_path, ONLY_IPYKERNEL, RUN)
    assert printed.startswith("<Result Hold: cross, generic, 2 markets, 2024-03-01 to 2024-03-03, equity 100,000.00 → ")
    assert printed.endswith(" USD, 2 fills>")


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        (lambda: backtest.run("hold.py", "market", out="reports"), 1),
        (lambda: backtest.compare("hold.py", "market"), 3),
        (lambda: backtest.latency("hold.py", "market", grid=[0, 50]), 3),
        (lambda: backtest.subaccounts(["hold.py", "hold.py"], "market"), 3),
        (lambda: backtest.subaccounts(["hold.py", "hold.py"], "market").combined, 1),
        (lambda: backtest.margin(BOOK), 1),
    ],
    ids=["run", "compare", "latency", "subaccounts", "combined", "margin"],
)
def test_what_a_public_function_returns_is_a_few_lines_at_the_prompt(place: Path, call: Any, lines: int) -> None:
    shown = repr(call()).replace(str(place), "").splitlines()
    assert len(shown) == lines
    assert max(len(line) for line in shown) <= LONGEST_LINE
