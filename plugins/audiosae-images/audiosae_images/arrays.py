"""Arrays of pictures: ``.npy`` and MATLAB files, with one picture or a stack of pictures of one size.

The rows of a stack are below each other, with a row between two pictures whose values are `BORDER`, by which
`picture_ranges` finds the pictures again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

BORDER = np.finfo(np.float32).min
_ARRAY_KINDS = "buif"
_SCALED_BYTES = 2  # unsigned integers up to this size are scaled to [0, 1]
_CHANNELS = (1, 3)
_DOUBTFUL = (2, 3, 4)  # pictures in a stack: they could be colour planes
_WANTED = "(rows, columns), (rows, columns, 1 or 3), (pictures, rows, columns) or (pictures, rows, columns, 1 or 3)"
_NUMBERS = {"double", "single", "logical", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64))}
_MOST_VALUES = 2**28  # of a MATLAB array, which is loaded into memory: 2 GiB


class Pictures:
    """An array as rows of pixels: the pictures below each other."""

    def __init__(self, array: NDArray[Any]) -> None:
        if array.dtype.kind not in _ARRAY_KINDS:
            raise InputError(f"wrong array: type {array.dtype}, wanted real numbers")
        self._stack = _stack_of(array)
        self.count, self._rows, self.columns, _ = self._stack.shape
        if not array.size:
            raise InputError(f"no pixels: an array of shape {array.shape}")
        self.rows = self.count * (self._rows + 1) - 1

    @property
    def mode(self) -> str:
        """Type of the values, and the number and size of pictures if there are several."""
        many = f", {self.count} pictures of {self._rows} x {self.columns}"
        return str(self._stack.dtype) + many * (self.count > 1)

    def piece(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """Read a piece, (rows, columns, channels)."""
        period, dtype = self._rows + 1, self._stack.dtype
        scaled = dtype.kind == "u" and dtype.itemsize <= _SCALED_BYTES
        pixels = np.full((bottom - top, right - left, self._stack.shape[3]), BORDER, np.float32)
        for number in range(top // period, -(-bottom // period)):
            first = number * period
            low, high = max(top, first), min(bottom, first + self._rows)
            part = pixels[low - top : max(low, high) - top]
            with np.errstate(over="ignore"):  # `read_blocks` refuses infinite values
                part[:] = self._stack[number, low - first : max(low, high) - first, left:right]
            if scaled:
                part /= np.float32(256**dtype.itemsize - 1)
        return pixels


def _stack_of(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array as (pictures, rows, columns, channels)."""
    shape = array.shape
    if array.ndim == 2:  # noqa: PLR2004 (rows, columns)
        return array[None, :, :, None]
    if array.ndim == 3 and shape[2] in _CHANNELS:  # noqa: PLR2004
        return array[None]
    if array.ndim == 4 and shape[3] in _CHANNELS:  # noqa: PLR2004
        return array
    if array.ndim != 3:  # noqa: PLR2004
        raise InputError(f"wrong array: shape {shape}, wanted {_WANTED}")
    axis = _axis_of_pictures(shape)
    if shape[axis] in _DOUBTFUL:
        raise InputError(
            f"wrong array: shape {shape} may be {shape[axis]} pictures or the colours of one; wanted {_WANTED}"
        )
    return np.moveaxis(array, axis, 0)[..., None]


def _axis_of_pictures(shape: Sequence[int]) -> int:
    """Return along which axis, 0 or 2, an array has its pictures: square ones if possible, else few rather than many.

    MATLAB users have the pictures along the last axis, NumPy users along the first.
    """
    first, last = shape[1] == shape[2], shape[0] == shape[1]
    if first != last:
        return 0 if first else 2
    return 0 if shape[0] <= shape[2] else 2


def picture_ranges(field: Pixels) -> list[tuple[int, int]]:
    """Return the ranges of rows of the pictures in a field; rows between them become copies of the rows above.

    Parameters
    ----------
    field
        Shape (rows, columns, channels); changed in place.
    """
    borders = np.flatnonzero(field[:, 0, 0] == BORDER)
    borders = borders[(field[borders] == BORDER).all(axis=(1, 2))]
    borders = borders[borders > 0]
    field[borders] = field[borders - 1]
    edges = [-1, *borders.tolist(), len(field)]
    return [(before + 1, after) for before, after in pairwise(edges)]


def open_npy(path: Path) -> NDArray[Any]:
    """Return a memory-mapped ``.npy`` file; pickled data is never loaded."""
    return np.lib.format.open_memmap(path, mode="r")


def open_mat(path: Path) -> NDArray[Any]:
    """Return the only numeric array of a MATLAB file of version 4 to 7.

    Raises
    ------
    InputError
        The file is of version 7.3, or has none or several such arrays, or one that is too large for memory.
    """
    from scipy.io import loadmat, whosmat

    with path.open("rb") as file:
        if file.read(128)[124:126] == b"\0\2":
            raise InputError("a MATLAB file of version 7.3 (HDF5); wanted version 7 (in MATLAB: save -v7) or .npy")
    arrays = {
        name: shape
        for name, shape, kind in whosmat(path)
        if kind in _NUMBERS and len(shape) in (2, 3, 4) and min(shape[:2]) > 1
    }
    if len(arrays) != 1:
        found = ", ".join(arrays) or "no such array"
        raise InputError(f"wanted a MATLAB file with one array of pictures, found {found}; save it alone or as .npy")
    (name, shape), *_ = arrays.items()
    if np.prod(shape, dtype=np.float64) > _MOST_VALUES:
        raise InputError(f"the MATLAB array {name} of shape {shape} is too large for memory; save it as .npy")
    return np.asarray(loadmat(path, variable_names=[name])[name])
