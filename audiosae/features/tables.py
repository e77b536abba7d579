"""A table of features as a file: Parquet, CSV or NPZ, under a temporary name until it is whole."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import cell, check_replaceable, has_facts, write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".parquet", ".csv", ".npz")

Block = tuple[dict[str, list[Any]], "NDArray[np.float32]"]


class Writer(Protocol):
    """Takes rows in blocks."""

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        """Write rows: their key columns, and their features (rows, columns)."""

    def close(self) -> None:
        """Finish the file."""


def check_place(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a table that cannot be written, before the work is done.

    A table is replaced where the .json beside it says that it was exported; nothing else is, and no input.

    Raises
    ------
    InputError
        Another suffix, no such folder, pyarrow is missing, or it would take the place of something else.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: cannot write {path.suffix or 'that'}; wanted {', '.join(SUFFIXES)}")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise InputError(f"{suffix} needs pyarrow: pip install 'audiosae[parquet]', or write .csv")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    sidecar, inputs = description_of(path), list(inputs)
    own = has_facts(sidecar, "model_digest", "level")
    for each in (path, sidecar):
        check_replaceable(each, inputs, own=own)


def description_of(path: Path) -> Path:
    """Return the .json that says what a table is; its own, ``NAME.npz.json``, where another table has ``NAME.json``."""
    own = path.with_name(f"{path.name}.json")
    return own if own.exists() else path.with_suffix(".json")


def describe(path: Path, facts: dict[str, Any]) -> None:
    """Write what a table is beside it; what is said of another table of that name stays, unless it is the same."""
    place, text = description_of(path), json.dumps(facts, indent=1, sort_keys=True) + "\n"
    others = [path.with_suffix(suffix) for suffix in SUFFIXES if suffix != path.suffix.lower()]
    shared = any(other.exists() and description_of(other) == place for other in others)
    if shared and place.exists() and place.read_text(encoding="utf-8") != text:
        place = path.with_name(f"{path.name}.json")
    write_aside(place, text.encode())


@contextmanager
def opened(path: Path, keys: list[str], names: list[str], count: int) -> Iterator[Writer]:
    """Open a writer on a temporary file, and move it into place when all went well."""
    kinds: dict[str, Any] = {".parquet": _Parquet, ".csv": _Csv, ".npz": _Npz}
    check_place(path)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with ExitStack() as stack:
        stack.callback(_remove, aside)
        with _unwritable(path):
            writer = kinds[path.suffix.lower()](aside, keys, names, count)
        stack.callback(_abandon, writer)
        yield _Told(writer, path)
        with _unwritable(path):
            writer.close()
            os.replace(aside, path)  # noqa: PTH105 (one atomic call)


@dataclass(frozen=True)
class _Told:
    """A writer whose errors name the table; an error of what is written is none of its."""

    writer: Writer
    path: Path

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        with _unwritable(self.path):
            self.writer.write(keys, values)

    def close(self) -> None:
        with _unwritable(self.path):
            self.writer.close()


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _abandon(writer: Writer) -> None:
    """Close a table that may be half-written; open, it could not be removed everywhere."""
    with contextlib.suppress(Exception):
        writer.close()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


class _Csv:
    def __init__(self, path: Path, keys: list[str], names: list[str], count: int) -> None:  # noqa: ARG002
        self._file = path.open("w", newline="", encoding="utf-8")
        self._keys = csv.writer(self._file)
        self._keys.writerow([*keys, *names])
        self._format = ",".join(["%.9g"] * len(names))  # nine digits bring every float32 back

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        for row, numbers in zip(zip(*keys.values(), strict=True), values.tolist(), strict=True):
            self._keys.writerow([*map(cell, row), *(self._format % tuple(numbers)).split(",")])

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, keys: list[str], names: list[str], count: int) -> None:  # noqa: ARG002
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = {"file", "label", "time"}
        self._schema = pa.schema(
            [(key, pa.string() if key in texts else pa.float64()) for key in keys] + [(n, pa.float32()) for n in names]
        )
        self._writer = pq.ParquetWriter(path, self._schema)
        self._held: list[Block] = []
        self._rows = 0

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        self._held.append((keys, np.asarray(values, np.float32)))
        self._rows += len(values)
        if self._rows >= 4096:  # noqa: PLR2004 (rows in a group: small files, few groups)
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._held:
            return
        columns = [[item for keys, _ in self._held for item in keys[key]] for key in self._held[0][0]]
        values = np.concatenate([held for _, held in self._held])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=False)]
        arrays += [pa.array(np.ascontiguousarray(column)) for column in values.T]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._held, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class _Npz:
    """Features go straight into the archive; the key columns, which are small, follow."""

    def __init__(self, path: Path, keys: list[str], names: list[str], count: int) -> None:
        self._zip = zipfile.ZipFile(path, "w", allowZip64=True)
        self._kept: dict[str, list[Any]] = {key: [] for key in keys}
        self._names = names
        self._features = self._zip.open("features.npy", "w", force_zip64=True)
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, len(names))}
        np.lib.format.write_array_header_1_0(self._features, header)

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        self._features.write(np.ascontiguousarray(values, np.float32).tobytes())
        for key, column in keys.items():
            self._kept[key] += column

    def close(self) -> None:
        self._features.close()
        for key, column in {**self._kept, "names": self._names}.items():
            with self._zip.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(
                    file, np.array(["" if item is None else item for item in column]), allow_pickle=False
                )
        self._zip.close()
