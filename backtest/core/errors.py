"""The kinds of failure, never mixed.

- A user's mistake (bad usage, data or configuration) is a :class:`UserError`: one line that names
  the thing, the place and what to do. The command line exits with 2.
- A failure of the strategy or of the run itself is a :class:`RunError`. The command line exits with 1.
- A venue's refusal is not an exception: it is an order's status and reason (`core.enums.Reason`).
- A broken invariant is a fault of this program: :class:`Broken`. It is raised, not asserted, so that ``python -O``
  and kernels compiled under it check the same. The command line exits with 1 and writes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class BacktestError(Exception):
    """Base of the errors that are shown to the user as one line."""

    exit_code = 1

    def respell(self, spelt: Callable[[str], str]) -> None:
        """Replace every part of the text by ``spelt`` of it, in place, so that its traceback stays."""
        self.args = tuple(spelt(part) if isinstance(part, str) else part for part in self.args)


class UserError(BacktestError):
    """Bad usage, data or configuration.

    ``thing`` is what is wrong, ``place`` where (a file, a flag, a symbol and time), ``remedy`` what to do.
    """

    exit_code = 2

    def __init__(self, thing: str, place: str = "", remedy: str = "") -> None:
        self.thing, self.place, self.remedy = (printable(part) for part in (thing, place, remedy))
        super().__init__(self.text())

    def respell(self, spelt: Callable[[str], str]) -> None:
        """Replace thing, place and remedy by ``spelt`` of them."""
        self.thing, self.place, self.remedy = spelt(self.thing), spelt(self.place), spelt(self.remedy)
        self.args = (self.text(),)

    def text(self) -> str:
        """The whole line."""
        text = f"{self.place}: {self.thing}" if self.place else self.thing
        return f"{text}; {self.remedy}" if self.remedy else text


class SettingError(UserError):
    """A value that a setting cannot have. ``place`` is its flag; the text puts it behind the thing."""

    def __init__(self, thing: str, place: str, remedy: str) -> None:
        super().__init__(thing, place, remedy)

    def text(self) -> str:
        """``unknown value 'worse' in --path (did you mean 'worst'?)``."""
        return f"{self.thing} in {self.place} ({self.remedy})"


class RunError(BacktestError):
    """The strategy, or the run, failed after it had begun. What was computed so far is not a result."""

    exit_code = 1


class Broken(AssertionError):
    """An invariant does not hold: a fault of this program. Kernels raise it too, with a constant text."""


class CacheWarning(UserWarning):
    """Compiled kernels were damaged, or cannot be kept. The result is the same and takes longer."""


def printable(text: str) -> str:
    """Return ``text`` with a space in place of every character that is not printed, such as a terminal's escapes."""
    return "".join(character if character.isprintable() else " " for character in text)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is most likely a misspelling of; None where none is near."""
    by_lower = {known_name.lower(): known_name for known_name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(name.lower(), sorted(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'X'?`` for the known name nearest to ``name``, or a list of them when none is near."""
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known: {shown}" if names else "none are known"
