"""Headers that do not tell the truth of a recording's length: corrected in memory, or told of.

libsndfile believes most of what a header says. Recorders that die leave sizes of 0, long recordings wrap past 4 GiB,
pipes leave no length at all, and files are joined end to end.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNKNOWN = 2**63 - 1  # libsndfile's number of frames where a FLAC tells none
CUT, ANOTHER, MORE = "cut", "another recording follows", "more follows than its header tells"
WITHIN = "another recording was joined to it: what was read is not one recording, and may hold a header as a click"
_MAGIC = 12  # bytes with which the rarer containers begin; the same again means another file behind the first
_MOST = 2**32 - 1
_PLACEHOLDERS = ((2**31 - 2**16, 2**31), (2**32 - 2**16, 2**32))  # sizes that are written when the end is not known
_TRAILING = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"guan", b"JUNK", b"PAD ", b"fact", b"smpl", b"afsp")
_ID3V1 = 128  # bytes: TAG and what follows
_TAIL = 2**17  # longer than any frame of FLAC that is met
_HEAD = 4096
_FIXED = {2: 576, 3: 1152, 4: 2304, 5: 4608}  # FLAC's codes of the samples in a block
_FIRST_OF_POWERS = 8

Found = tuple[list[tuple[int, bytes]], int, str]  # what to write over, where to end, what is wrong


class _Corrected(mmap.mmap):
    """A recording with its header corrected. A seek beyond its ends stops there, as libsndfile expects of a file."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        """Move to an offset from the beginning, the present place or the end."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: len(self)}[whence]
        super().seek(min(max(0, begin + offset), len(self)))


def is_placeholder(size: int) -> bool:
    """Tell a size that means "until the end" from one that was meant."""
    return any(low <= size < high for low, high in _PLACEHOLDERS)


def mended(path: Path) -> mmap.mmap | None:
    """Return a recording with its header corrected in memory, as an open file; None where nothing is to correct.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        patches, stop, _ = _look(file, size)
        if not patches and stop == size:
            return None
        view = _Corrected(file.fileno(), stop, access=mmap.ACCESS_COPY)
    for at, content in patches:
        view[at : at + len(content)] = content
    return view


def remark(path: Path, kind: str, frames: int) -> str:
    """Return what is missing of a recording of which `frames` were read to their end: one of the constants, or ""."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if kind in _AFTER:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _AFTER[kind](content, frames)
        trouble = _look(file, size)[2]
        file.seek(0)
        head = file.read(_HEAD)
        if trouble or (kind in _CLAIMS and _CLAIMS[kind](head) > frames):
            return trouble or CUT
        if head[:4] in _FINDERS:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return WITHIN if content.find(head[:_MAGIC], _MAGIC) >= 0 else ""


def _look(file: IO[bytes], size: int) -> Found:
    magic = file.read(4)
    finder = _FINDERS.get(magic)
    try:
        return finder(file, size, magic) if finder else ([], size, "")
    except (struct.error, IndexError):  # shorter than its own header
        return [], size, ""


def _chunked(file: IO[bytes], size: int, magic: bytes) -> Found:
    """Look at RIFF, RF64 and AIFF: chunks of a name and a size of 32 bits."""
    order, wanted = (">", b"SSND") if magic == b"FORM" else (">" if magic == b"RIFX" else "<", b"data")
    at, long_size, form = 12, 0, magic == b"FORM"
    while True:
        name, claimed = _chunk(file, at, order + "I")
        if name == b"ds64":
            file.seek(at + 16)
            (long_size,) = struct.unpack("<Q", file.read(8))
        if name == wanted:
            break
        at += 8 + claimed + (claimed & 1)
    begin = at + 8
    if long := magic == b"RF64" and claimed == _MOST:
        claimed = long_size
    rest = size - begin
    if claimed >= rest:
        if not (long and claimed > size):
            return [], size, ""
    elif (end := _tail(file, begin + claimed, size, order + "I", magic)) is not None:
        return [], end, ANOTHER if end < size else ""
    whole = struct.pack(order + "I", min(size - 8, _MOST))
    patches = [(4, whole), (at + 4, struct.pack(order + "I", min(rest, _MOST)))]
    if long:
        patches = [(20, struct.pack("<QQ", size - 8, rest))]
    return ([] if form and not rest else patches), size, CUT if claimed > rest and claimed < 2**62 else ""


