"""What is wrong with a venue file, as one line: file, line, key, reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from backtest.core.errors import UserError, nearest
from backtest.venues.inheritance import Node, Place, where
from backtest.venues.margin_rules import RULES


def complaint(
    error: ValidationError, root: Node, kind: type[BaseModel], written: Callable[[Place], Place] | None = None
) -> UserError:
    """The first thing wrong. A misspelt key goes before what it leaves missing.

    ``written`` gives the place in the file of a place in the checked tables; None: as a venue's are.
    """
    first: Any = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    context = first.get("ctx") or {}
    at = (*first["loc"], *context.get("at", ()))
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        at = (*at, "rule")
    shown = (written or _without_rules)(at)
    key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in shown)
    reason = _reason(first["type"], first["msg"], context, at, kind)
    return UserError(f"{key}: {reason}" if key else reason, where(root, shown), "correct the file")


def _without_rules(at: Place) -> Place:
    """The place in the file: pydantic puts a margin table's rule behind its number."""
    return tuple(part for n, part in enumerate(at) if not _is_rule(at, n))


def _is_rule(at: Place, n: int) -> bool:
    return n >= 2 and at[n] in RULES and isinstance(at[n - 1], int) and at[n - 2] == "margin"


def _reason(kind: str, message: str, context: dict[str, Any], at: Place, model: type[BaseModel]) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(at[-1]), _keys(model, at[:-1]))}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"unknown rule {context.get('tag')!r}; {nearest(str(context.get('tag')), RULES)}"
    if kind == "is_instance_of":
        return "is not a number"
    return _PLAIN.get(kind) or message.removeprefix("Value error, ")


_PLAIN = {"model_type": "is not a table, like { key = 1 }", "dict_type": "is not a table", "list_type": "is not a list"}
"""What the checker would say with names of classes."""


def _keys(model: type[BaseModel], at: Place) -> list[str]:
    """Keys that the table at ``at`` knows."""
    kinds: list[Any] = [model]
    for part in at:
        kinds = [below for kind in kinds for below in _below(kind, part)]
    known = [k for kind in kinds for k in _alternatives(kind) if isinstance(k, type) and issubclass(k, BaseModel)]
    return sorted({info.alias or name for table in known for name, info in table.model_fields.items()})


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    """What an annotation has at a key or position; a rule's name chooses among the tables of a union."""
    for one in _alternatives(kind):
        if isinstance(one, type) and issubclass(one, BaseModel):
            fields = {info.alias or name: info for name, info in one.model_fields.items()}
            if part in RULES and "rule" in fields and part in get_args(fields["rule"].annotation):
                yield one
            elif part in fields:
                yield fields[str(part)].annotation
        elif get_origin(one) is list and isinstance(part, int):
            yield get_args(one)[0]
        elif get_origin(one) is dict and isinstance(part, str):
            yield get_args(one)[1]


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union, without what is annotated to them."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (list, dict) or not get_args(kind):
        return [kind]
    return [one for member in get_args(kind) if member is not type(None) for one in _alternatives(member)]
