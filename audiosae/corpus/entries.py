"""Cache entries: a field in the format ``.npy``, its record as JSON, a checksum of both, the length of the record.

Fields whose domain states a step are stored as whole numbers of steps; see `audiosae.corpus.packed`. Every reader gets
the stored values, so that results are the same whether or not a field was in the cache.

The checksum is compared in each run, since disks and networks change bits. It is a digest of sums, at the speed of
memory: a cryptographic digest of all bytes would take a tenth of the time of an export.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from audiosae.corpus.journal import Record
from audiosae.corpus.packed import EXACTLY, KINDS, PackedField, Packing, parts_of
from audiosae.errors import InputError
from audiosae.system.files import SUM_DIGITS, sum_digest
from audiosae.system.mapped import MappedArray
from audiosae.system.schema import Choice, Items, Mismatch, Number, Object, Text, Whole, parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.corpus.sources import Source

HEADER_BYTES = 128
AGAIN = ".again"  # suffix in `Record.field` of a field that is not kept: there is no file of that name
LENGTH_DIGITS = 8
_PIECES, _PIECE_BYTES = 8, 4096  # of a source, to identify its content
_BUFFER_BYTES = 2**23  # longer fields are written to disk block by block
_DAY = 86400.0  # seconds
_PAIRS = ("ranges", "content", "stretches")
_RECORD = Object(
    {
        "status": Choice("used"),
        "reason": Text(),
        "extent": Number(least=0),
        "shape": Items(Whole()),
        "ranges": Items(Items(Whole(), 2)),
        "digest": Text("[0-9a-f]{32}", "a digest"),
        "remark": Text(),
        "content": Items(Items(Whole(), 2)),
        "packing": Object({"kind": Choice(*KINDS), "scale": Number(above=0), "offset": Number()}, rest=None),
    },
    dict.fromkeys(("file", "path", "field"), Text())
    | {"stretches": Items(Items(Whole(), 2)), "needs": Text("[a-z_]*", "the name of a package")},
    rest=None,
)


class FieldWriter(AbstractContextManager["FieldWriter"]):
    """Writer of one field: short fields are buffered in memory, long ones are appended to a file.

    Parameters
    ----------
    path
        File of the entry.
    step
        Largest step to which values are rounded; 0 for exact values.
    """

    def __init__(self, path: Path, step: float = 0.0) -> None:
        self._path, self._step = path, step
        self._blocks: list[NDArray[Any]] = []
        self._buffered = 0
        self._packing = Packing()
        self._file: io.BufferedRandom | None = None
        self._scratch: io.BufferedRandom | None = None  # of a long field that will be packed

    def __exit__(self, *error: object) -> None:
        for file in (self._file, self._scratch):
            if file is not None:
                file.close()

    def append(self, block: NDArray[np.float32]) -> None:
        """Append rows."""
        self._blocks.append(block)
        self._buffered += block.nbytes
        if self._buffered <= _BUFFER_BYTES and self._long is None:
            return
        file = self._long
        if file is None and self._step:
            file = self._scratch = tempfile.TemporaryFile(dir=self._path.parent, suffix=".tmp")  # noqa: SIM115 (__exit__)
            file.write(bytes(HEADER_BYTES))
        elif file is None:
            file = self._open()
        for buffered in self._blocks:
            file.write(buffered.data)
        self._blocks.clear()

    def field(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return all rows; changes to them are written."""
        if self._long is not None:
            self._long.flush()
            return MappedArray(self._long, np.float32, "r+", offset=HEADER_BYTES, shape=shape)
        self._blocks = [self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)]
        return self._blocks[0]

    def pack(self, field: NDArray[np.float32]) -> tuple[Packing, str]:
        """Pack the finished field, which is what the method `field` returned; return the packing and the digest."""
        packing = self._packing = Packing.of(field, self._step)
        digest = hashlib.blake2b(b"" if packing.is_exact else repr(packing).encode(), digest_size=16)
        packed = []
        file = self._open() if self._scratch is not None else None
        for part in parts_of(field):
            rows = packing.pack(part)
            digest.update(rows.reshape(-1).data)
            if file is not None:
                file.write(rows.data)
            elif self._file is None:  # else it has the exact values already
                packed.append(rows)
        self._blocks = packed
        return packing, digest.hexdigest()

    def finish(self, shape: tuple[int, ...], record: Record) -> None:
        """Write header, record and checksum, and close the file."""
        text, header = json.dumps(asdict(record)).encode(), _npy_header(shape, self._packing)
        if self._file is None:
            field = b"".join(block.data for block in self._blocks)
            end = _end(text, sum_digest(io.BytesIO(field), len(field), header, text))
            self._path.write_bytes(b"".join((header, field, end)))
        else:
            size = self._packing.itemsize * math.prod(shape)
            self._file.seek(HEADER_BYTES)
            end = _end(text, sum_digest(self._file, size, header, text))
            self._file.seek(HEADER_BYTES + size)
            self._file.write(end)
            self._file.seek(0)
            self._file.write(header)
            self._file.close()

    @property
    def _long(self) -> io.BufferedRandom | None:
        """The file to which rows are appended, if the field is long."""
        return self._scratch or self._file

    def _open(self) -> io.BufferedRandom:
        self._file = self._path.open("w+b")
        self._file.write(bytes(HEADER_BYTES))
        return self._file


