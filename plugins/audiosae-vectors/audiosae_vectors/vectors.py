"""The domain `vectors`: each row of a file is one training example; all files of a model have the same width."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from audiosae.domain import Domain, Excerpt, Probe
from audiosae.errors import InputError
from audiosae_vectors import pictures
from audiosae_vectors.arrays import open_npy, open_npz
from audiosae_vectors.hdf5 import open_hdf5
from audiosae_vectors.rows import Rows, readable
from audiosae_vectors.tables import open_csv, open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from audiosae.domain import Json, Span

_CACHED_NUMBERS = 2**24  # 64 MiB: smaller files stay in memory between excerpts
_NAMES_SHOWN = 8  # of columns in a remark
_PROBED = 500  # files whose width is read if none is given
_OPENERS = {".npy": open_npy, ".npz": open_npz, ".csv": open_csv, ".parquet": open_parquet}
_OPENERS |= dict.fromkeys((".h5", ".hdf5"), open_hdf5)


@dataclass(frozen=True)
class Vectors(Domain):
    """Rows of arrays and tables; a window is one row.

    Attributes
    ----------
    width
        Number of values in a row; 0 for the most common width of the files.
    names
        Names of the columns, separated by commas; "" for those of the tables. A table with other names is refused.
    array
        Name of the array of an .npz or .h5 file, or of the column of lists of a table; "" for the only one.
    flatten
        How an array of three or more axes is read: ``no`` refuses it, ``rows`` makes the last axis a row (tokens of
        many texts), ``width`` makes each entry of the first axis one row (feature maps of one picture).
    skip
        Columns of tables to omit, separated by commas: names, or numbers from 0 if the columns have no names. Columns
        named like times or recordings (``start``, ``end_time``, ``file``) are always omitted, which `probe` reports.
    header
        Whether .csv files begin with a line of names: ``yes``, ``no``, or ``auto`` to detect it.
    """

    name: ClassVar[str] = "vectors"
    suffixes: ClassVar[tuple[str, ...]] = tuple(_OPENERS)
    # Measured on pixels, pooled MFCC and activations of a network (README). Small batches and a high learning rate,
    # since there are fewer rows than windows of recordings; whitening power 0.5 raises weak directions partly.
    defaults: ClassVar[Mapping[str, Json]] = {
        "hidden": 256,
        "whiten": "pca",
        "whiten_power": 0.5,
        "keep": 0.99,
        "rho": 0.05,
        "beta": 10.0,
        "weight_decay": 3e-5,
        "batch_size": 256,
        "learning_rate": 5e-3,
    }

    width: int = 0
    names: str = ""
    array: str = ""
    flatten: Literal["no", "rows", "width"] = "no"
    skip: str = ""
    header: Literal["auto", "yes", "no"] = "auto"

    def __post_init__(self) -> None:
        """Check that the options agree with each other."""
        if self.width < 0:
            raise InputError(f"--set width={self.width}: wanted at least 0")
        if self.names and self.width and len(self.names.split(",")) != self.width:
            raise InputError(f"--set names={self.names}: {len(self.names.split(','))} names for {self.width} columns")

    @property
    def window(self) -> tuple[int, int]:
        """Shape of a window: one row."""
        return 1, self.width

    def resolve(self, paths: Sequence[Path]) -> Vectors:
        """Choose the most common width, and the most common column names of the files of that width."""
        if self.width and self.names:
            return self
        layouts: Counter[tuple[int, str]] = Counter()
        for path in paths[:: max(1, -(-len(paths) // _PROBED))]:
            try:
                rows = self._open(path)
            except InputError:
                continue
            layouts[rows.width, _joined(rows.names)] += 1
        widths: Counter[int] = Counter()
        for (width, _), files in layouts.items():
            widths[width] += files
        width = self.width or max(sorted(widths), key=lambda w: widths[w], default=0)
        named = {names: files for (w, names), files in sorted(layouts.items()) if w == width and names}
        return replace(self, width=width, names=self.names or max(named, key=lambda n: named[n], default=""))

    def probe(self, path: Path) -> Probe:
        """Read the header of a file and its first rows, which may have columns that are no features."""
        rows = self._fitting(path)
        with readable():
            remark = self._remark(rows, rows.odd_columns())
        if rows.omitted:
            omitted = f"columns omitted because they are named like times or recordings: {', '.join(rows.omitted)}"
            remark = "; ".join(filter(None, (omitted, remark)))
        return Probe(rows.count, rows.count, facts={"width": rows.width, "format": rows.kind}, remark=remark)

    def _remark(self, rows: Rows, columns: Sequence[int]) -> str:
        if not columns:
            return ""
        names = [rows.names[i] if rows.names else str(i) for i in columns]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        shown, solution = ", ".join(names[:_NAMES_SHOWN]) + more, ""
        if not more and (rows.names or (rows.kind == "csv" and not self.skip)):
            solution = f" (--set skip={','.join([*filter(None, [self.skip]), *names])} omits them)"
        return f"columns that count up or vary far more than the others, as times do: {shown}{solution}"

    def field(self, path: Path) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of rows, shape (rows, width)."""
        rows = self._fitting(path)
        with readable():
            yield from rows.blocks()

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Fold the vector, row by row, into a nearly square rectangle, padded with zeros."""
        return pictures.fold(np.asarray(atom).reshape(-1))

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw one signed bar per dimension, with the names of the strongest."""
        names = self.names.split(",") if self.names else ()
        pictures.draw_bars(np.asarray(atom).reshape(-1), ax, limit=limit, names=names)

    def excerpt(self, path: Path, span: Span) -> Excerpt:
        """Return the rows in the span."""
        start, stop = int(span.start[0]), int(span.end[0])
        rows = self._fitting(path)
        with readable():
            if rows.count * rows.width <= _CACHED_NUMBERS:
                data = _all_rows(self, path, path.stat().st_mtime_ns)[start:stop]
            else:
                data = _some_rows(rows, start, stop)
        if len(data) < stop - start:
            raise InputError(f"no row {stop - 1}: the file has fewer rows")
        return Excerpt(data, "rows")

    def _open(self, path: Path) -> Rows:
        """Open a file by its suffix; a file with another suffix is read as a .csv table."""
        with readable():
            if not path.stat().st_size:
                raise InputError("empty: zero bytes")
            return _OPENERS.get(path.suffix.lower(), open_csv)(path, self)

    def _fitting(self, path: Path) -> Rows:
        rows = self._open(path)
        if self.width and rows.width != self.width:
            raise InputError(
                f"another width: rows of {rows.width} numbers, wanted {self.width}; train a separate model on them"
            )
        for column, (wanted, name) in enumerate(zip(self.names.split(","), map(_tidy, rows.names), strict=False)):
            if self.names and wanted != name:
                raise InputError(
                    f"other columns: column {column} is {name!r}, wanted {wanted!r}; train a separate model on them"
                )
        return rows


@lru_cache(maxsize=4)
def _all_rows(domain: Vectors, path: Path, stamp: int) -> NDArray[np.float32]:  # noqa: ARG001
    """Return all rows of a file, cached for further excerpts: a table can be read only from its start."""
    return np.concatenate(list(domain.field(path)))


def _some_rows(rows: Rows, start: int, stop: int) -> NDArray[np.float32]:
    blocks = [np.empty((0, rows.width), np.float32)]
    for block in rows.blocks(start):
        blocks.append(block[: stop - start])
        start += len(block)
        if start >= stop:
            break
    return np.concatenate(blocks)


def _tidy(name: str) -> str:
    """Return the name of a column without commas, which separate names."""
    return " ".join(name.replace(",", " ").split())


def _joined(names: Sequence[str]) -> str:
    return ",".join(map(_tidy, names))
