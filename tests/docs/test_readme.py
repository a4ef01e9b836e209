"""The README as a newcomer follows it: every command works, and prints what the page says that it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.data.sample import write_sample
from backtest.report.formatting import METRICS
from tests.docs.pages import Quote, blocks, play, text_of

README = "README.md"


@pytest.fixture(scope="module")
def quotes(tmp_path_factory: pytest.TempPathFactory) -> list[Quote]:
    """Everything on the page, played once."""
    sample = write_sample(tmp_path_factory.mktemp("sample") / "sample")
    return list(play(README, tmp_path_factory.mktemp("readme"), sample))


def test_every_command_prints_what_is_quoted(quotes: list[Quote]) -> None:
    wrong = [f"$ {q.command}\n{q.printed}" for q in quotes if not q.holds]
    assert not wrong, "the README says otherwise; `python -m tests.docs.pages` writes it anew:\n" + "\n".join(wrong)


def test_the_demo_is_quoted_whole(quotes: list[Quote]) -> None:
    # A page without the table would pass the test above.
    (demo,) = (q for q in quotes if q.command == "backtest demo")
    assert "…" not in demo.quoted
    titles = {metric.title for metric in METRICS.values()}
    rows = [line for line in demo.quoted.splitlines() if any(line.strip().startswith(title) for title in titles)]
    assert len(rows) >= 20
    assert "isolated" in demo.quoted
    assert "cross" in demo.quoted


def test_make_demo_is_the_demo() -> None:
    commands = [command for block in blocks(README) for command, _ in block.commands]
    assert {"make demo", "make test", "backtest demo", "pip install ."} <= set(commands)
    assert "$(BIN)/backtest demo reports/demo" in text_of("Makefile")


def test_what_the_first_lines_promise_is_shown(quotes: list[Quote]) -> None:
    said = text_of(README)
    commands = [q.command for q in quotes]
    for part in (
        "--margin isolated,cross,portfolio",
        "--venue ",
        "--guard ",
        "--sub-accounts",
        "venues show",
        "margin book",
    ):
        assert any(part in command for command in commands), part
    assert said.index("--margin isolated,cross,portfolio") < said.index("## Try it")
    # The three modes are quoted with their numbers, not left out.
    (modes,) = (q for q in quotes if "--margin isolated,cross,portfolio" in q.command)
    rows = [line.split() for line in modes.quoted.splitlines() if line.startswith((" Equity", " Liquidations"))]
    assert len(rows) == 2
    assert all(len(set(row[-3:])) == 3 for row in rows)


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