def _tail(file: IO[bytes], end: int, size: int, kind: str, magic: bytes) -> int | None:
    """Return where a recording ends if what lies behind its samples are chunks; None if they are samples."""
    for at in (end + (end & 1), end):
        while at + 8 <= size:
            name, length = _chunk(file, at, kind)
            if name == magic:
                return at
            if name[:3] == b"TAG" and size - at == _ID3V1:
                return size
            known = name in _TRAILING
            if not name.isascii() or not name.decode("ascii").isprintable():
                break
            at += struct.calcsize(kind) + 4 + length + (length & 1)
            if known and at > size:
                return size
        else:
            if at <= size + 1:
                return size
    return None


def _chunk(file: IO[bytes], at: int, kind: str) -> tuple[bytes, int]:
    file.seek(at)
    name = file.read(4)
    (length,) = struct.unpack(kind, file.read(struct.calcsize(kind)))
    return name, int(length)


def _au(file: IO[bytes], size: int, magic: bytes) -> Found:
    order = ">" if magic == b".snd" else "<"
    begin, claimed = struct.unpack(order + "II", file.read(8))
    if begin + claimed >= size:
        return [], size, ""
    file.seek(begin + claimed)
    if file.read(4) == magic:
        return [], begin + claimed, ANOTHER
    return [(8, struct.pack(order + "I", _MOST))], size, ""


def _caf(file: IO[bytes], size: int, magic: bytes) -> Found:
    at = 8
    while True:
        name, claimed = _chunk(file, at, ">q")
        if name == b"data":
            break
        at += 12 + claimed
    begin = at + 12
    rest = size - begin
    if claimed in {rest, -1}:
        return [], size, ""
    if 0 < claimed < rest:
        file.seek(begin + claimed)
        if file.read(4) == magic:
            return [], begin + claimed, ANOTHER
        if _tail(file, begin + claimed, size, ">q", magic) is not None:
            return [], size, ""
    return [(at + 4, struct.pack(">q", rest))], size, CUT if claimed > rest else ""


def _flac(file: IO[bytes], size: int, magic: bytes) -> Found:  # noqa: ARG001 (as the others)
    """Give a FLAC that was written to a pipe the length that its last frame tells."""
    information = file.read(38)
    total = int.from_bytes(information[17:22], "big")
    if total & _FLAC_TOTAL:
        return [], size, ""
    end = _flac_end(file, size, information)
    return ([(21, (total | end).to_bytes(5, "big"))] if 0 < end <= _FLAC_TOTAL else []), size, ""


_FLAC_TOTAL = 2**36 - 1


def _flac_end(file: IO[bytes], size: int, information: bytes) -> int:
    """Return the samples up to the end of the last frame; 0 if none is found."""
    at, last = 4, False
    while not last:
        file.seek(at)
        block = file.read(4)
        last = bool(block[0] & 0x80)
        at += 4 + int.from_bytes(block[1:], "big")
    file.seek(at)
    first = file.read(4)
    file.seek(max(at, size - _TAIL))
    tail = file.read(_TAIL)
    place = len(tail)
    while (place := tail.rfind(first[:2], 0, place)) >= 0:
        frame = tail[place : place + 16]
        alike = len(frame) == 16 and frame[2] & 15 == first[2] & 15 and frame[3] == first[3]  # noqa: PLR2004
        if alike and (end := _frame_end(frame, int.from_bytes(information[6:8], "big"))):
            return end
    return 0


