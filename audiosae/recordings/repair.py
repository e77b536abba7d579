"""Repair of wrong length fields in audio headers, in memory, and detection of cut or joined files.

libsndfile believes most of what a header states. Recorders that lose power leave sizes of 0, sizes of long recordings
wrap around at 4 GiB, a recording written to a pipe has no size at all, disks are filled up with zeros, and some files
are several joined end to end.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import IO, TYPE_CHECKING

from audiosae.recordings import compressed
from audiosae.recordings.containers import CORRECTIONS
from audiosae.recordings.correction import CUT, JOINED, Correction
from audiosae.system.files import check_regular
from audiosae.system.mapped import MappedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Correct = Callable[[IO[bytes], int, bytes], Correction]

UNKNOWN = 2**63 - 1  # libsndfile's number of frames of a FLAC that states none
_MAGIC = 12  # bytes with which the rarer containers begin; the same bytes again begin another file behind the first
_ID3V1 = 128  # bytes at the end of an MP3
_LARGEST_FRAME = 2048  # bytes, more than a frame of MPEG has
_LONGEST_MAGIC = 4
_REPORT_ANOTHER = {b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"dns.", b"caff"}
_MPEG_NAMES = {"MP3", "MPEG"}  # of libsndfile
_MPEG = {b"ID3", *(bytes((0xFF, byte)) for byte in range(0xE0, 0x100))}  # first bytes


class _Corrected(mmap.mmap):
    """A recording with its header corrected. A seek beyond its ends stops there, as libsndfile expects of a file."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: len(self)}[whence]
        super().seek(min(max(0, begin + offset), len(self)))


class _Lengthened:
    """An MPEG recording as a file that seems to be longer, because mpg123 stops at the length that it guesses.

    Where mpg123 expects an ID3 tag, at the end, are zeros.
    """

    def __init__(self, content: mmap.mmap, begin: int, frames: int) -> None:
        self._content, self._begin, self._at = content, begin, 0
        self._size = len(content) + frames * _LARGEST_FRAME + _ID3V1

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(0, begin + offset), self._size)

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        at = self._begin + self._at
        is_tag = self._at >= self._size - _ID3V1
        content = bytes(min(count, self._size - self._at)) if is_tag else self._content[at : at + count]
        self._at += len(content)
        return content


def corrected(path: Path) -> tuple[mmap.mmap | _Lengthened | None, int]:
    """Return a recording with its header corrected in memory, as an open file, and its length in frames.

    The file is None if its header is right. The length is 0 if libsndfile derives it correctly from the file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with check_regular(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        correction = _correction(file, size)
        is_mpeg = correction.frames > 0 and _kind(file)[0] is compressed.correct_mpeg
        if not correction.patches and correction.end == size and not is_mpeg:
            return None, correction.frames
        view = _Corrected(file.fileno(), correction.end, access=mmap.ACCESS_COPY)
    for at, content in correction.patches:
        view[at : at + len(content)] = content
    return _Lengthened(view, correction.begin, correction.frames) if is_mpeg else view, correction.frames


def find_problem(path: Path, container: str, frames: int) -> str:
    """Return the problem of a recording that was read to its end: whether it is cut, or what follows it.

    Parameters
    ----------
    path
        Recording.
    container
        Its format, as libsndfile calls it.
    frames
        Number of frames that were read.

    Returns
    -------
    str
        A constant of `audiosae.recordings.correction`, or "".
    """
    with path.open("rb") as file:
        correction = _correction(file, os.fstat(file.fileno()).st_size)
        with MappedFile(file.fileno(), correction.end, access=mmap.ACCESS_READ) as content:
            return _problem(content, correction, container, frames)


def is_cut(path: Path) -> bool:
    """Return whether fewer bytes follow a header of those that libsndfile reads than it states."""
    with path.open("rb") as file:
        return _correction(file, os.fstat(file.fileno()).st_size).problem == CUT


def _problem(content: mmap.mmap, correction: Correction, container: str, frames: int) -> str:
    if container in _FIND_AFTER:
        return _FIND_AFTER[container](content, frames)
    head = content[:_MAGIC]
    is_reported = container in _MPEG_NAMES or (head[:4] in _REPORT_ANOTHER and not correction.is_open)
    if correction.problem or is_reported:
        return correction.problem
    return JOINED if content.find(head, _MAGIC) >= 0 else ""


def _correction(file: IO[bytes], size: int) -> Correction:
    correct, magic = _kind(file)
    try:
        return correct(file, size, magic) if correct else Correction(size)
    except (struct.error, IndexError, ValueError):  # shorter than its own header
        return Correction(size)


def _kind(file: IO[bytes]) -> tuple[Correct | None, bytes]:
    """Return what corrects a file, by its first bytes, and those bytes; an MP3 may begin with a part of a frame."""
    file.seek(0)
    head = file.read(_LONGEST_MAGIC)
    for count in range(_LONGEST_MAGIC, 1, -1):
        if head[:count] in _CORRECTIONS:
            return _CORRECTIONS[head[:count]], head[:count]
    return compressed.correct_mpeg if file.name.lower().endswith(".mp3") else None, b""


_CORRECTIONS: dict[bytes, Correct] = {
    **CORRECTIONS,
    b"fLaC": compressed.correct_flac,
    b"OggS": compressed.correct_ogg,
    **dict.fromkeys(_MPEG, compressed.correct_mpeg),
}
_FIND_AFTER = {"FLAC": compressed.find_after_flac, "OGG": compressed.find_after_ogg}
