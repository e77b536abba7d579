"""The kernels of kernels.cu, compiled by NVRTC at first use, and the grids that they are launched on."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import LINEAR, SIGMOID, TANH

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = Any

SOURCE = Path(__file__).with_name("kernels.cu")
OPTIONS = ("--std=c++17",)
NULL = np.intp(0)  # a pointer to nothing
LANES, LINES, THREADS = 32, 8, 256  # as in kernels.cu
_STRIPE = 64  # rows that a block adds up before it writes a partial row
_MOST_BLOCKS = 1024  # of a flat sweep, each with one partial sum
MOST_GRID = 65535  # in y, by CUDA
_LOAD_BYTES = 16
_NUMBER = {SIGMOID: 0, TANH: 1, LINEAR: 2}
_TYPE = {"float32": "float", "float64": "double"}


def names() -> list[str]:
    """Return the name expression of every instance that is launched."""
    found = ["cost", "pace"]
    for dtype, kind in product(_TYPE, (SIGMOID, TANH)):
        found.append(name("kl_gradient", dtype, _NUMBER[kind]))
    for dtype in _TYPE:
        found += [name("total", dtype), name("unit_rows", dtype)]
        for pack in (1, _LOAD_BYTES // np.dtype(dtype).itemsize):
            found += [name(flat, dtype, pack) for flat in ("average_gradient", "adam")]
            found += [
                name(sweep, dtype, pack, _NUMBER[kind])
                for sweep, kinds in (
                    ("activate", (SIGMOID, TANH)), ("hidden_delta", (SIGMOID, TANH)), ("slope", (SIGMOID, TANH)),
                    ("residual", (SIGMOID, LINEAR)),
                )
                for kind in kinds
            ]  # fmt: skip
    pairs = (("float32", "float32"), ("float32", "float64"), ("float64", "float64"))
    return sorted(found + [name("gather", *pair) for pair in pairs])


def name(kernel: str, *arguments: Any) -> str:  # noqa: ANN401
    """Return an instance's name expression; types are given as NumPy calls them, kinds of units as `cpu` does."""
    told = [_TYPE.get(str(a), str(_NUMBER.get(a, a))) for a in arguments]
    return f"{kernel}<{', '.join(told)}>" if told else kernel


class Kernels:
    """The compiled module; `xp` is CuPy."""

    def __init__(self, xp: Any) -> None:  # noqa: ANN401
        code = SOURCE.read_text(encoding="utf-8")
        self._module = xp.RawModule(code=code, options=OPTIONS, name_expressions=names())
        self._found: dict[tuple[Any, ...], Any] = {}

    def __call__(
        self, kernel: str, instance: tuple[Any, ...], grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any  # noqa: ANN401
    ) -> None:  # fmt: skip
        """Launch an instance; the arguments are arrays and NumPy scalars of the types in kernels.cu."""
        self.load(kernel, *instance)(grid, block, arguments)

    def load(self, *instance: Any) -> Any:  # noqa: ANN401
        """Return an instance, compiled: its kernel's name and arguments."""
        if instance not in self._found:
            self._found[instance] = self._module.get_function(name(*instance))
        return self._found[instance]


@cache
def kernels(xp: Any) -> Kernels:  # noqa: ANN401
    """Return the kernels of an array module; they are compiled once in a process."""
    return Kernels(xp)


def pack(arrays: Sequence[Array], columns: int) -> int:
    """Return how many numbers a thread may load at once: 16 bytes of them where rows and addresses allow, or one."""
    width = _LOAD_BYTES // arrays[0].itemsize
    aligned = columns % width == 0 and all(array.data.ptr % _LOAD_BYTES == 0 for array in arrays)
    return width if aligned else 1


def stripes(rows: int) -> int:
    """Return the number of partial rows that a sweep over a matrix writes."""
    return -(-rows // _STRIPE)


def matrix_grid(rows: int, columns: int, width: int) -> tuple[tuple[int, int], tuple[int, int], np.int32]:
    """Return grid, block and stripe of a sweep over a matrix that loads `width` numbers at once."""
    across = -(-columns // (LANES * width))
    return (max(1, across), min(MOST_GRID, max(1, stripes(rows)))), (LANES, LINES), np.int32(_STRIPE)


def flat_grid(size: int, width: int) -> tuple[tuple[int], tuple[int]]:
    """Return grid and block of a sweep over a flat array."""
    return (max(1, min(_MOST_BLOCKS, -(-size // (THREADS * width)))),), (THREADS,)
