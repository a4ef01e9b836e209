"""Numba's only door: how kernels become machine code, and where that is kept.

What Python calls is optimised once, with all that it calls. Numba's own file cache is not used: it looks at the file of
a kernel, not at the files of the kernels it calls, fails on a damaged file, and where its folder cannot be written it
falls back to others. `cache` keeps what `_Kept` gives it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, ClassVar, get_type_hints

import numba
import numpy as np
from numba import types
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder
from numba.core.serialize import dumps
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

from backtest.core.errors import Broken
from backtest.engine import cache as kept
from backtest.engine.compile import KERNELS, WORDS, Bundle

_TWINS: dict[Callable[..., Any], Any] = {}
"""What Numba makes of each kernel."""
_AROUND: dict[str, dict[str, Any]] = {}
"""By module: its names, where kernels are what Numba makes of them."""


@cache
def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """The machine code of a kernel that Python calls, without the look-up by type that each call would pay.

    It is taken from the cache, or made and put there.
    """
    _take_in()
    hints = get_type_hints(function)
    hints.pop("return", None)
    kinds = tuple(_kind(hint) for hint in hints.values())
    twin = _TWINS[function]
    twin.compile(kinds)
    code: Callable[..., Any] = twin.overloads[kinds].entry_point
    return code


def _kind(hint: type) -> Any:
    plain = {int: types.int64, float: types.float64, bool: types.boolean}
    if hint not in plain and not issubclass(hint, Bundle):
        raise Broken(f"Python gives no kernel a {hint}")
    return plain[hint] if hint in plain else BundleType(hint)


def _take_in() -> None:
    """Make twins of the kernels that have been defined since the last time.

    A twin has the code of its kernel, but where the kernel's module names another kernel it finds that one's twin.
    """
    fresh = [function for function in KERNELS if function not in _TWINS]
    for function in fresh:
        around = _AROUND.setdefault(function.__module__, {})
        twin = FunctionType(function.__code__, around, function.__name__, function.__defaults__)
        twin.__qualname__, twin.__module__ = function.__qualname__, function.__module__
        _TWINS[function] = _compiled(function, twin, "always" if KERNELS[function] else "never")
    for module, around in _AROUND.items() if fresh else ():
        named = vars(sys.modules[module])
        around |= {n: _TWINS.get(v, v) if isinstance(v, FunctionType) else v for n, v in named.items()}


def _compiled(kernel: Callable[..., Any], twin: Callable[..., Any], inline: str) -> Any:
    """What Python calls is compiled whole, with all that it calls, and kept. What a kernel calls is a `Part`."""
    options = {"nogil": True, "error_model": "numpy", "inline": inline}
    whole: Any = numba.njit(pipeline_class=_WholeCompiler, **options)(twin)
    whole._cache = _Kept(kernel)
    part: Any = numba.njit(pipeline_class=_PartCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(
        twin
    )

    def by_type(args: Any, kws: Any) -> Any:
        # Numba would compile a kernel once more for each constant it is called with; by type alone is enough
        # and halves the time of the first run.
        plain = {name: types.unliteral(kind) for name, kind in kws.items()}
        return part.get_call_template(tuple(types.unliteral(kind) for kind in args), plain)

    whole.get_call_template, whole.get_overload = by_type, part.get_overload
    return whole


class _Kept(NullCache):  # type: ignore[misc]  # Numba has no types of its own
    """What Numba asks for the machine code of a kernel before it compiles one, and gives it to afterwards."""

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self._kernel = kernel

    def load_overload(self, _sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        code = kept.load(self._kernel)
        if code is None:
            return None
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(code))  # noqa: S301  what this program wrote
        except Exception as error:  # noqa: BLE001  whatever it is, the kernel can be compiled
            kept.drop(self._kernel, f"cannot be loaded ({type(error).__name__})")
            return None

    def save_overload(self, _sig: Any, data: Any) -> None:
        kept.keep(self._kernel, dumps(data._reduce()))


class _Part(JITCodeLibrary):  # type: ignore[misc]
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
