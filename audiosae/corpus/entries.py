"""Cache entries: the file format of a field in the cache: ``.npy``, its record as JSON, the record's length."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.corpus.journal import Record
from audiosae.errors import InputError

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.corpus.sources import Source


_DAY = 86400.0


HEADER_BYTES = 128
LENGTH_DIGITS = 8
_PIECES, _PIECE_BYTES = 8, 4096  # of a source, that tell it from another
_BUFFER_BYTES = 2**23  # longer fields are finished on disk


class FieldWriter:
    """Writer of one field: buffers short fields in memory, appends long ones to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: list[NDArray[np.float32]] = []
        self._buffered = 0
        self._file: BufferedRandom | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def append(self, block: NDArray[np.float32]) -> None:
        """Append rows."""
        self._blocks.append(block)
        self._buffered += block.nbytes
        if self._buffered > _BUFFER_BYTES or self._file:
            self._spill()

    def field(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return all rows, to be changed in place."""
        if self._file is not None:
            self._file.flush()
            return np.memmap(self._file, np.float32, "r+", offset=HEADER_BYTES, shape=shape)
        self._blocks = [self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)]
        return self._blocks[0]

    def finish(self, shape: tuple[int, ...], record: dict[str, Any]) -> None:
        """Write header and record, and close the file."""
        kept = json.dumps(record).encode()
        end = kept + b"%0*x" % (LENGTH_DIGITS, len(kept))
        if self._file is None:
            self._path.write_bytes(b"".join((_npy_header(shape), self._blocks[0].data, end)))
        else:
            self._file.write(end)
            self._file.seek(0)
            self._file.write(_npy_header(shape))
            self._file.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = self._path.open("w+b")
            self._file.write(bytes(HEADER_BYTES))
        for block in self._blocks:
            self._file.write(block.data)
        self._blocks.clear()


def _npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (HEADER_BYTES - 11 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") + text.encode("ascii")


def read_field(record: Record) -> NDArray[np.float32]:
    """Memory-map the field of a record, read-only; InputError where it is no longer in the cache."""
    try:
        return np.memmap(record.field, np.float32, "r", offset=HEADER_BYTES, shape=record.shape)
    except (OSError, ValueError) as error:
        raise InputError(f"the field of {record.file} has gone from the cache; run the same command again") from error


def entry_path(source: Source, folder: Path) -> Path:
    """Return the cache entry of a source as it is now: of its place, size, times and of samples of its content.

    Size and modification time are alike where a recording was put in another's place with ``cp -p``. The time of the
    last change of the inode tells these apart, but memory cards (FAT) and Windows keep none, and a recorder without a
    clock gives every first recording one name and one time: there the samples do. An inode's number is no help, as
    some network drives make up another at each mount.
    """
    digest = hashlib.blake2b(os.fsencode(source.path.absolute()) + b"\0", digest_size=16)
    try:
        status = os.stat(source.path)  # noqa: PTH116
        digest.update(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if stat.S_ISREG(status.st_mode):  # nothing else gives the same twice, and a pipe would block
            _add_samples(digest, source.path, status.st_size)
    except OSError:
        digest.update(b"gone")
    return folder / f"{digest.hexdigest()}.npy"


def _add_samples(digest: hashlib.blake2b, path: Path, size: int) -> None:
    """Add the whole of a short file, or pieces of a long one, first and last included, spread evenly."""
    with path.open("rb", buffering=0) as file:
        if size <= _PIECES * _PIECE_BYTES:
            digest.update(file.read(_PIECES * _PIECE_BYTES))
            return
        for number in range(_PIECES):
            file.seek(number * (size - _PIECE_BYTES) // (_PIECES - 1))
            digest.update(file.read(_PIECE_BYTES))


def cached_record(source: Source, entry: Path) -> Record | None:
    """Return the record of a source that is already in the cache, whole."""
    if source.fault:
        return Record(source.name, "skipped", source.fault, path=os.fspath(source.path))
    try:
        with entry.open("rb") as file:
            file.seek(-LENGTH_DIGITS, os.SEEK_END)
            length = int(file.read(), 16)
            end = file.seek(-LENGTH_DIGITS - length, os.SEEK_END)
            kept = json.loads(file.read(length))
        shape = tuple(kept["shape"])
        if end != HEADER_BYTES + 4 * math.prod(shape):
            return None
        ranges = tuple((start, stop) for start, stop in kept["ranges"])
        if time.time() - os.stat(entry).st_mtime > _DAY:  # noqa: PTH116
            os.utime(entry)  # what was not used for longest is pruned first
        changed = {"file": source.name, "path": os.fspath(source.path), "field": os.fspath(entry)}
        return Record(**(kept | changed | {"shape": shape, "ranges": ranges}))
    except (OSError, ValueError, KeyError, TypeError):
        return None
