"""Sources become fields on disk: decoded once, in worker processes, each written aside and then moved into place.

An entry of the cache is ``KEY.npy`` (the field) and ``KEY.json`` (its record, written last). The key is made of the
path, size and modification time of the source and of the domain with all its options.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import domain_to_json
from audiosae.errors import AudiosaeError, InputError
from audiosae.pool import run_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Domain
    from audiosae.sources import Source

CACHE_FORMAT = 1
_HEADER_BYTES = 128
_HASHED_AT_ONCE = 2**22


@dataclass(frozen=True)
class Record:
    """What became of one source.

    Attributes
    ----------
    file
        The source's name.
    status
        ``used`` or ``skipped``.
    reason
        Why it was skipped, or in which part it was used ("truncated at 12.4 s"); else "".
    extent
        Length of what was used along axis 0, in the domain's unit (seconds for recordings).
    shape
        Of the field.
    ranges
        Rows of the field worth training on.
    digest
        BLAKE2b of the field's bytes.
    path, field
        The source, and its field in the cache.
    """

    file: str
    status: str
    reason: str = ""
    extent: float = 0.0
    shape: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    digest: str = ""
    path: str = ""
    field: str = ""


def ingest(
    domain: Domain,
    sources: Sequence[Source],
    *,
    cache: Path,
    workers: int,
    done: Callable[[Record], None] = lambda _: None,
) -> list[Record]:
    """Bring the field of every source into the cache; one record per source, in their order.

    Parameters
    ----------
    domain
        Settled.
    sources
        What `audiosae.sources.scan` found.
    cache
        Folder for fields; made when it is not there.
    workers
        Number of decoding processes; the result does not depend on it.
    done
        Called with each record as it is ready.

    Raises
    ------
    InputError
        The cache cannot be written.
    """
    signature = json.dumps([CACHE_FORMAT, domain_to_json(domain)], sort_keys=True)
    folder = cache / hashlib.blake2b(signature.encode(), digest_size=8).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "domain.json").write_text(signature + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the cache {cache}: {error.strerror}; choose another with --cache DIR"
        ) from error
    found = [_cached(source, _key(source, folder)) for source in sources]
    jobs = [(domain, s.path, _key(s, folder)) for s, r in zip(sources, found, strict=True) if r is None]
    fresh = run_in_order(decode, jobs, workers=workers, crashed=_crashed)
    records = []
    for source, there in zip(sources, found, strict=True):
        record = there or replace(next(fresh), file=source.name, path=os.fspath(source.path))
        done(record)
        records.append(record)
    return records


def read_field(record: Record) -> NDArray[np.float32]:
    """Memory-map the field of a record, read-only."""
    return np.memmap(record.field, np.float32, "r", offset=_HEADER_BYTES, shape=record.shape)


def decode(job: tuple[Domain, Path, Path]) -> Record:
    """Decode one source into the cache; a source that cannot be used gives a record that says why."""
    domain, path, target = job
    aside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        record = _write_field(domain, path, aside)
        os.replace(aside, target.with_suffix(".npy"))  # noqa: PTH105 (one atomic call, as in the docs)
        record = replace(record, field=os.fspath(target.with_suffix(".npy")))
    except InputError as error:
        record = Record("", "skipped", str(error))
    except MemoryError:
        record = Record("", "skipped", "needs more memory than there is")
    finally:
        aside.unlink(missing_ok=True)
    kept = asdict(record) | {"file": "", "path": "", "field": ""}
    aside.write_text(json.dumps(kept), encoding="utf-8")
    os.replace(aside, target.with_suffix(".json"))  # noqa: PTH105
    return record


def write_journal(path: Path, rows: Iterable[tuple[Record, int]]) -> None:
    """Write journal.csv: one row per source with the number of its windows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "status", "reason", "seconds", "windows"])
        for record, windows in rows:
            writer.writerow([record.file, record.status, record.reason, f"{record.extent:.3f}", windows])


def _write_field(domain: Domain, path: Path, aside: Path) -> Record:
    """Write the blocks of a field to `aside` as an .npy file and let the domain finish it there."""
    rows, note, tail = 0, "", domain.window[1:]
    with aside.open("w+b") as file:
        file.write(bytes(_HEADER_BYTES))
        for block in (noted := Noted(domain.field(path))):
            _check_block(block, domain, rows, tail)
            rows, tail = rows + len(block), block.shape[1:]
            file.write(np.ascontiguousarray(block, np.float32).data)
        note = noted.note
        if not rows:
            raise InputError("nothing in it")
        file.seek(0)
        file.write(_npy_header((rows, *tail)))
    field = np.memmap(aside, np.float32, "r+", offset=_HEADER_BYTES, shape=(rows, *tail))
    ranges = tuple((int(start), int(stop)) for start, stop in domain.finish(field))
    digest = hashlib.blake2b(digest_size=16)
    flat = field.reshape(-1)
    for at in range(0, flat.size, _HASHED_AT_ONCE):
        digest.update(flat[at : at + _HASHED_AT_ONCE].data)
    extent = domain.span(path, (rows - domain.window[0], *(0 for _ in tail))).end[0]
    return Record("", "used", note, extent, (rows, *tail), ranges, digest.hexdigest())


class Noted:
    """The blocks of a field, and the note that their generator returned."""

    def __init__(self, blocks: Iterator[NDArray[np.float32]]) -> None:
        self._blocks = blocks
        self.note = ""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks; `note` is set once they have ended."""
        self.note = (yield from self._blocks) or ""  # type: ignore[func-returns-value]


def _check_block(block: NDArray[Any], domain: Domain, rows: int, tail: tuple[int, ...]) -> None:
    """Refuse what no window can be cut from; the first block may be wider than a window on axis 1."""
    fits = block.ndim == len(domain.window) and (block.shape[1:] == tail if rows else block.shape[2:] == tail[1:])
    if not fits:
        raise InputError(f"its shape {block.shape} does not fit windows of {domain.window}")
    if not np.isfinite(block).all():
        raise InputError("NaN or infinite values")


def _npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (_HEADER_BYTES - 11 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + text.encode("ascii")


def _key(source: Source, folder: Path) -> Path:
    """Return the cache entry, without suffix, of a source as it is now."""
    try:
        status = os.stat(source.path)  # noqa: PTH116
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "gone"
    name = os.fsencode(source.path.absolute())
    return folder / hashlib.blake2b(name + b"\0" + stamp.encode(), digest_size=16).hexdigest()


def _cached(source: Source, key: Path) -> Record | None:
    """Return the record of a source that is already in the cache, whole."""
    if source.fault:
        return Record(source.name, "skipped", source.fault, path=os.fspath(source.path))
    try:
        kept = json.loads(key.with_suffix(".json").read_bytes())
        shape = tuple(kept["shape"])
        field = key.with_suffix(".npy")
        if kept["status"] != "used" or field.stat().st_size != _HEADER_BYTES + 4 * int(np.prod(shape)):
            return None  # what was skipped is tried again: permissions and disks get mended
        ranges = tuple((start, stop) for start, stop in kept["ranges"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    changed = {"file": source.name, "path": os.fspath(source.path), "field": os.fspath(field)}
    return Record(**(kept | changed | {"shape": shape, "ranges": ranges}))


def _crashed(job: tuple[Domain, Path, Path]) -> Record:  # noqa: ARG001
    return Record("", "skipped", "the decoder crashed on it")


__all__ = ["AudiosaeError", "Noted", "Record", "decode", "ingest", "read_field", "write_journal"]
