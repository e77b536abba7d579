"""Atomic file writes that never replace a user's own file; CSV cells without formulas."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import hashlib
import io
import os
import re
import stat
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import numpy as np

from audiosae.errors import InputError
from audiosae.system.schema import Mismatch, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from audiosae.system.progress import Progress

Value = TypeVar("Value")

MARK = "made by audiosae"  # in pictures and pages: a file with it may be overwritten
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last are full-width
_SEPARATORS = (";", "\t")  # of cells, where the comma is the decimal point
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SUM_DIGITS = 32  # of `sum_digest`
_PAGE, _PART = 1024, 2**20  # bytes that are summed together, and that are read at once
_DIGEST_BYTES = 8  # of a text
_MARK_BYTES = 2**16  # at either end of a file: the mark is searched there
_temporary_files: set[Path] = set()  # that this process is writing


def cell(value: Value) -> Value | str:
    """Return a value as a CSV cell: a text that a spreadsheet would evaluate as a formula gets a leading apostrophe.

    A number or a lone hyphen is not a formula. Source: OWASP, "CSV injection".
    """
    formula = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value) and value != "-"
    return f"'{value}" if formula else value


def uncelled(text: str) -> str:
    """Return the text of a cell without the apostrophe that `cell` added."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


class CsvWriter:
    """Writer of CSV rows: every text passes through `cell`, and one that contains a semicolon or tab is quoted too.

    Parameters
    ----------
    file
        Text file, opened with ``newline=""``.
    """

    def __init__(self, file: TextIO) -> None:
        self._plain, self._quoted = csv.writer(file), csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)

    def writerow(self, row: Iterable[Any], numbers: Iterable[str] = ()) -> None:
        """Write a row; `numbers` are further cells that need no protection."""
        cells = [cell(value) if isinstance(value, str) else value for value in row]
        separated = any(mark in text for text in cells if isinstance(text, str) for mark in _SEPARATORS)
        (self._quoted if separated else self._plain).writerow([*cells, *numbers])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as the text of a CSV file."""
    text = io.StringIO()
    CsvWriter(text).writerows(rows)
    return text.getvalue()


def check_regular(path: Path) -> Path:
    """Return a path; raise OSError if it is a pipe or a device, whose opening or reading may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return path


def is_marked(path: Path) -> bool:
    """Return whether a picture or page was made by audiosae."""
    with check_regular(path).open("rb") as file:
        head = file.read(_MARK_BYTES)
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MARK_BYTES))
        return MARK.encode() in head + b"\0" + file.read()


def signed(parts: Iterable[str]) -> bytes:
    """Return a text in UTF-8 with the mark and a digest of the text as an HTML comment in its last line.

    Parameters
    ----------
    parts
        Of the text; a long one needs less memory in parts.
    """
    digest, content = hashlib.blake2b(digest_size=_DIGEST_BYTES), list[bytes]()
    for part in parts:
        content.append(part.encode())
        digest.update(content[-1])
    return b"".join([*content, f"\n<!-- {MARK} {digest.hexdigest()} -->\n".encode()])


def unsigned(text: str) -> str:
    """Return the text that `signed` made, without its last line."""
    return text.rstrip().rpartition("\n<!-- ")[0] + "\n"


def signature(path: Path) -> str:
    """Return "" if audiosae did not make a text, "whole" if it is unchanged since then, else "changed"."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text, _, mark = check_regular(path).read_text(encoding="utf-8").rstrip().rpartition("\n<!-- ")
        if mark.startswith(MARK):
            return "whole" if mark == f"{MARK} {_digest_of(text)} -->" else "changed"
    return ""


def _digest_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, Mismatch):
        content = parse_json(check_regular(path).read_bytes())
        return content if isinstance(content, dict) else {}
    return {}


def has_facts(path: Path, *keys: str) -> bool:
    """Return whether a file is a JSON object that has some keys."""
    return {*keys} <= {*_read_object(path)}


def report_replaced(facts: Path, digest: str, output: Path, progress: Progress) -> None:
    """Report that an existing output was made by another model; `facts` is the JSON file with that model's digest."""
    if _read_object(facts).get("model_digest", digest) != digest:
        progress.say(f"{output} was made with another model and is replaced")


def check_writable(path: Path, suffixes: Sequence[str]) -> None:
    """Raise InputError for a file that cannot be written: wrong suffix, a folder of that name, or no parent folder."""
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"{path}: cannot write {suffix or 'a file without a suffix'}; wanted {', '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file in it")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: {path.parent} is not a writable folder; choose another with -o")
    remove_abandoned(path.parent, [path.name], locked=False)


