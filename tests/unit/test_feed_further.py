"""Further series of marks, `mark_NAME`: where they are known, what is refused, and that only a median reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.select import select
from tests.unit.feed_datasets import MIN, candles, flat, write

nan = float("nan")


def test_further_marks_are_known_where_they_have_candles(tmp_path: Path) -> None:
    """Beside a mark: an index as fine as the candles with a hole, a coarser one, and one of another symbol alone."""
    candles(tmp_path, "X", [(k, 100.0 + k, 102.0 + k, 99.0 + k, 101.0 + k, 1.0) for k in range(6) if k != 3])
    candles(tmp_path, "Y", flat(7, 7, 7, 7, 7, 7))
    fine = [(0, 99, 99.5, 98, 99), (1, 100, 101, 100, 101), (3, 90, 91, 89, 90), (5, 95, 96, 94, 95)]
    candles(tmp_path, "X", fine, MIN, "mark_index")
    # Covers rows 0 to 3 and, as the next begins at row 4 and ends beyond the period, all of them from there on.
    # At row 0 mark / trade is 101 / 100, at row 4 104 / 104.
    candles(tmp_path, "X", [(0, 101, 150, 50, 103), (1, 104, 150, 50, 105)], 4 * MIN, "mark_wide")
    candles(tmp_path, "Y", flat(8, 8), MIN, "mark_other")
    (tmp_path / "mark_empty").mkdir()
    s = select(Catalog.open(tmp_path))
    assert s.further == ("mark_index", "mark_other", "mark_wide")
    plain = next(s.chunks(100, packed=True)).panel
    panel = next(s.chunks(100, packed=True, spare=4, further=True)).panel
    assert panel.shape[0] == plain.shape[0] + 4 + 12
    np.testing.assert_array_equal(panel[: plain.shape[0]], plain)
    index, other, wide = (panel[plain.shape[0] + 4 + 4 * n :][:4] for n in range(3))
    assert index[:, :, 0].T.tolist()[:2] == [[99, 99.5, 98, 99], [100, 101, 100, 101]]
    assert index[0, :, 0].tolist()[3] == 90  # it has a candle where the symbol has none
    assert np.isnan(index[:, [2, 4], 0]).all()
    assert np.isnan(index[:, :, 1]).all()
    np.testing.assert_array_equal(other[0], [[nan, 8], [nan, 8], *[[nan, nan]] * 4])
    # Row 1: the basis falls from 1.01 by 0.0025 a row: open 101 × 1.0075 = 101.7575, close 102 × 1.005 = 102.51,
    # high 103 × 1.00625 = 103.64375, low 100 × 1.00625 = 100.625. Row 3 has no trade. From row 4 on it is 1.
    # The second wide candle is as high and as low as 150 and 50: the highest trade of rows 4 and 5 is in row 5, the
    # lowest in row 4. What row 0 and row 2 attain of the first one does not show in row 1.
    np.testing.assert_allclose(wide[:, 1, 0], [101.7575, 103.64375, 100.625, 102.51], rtol=1e-12)
    assert np.isnan(wide[:, 3, 0]).all()
    assert wide[:, 4, 0].tolist() == [104, 106, 50, 105]
    assert wide[:, 5, 0].tolist() == [105, 150, 104, 106]
    assert (wide[2, 0, 0], wide[1, 2, 0]) == (50, 150)
    assert np.isnan(wide[:, :, 1]).all()


def test_further_marks_do_not_depend_on_chunks_and_count_in_the_fingerprint_where_they_are_read(
    tmp_path: Path,
) -> None:
    candles(tmp_path, "X", flat(*range(100, 120)))
    candles(tmp_path, "X", [(2 * k, *[99.0 + k] * 4) for k in range(10)], MIN, "mark_index")
    before = select(Catalog.open(tmp_path)).fingerprint(), select(Catalog.open(tmp_path)).fingerprint(further=True)
    whole = next(select(Catalog.open(tmp_path)).chunks(100, further=True)).panel
    for rows, tail in ((1, 0), (3, 2), (7, 5)):
        parts = list(select(Catalog.open(tmp_path)).chunks(rows, tail=tail, further=True))
        np.testing.assert_array_equal(np.concatenate([c.panel[:, c.tail :] for c in parts], axis=1), whole)
    candles(tmp_path, "X", [(2 * k, *[98.0 + k] * 4) for k in range(10)], MIN, "mark_index")
    after = select(Catalog.open(tmp_path)).fingerprint(), select(Catalog.open(tmp_path)).fingerprint(further=True)
    assert before[0] == after[0]
    assert len({*before, *after}) == 3


def test_finer_further_marks_are_joined(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100.0] * 10))
    candles(tmp_path, "X", [(k, 10 + k, 20 + k, 5 + k, 12 + k) for k in range(7)], MIN, "mark_index")
    panel = next(select(Catalog.open(tmp_path), None, None, None, 5 * MIN).chunks(10, further=True)).panel
    assert panel[-4:, :, 0].T.tolist() == [[10, 24, 5, 16], [15, 26, 10, 18]]


def test_bad_further_marks_are_named(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2, 3))
    candles(tmp_path, "X", [(0, 1, 1, 1, 1), (1, 2, 2, -1, 2)], MIN, "mark_index")
    found = {f.kind: f.count for f in check(tmp_path).found}
    assert found["marks with bad prices"] == 1
    with pytest.raises(UserError, match=r"low is -1\.0") as error:
        list(select(Catalog.open(tmp_path)).chunks(10, further=True))
    assert "X mark_index at" in str(error.value)
    assert len(list(select(Catalog.open(tmp_path)).chunks(10))) == 1  # nobody reads it
    write(tmp_path, "mark_index", "X", pa.table({"ts": [1]}))
    with pytest.raises(UserError, match="no column 'open'"):
        Catalog.open(tmp_path)
