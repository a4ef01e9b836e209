"""An import that is killed at any moment leaves the old dataset or the new one, and the next import puts all right.

BACKTEST_KILLS sets how many are killed; 50 take two minutes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from tests.unit.import_layouts import START, imported

KILLS = int(os.environ.get("BACKTEST_KILLS", "4"))
ROWS = 150_000
SCRIPT = """
import sys
from pathlib import Path
from backtest.data.importing.importer import prepared
from backtest.data.importing.options import options_of
import polars, pyarrow.parquet  # loaded before the clock starts
print("ready", flush=True)
with prepared(Path(sys.argv[1]), options_of(None, None, None, None, {}, None)) as ready:
    ready.write(Path(sys.argv[2]))
"""


def source(place: Path, price: float) -> Path:
    place.mkdir()
    count = pl.int_range(ROWS, eager=True)
    rows = pl.DataFrame({"ts": START + 60_000 * count, "open": price + count % 97})
    rows = rows.with_columns(
        high=pl.col("open") + 1, low=pl.col("open") - 1, close=pl.col("open") + 0.5, volume=pl.lit(1.5)
    )
    rows.write_csv(place / "BTCUSDT.csv")
    return place / "BTCUSDT.csv"


def content(folder: Path) -> dict[str, bytes] | None:
    """Every file of a dataset; None where there is none."""
    if not folder.exists():
        return None
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_killed_import_leaves_the_old_or_the_new_dataset(tmp_path: Path) -> None:
    files = [source(tmp_path / name, price) for name, price in (("a", 100.0), ("b", 200.0))]
    whole = []
    for n, file in enumerate(files):
        began = time.monotonic()
        imported(file, tmp_path / f"whole{n}")
        whole.append(content(tmp_path / f"whole{n}"))
        took = time.monotonic() - began
    assert whole[0] != whole[1]
    draw = random.Random(7)
    made = tmp_path / "home" / "made"
    made.parent.mkdir()
    allowed: list[dict[str, bytes] | None] = [None]
    killed = 0
    for n in range(KILLS):
        command = [sys.executable, "-c", SCRIPT, str(files[n % 2]), str(made)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0.0, 1.2 * took))
            killed += process.poll() is None
            process.kill()
        found = content(made)
        assert found in [*allowed, whole[n % 2]]
        allowed = [found]
    assert killed >= KILLS // 2
    for n, file in enumerate(files):
        imported(file, made)
        assert content(made) == whole[n]
    assert [entry.name for entry in made.parent.iterdir()] == ["made"]