def _end(text: bytes, digest: str) -> bytes:
    return text + digest.encode() + b"%0*x" % (LENGTH_DIGITS, len(text))


def _npy_header(shape: tuple[int, ...], packing: Packing = EXACTLY) -> bytes:
    text = f"{{'descr': '{packing.kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (HEADER_BYTES - 11 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") + text.encode("ascii")


def mapped_field(record: Record) -> NDArray[np.float32]:
    """Return the field of a record from its file; LostFieldError if there is none. See `audiosae.corpus.fields`."""
    packing = record.packing
    try:
        field = MappedArray(record.field, packing.kind, "r", offset=HEADER_BYTES, shape=record.shape)
    except (OSError, ValueError) as error:
        raise LostFieldError(f"{record.file} is no longer in the cache; run the same command again") from error
    return field if packing.is_exact else cast("NDArray[np.float32]", PackedField(field, packing))


def entry_path(source: Source, folder: Path) -> Path:
    """Return the path of the cache entry of a source: a hash of its path, size, times and samples of its content.

    A recording that replaced another with ``cp -p`` may have the same size and modification time. The change time of
    the inode differs, but FAT (memory cards) and Windows do not store it, and a recorder without a clock gives every
    first recording the same name and time. Samples of the content differ in these cases. The inode number is not used,
    because some network drives change it at each mount.
    """
    digest = hashlib.blake2b(os.fsencode(source.path.absolute()) + b"\0", digest_size=16)
    if source.stretches:
        digest.update(repr(source.stretches).encode())
    try:
        status = source.path.stat()
        digest.update(file_state(status).encode())
        if stat.S_ISREG(status.st_mode):  # other files cannot be read twice, and a pipe would block
            add_samples(digest, source.path, status.st_size)
    except OSError:
        digest.update(b"gone")
    return folder / f"{digest.hexdigest()}.npy"


def file_state(status: os.stat_result) -> str:
    """Return what differs once a file was written again: its size and times."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def add_samples(digest: hashlib.blake2b, path: Path, size: int) -> None:
    """Add a short file completely to a digest, or evenly spaced pieces of a long one, including both ends."""
    with path.open("rb", buffering=0) as file:
        if size <= _PIECES * _PIECE_BYTES:
            digest.update(file.read(_PIECES * _PIECE_BYTES))
            return
        for number in range(_PIECES):
            file.seek(number * (size - _PIECE_BYTES) // (_PIECES - 1))
            digest.update(file.read(_PIECE_BYTES))


def is_elsewhere(record: Record) -> bool:
    """Return whether the field of a record is on another machine."""
    return not record.field.endswith(AGAIN) and not Path(record.field).exists()


class LostFieldError(InputError):
    """A field is no longer in the cache, which somebody has emptied."""


class DamagedEntryError(Exception):
    """A cache entry that is not as it was written."""


def cached_record(source: Source, entry: Path) -> Record | None:
    """Return the record of a source from its cache entry; None if there is none that this installation can read.

    Raises
    ------
    DamagedEntryError
        The entry is incomplete or was changed.
    """
    if source.fault:
        return Record(source.name, "skipped", source.fault, path=source.location)
    try:
        status = entry.stat()
        stored = _checked_record(entry, status)
        if time.time() - status.st_mtime > _DAY:
            os.utime(entry)  # pruning removes the least recently used first
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedEntryError from error
    if (needs := stored.get("needs")) and find_spec(needs) is None:
        return None  # it is decoded, for the reason why it cannot be
    changed = {"file": source.name, "path": source.location, "field": os.fspath(entry)}
    pairs = {key: tuple((start, stop) for start, stop in stored.get(key, ())) for key in _PAIRS}
    packing = Packing(**stored["packing"])
    return Record(**(stored | changed | pairs | {"shape": tuple(stored["shape"]), "packing": packing}))


def _checked_record(entry: Path, status: os.stat_result) -> dict[str, Any]:
    """Return the record of an entry as JSON; raise OSError or ValueError if the entry is damaged."""
    if not stat.S_ISREG(status.st_mode):  # opening a named pipe would block
        raise Mismatch("", "a file", "a folder or a device")
    with entry.open("rb") as file:
        file.seek(-LENGTH_DIGITS - SUM_DIGITS, os.SEEK_END)
        digest, length = file.read(SUM_DIGITS), int(file.read(), 16)
        end = file.seek(-LENGTH_DIGITS - SUM_DIGITS - length, os.SEEK_END)
        text = file.read(length)
        stored: dict[str, Any] = parse_json(text)
        _RECORD.check(stored)
        file.seek(0)
        header = file.read(HEADER_BYTES)
        shape, packing = tuple(stored["shape"]), Packing(**stored["packing"])
        if end != HEADER_BYTES + packing.itemsize * math.prod(shape) or header != _npy_header(shape, packing):
            raise Mismatch("shape", "that of the field", "another")
        if digest != sum_digest(file, end - HEADER_BYTES, header, text).encode():
            raise Mismatch("checksum", "that of the field", "another")
    return stored
