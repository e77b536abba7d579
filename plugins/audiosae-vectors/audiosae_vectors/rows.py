"""Rows of numbers: the common interface of all file formats, opened cheaply and read in blocks."""

from __future__ import annotations

import csv
import lzma
import struct
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_BLOCK_NUMBERS = 2**18  # per block: 1 MiB as float32, and 10 MiB as the Python floats of a table
WIDEST = 2**20  # a wider row is probably an array of another shape
_FIRST_ROWS = 200  # that are read to find columns that are no features
_FEWEST_ROWS, _FEWEST_COLUMNS = 20, 3  # with fewer, features may look like times by chance
_RISING, _DWARFING = 0.5, 100.0  # share of the steps of a counting column that rise; ratio of variances
_LONGEST_REASON = 160  # characters
_UNDECODABLE = (
    csv.Error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class ReadOptions(Protocol):
    """The options of `audiosae_vectors.Vectors` for reading files; see there."""

    @property
    def array(self) -> str:
        """Name of the array or of the column of lists; "" for the only one."""

    @property
    def flatten(self) -> Literal["no", "rows", "width"]:
        """How an array with three or more axes is read as rows."""

    @property
    def skip(self) -> str:
        """Columns to omit, separated by commas."""

    @property
    def header(self) -> Literal["auto", "yes", "no"]:
        """Whether .csv files begin with a line of names."""

    @property
    def names(self) -> str:
        """Names of the columns to read, separated by commas; "" if any may be read."""


@dataclass(frozen=True)
class Rows:
    """The rows of one file.

    Attributes
    ----------
    count
        Number of rows; an estimate for a text file.
    width
        Number of values in a row.
    kind
        File format for messages: ``npy float16``, ``csv``.
    read
        ``read(start, at_once)`` yields blocks (n, width) of any real dtype, n <= at_once, from row `start` on.
    names
        Names of the columns; () if they have none.
    omitted
        Names of the columns that were omitted because they are named like times or recordings.
    """

    count: int
    width: int
    kind: str
    read: Callable[[int, int], Iterator[NDArray[Any]]]
    names: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there are rows, and their width."""
        if not self.count:
            raise InputError("empty: no rows")
        if not self.width:
            raise InputError("empty: rows without numbers")
        if self.width > WIDEST:
            raise InputError(f"too wide: rows of {self.width} numbers, wanted {WIDEST} at most")

    def blocks(self, start: int = 0) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks (n, width) from row `start` on; InputError at the first row that is not finite."""
        for block in self.read(start, max(1, _BLOCK_NUMBERS // self.width)):
            yield self._checked(block, start)
            start += len(block)

    def first(self) -> NDArray[np.float32]:
        """Return the first rows, checked as in `blocks`."""
        block = next(iter(self.read(0, min(_FIRST_ROWS, max(1, _BLOCK_NUMBERS // self.width)))), None)
        return np.empty((0, self.width), np.float32) if block is None else self._checked(block, 0)

    def odd_columns(self) -> list[int]:
        """Return the columns of the first rows that look like times or row numbers, not like features.

        They never fall, or their variance is more than 100 times the median of all columns.
        """
        rows = self.first().astype(np.float64)
        if len(rows) < _FEWEST_ROWS or self.width < _FEWEST_COLUMNS:
            return []
        steps, variances = np.diff(rows, axis=0), rows.var(axis=0)
        counting = (steps >= 0).all(axis=0) & ((steps > 0).mean(axis=0) > _RISING)
        median = np.median(variances)
        return np.flatnonzero(counting | (variances > _DWARFING * median) & (median > 0)).tolist()

    def _checked(self, block: NDArray[Any], start: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            rows = block.astype(np.float32)
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            position = f"row {start + row}, {self._column(column)}"
            if np.isfinite(block[row, column]):
                raise InputError(f"too large for float32: {position} is {block[row, column]:g}")
            raise InputError(f"NaN or infinite: {position} is {rows[row, column]}")
        return rows

    def _column(self, column: int) -> str:
        return f"column {self.names[column]!r}" if self.names else f"column {column}"


@contextmanager
def readable() -> Iterator[None]:
    """Turn the errors of readers for a broken file into an InputError of one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror or one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not a text in UTF-8: byte {error.object[error.start]:#04x}") from error
    except _UNDECODABLE as error:
        raise InputError(f"undecodable: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return the first line of the text of an error, shortened for the journal."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."
