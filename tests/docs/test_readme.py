"""The README as a newcomer follows it: every command works, and prints what the page says that it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.data.sample import write_sample
from tests.docs.pages import ROOT, Block, Quote, blocks, play, text_of

README = "README.md"


@pytest.fixture(scope="module")
def quotes(tmp_path_factory: pytest.TempPathFactory) -> list[Quote]:
    """Everything on the page, played once."""
    sample = write_sample(tmp_path_factory.mktemp("sample") / "sample")
    return list(play(README, tmp_path_factory.mktemp("readme"), sample))


def test_every_command_prints_what_is_quoted(quotes: list[Quote]) -> None:
    wrong = [f"$ {q.command}\n{q.printed}" for q in quotes if not q.holds]
    assert not wrong, "the README says otherwise; `python -m tests.docs.pages` rewrites it:\n" + "\n".join(wrong)


def test_the_three_modes_are_quoted_with_their_numbers(quotes: list[Quote]) -> None:
    (modes,) = (q for q in quotes if "--margin isolated,cross,portfolio" in q.command)
    rows = [line.split() for line in modes.quoted.splitlines() if line.startswith((" Equity", " Margin accounts"))]
    assert len(rows) == 2
    assert all(len(set(row[-3:])) == 3 for row in rows)


def test_make_demo_is_the_demo() -> None:
    commands = [command for block in blocks(README) for command, _ in block.commands]
    assert {"make demo", "make test", "backtest demo", "pip install ."} <= set(commands)
    assert "$(BIN)/backtest demo reports/demo" in text_of("Makefile")


def test_the_picture_is_small() -> None:
    picture = ROOT / "docs" / "images" / "comparison-report.png"
    assert "docs/images/comparison-report.png" in text_of(README)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size < 150_000


def test_a_changed_number_is_noticed() -> None:
    said = "metric  cross\nFees  1.00\nThe end …\n"
    printed = " metric  cross \n\n Fees  1.00 \nThe end of it\nreport: /x\n"
    assert Quote("c", said, printed).holds
    assert not Quote("c", said.replace("1.00", "1.01"), printed).holds
    assert Quote("c", "…\nFees  1.00\n…\n", printed).holds
    assert not Quote("c", "…\nFees  1.00\n", printed).holds


def test_a_command_that_is_not_there_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample").mkdir()
    for number, command in enumerate(("backtest ran", "backtest run --dota x", "make dmo", "pip install x", "rm x")):
        fake = f"```console\n$ {command}\n```\n"
        monkeypatch.setattr(
            "tests.docs.pages.text_of", lambda page, fake=fake: fake if page == README else text_of(page)
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(AssertionError):
            list(play(README, folder, tmp_path / "sample"))


def test_only_a_block_with_a_missing_module_is_left_out() -> None:
    assert Block("python", "# needs: no_such_module, json\nx = 1\n").missing == ["no_such_module"]
    assert Block("python", "# needs: json\nx = 1\n").missing == []
    assert Block("python", "x = 1\n# needs: no_such_module\n").missing == []
