"""Phrases that readers had to translate, each with the better one; pages and help texts do without them."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES
from tests.docs.test_docs import prose

BANNED = {
    r"\bthat which\b": "what",
    r"\bby itself\b": "alone, or leave it out",
    r"\banew\b": "again",
    r"\bof (?:its|their) own\b": "its own …, their own …",
    r"\bwhat becomes of\b": "what happens to",
    r"\bthere is none\b": "it has no …",
    r"\bin words and pictures\b": "leave it out",
    r"\byardstick\b": "reference",
    r"\bis law\b|\bby law\b|\bexact law\b": "rules; liquidation policy",
    r"\bdie[sd]?\b|\boutlive": "is liquidated, survives",
    r"\ba naked position\b|\bnow naked\b": "an unhedged position",
    r"\bway of an order\b|\border's way\b": "order latency",
    r"\bstands? still in\b|\bstood still\b": "stopped; an outage",
    r"\bon trust\b": "assumed",
    r"\bstrategies that teach\b": "example strategies",
}
"""Pattern of a phrase, and what to write instead."""
UNREVISED = {
    "CONTRIBUTING.md", "docs/reference/cli.md", "docs/reference/rules-layer2.md",
    "docs/reference/rules-orders.md", "docs/reference/rules.md",
}  # fmt: skip
"""Pages that still have some of the phrases. A page leaves this set when it has none."""


def found(text: str) -> list[str]:
    """Each phrase of a text with the better one."""
    plain = " ".join(text.split())
    return [
        f"{match[0]!r}: write {better!r}"
        for pattern, better in BANNED.items()
        for match in re.finditer(pattern, plain, re.IGNORECASE)
    ]


@pytest.mark.parametrize("page", sorted({*PAGES} - UNREVISED))
def test_a_page_has_no_phrase_to_translate(page: str) -> None:
    assert found(prose(page)) == []


def test_a_phrase_is_found_across_lines() -> None:
    assert found("What becomes\nof it is law.") == ["'What becomes of': write 'what happens to'", *found("is law")]
    assert found("It is liquidated.") == []
    assert set(UNREVISED) <= set(PAGES)
