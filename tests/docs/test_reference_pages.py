"""The generated reference pages are what the code gives now."""

from __future__ import annotations

import re

import pytest

from tests.docs import reference


@pytest.mark.parametrize("name", reference.MADE)
def test_the_page_is_what_the_code_gives(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.page(name), f"`python -m tests.docs.reference` rewrites {name}"


def test_every_command_and_public_name_is_there() -> None:
    commands = reference.page("cli.md")
    assert all(
        f"## backtest {name}\n" in commands for name in ("run", "compare", "data check", "venues show", "cache build")
    )
    assert "`--margin" in commands
    listed = re.findall(r"^::: .*\.(\w+)$", reference.page("api.md"), re.MULTILINE)
    assert sorted(listed) == sorted({*reference.backtest.__all__} - {"ParamValue"})
    assert "| `equity_before` | float64 |" in reference.page("tables.md")
    keys = reference.page("file-keys.md")
    assert "| `name` | text | required |" in keys
    assert "| any |" not in keys
