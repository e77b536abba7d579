"""The domain itself: one row of a file is one example, and the files of one model have rows of one width."""

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
from audiosae_vectors.rows import Rows, readable
from audiosae_vectors.tables import open_csv, open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from audiosae.domain import Json, Span

_HELD_NUMBERS = 2**24  # 64 MiB: files up to this size are kept in memory between excerpts
_PROBED = 500  # files whose width is looked at when none is given
_OPENERS = {".npy": open_npy, ".npz": open_npz, ".csv": open_csv, ".parquet": open_parquet}


@dataclass(frozen=True)
class Vectors(Domain):
    """Rows of arrays and tables; a window is one row.

    Attributes
    ----------
    width
        Numbers in a row; 0 chooses the most common width among the files.
    names
        Of the columns, separated by commas; "" takes them from the tables where they have any. A table whose columns
        have other names is refused.
    array
        Which array of an .npz file, or which column of lists of a .parquet file; "" takes the only one.
    flatten
        How an array of three and more axes becomes rows: ``no`` refuses it, ``rows`` makes each last axis a row
        (tokens of many texts), ``width`` makes each entry of the first axis one row (the maps of one picture).
    skip
        Columns of tables that are left out, by name, separated by commas (by number from 0 where they have no names).
    header
        Whether .csv files begin with a line of names: ``yes``, ``no``, or ``auto`` to look.
    """

    name: ClassVar[str] = "vectors"
    suffixes: ClassVar[tuple[str, ...]] = tuple(_OPENERS)
    # measured on pixels, pooled MFCC and activations of a network (README): small batches and fast steps, because there
    # are few rows where recordings have many windows; half whitening, so that weak directions count, but not as noise
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
        """Refuse options that contradict each other."""
        if self.width < 0:
            raise InputError(f"--set width={self.width}: width cannot be negative")
        if self.names and self.width and len(self.names.split(",")) != self.width:
            raise InputError(f"--set names: {len(self.names.split(','))} names for {self.width} columns")

    @property
    def window(self) -> tuple[int, int]:
        """One row."""
        return 1, self.width

    def resolve(self, paths: Sequence[Path]) -> Vectors:
        """Choose the most common width, and the most common names of columns among the files of that width."""
        if self.width and self.names:
            return self
        found: Counter[tuple[int, str]] = Counter()
        for path in paths[:: max(1, -(-len(paths) // _PROBED))]:
            try:
                rows = self._open(path)
            except InputError:
                continue
            found[rows.width, _joined(rows.names)] += 1
        widths: Counter[int] = Counter()
        for (width, _), files in found.items():
            widths[width] += files
        width = self.width or max(sorted(widths), key=lambda w: widths[w], default=0)
        named = {names: files for (w, names), files in sorted(found.items()) if w == width and names}
        return replace(self, width=width, names=self.names or max(named, key=lambda n: named[n], default=""))

    def probe(self, path: Path) -> Probe:
        """Read a file's header."""
        rows = self._fitting(path)
        return Probe(rows.count, rows.count, facts={"width": rows.width, "format": rows.kind})

    def field(self, path: Path) -> Iterator[NDArray[np.float32]]:
        """Yield the rows, shape (rows, width) a block."""
        rows = self._fitting(path)
        with readable():
            yield from rows.blocks()

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Fold the vector, row by row, into the most nearly square rectangle; what is left over is zero."""
        return pictures.fold(np.asarray(atom).reshape(-1))

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw one signed bar per dimension and name the strongest."""
        names = self.names.split(",") if self.names else ()
        pictures.draw_bars(np.asarray(atom).reshape(-1), ax, limit=limit, names=names)

    def excerpt(self, path: Path, span: Span) -> Excerpt:
        """Return the rows themselves."""
        start, stop = int(span.start[0]), int(span.end[0])
        rows = self._fitting(path)
        with readable():
            if rows.count * rows.width <= _HELD_NUMBERS:
                found = _whole(self, path, path.stat().st_mtime_ns)[start:stop]
            else:
                found = _some(rows, start, stop)
        if len(found) < stop - start:
            raise InputError(f"no row {stop - 1}")
        return Excerpt(found, "rows")

    def _open(self, path: Path) -> Rows:
        """Open a file by its suffix; one that was named in spite of another suffix is taken for a table."""
        with readable():
            if not path.stat().st_size:
                raise InputError("empty: zero bytes")
            return _OPENERS.get(path.suffix.lower(), open_csv)(path, self)

    def _fitting(self, path: Path) -> Rows:
        rows = self._open(path)
        if self.width and rows.width != self.width:
            raise InputError(f"another width: rows of {rows.width} numbers, wanted {self.width}; train on them apart")
        for at, (wanted, found) in enumerate(zip(self.names.split(","), map(_tidy, rows.names), strict=False)):
            if self.names and wanted != found:
                raise InputError(f"other columns: column {at} is {found!r}, wanted {wanted!r}; train on them apart")
        return rows


@lru_cache(maxsize=4)
def _whole(domain: Vectors, path: Path, stamp: int) -> NDArray[np.float32]:  # noqa: ARG001
    """Return all rows of a file, kept for the next excerpt: a table is read from its start to get to one row."""
    return np.concatenate(list(domain.field(path)))


def _some(rows: Rows, start: int, stop: int) -> NDArray[np.float32]:
    found = [np.empty((0, rows.width), np.float32)]
    for block in rows.blocks(start):
        found.append(block[: stop - start])
        start += len(block)
        if start >= stop:
            break
    return np.concatenate(found)


def _tidy(name: str) -> str:
    """Return a column's name without the commas that separate names."""
    return " ".join(name.replace(",", " ").split())


def _joined(names: Sequence[str]) -> str:
    return ",".join(map(_tidy, names))
