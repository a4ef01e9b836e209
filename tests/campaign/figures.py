"""What a campaign found, in one table, and how to see each failure again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Rows of a table, and failures with the command that repeats each of them."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def row(self, what: str, figure: object) -> None:
        """Add a row."""
        self.rows.append((what, f"{figure:,}" if isinstance(figure, int) else str(figure)))

    def fail(self, part: str, seed: int, why: str, more: str = "") -> None:
        """Note a failure of the draw of ``seed``."""
        again = f"python -m tests.campaign {part} --seed {seed}{more}"
        self.failures.append((again, why))
        print(f"FAILED: {why}\n  repeat it: {again}", flush=True)

    def add(self, other: Figures) -> None:
        """Take another's rows and failures in."""
        self.rows += other.rows
        self.failures += other.failures

    def table(self) -> str:
        """All rows, figures to the right."""
        rows = [*self.rows, ("failures", f"{len(self.failures):,}")]
        left, right = (max(len(row[n]) for row in rows) for n in (0, 1))
        return "\n".join(f"{what:{left}}  {figure:>{right}}" for what, figure in rows)
