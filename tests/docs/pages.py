"""The pages of the project: their code blocks, played in order as a reader would, and the output that they quote.

`python -m tests.docs.pages [PAGE...]` rewrites quoted output where a command now prints something else. Blocks that
leave a part out with … are left to the author. A Python block whose first line is `# needs: NAME, …` runs only where
these modules are installed; one that begins with `# not run: REASON` is only shown.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from backtest.cli import main
from backtest.data.sample import write_sample

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    name
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("docs/*/*.md"))
    if not (name := path.relative_to(ROOT).as_posix()).startswith(".")
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command of a `console` block with the output that is quoted below it."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))

    @property
    def file(self) -> str:
        """The name that a first line like `# my.py` gives the block; empty for one that has none."""
        found = re.match(r"# ([\w.-]+\.(?:py|toml|csv))\n", self.text)
        return found[1] if found else ""

    @property
    def missing(self) -> list[str]:
        """Optional modules that a first line like `# needs: talib` names and that are not installed here."""
        found = re.match(r"# needs: (.+)\n", self.text)
        return [name for name in found[1].split(", ") if find_spec(name) is None] if found else []


@dataclass(frozen=True)
class Quote:
    """A command with what the page says it prints and what it prints."""

    command: str
    quoted: str
    printed: str

    @property
    def holds(self) -> bool:
        """Whether what is quoted is what is printed; … stands for anything, and nothing is quoted always holds."""
        lines = _lines(self.quoted)
        parts = [r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines]
        said = "".join(f"{line}\n" for line in _lines(self.printed))
        return not lines or re.fullmatch("".join(parts), said) is not None


def _lines(text: str) -> list[str]:
    """Lines without the space around them; blank ones do not count, nor where a report was written."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("report: ")]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(text_of(page))]


def play(page: str, folder: Path, sample: Path) -> Iterator[Quote]:
    """Play the blocks of a page in order in ``folder``, where a copy of ``sample`` is data/sample.

    A block with a file's name is written there, other Python is run, commands are called. An AssertionError names a
    command that fails or is none of the project's.
    """
    shutil.copytree(sample, folder / "data" / "sample")
    with contextlib.chdir(folder):
        for block in blocks(page):
            if block.missing or block.text.startswith("# not run: "):
                continue
            if block.file:
                Path(block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                    if block.text.startswith("# needs: "):
                        warnings.simplefilter("ignore")  # what a library of others warns of is not ours
                    exec(compile(block.text, page, "exec"), {"__name__": "page"})
            elif block.language == "console":
                yield from (Quote(command, quoted, _call(command, quoted)) for command, quoted in block.commands)


def _call(command: str, quoted: str) -> str:
    command, _, expected = command.partition("  # exit ")
    words = shlex.split(command)
    if words[0] == "make":
        recipe = _recipe(words[1])
        return _call(recipe, quoted) if quoted else ""
    if words[0] == "pip":
        _check_pip(words)
        return ""
    if words[:2] == ["python", "-m"]:
        assert find_spec(words[2]), f"{command}: no such module"
        return ""
    assert words[0] == "backtest", f"{command}: not a command of the project"
    code, printed = 0, io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main(words[1:])
    except SystemExit as ended:
        code = ended.code
    assert (code or 0) == int(expected or 0), f"{command}: exit {code}"
    return printed.getvalue()


def _recipe(target: str) -> str:
    """The last command of a target of the Makefile, as it would be typed."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text_of("Makefile"), re.MULTILINE)
    assert found, f"make {target}: no such target"
    return found[1].strip().splitlines()[-1].replace("$(BIN)/", "")


def _check_pip(words: list[str]) -> None:
    """What is installed is the project: a folder, an extra that it has, or the wheel of its version."""
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    wheel = f"{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"
    known = {".", wheel, f"dist/{wheel}", *(f".[{extra}]" for extra in project["optional-dependencies"])}
    named = [word for word in words[2:] if not word.startswith("-") and word not in ("dist", "constraints.txt")]
    assert named, f"{words}: nothing is named"
    assert set(named) <= known, f"{words}: {set(named) - known}"


def rewrite(page: str, quotes: list[Quote]) -> bool:
    """Put what is printed in the place of what is quoted; whether anything had to change."""
    text = before = text_of(page)
    for quote in quotes:
        if not quote.holds and "…" not in quote.quoted:
            lines = [line.rstrip() for line in quote.printed.splitlines() if not line.startswith("report: ")]
            text = text.replace(f"$ {quote.command}\n{quote.quoted}", f"$ {quote.command}\n{_tidy(lines)}")
    (ROOT / page).write_text(text, encoding="utf-8")
    return text != before


def _tidy(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n").replace("\n\n\n", "\n\n") + "\n"


def _rewrite(pages: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        sample = write_sample(Path(place) / "sample")
        for n, page in enumerate(pages):
            folder = Path(place) / str(n)
            folder.mkdir()
            quotes = list(play(page, folder, sample))
            changed = rewrite(page, quotes)
            left = [quote.command for quote in quotes if not quote.holds and "…" in quote.quoted]
            sys.stderr.write("".join([f"rewrote {page}\n"] * changed + [f"{page}: look at: {c}\n" for c in left]))


if __name__ == "__main__":
    _rewrite(sys.argv[1:] or PAGES)
