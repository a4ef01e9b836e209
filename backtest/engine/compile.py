"""Numba's only door: how a kernel is compiled and where its machine code is kept.

Numba's file cache looks at the file of a kernel, not at the files of the kernels it calls, so a
change in one of them would go unnoticed. The cache therefore lives in a folder named by a hash of every
file of this room: other source, other folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
"""Kernels run as the Python they are, and Numba is not even loaded: for tests, and for a command that plays so few rows
that loading machine code would take longer."""
if not INTERPRETED:
    import numba
    from numba import types
    from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def _source_hash() -> str:
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    """The user's cache folder by the XDG rule; `NUMBA_CACHE_DIR`, where set, is respected as the root."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "perp-backtest"


CACHE = _cache_root() / f"kernels-{_source_hash()}"
if not INTERPRETED:
    numba.config.CACHE_DIR = str(CACHE)


def compiled_before() -> bool:
    """Whether kernels of this source lie in the cache, or none are needed; else the first run compiles."""
    return INTERPRETED or next(CACHE.rglob("*.nbc"), None) is not None


def entry(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """The machine code for arguments of these types, without the look-up by type that each call would pay.

    A third of the price of a call with ten arrays, which is what a strategy that decides at every candle pays.
    """
    if INTERPRETED:
        return function
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    compiled: Any = function
    compiled.compile(kinds)
    code: Callable[..., Any] = compiled.get_overload(kinds)
    return code


def inlined(function: F) -> F:
    """A kernel whose body is put where it is called: for small ones in hot loops, where passing arrays costs."""
    return kernel(function, "always")


def kernel(function: F, inline: str = "never") -> F:
    """Compile on first use: no GIL, no fastmath (bits must not depend on how a loop was vectorised)."""
    if INTERPRETED:
        return function
    jitted = numba.njit(cache=True, nogil=True, error_model="numpy", inline=inline)(function)
    resolve = jitted.get_call_template

    def by_type(args: Any, kws: Any) -> Any:
        # Numba would compile a kernel once more for each constant it is called with; by type alone is enough
        # and halves the time of the first run.
        plain = {name: types.unliteral(kind) for name, kind in kws.items()}
        return resolve(tuple(types.unliteral(kind) for kind in args), plain)

    jitted.get_call_template = by_type
    compiled: F = jitted
    return compiled


def _borrowed(_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()  # as Numba's own intrinsics give a struct

    return array(array), generate


borrowed: Callable[[Any], Any] = (lambda array: array) if INTERPRETED else intrinsic(_borrowed)
"""The same array without an owner, inside a kernel.

Numba counts the references to each array at each call between kernels, atomically, which took most of the time of a
fill. An array without an owner is not counted. The caller in Python holds all of them while a kernel runs.
"""
