"""Recordings whose end is missing, found without decoding: fewer bytes follow than their headers state.

The end is told by the sizes of boxes (MP4), elements (Matroska), objects (ASF) and chunks (WAV, AVI), by tables of
frame sizes (TTA), or by the last block, page or frame and the stated total (WavPack, Ogg, FLAC). Plain AAC, AC-3, AMR
and streams of MPEG state no length. Less than the last frame of a FLAC may be missing without notice.
"""

from __future__ import annotations

import os
import re
import struct
from typing import IO, TYPE_CHECKING

from audiosae.recordings import compressed, repair
from audiosae.recordings.correction import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REMARK = "fewer bytes than their headers state, so their ends are missing"
_BOXES = {b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip"}  # with which MP4 and QuickTime begin
_MOST_BOXES = 2**20  # a fragmented MP4 has some for each second
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_TTA_FRAME = 256 / 245  # s
_WAVPACK_TAIL = 2**20  # bytes, longer than a block
_WAVPACK_VERSIONS = range(0x402, 0x411)
_UNKNOWN = 2**32 - 1
_FLV_HEAD = 2**14  # bytes
_FLV_SIZE = re.compile(rb"filesize\0(.{8})", re.DOTALL)


def has_no_end(path: Path) -> bool:
    """Return whether a recording has fewer bytes than its headers state; False if they do not tell.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(16)
        try:
            for is_kind, is_cut in _KINDS:
                if is_kind(head):
                    return is_cut(file, size)
        except (struct.error, IndexError, ValueError, ArithmeticError):  # damaged in other ways
            return False
    return repair.is_cut(path)


def _mp4(file: IO[bytes], size: int) -> bool:
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > size:
            return at != size
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length < 8 or not (name.isascii() and name.decode().isprintable()):  # noqa: PLR2004 (its own header)
            return False  # up to the end of the file, or padding
        at += length
        if at > size:
            return True
    return False


def _matroska(file: IO[bytes], size: int) -> bool:
    at, length = _after_size(file, 4)
    if not 0 <= length < size:
        return False
    file.seek(at + length)
    if file.read(4) != _SEGMENT:
        return False
    at, length = _after_size(file, at + length + 4)
    return length >= 0 and at + length > size


def _after_size(file: IO[bytes], at: int) -> tuple[int, int]:
    """Return the offset behind an element's size of EBML, and that size; -1 if it is stated as unknown."""
    file.seek(at)
    content = file.read(8)
    width = 9 - content[0].bit_length()
    bits = 7 * width
    length = int.from_bytes(content[:width], "big") & (1 << bits) - 1
    return at + width, -1 if length == (1 << bits) - 1 else length


def _asf(file: IO[bytes], size: int) -> bool:
    file.seek(16)
    (at,) = struct.unpack("<Q", file.read(8))
    if at > size:
        return True
    file.seek(at)
    name, length = struct.unpack("<16sQ", file.read(24))
    return name == _ASF_DATA and not is_placeholder(length) and at + length > size


def _avi(file: IO[bytes], size: int) -> bool:
    at = 0
    while at + 8 <= size:  # long files consist of several
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or is_placeholder(length):
            return False
        at += 8 + length + length % 2
    return at > size + 1


def _tta(file: IO[bytes], size: int) -> bool:
    file.seek(10)
    rate, samples = map(int, struct.unpack("<II", file.read(8)))
    count = -(-samples // int(rate * _TTA_FRAME))
    at = 22 + 4 * count + 4
    if at > size:
        return True
    file.seek(22)
    sizes: tuple[int, ...] = struct.unpack(f"<{count}I", file.read(4 * count))
    return at + sum(sizes) > size


def _wavpack(file: IO[bytes], size: int) -> bool:
    file.seek(12)
    (total,) = struct.unpack("<I", file.read(4))
    begin = max(0, size - _WAVPACK_TAIL)
    file.seek(begin)
    tail = file.read()
    at = len(tail)
    while (at := tail.rfind(b"wvpk", 0, at)) >= 0 and total != _UNKNOWN:
        if at + 32 > len(tail):
            continue
        length, version, first, count = map(int, struct.unpack_from("<IH6xII", tail, at + 4))
        if version in _WAVPACK_VERSIONS and length < _WAVPACK_TAIL and first + count <= total:
            return first + count < total or begin + at + 8 + length > size
    return False


def _flv(file: IO[bytes], size: int) -> bool:
    file.seek(0)
    stated = _FLV_SIZE.search(file.read(_FLV_HEAD))
    return stated is not None and bool(struct.unpack(">d", stated[1])[0] > size)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[IO[bytes], int], bool]], ...] = (
    (lambda head: head[4:8] in _BOXES, _mp4),
    (lambda head: head[:4] == _EBML, _matroska),
    (lambda head: head == _ASF, _asf),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _avi),
    (lambda head: head[:4] == b"TTA1", _tta),
    (lambda head: head[:4] == b"wvpk", _wavpack),
    (lambda head: head[:3] == b"FLV", _flv),
    (lambda head: head[:4] == b"fLaC", compressed.is_flac_cut),
    (lambda head: head[:4] == b"OggS", compressed.is_ogg_cut),
)
