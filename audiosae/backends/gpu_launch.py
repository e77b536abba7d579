"""The kernels of kernels.cu, compiled by NVRTC at first use, and the grids on which they are launched."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import LINEAR, SIGMOID, TANH, Array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

SOURCE = Path(__file__).with_name("kernels.cu")
OPTIONS = ("--std=c++17",)
NULL = np.intp(0)  # a null pointer
LANES, LINES, THREADS = 32, 8, 256  # as in kernels.cu
_STRIPE = 64  # rows that a block adds up before it writes a partial row
_MOST_BLOCKS = 1024  # of a flat sweep; each block writes one partial sum
MOST_GRID = 65535  # CUDA's limit of a grid in y
_LOAD_BYTES = 16
_KIND_NUMBERS = {SIGMOID: 0, TANH: 1, LINEAR: 2}
_C_TYPES = {"float32": "float", "float64": "double"}
_SWEEP_KINDS = {
    "activate": (SIGMOID, TANH),
    "hidden_delta": (SIGMOID, TANH),
    "slope": (SIGMOID, TANH),
    "residual": (SIGMOID, LINEAR),
}


def instance_names() -> list[str]:
    """Return the name expression of every template instance that is launched, sorted."""
    instances: list[tuple[Any, ...]] = [
        ("cost",),
        ("pace",),
        *product(["kl_gradient"], _C_TYPES, (SIGMOID, TANH)),
        *product(["total", "unit_rows"], _C_TYPES),
        ("gather", "float32", "float32"),
        ("gather", "float32", "float64"),
        ("gather", "float64", "float64"),
    ]
    for dtype in _C_TYPES:
        widths = (1, _LOAD_BYTES // np.dtype(dtype).itemsize)
        instances += product(["average_gradient", "adam"], [dtype], widths)
        for kernel, kinds in _SWEEP_KINDS.items():
            instances += product([kernel], [dtype], widths, kinds)
    return sorted(instance_name(*instance) for instance in instances)


def instance_name(kernel: str, *arguments: object) -> str:
    """Return the name expression of a template instance.

    Parameters
    ----------
    kernel
        Name of the kernel.
    arguments
        Template arguments: NumPy's names of types, the names of activations in `cpu`, numbers.
    """
    texts = [_C_TYPES.get(str(a), str(_KIND_NUMBERS.get(str(a), a))) for a in arguments]
    return f"{kernel}<{', '.join(texts)}>" if texts else kernel


class Kernels:
    """The compiled module.

    Parameters
    ----------
    xp
        CuPy.
    """

    def __init__(self, xp: ModuleType) -> None:
        source = SOURCE.read_text(encoding="utf-8")
        self._module = xp.RawModule(code=source, options=OPTIONS, name_expressions=instance_names())
        self._loaded: dict[tuple[object, ...], Callable[..., None]] = {}

    def __call__(
        self,
        kernel: str,
        instance: tuple[object, ...],
        grid: tuple[int, ...],
        block: tuple[int, ...],
        *arguments: Array,
    ) -> None:
        """Launch an instance; the arguments are arrays and NumPy scalars of the types in kernels.cu."""
        self.load(kernel, *instance)(grid, block, arguments)

    def load(self, kernel: str, *arguments: object) -> Callable[..., None]:
        """Return the launcher of a compiled instance; the parameters are those of `instance_name`."""
        instance = (kernel, *arguments)
        if instance not in self._loaded:
            self._loaded[instance] = self._module.get_function(instance_name(kernel, *arguments))
        return self._loaded[instance]


@cache
def kernels(xp: ModuleType) -> Kernels:
    """Return the kernels, compiled once per process."""
    return Kernels(xp)


def pack(arrays: Sequence[Array], columns: int) -> int:
    """Return how many numbers a thread loads at once: 16 bytes of them if rows and addresses are aligned, else one."""
    width = _LOAD_BYTES // arrays[0].itemsize
    return width if columns % width == 0 and all(array.data.ptr % _LOAD_BYTES == 0 for array in arrays) else 1


def stripes(rows: int) -> int:
    """Return the number of partial rows that a sweep over a matrix writes."""
    return -(-rows // _STRIPE)


def matrix_grid(rows: int, columns: int, width: int) -> tuple[tuple[int, int], tuple[int, int], np.int32]:
    """Return grid, block and stripe of a sweep over a matrix that loads `width` numbers at once."""
    grid = (max(1, -(-columns // (LANES * width))), min(MOST_GRID, max(1, stripes(rows))))
    return grid, (LANES, LINES), np.int32(_STRIPE)


def flat_grid(size: int, width: int) -> tuple[tuple[int], tuple[int]]:
    """Return grid and block of a sweep over a flat array."""
    return (max(1, min(_MOST_BLOCKS, -(-size // (THREADS * width)))),), (THREADS,)
