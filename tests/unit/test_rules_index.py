"""The index of tests by rule is the one of the marks, and every mark names a section that there is."""

from __future__ import annotations

from tests import rules_index

UNTESTED: set[str] = set()
"""Sections without a test of their own; the differential tests cover them."""


def test_the_page_is_made_of_the_marks() -> None:
    assert rules_index.PAGE.read_text(encoding="utf-8") == rules_index.page(), "run python -m tests.rules_index"


def test_every_mark_names_a_section_and_every_section_has_a_test() -> None:
    known, tested = set(rules_index.sections()), {section for section, _, _ in rules_index.marked()}
    assert len(known) > 30
    assert tested - known == set()
    assert known - tested == UNTESTED
