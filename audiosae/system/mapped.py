"""Memory-mapped files of which only what was used last stays in memory: a recording of a day may have gigabytes."""

from __future__ import annotations

import mmap
import tempfile
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 2**24  # bytes that are used until all are released
_FAULT = 2**16  # bytes that a system may read where few are used


def _release(content: mmap.mmap | None) -> None:
    """Let the system take the memory of a file, which is read again when it is used; changes are kept."""
    if content is not None and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED)


class MappedFile(mmap.mmap):
    """A file for reading, which is searched in stretches."""

    def find(self, sub: Any, start: int = 0, stop: int | None = None) -> int:  # noqa: ANN401 (any bytes)
        """Return the first offset of some bytes from `start` on; -1 if they are not there before `stop`."""
        end = len(self) if stop is None else min(stop, len(self))
        for at in range(start, max(start + 1, end), _KEPT):
            found = super().find(sub, at, min(end, at + _KEPT + len(sub) - 1))
            if found >= 0:
                return found
            if end - start > _KEPT:
                _release(self)
        return -1

    def used(self, low: int, high: int) -> int:
        """Release the file if many bytes were used from `low` to `high`; return the end of what is released."""
        if high - low < _KEPT:
            return low
        _release(self)
        return high


class _Recent:
    """The mapped files of arrays that were used last: together, they keep no more memory than one."""

    def __init__(self) -> None:
        self._files, self._used, self._lock = WeakSet[mmap.mmap](), 0, Lock()

    def use(self, content: mmap.mmap, size: int) -> None:
        """Count some bytes of a file as used; release all files if these are many."""
        with self._lock:
            self._files.add(content)
            self._used += max(size, _FAULT)
            if self._used > _KEPT:
                for each in self._files:
                    _release(each)
                self._files.clear()
                self._used = 0


_recent = _Recent()


class MappedArray(np.memmap[Any, np.dtype[Any]]):
    """A memory-mapped array whose parts are plain arrays; the parameters are those of `numpy.memmap`."""

    _mmap: mmap.mmap | None

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 (any index)
        """Return a part; one with all rows, ``array[:, 3:20]``, is a mapped array again."""
        part = super().__getitem__(key)
        if isinstance(key, tuple) and isinstance(key[0], slice) and key[0] == slice(None):
            return part
        if isinstance(part, np.ndarray):
            part = np.asarray(part)
            if self._mmap is not None:
                _recent.use(self._mmap, part.nbytes)
        return part

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
        """Return a result of NumPy as a plain array or number."""
        return array[()] if return_scalar or not array.ndim else np.asarray(array)

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401
        """Pickle the values, as a plain array."""
        return np.asarray(self).__reduce_ex__(protocol)


def stored(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a mapped one, in a temporary file, whose memory the system can take."""
    if not array.nbytes:
        return array
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return MappedArray(file, array.dtype, "r", shape=array.shape)