def _frame_end(frame: bytes, block: int) -> int:
    """Return the samples up to the end of a frame of FLAC, from its header; 0 if its checksum is wrong."""
    more = max(0, 8 - (frame[4] ^ 0xFF).bit_length() - 1)  # bytes that follow in the number, as in UTF-8
    number = frame[4] & (0x7F >> (more + 1 if more else 0))
    for byte in frame[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at, code, rate = 5 + more, frame[2] >> 4, frame[2] & 15
    width = {6: 1, 7: 2}.get(code, 0)
    count = int.from_bytes(frame[at : at + width], "big") + 1 if width else _FIXED.get(code, 0)
    count = count or {1: 192}.get(code, 0) or (256 << (code - _FIRST_OF_POWERS) if code >= _FIRST_OF_POWERS else 0)
    at += width + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    begin = number if frame[1] & 1 else number * block
    return begin + count if count and _crc8(frame[:at]) == frame[at] else 0


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (7 if crc & 0x80 else 0)) & 0xFF
    return crc


def _after_flac(content: mmap.mmap, frames: int) -> str:
    """Say whether another FLAC, or more frames than the header tells, lie behind one."""
    if any(content.find(b"fLaC" + kind + b"\0\0\x22", 8) >= 0 for kind in (b"\0", b"\x80")):
        return ANOTHER
    content.seek(4)
    end = _flac_end(content, len(content), content.read(38))  # type: ignore[arg-type]
    return MORE if end > frames else ""


def _after_ogg(content: mmap.mmap, frames: int) -> str:  # noqa: ARG001 (as the others)
    """Say whether a page that begins a stream lies behind the pages that begin the first, and whether one ends it."""
    body = re.search(rb"OggS\x00[\x00\x01\x04\x05]", content)
    if body and content.find(b"OggS\0\x02", body.start()) >= 0:
        return ANOTHER
    last = content.rfind(b"OggS\0")
    return "" if last < 0 or content[last + 5] & 4 else CUT


def _after_mp3(content: mmap.mmap, frames: int) -> str:  # noqa: ARG001 (as the others)
    """Compare the size of the file with the one that the encoder's first frame tells."""
    at = 0
    if content[:3] == b"ID3":
        at = 10 + sum(byte << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    tag = re.compile(rb"Xing|Info").search(content, at, at + 200)
    if not tag or not content[tag.end() + 3] & 2:
        return ""
    counted = 4 if content[tag.end() + 3] & 1 else 0
    (length,) = struct.unpack(">I", content[tag.end() + 4 + counted :][:4])
    end = at + length
    if end > len(content):
        return CUT
    follows = content[end : end + 3]
    return ANOTHER if follows == b"ID3" or (follows[:1] == b"\xff" and follows[1:2] >= b"\xe0") else ""


def _nist_frames(head: bytes) -> int:
    found = re.search(rb"sample_count -i (\d+)", head)
    return int(found[1]) if found else 0


def _voc_frames(head: bytes) -> int:
    """Return what the first block of a Creative Voice file claims, of 8 bits or (kind 9) of as many as it says."""
    at = int.from_bytes(head[20:22], "little")
    kind, size = head[at], int.from_bytes(head[at + 1 : at + 4], "little")
    if kind == 9:  # noqa: PLR2004
        return (size - 12) // max(1, head[at + 8] // 8 * head[at + 9])
    return size - 2 if kind == 1 else 0


_FINDERS: dict[bytes, Callable[[IO[bytes], int, bytes], Found]] = {
    b"RIFF": _chunked, b"RIFX": _chunked, b"RF64": _chunked, b"FORM": _chunked,
    b".snd": _au, b"dns.": _au, b"caff": _caf, b"fLaC": _flac,
}  # fmt: skip
_AFTER: dict[str, Callable[[mmap.mmap, int], str]] = {
    "FLAC": _after_flac, "OGG": _after_ogg, "MP3": _after_mp3, "MPEG": _after_mp3,
}  # fmt: skip
_CLAIMS: dict[str, Callable[[bytes], int]] = {
    "NIST": _nist_frames,
    "VOC": _voc_frames,
    "AVR": lambda head: int.from_bytes(head[26:30], "big"),
    "MPC2K": lambda head: int.from_bytes(head[26:30], "little"),
    "MAT5": lambda head: int.from_bytes(head[236:240], "little" if head[126:128] == b"IM" else "big"),
}
