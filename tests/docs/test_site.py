"""The documentation site builds without a warning, shows every page, and loads nothing from another host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.docs import site

LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:)?//|<link\b[^>]*\bhref=\"?(?:https?:)?//")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    site.stage(folder / "docs")
    done = site.build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in _pages(item)]


def test_every_page_is_built_and_in_the_navigation(built: Path) -> None:
    settings = tomllib.loads((site.ROOT / site.CONFIG).read_text(encoding="utf-8"))["project"]
    staged = sorted(path.relative_to(built / "docs").as_posix() for path in (built / "docs").rglob("*.md"))
    assert sorted(_pages(settings["nav"])) == staged
    assert all((built / "site" / page.replace(".md", ".html")).is_file() for page in staged)


def test_nothing_is_loaded_from_another_host(built: Path) -> None:
    pages = list((built / "site").rglob("*.html"))
    loaded = [f"{page.name}: {found[0]}" for page in pages for found in LOADED.finditer(page.read_text("utf-8"))]
    assert pages
    assert not loaded
    assert LOADED.search('<link rel="stylesheet" href="https://example.org/a.css">')


@pytest.mark.parametrize("line", ["[gone](reference/gone.md)", "[gone](reference/orders.md#gone)"])
def test_a_broken_link_fails_the_build(line: str, tmp_path: Path) -> None:
    site.stage(tmp_path / "docs")
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{line}\n")
    assert site.build(tmp_path).returncode != 0


def test_links_follow_a_page_to_its_place() -> None:
    text = "[a](docs/reference/orders.md#steps) [b](LICENSE) [c](#x) ![d](docs/images/a.svg) [e](CHANGELOG.md)\n"
    code = "```text\n[a](docs/a.md)\n```\n"
    assert site.relinked(text + code, "LIMITATIONS.md", "explanation/limitations.md") == (
        "[a](../reference/orders.md#steps) `b` [c](#x) ![d](../images/a.svg) [e](../changelog.md)\n" + code
    )
