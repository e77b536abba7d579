"""Fields in one or two bytes per value: whole numbers of steps above the lowest value of the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike, NDArray

Key = Any  # index of an array: numbers, slices, arrays

EXACT, _WHOLE = "<f4", ("|u1", "<u2")  # types of NumPy
KINDS = EXACT, *_WHOLE
_VALUES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Packing:
    """How the values of a field are stored.

    Attributes
    ----------
    kind
        Type of NumPy: one or two bytes for whole numbers of steps, float32 for exact values.
    scale, offset
        Value of a step, and of the number 0.
    """

    kind: str = EXACT
    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, field: NDArray[np.float32], step: float) -> Packing:
        """Return the packing of a field in steps of at most `step`: exact if that is 0 or too small for two bytes."""
        parts = [(float(part.min()), float(part.max())) for part in parts_of(field)] if step and field.size else []
        if parts:
            low, high = min(low for low, _ in parts), max(high for _, high in parts)
            for kind in _WHOLE:
                scale = float(np.float32((high - low) / np.iinfo(kind).max)) or step
                if scale <= step:
                    return cls(kind, scale, low)
        return cls()

    @property
    def itemsize(self) -> int:
        """Bytes per value."""
        return np.dtype(self.kind).itemsize

    @property
    def is_exact(self) -> bool:
        """Whether values are stored as they are."""
        return self.kind == EXACT

    def pack(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Return values as they are stored."""
        if self.is_exact:
            return values
        numbers = values - np.float32(self.offset)
        numbers /= np.float32(self.scale)
        numbers = np.clip(np.rint(numbers, out=numbers), 0, np.iinfo(self.kind).max)
        return np.asarray(numbers, self.kind)

    def values(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values of stored numbers, as float32."""
        values: NDArray[np.float32] = np.multiply(numbers, np.float32(self.scale), dtype=np.float32)
        values += np.float32(self.offset)
        return values


EXACTLY = Packing()


class PackedField:
    """A field of whole numbers, whose values are float32 arrays when it is indexed or converted to an array.

    A part with all rows, ``field[:, 3:20]``, is a packed field again, so that a long recording is not unpacked at once.

    Parameters
    ----------
    numbers
        Whole numbers, of any shape; usually memory-mapped.
    packing
        What the numbers mean.
    """

    dtype: np.dtype[np.float32] = np.dtype(np.float32)

    def __init__(self, numbers: NDArray[Any], packing: Packing) -> None:
        self._numbers, self._packing = numbers, packing

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the field."""
        return self._numbers.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._numbers.ndim

    @property
    def nbytes(self) -> int:
        """Bytes of the values as float32."""
        return self._numbers.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, key: Key) -> PackedField | NDArray[np.float32]:
        part = self._numbers[key]
        if isinstance(key, tuple) and isinstance(key[0], slice) and key[0] == slice(None):
            return PackedField(part, self._packing)
        return self._packing.values(part)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 (NumPy passes it by position)
    ) -> NDArray[Any]:
        values: NDArray[Any] = self._packing.values(self._numbers)
        return values if dtype is None else values.astype(dtype, copy=False)

    def reshape(self, *shape: int) -> PackedField:
        """Return the field in another shape, packed."""
        return PackedField(self._numbers.reshape(*shape), self._packing)


def parts_of(field: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield consecutive rows of a field, a few megabytes at a time."""
    rows = max(1, _VALUES_AT_ONCE // max(1, field[:1].size))
    yield from (field[at : at + rows] for at in range(0, len(field), rows))