class InputFiles:
    """Files that no output may replace, under any name. To compare many outputs, make it once."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._known: set[tuple[int, int]] = set()
        for path in paths:
            with contextlib.suppress(OSError):
                self._known.add(self._identity(path.stat()))

    def __contains__(self, status: os.stat_result) -> bool:
        return self._identity(status) in self._known

    @staticmethod
    def _identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino


def check_replaceable(path: Path, inputs: Iterable[Path] | InputFiles, *, own: bool) -> None:
    """Raise InputError if writing a file would overwrite an input, or a file that audiosae did not write.

    Parameters
    ----------
    path
        The output; it need not exist.
    inputs
        Files that are read; none of them is overwritten, even if audiosae wrote it.
    own
        Whether audiosae wrote the file at `path`.
    """
    try:
        existing = path.stat()
    except OSError:
        return
    if existing in (inputs if isinstance(inputs, InputFiles) else InputFiles(inputs)):
        raise InputError(f"cannot write {path}: it is one of the inputs; choose another name with -o")
    if not own:
        raise InputError(
            f"cannot write {path}: it exists, and audiosae did not write it; choose another name with -o, or move it"
        )


def check_unedited(folder: Path, digests: Mapping[str, str], writer: str) -> None:
    """Raise InputError if a file was changed since its `quick_digest` was recorded under its path in `folder`."""
    for name, digest in digests.items():
        path = folder / name
        if path.is_file() and quick_digest(path) != digest:
            raise edited(path, writer)


def edited(path: Path, writer: str) -> InputError:
    """Return the error for an output that was changed after `writer`, such as "the survey that wrote it"."""
    return InputError(
        f"cannot write {path}: it was changed after {writer}; choose another output with -o, or move it away"
    )


def remove_abandoned(folder: Path, names: Iterable[str], *, locked: bool) -> None:
    """Remove the temporary files of `replacing` that killed processes left beside files of these names.

    Parameters
    ----------
    locked
        Whether the caller has locked the folder, so that no other process writes there. Otherwise the files of running
        processes stay.
    """
    for name in names:
        for path in folder.glob(f"{glob.escape(name)}.*.tmp"):
            number = path.name[len(name) + 1 : -len(".tmp")]
            if re.fullmatch(r"[0-9]{1,9}", number) and (locked or not _is_running(int(number))):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))


@contextlib.contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`, else remove it.

    Errors of the file system are raised as they are; see `write_errors`.

    Parameters
    ----------
    path
        The file to write. A file of that name is untouched until the new one is complete.
    flush
        Whether the file must survive a power failure.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    _temporary_files.add(temporary)
    try:
        yield temporary
        if flush:  # otherwise a power failure may leave the new name without the content
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # Windows does not delete a file that is open or mapped
            temporary.unlink(missing_ok=True)
        _temporary_files.discard(temporary)


def remove_temporary_files() -> None:
    """Remove the files that `replacing` has not renamed yet, before this process ends at once."""
    for temporary in list(_temporary_files):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError to an InputError that names the file to be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; an earlier file of that name is unchanged"
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file completely, or leave it unchanged and raise InputError."""
    with write_errors(path), replacing(path) as temporary:
        temporary.write_bytes(content)


def create_folder(path: Path, name: str = "folder") -> list[Path]:
    """Create a folder with its parents, and check that a file can be written in it.

    Parameters
    ----------
    name
        What the error message calls the folder.

    Returns
    -------
    list of Path
        The folders that were created, the innermost first.

    Raises
    ------
    InputError
        The folder cannot be created or written; folders created on the way are removed.
    """
    created: list[Path] = []
    try:
        created = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remove_empty(created)
        raise InputError(f"cannot write the {name} {path}: {error.strerror}; choose another with -o") from error
    return created


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty, in the given order."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file."""
    with check_regular(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def quick_digest(path: Path) -> str:
    """Return the `sum_digest` of a file, which takes no longer than reading it."""
    with path.open("rb") as file:
        return sum_digest(file, path.stat().st_size)


def sum_digest(file: BinaryIO, size: int, *others: bytes) -> str:
    """Return a digest of the next `size` bytes of a file, and of other bytes, in hexadecimal.

    Each block of 1024 bytes is summed as 64-bit numbers, and so is each of their positions over all blocks: a change of
    any bits, a block of zeros and exchanged values change one of the sums.
    """
    digest, left = hashlib.blake2b(b"\0".join(others), digest_size=SUM_DIGITS // 2), size
    buffer = np.empty(min(size, _PART), np.uint8)  # a larger one would cost more than the sums of a short field
    positions, add = np.zeros(_PAGE // 8, np.uint64), np.add.reduce
    while left > 0 and (count := file.readinto(buffer[:left].data)):  # type: ignore[attr-defined]
        whole = count - count % _PAGE
        words = buffer[:whole].view(np.uint64).reshape(-1, _PAGE // 8)
        digest.update(add(words, axis=1).data)
        digest.update(buffer[whole:count].data)
        positions += add(words, axis=0)
        left -= count
    digest.update(positions.data)
    return digest.hexdigest()
