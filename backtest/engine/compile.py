"""Kernels: which functions they are, and the arrays that they are given.

A kernel is a plain function of Python, and calls others as such. `machine` makes machine code of them when a run asks
for it (`tier`); until then Numba is not even loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken

F = TypeVar("F", bound=Callable[..., Any])
KERNELS: dict[Callable[..., Any], bool] = {}
"""Every kernel, in the order of definition; whether its body is put where it is called."""
CALLED: list[Callable[..., Any]] = []
"""Those that Python calls often enough to have machine code of their own; what takes longest to make comes first."""


def kernel(function: F) -> F:
    """Mark a function that may be compiled: no GIL, no fastmath (bits must not depend on how a loop was vectorised)."""
    KERNELS[function] = False
    return function


def inlined(function: F) -> F:
    """Mark a kernel whose body is put where it is called: for small ones in hot loops."""
    KERNELS[function] = True
    return function


def called(function: F) -> F:
    """Mark a kernel that Python calls: it is compiled whole, with all that it calls, by the types it is annotated with.

    They are a `Bundle`, int, float and bool. Other kernels are interpreted where Python calls them.
    """
    CALLED.append(function)
    return kernel(function)


class Bundle:
    """Arrays that kernels are given together, by one pointer: `w.book` in a kernel is the array of that name.

    A call between kernels costs by the numbers that it passes, and an array is seven of them and more: passing what an
    account is made of took longer than the work, and compiling each such call too. `ARRAYS` names a class's arrays by
    type and dimensions. Kernels read where an array lies once: it is put elsewhere by `put` alone,
    from Python, between two calls. Kernels neither own nor count the arrays, the bundle holds them.
    """

    ARRAYS: ClassVar[dict[str, tuple[str, int]]]
    address: int
    """Of four words for each array: where its numbers lie, then its extents."""

    def __init__(self, **arrays: NDArray[Any]) -> None:
        self._words = np.zeros((len(self.ARRAYS), WORDS), np.int64)
        self.address = self._words.ctypes.data
        self.put(**{name: np.empty((0,) * dims, kind) for name, (kind, dims) in self.ARRAYS.items()} | arrays)

    def put(self, **arrays: NDArray[Any]) -> None:
        """Let the names stand for these arrays from now on."""
        places = list(self.ARRAYS)
        for name, array in arrays.items():
            kind, dims = self.ARRAYS[name]
            fits = array.dtype == np.dtype(kind) and array.ndim == dims and array.flags.c_contiguous
            if not fits:
                raise Broken(f"{name} is no array of {dims} dimensions of {kind} in order of C")
            setattr(self, name, array)
            self._words[places.index(name), : 1 + dims] = array.ctypes.data, *array.shape

    def but(self, **arrays: NDArray[Any]) -> Self:
        """A bundle of the same arrays, but for these."""
        return type(self)(**{name: getattr(self, name) for name in self.ARRAYS} | arrays)


WORDS = 4
