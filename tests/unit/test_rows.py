"""Records that lie on disk are those that were appended, whatever the sizes of the pieces."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.core import disk, rows
from backtest.core.errors import UserError
from backtest.core.rows import Rows
from backtest.core.spool import Spool
from backtest.strategy import candle_table

KIND = np.dtype([("number", "i8"), ("price", "f8"), ("name", "i8")])


def records(first: int, count: int) -> np.ndarray:
    out = np.zeros(count, KIND)
    out["number"] = np.arange(first, first + count)
    out["price"], out["name"] = out["number"] / 3, -out["number"]
    return out


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 40))
def test_what_is_read_is_what_was_appended(sizes: list[int], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PIECE", piece)
        kept = Rows(KIND, Spool())
        total = 0
        for size in sizes:
            kept.append(records(total, size))
            total += size
        whole = records(0, total)
        assert len(kept) == total
        assert kept.last().tolist() == whole[-1:].tolist()
        for name in KIND.names or ():
            assert kept[name].tobytes() == np.ascontiguousarray(whole[name]).tobytes()
            parts = [part[name] for part in kept.pieces("number", name)]
            assert np.concatenate([np.zeros(0, KIND[name]), *parts]).tobytes() == kept[name].tobytes()
            assert all(len(part) <= max(2 * piece, *sizes) for part in parts)


@given(st.integers(0, 90), st.integers(1, 40), st.booleans(), st.randoms(use_true_random=False))
def test_records_are_picked_and_changed_wherever_they_lie(size: int, piece: int, kept: bool, draw: Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PIECE", piece)
        whole = records(0, size)
        whole["name"] = [draw.randrange(9) for _ in range(size)]
        made = Rows(KIND, Spool() if kept else None)
        for first in range(0, size, 7):
            made.append(whole[first : first + 7].copy())
        picked = np.array([draw.randrange(size) for _ in range(20 if size else 0)], np.int64)
        some = np.array([draw.random() < 0.5 for _ in range(size)], np.bool_)
        assert made[picked].tolist() == whole[picked].tolist()
        assert made[3:70:5].tolist() == whole[3:70:5].tolist()
        assert [row.tolist() for row in made] == whole.tolist()
        assert made.where(some).whole().tolist() == whole[some].tolist()
        assert Rows.joined([made, made]).whole().tolist() == [*whole.tolist(), *whole.tolist()]
        ordered = made.by("name")
        assert ordered.whole().tolist() == whole[np.argsort(whole["name"], kind="stable")].tolist()
        assert [n for part in ordered.parts() for n in part.numbers.tolist()] == list(range(size))
        numbers = np.unique(picked)
        others = records(500, len(numbers))
        made.change(numbers, others)
        whole[numbers] = others
        assert made.whole().tolist() == whole.tolist()


def test_nothing_lies_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE", 10)
    kept = Rows(KIND, Spool(tmp_path))
    kept.append(records(0, 100))
    assert kept["number"][-1] == 99
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "nameless_file", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\).*TMPDIR") as caught:
        Rows(KIND, Spool(tmp_path)).append(records(0, rows.PIECE))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 60), st.integers(1, 3), st.booleans(), st.data())
def test_a_candle_table_gives_what_was_put(count: int, symbols: int, on_disk: bool, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candle_table, "HELD_BYTES", 0 if on_disk else 1 << 20)
        table = candle_table.CandleTable(count, symbols, Spool())
        whole = np.full((2, count, symbols), np.nan)
        for column in range(2):
            for symbol in range(symbols):
                at = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
                whole[column, at, symbol] = at * 2.0 + column
                table.put(column, symbol, at, at * 2.0 + column)
            assert table.unknown(column).tolist() == np.isnan(whole[column]).all(axis=0).tolist()
        first = data.draw(st.integers(0, count))
        end = data.draw(st.integers(first, count))
        np.testing.assert_array_equal(table.block(1, first, end), whole[1, first:end])
        np.testing.assert_array_equal(table.part(0, symbols - 1, first, end), whole[0, first:end, symbols - 1])
