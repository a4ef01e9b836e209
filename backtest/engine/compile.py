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
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
"""Kernels run as the Python they are, and Numba is not even loaded: for tests, and for a command that plays so few rows
that loading machine code would take longer."""
if not INTERPRETED:
    import numba
    from numba import types
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.typing.templates import AttributeTemplate
    from numba.extending import (
        NativeValue,
        infer_getattr,
        lower_getattr_generic,
        models,
        register_model,
        typeof_impl,
        unbox,
    )
    from numba.np.arrayobj import populate_array

F = TypeVar("F", bound=Callable[..., Any])
B = TypeVar("B", bound="Bundle")


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
    """The machine code for arguments of these types, without the look-up by type that each call would pay."""
    if INTERPRETED:
        return function
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    compiled: Any = function
    compiled.compile(kinds)
    code: Callable[..., Any] = compiled.overloads[kinds].entry_point
    return code


def inlined(function: F) -> F:
    """A kernel whose body is put where it is called: for small ones in hot loops."""
    return kernel(function, "always")


def kernel(function: F, inline: str = "never") -> F:
    """Compile on first use: no GIL, no fastmath (bits must not depend on how a loop was vectorised).

    What Python calls is compiled whole, with all that it calls, and cached. What a kernel calls is a `Part`.
    """
    if INTERPRETED:
        return function
    options = {"nogil": True, "error_model": "numpy", "inline": inline}
    whole: Any = numba.njit(cache=True, pipeline_class=_WholeCompiler, **options)(function)
    part: Any = numba.njit(pipeline_class=_PartCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(
        function
    )

    def by_type(args: Any, kws: Any) -> Any:
        # Numba would compile a kernel once more for each constant it is called with; by type alone is enough
        # and halves the time of the first run.
        plain = {name: types.unliteral(kind) for name, kind in kws.items()}
        return part.get_call_template(tuple(types.unliteral(kind) for kind in args), plain)

    whole.get_call_template, whole.get_overload = by_type, part.get_overload
    compiled: F = whole
    return compiled


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
            assert fits, f"{name} is no array of {dims} dimensions of {kind} in order of C"
            setattr(self, name, array)
            self._words[places.index(name), : 1 + dims] = array.ctypes.data, *array.shape

    def but(self, **arrays: NDArray[Any]) -> Self:
        """A bundle of the same arrays, but for these."""
        return type(self)(**{name: getattr(self, name) for name in self.ARRAYS} | arrays)


WORDS = 4

if not INTERPRETED:

    class _Part(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types of its own
        """The code of one kernel for others to take in: neither optimised nor made machine code for itself.

        Numba does both with every kernel and all that it calls, so that what lies at the bottom of a chain of ten calls
        is optimised ten times.
        """

        def finalize(self) -> None:
            self._finalized = True

    class _Whole(JITCodeLibrary):  # type: ignore[misc]
        """The code of a kernel that Python calls: the parts that it is made of, optimised together, once."""

        def add_linking_library(self, library: Any) -> None:
            if library not in self._linking_libraries:
                super().add_linking_library(library)
                for inner in library._linking_libraries if isinstance(library, _Part) else ():
                    self.add_linking_library(inner)

        def _optimize_final_module(self) -> None:
            for function in self._final_module.functions:
                if function.linkage.name == "linkonce_odr":
                    function.linkage = "internal"  # nobody else calls it: it may vanish into its callers
            super()._optimize_final_module()

    class _WholeCompiler(CompilerBase):  # type: ignore[misc]
        Library: ClassVar[Any] = _Whole

        def compile_extra(self, function: Any) -> Any:
            codegen = self.state.targetctx.codegen()
            self.state.library = self.Library(codegen, function.__qualname__)
            self.state.library.enable_object_caching()
            return super().compile_extra(function)

        def define_pipelines(self) -> list[Any]:
            return [DefaultPassBuilder.define_nopython_pipeline(self.state)]

    class _PartCompiler(_WholeCompiler):
        Library: ClassVar[Any] = _Part

        def compile_extra(self, function: Any) -> Any:
            self.state.flags.no_compile = True
            made = super().compile_extra(function)
            # something built in that is like no other: what its callers know it by, there is nothing to call
            made = made._replace(entry_point=object().__dir__)
            self.state.targetctx.insert_user_function(made.entry_point, made.fndesc, [made.library])
            return made

    class BundleType(types.Type):  # type: ignore[misc]  # Numba has no types of its own
        """The type of a `Bundle` in kernels."""

        def __init__(self, bundle: type[Bundle]) -> None:
            self.bundle = bundle
            super().__init__(name=f"Bundle({bundle.__qualname__})")

    @typeof_impl.register(Bundle)  # type: ignore[untyped-decorator]
    def _type_of(value: Bundle, _context: Any) -> BundleType:
        return BundleType(type(value))

    register_model(BundleType)(models.OpaqueModel)

    @unbox(BundleType)  # type: ignore[untyped-decorator]
    def _unbox(_kind: Any, value: Any, context: Any) -> Any:
        number = context.pyapi.object_getattr_string(value, "address")
        word = context.pyapi.long_as_ulonglong(number)
        context.pyapi.decref(number)
        pointer = context.builder.inttoptr(word, context.context.get_value_type(types.voidptr))
        return NativeValue(pointer, is_error=context.pyapi.c_api_error())

    @infer_getattr
    class _Arrays(AttributeTemplate):  # type: ignore[misc]
        key = BundleType

        def generic_resolve(self, kind: BundleType, name: str) -> Any:
            if name not in kind.bundle.ARRAYS:
                return None
            code, dims = kind.bundle.ARRAYS[name]
            return types.Array(numba.from_dtype(np.dtype(code)), dims, "C")

    @lower_getattr_generic(BundleType)  # type: ignore[untyped-decorator]
    def _array(context: Any, builder: Any, kind: BundleType, pointer: Any, name: str) -> Any:
        array = kind.bundle.ARRAYS[name]
        element = numba.from_dtype(np.dtype(array[0]))
        word = context.get_value_type(types.int64)
        words = builder.bitcast(pointer, word.as_pointer())
        first = WORDS * list(kind.bundle.ARRAYS).index(name)

        def read(offset: int) -> Any:
            value = builder.load(builder.gep(words, [context.get_constant(types.int64, first + offset)]))
            # what a call reads here stays as it is while the call lasts
            value.set_metadata("invariant.load", builder.module.add_metadata([]))
            return value

        extents = [read(1 + axis) for axis in range(array[1])]
        size = context.get_constant(types.intp, element.bitwidth // 8)
        strides = [size]
        for extent in reversed(extents[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
        made = context.make_array(types.Array(element, array[1], "C"))(context, builder)
        data = builder.inttoptr(read(0), context.get_value_type(element).as_pointer())
        populate_array(made, data=data, shape=extents, strides=strides, itemsize=size, meminfo=None)
        return made._getvalue()  # as Numba's own attributes give a struct
