"""Loops that are compiled for the processor, where calls of a tensor library would be overhead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function of numbers and contiguous arrays when it is first called.

    What was compiled is kept on disk, beside the module or in the user's cache directory (numba's
    NUMBA_CACHE_DIR), so that the next process only loads it. Functions that call each other belong
    in one file: what is kept is renewed when its own file changes.

    Indices are not checked. Sums may be reordered and fused, but NaN and infinities keep their
    meaning, so that a comparison can turn them away.
    """
    compile_it = partial(
        numba.njit, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}
    )
    try:
        made = compile_it(cache=True)(function)
    except RuntimeError:  # nowhere to keep it
        made = compile_it()(function)
    return cast("FunctionT", made)
