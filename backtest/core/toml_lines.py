"""Where in a TOML text a key stands: a parser forgets lines, a user needs them."""

from __future__ import annotations

import tomllib

Path = tuple[str | int, ...]


def line_of(text: str, where: Path) -> int:
    """The line, from 1, of the key at ``where``, or of the nearest table around it that the text names.

    ``where`` is keys and list positions from the top, as in ``("symbols", "BTC-USD", "tiers", 1, "initial")``.
    An entry of an inline list is found by counting its braces from the list's key. Text inside multi-line strings is
    not told from keys, so a file that imitates keys there may get a line that is off; the reason is right all the same.
    """
    seen = _keys(text)
    depth = next((n for n in range(len(where), 0, -1) if where[:n] in seen), 0)
    if depth == 0:
        return 1
    line, rest = seen[where[:depth]], where[depth:]
    if rest and isinstance(rest[0], int):
        return _brace(text, line, rest[0])
    return line


def _keys(text: str) -> dict[Path, int]:
    """The line of every table header and every key, by its path."""
    seen: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        header = _within(_path(line), counts)
        if line.startswith("[[") and header:
            counts[header] = counts.get(header, -1) + 1
            seen.setdefault(header, number)
            table = (*header, counts[header])
        elif line.startswith("[") and header:
            table = header
        elif key := _path(line.partition("=")[0] + "= 0"):
            seen.setdefault((*table, *key), number)
            continue
        seen.setdefault(table, number)
    return seen


def _within(header: Path, counts: dict[Path, int]) -> Path:
    """A header with the position of every list of tables that it lies in: ``[[a.b]]`` is in the last ``[[a]]``."""
    path: Path = ()
    for n, part in enumerate(header):
        path = (*path, part)
        if path in counts and n < len(header) - 1:
            path = (*path, counts[path])
    return path


def _path(line: str) -> Path:
    """The keys of a line of TOML that is complete in one line: one header, or one ``a.b = 0``; else nothing."""
    try:
        node: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: Path = ()
    while isinstance(node, dict | list) and node:
        if isinstance(node, dict):
            key, node = next(iter(node.items()))
            path = (*path, key)
        else:
            node = node[0]
    return path


def _brace(text: str, line: int, index: int) -> int:
    """The line of the ``index``-th opening brace from ``line`` on; ``line`` itself if there are fewer."""
    for number, raw in enumerate(text.splitlines()[line - 1 :], line):
        index -= raw.count("{")
        if index < 0:
            return number
    return line
