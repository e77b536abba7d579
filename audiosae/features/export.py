"""Writing features as a table: Parquet, CSV or NPZ, streamed, under a temporary name until it is whole."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from audiosae.corpus.windows import Corpus
from audiosae.engine import Here
from audiosae.engine.shards import split
from audiosae.errors import InputError
from audiosae.features import codes as features
from audiosae.system.files import cell, check_replaceable, has_facts, write_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.domain import Json
    from audiosae.engine import Engine
    from audiosae.engine.portion import Portion

SUFFIXES = (".parquet", ".csv", ".npz")


class Writer(Protocol):
    """Takes rows in blocks."""

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        """Write rows: their key columns, and their features (rows, columns)."""

    def close(self) -> None:
        """Finish the file."""


def export(
    model: Model, records: Sequence[Record], path: Path, *, level: str = "clip",
    pools: Sequence[str] = features.DEFAULT_POOL,
    segments: int = 1, code: features.Code = "sqrt", labels: Sequence[str | None] | None = None,
    digest: str = "", skipped: Sequence[Record] = (), done: Callable[[Record], None] = lambda _: None,
    engine: Engine | None = None, stamp: Callable[[str, float], str] | None = None,
) -> int:  # fmt: skip
    """Write the features of sources and, beside the table, a .json that says what they are.

    Parameters
    ----------
    model
        A trained model.
    records
        Of the sources, ingested with the model's domain; skipped ones have no rows.
    path
        .parquet, .csv or .npz.
    level
        ``clip`` (one row per source) or ``window``.
    pools, segments
        How windows become clips.
    code
        See `audiosae.features.codes.encoder`.
    labels
        One per record, None for one that has none.
    digest
        Of the model's file.
    skipped
        Sources that could not be used: named in the .json.
    done
        Called with each record that is written.
    engine
        Where sources are encoded: here, unless one is given. The table is written here, in order of the sources.
    stamp
        Gives the column ``time``: ISO 8601 of so many seconds in a source, or "" where its date is not known.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    InputError
        Another suffix, nothing to write, an unwritable file, or pyarrow is missing.
    """
    used = [(r, labels[i] if labels else None) for i, r in enumerate(records) if r.status == "used"]
    if not used:
        raise InputError(f"nothing to export: none of {len(records)} sources can be used")
    work, units = _Work(model, used, code, done, engine or Here()), model.params.hidden
    axes = len(model.domain.span(Path(used[0][0].path), (0,) * len(model.domain.window)).start)
    if level == "clip":
        names, keys = (
            features.pooled_names(units, pools, segments),
            ["file", *(["label"] if labels else []), "duration"],
        )
        count, blocks = len(used), _clips(work, pools=pools, segments=segments)
    else:
        places = (
            ["start", "end"] if axes == 1 else [f"{end}_{axis}" for end in ("start", "end") for axis in range(axes)]
        )
        names, keys = features.unit_names(units), ["file", *places, *(["label"] if labels else [])]
        count = sum(features.window_count(model.domain, record) for record, _ in used)
        blocks = _windows(work, places)
    if stamp:
        keys = [*keys, "time"]
    with _opened(path, keys, names, count) as writer:
        for block_keys, values in blocks:
            if stamp:
                seconds = block_keys.get("start") or [0.0] * len(values)
                block_keys["time"] = [stamp(*at) for at in zip(block_keys["file"], seconds, strict=True)]
            writer.write({key: block_keys[key] for key in keys}, values)
    facts: dict[str, Json] = {
        "model_digest": digest, "level": level, "pool": list(pools), "segments": segments, "code": code,
        "rows": count, "features": len(names), "domain": model.facts.get("domain"), "unit": model.domain.unit,
        "skipped": [{"file": record.file, "reason": record.reason} for record in skipped],
    }  # fmt: skip
    write_aside(path.with_suffix(".json"), (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
    return count


Block = tuple[dict[str, list[Any]], "NDArray[np.float32]"]


@dataclass(frozen=True)
class _Work:
    """What is encoded, and where."""

    model: Model
    used: Sequence[tuple[Record, str | None]]
    code: features.Code
    done: Callable[[Record], None]
    engine: Engine

    @property
    def corpus(self) -> Corpus:
        return Corpus(self.model.domain, [record for record, _ in self.used])


def _clips(work: _Work, *, pools: Sequence[str], segments: int) -> Iterator[Block]:
    placed, rows = work.engine.place(work.corpus), iter(work.used)
    for part in work.engine.map(_pooled, placed, work.model, work.code, (pools, segments)):
        for values, (record, label) in zip(part, rows, strict=False):
            keys: dict[str, list[Any]] = {"file": [record.file], "label": [label], "duration": [record.extent]}
            yield keys, values
            work.done(record)


def _pooled(
    backend: Backend, portion: Portion, model: Model, code: features.Code, how: tuple[Sequence[str], int]  # noqa: ARG001
) -> Iterator[NDArray[np.float32]]:  # fmt: skip
    """Yield the pooled codes (1, features) of each source of a portion; `how` is pools and segments."""
    encode, records, (pools, segments) = features.encoder(model, code), portion.corpus.records, how
    for _, values in features.pooled_clips(model.domain, records, encode, pools=pools, segments=segments):
        yield values.reshape(1, -1)


def _windows(work: _Work, places: Sequence[str]) -> Iterator[Block]:
    domain, labels = work.model.domain, {record.file: (record, label) for record, label in work.used}
    jobs = [
        (number, piece)
        for number, part in split(work.corpus, work.engine.shards)
        for piece in features.pieces(domain, part.records)
    ]
    last = None
    for rows in work.engine.map(_coded, work.engine.place(work.corpus), work.model, work.code, jobs=jobs):
        for file, spans, codes in rows:
            record, label = labels[file]
            keys: dict[str, list[Any]] = {place: column.tolist() for place, column in zip(places, spans, strict=True)}
            yield keys | {"file": [file] * len(codes), "label": [label] * len(codes)}, codes
            if record is not last:
                work.done(record)
                last = record


def _coded(
    backend: Backend, portion: Portion, piece: Sequence[features.Piece], model: Model, code: features.Code,  # noqa: ARG001
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:  # fmt: skip
    """Yield (file, starts and ends (places, count), codes (count, hidden)) of a piece of a portion."""
    records, encode = portion.corpus.records, features.encoder(model, code)
    parts = ((records[index], low, high) for index, low, high in piece)
    for record, starts, codes in features.encoded(model.domain, parts, encode):
        yield record.file, np.array(features.spans(model.domain, record, starts)).reshape(len(starts), -1).T, codes


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
    sidecar, inputs = path.with_suffix(".json"), list(inputs)
    own = has_facts(sidecar, "model_digest", "level")
    for each in (path, sidecar):
        check_replaceable(each, inputs, own=own)


@contextmanager
def _opened(path: Path, keys: list[str], names: list[str], count: int) -> Iterator[Writer]:
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

        texts = {"file", "label"}
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
