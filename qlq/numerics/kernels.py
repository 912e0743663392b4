"""How compiled kernels are declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(signature: Any) -> Callable[[Function], Function]:
    """A decorator that compiles a module-level function for one explicit signature.

    The machine code is cached beside the source, or in the user's cache folder. Where neither
    can be written (a read-only install with an unwritable home) it is compiled anew in each
    process.

    A cached kernel is compiled anew when its own file changes, not when another file does: a
    kernel calls kernels of its own file only.

    Args:
        signature: A numba signature, as text or as types.

    Source:
        numba's dispatcher refuses `cache=True` with "no locator available" when no folder for
        the cache can be written.
    """

    def decorate(function: Function) -> Function:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        try:
            compiled: Any = numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            compiled = numba.njit(signature, **options)(function)
        return cast("Function", compiled)

    return decorate
