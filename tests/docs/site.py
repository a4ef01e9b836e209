"""The documentation site: docs/ and the pages at the top of the repository, staged and built by Zensical.

`python -m tests.docs.site` (or `make docs`) builds it into build/site. A broken link, a missing anchor or an API name
that does not exist fails the build. The built pages load nothing from another host.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = "zensical.toml"
TOP = {
    "LIMITATIONS.md": "explanation/limitations.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
"""Pages at the top of the repository, and what stands for each on the site."""
STAGED = {page: place for page, place in TOP.items() if page != "README.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
COLOURS = re.compile(r"\x1b\[[\d;]*m")
PARTS = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def place_of(file: str) -> str | None:
    """Return where a file of the repository stands on the site, from its root; None for one that is not on it."""
    return TOP.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)


def relinked(text: str, page: str, place: str) -> str:
    """Return the text of ``page`` with its links as they are at ``place`` on the site; code blocks stay as they are.

    A link to a file that is not on the site (source code, say) becomes its text in code marks.
    """

    def link(found: re.Match[str]) -> str:
        bang, title, target = found.groups()
        file, mark, anchor = target.partition("#")
        if target.startswith(("https://", "#")):
            return found[0]
        there = place_of(os.path.normpath(f"{Path(page).parent}/{file}"))
        if there is None:
            return title if "`" in title else f"`{title}`"
        return f"{bang}[{title}]({os.path.relpath(there, Path(place).parent)}{mark}{anchor})"

    parts = PARTS.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def stage(folder: Path) -> list[str]:
    """Write the sources of the site into ``folder``; the names of its pages."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    pages = {f"docs/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*.md")}
    pages |= {page: folder / place for page, place in STAGED.items()}
    for page, path in pages.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        path.write_text(relinked(text, page, path.relative_to(folder).as_posix()), encoding="utf-8")
    return sorted(path.relative_to(folder).as_posix() for path in pages.values())


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build what is staged in ``folder``/docs into ``folder``/site, with the settings of the repository."""
    settings = (ROOT / CONFIG).read_text(encoding="utf-8").replace('paths = ["."]', f'paths = ["{ROOT.as_posix()}"]')
    (folder / CONFIG).write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(folder / CONFIG)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    done.stdout, done.stderr = COLOURS.sub("", done.stdout), COLOURS.sub("", done.stderr)
    return done


def main() -> None:
    folder = ROOT / "build"
    pages = stage(folder / "docs")
    done = build(folder)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    sys.stderr.write(f"{len(pages)} pages: {folder / 'site' / 'index.html'}\n")


if __name__ == "__main__":
    main()
