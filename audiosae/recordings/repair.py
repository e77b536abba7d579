"""Repair of wrong length fields in audio headers, in memory, and detection of cut or joined files.

libsndfile believes most of what a header states. Recorders that lose power leave sizes of 0, sizes of long recordings
wrap around at 4 GiB, a recording written to a pipe has no size at all, and some files are several joined end to end.
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

UNKNOWN = 2**63 - 1  # libsndfile's number of frames of a FLAC that states none
CUT, ANOTHER, MORE = "cut", "another recording follows", "more samples follow than its header states"
JOINED = "another recording was joined to it, and a header in between may sound like a click"
_MAGIC = 12  # bytes with which the rarer containers begin; the same bytes again begin another file behind the first
_LARGEST_SIZE = 2**32 - 1
_PLACEHOLDERS = ((2**31 - 2**16, 2**31), (2**32 - 2**16, 2**32))  # sizes written when the end is unknown
_TRAILING = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"guan", b"JUNK", b"PAD ", b"fact", b"smpl", b"afsp")
_ID3V1 = 128  # bytes: TAG and what follows
_TAIL = 2**17  # bytes, longer than a frame of FLAC is in practice
_HEAD = 4096
_FLAC_TOTAL = 2**36 - 1  # mask of the number of samples
_FLAC_FRAME_HEADER = 16  # bytes, at most
_FLAC_BLOCKS = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608}  # samples of a block by their code
_FLAC_POWERS = 8  # first of the codes of powers of two
_VOC_EXTENDED = 9  # type of a block that states its bits per sample

Correction = tuple[list[tuple[int, bytes]], int, str]  # (offset, bytes) to write over, end of the recording, problem


class _Corrected(mmap.mmap):
    """A recording with its header corrected. A seek beyond its ends stops there, as libsndfile expects of a file."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: len(self)}[whence]
        super().seek(min(max(0, begin + offset), len(self)))


def is_placeholder(size: int) -> bool:
    """Return whether a size field means "until the end of the file"."""
    return any(low <= size < high for low, high in _PLACEHOLDERS)


def corrected(path: Path) -> mmap.mmap | None:
    """Return a recording with its header corrected in memory, as an open file; None if its header is right.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        patches, end, _ = _correction(file, size)
        if not patches and end == size:
            return None
        view = _Corrected(file.fileno(), end, access=mmap.ACCESS_COPY)
    for at, content in patches:
        view[at : at + len(content)] = content
    return view


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
        `CUT`, `ANOTHER`, `MORE`, `JOINED` or "".
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if container in _FIND_AFTER:
            return _FIND_AFTER[container](content, frames)
        problem, head = _correction(file, len(content))[2], content[:_HEAD]
        if problem or (container in _STATED_FRAMES and _STATED_FRAMES[container](head) > frames):
            return problem or CUT
        return JOINED if head[:4] not in _CORRECTIONS and content.find(head[:_MAGIC], _MAGIC) >= 0 else ""


def _correction(file: IO[bytes], size: int) -> Correction:
    magic = file.read(4)
    try:
        return _CORRECTIONS[magic](file, size, magic) if magic in _CORRECTIONS else ([], size, "")
    except (struct.error, IndexError):  # shorter than its own header
        return [], size, ""


def _correct_chunks(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct RIFF, RF64 and AIFF: chunks of a name and a size of 32 bits."""
    number = ">I" if magic in {b"FORM", b"RIFX"} else "<I"
    at, long_size = 12, 0
    while (chunk := _chunk(file, at, number))[0] != (b"SSND" if magic == b"FORM" else b"data"):
        if chunk[0] == b"ds64":
            file.seek(at + 16)
            (long_size,) = struct.unpack("<Q", file.read(8))
        at += 8 + chunk[1] + (chunk[1] & 1)
    is_long = magic == b"RF64" and chunk[1] == _LARGEST_SIZE
    stated, rest = long_size if is_long else chunk[1], size - at - 8
    if rest <= stated and not (is_long and stated > size):
        return [], size, ""
    if stated < rest and (end := _end_of_chunks(file, at + 8 + stated, size, number, magic)) is not None:
        return [], end, ANOTHER if end < size else ""
    if is_long:
        patches = [(20, struct.pack("<QQ", size - 8, rest))]
    else:
        sizes = {4: size - 8, at + 4: rest}
        patches = [(offset, struct.pack(number, min(value, _LARGEST_SIZE))) for offset, value in sizes.items()]
    return ([] if magic == b"FORM" and not rest else patches), size, CUT if rest < stated < 2**62 else ""


def _end_of_chunks(file: IO[bytes], begin: int, size: int, number: str, magic: bytes) -> int | None:
    """Return where a recording ends if chunks follow its samples; None if more samples follow."""
    for at in (begin + (begin & 1), begin):
        while at + 8 <= size:
            name, length = _chunk(file, at, number)
            if name == magic:
                return at
            if name[:3] == b"TAG" and size - at == _ID3V1:
                return size
            if length < 0 or not name.isascii() or not name.decode("ascii").isprintable():
                break
            at += struct.calcsize(number) + 4 + length + (length & 1)
            if name in _TRAILING and at > size:
                return size
        else:
            if at <= size + 1:
                return size
    return None


def _chunk(file: IO[bytes], at: int, number: str) -> tuple[bytes, int]:
    """Return name and size of the chunk at an offset; `number` is the struct format of the size."""
    file.seek(at)
    name = file.read(4)
    return name, int(*struct.unpack(number, file.read(struct.calcsize(number))))


def _correct_au(file: IO[bytes], size: int, magic: bytes) -> Correction:
    order = ">" if magic == b".snd" else "<"
    begin, stated = struct.unpack(order + "II", file.read(8))
    end = begin + stated
    if end >= size:
        return [], size, ""
    file.seek(end)
    if file.read(4) == magic:
        return [], end, ANOTHER
    return [(8, struct.pack(order + "I", _LARGEST_SIZE))], size, ""


def _correct_caf(file: IO[bytes], size: int, magic: bytes) -> Correction:
    at = 8
    while (chunk := _chunk(file, at, ">q"))[0] != b"data":
        if not 0 <= chunk[1] <= size:
            return [], size, ""
        at += 12 + chunk[1]
    stated, begin = chunk[1], at + 12
    rest, end = size - begin, begin + stated
    if stated in {rest, -1}:
        return [], size, ""
    if 0 < stated < rest:
        file.seek(end)
        if file.read(4) == magic:
            return [], end, ANOTHER
        if _end_of_chunks(file, end, size, ">q", magic) is not None:
            return [], size, ""
    return [(at + 4, struct.pack(">q", rest))], size, CUT if stated > rest else ""


def _correct_flac(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Give a FLAC that was written to a pipe the length that its last frame states."""
    information = file.read(38)
    total = int.from_bytes(information[17:22], "big")
    end = 0 if total & _FLAC_TOTAL else _flac_end(file, size, information)
    return ([(21, (total | end).to_bytes(5, "big"))] if 0 < end <= _FLAC_TOTAL else []), size, ""


def _flac_end(file: IO[bytes] | mmap.mmap, size: int, information: bytes) -> int:
    """Return the number of samples up to the end of the last frame; 0 if there is no frame."""
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
    offset = len(tail)
    while (offset := tail.rfind(first[:2], 0, offset)) >= 0:
        frame = tail[offset : offset + _FLAC_FRAME_HEADER]
        alike = len(frame) == _FLAC_FRAME_HEADER and frame[2] & 15 == first[2] & 15 and frame[3] == first[3]
        if alike and (end := _frame_end(frame, int.from_bytes(information[6:8], "big"))):
            return end
    return 0


def _frame_end(frame: bytes, block: int) -> int:
    """Return the number of samples up to the end of a frame of FLAC, from its header; 0 if its checksum is wrong."""
    more = max(0, 8 - (frame[4] ^ 0xFF).bit_length() - 1)  # further bytes of the frame's number, as in UTF-8
    number = frame[4] & (0x7F >> (more + 1 if more else 0))
    for byte in frame[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at, code, rate = 5 + more, frame[2] >> 4, frame[2] & 15
    width = {6: 1, 7: 2}.get(code, 0)
    if width:
        count = int.from_bytes(frame[at : at + width], "big") + 1
    else:
        count = 256 << (code - _FLAC_POWERS) if code >= _FLAC_POWERS else _FLAC_BLOCKS.get(code, 0)
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


def _find_after_flac(content: mmap.mmap, frames: int) -> str:
    """Return `ANOTHER` if another FLAC follows, `MORE` if there are more frames than the header states, else ""."""
    if any(content.find(b"fLaC" + kind + b"\0\0\x22", 8) >= 0 for kind in (b"\0", b"\x80")):
        return ANOTHER
    content.seek(4)
    return MORE if _flac_end(content, len(content), content.read(38)) > frames else ""


def _find_after_ogg(content: mmap.mmap, _frames: int) -> str:
    """Return `ANOTHER` if a stream begins after the first pages with sound, `CUT` if no page ends it, else ""."""
    body = re.search(rb"OggS\x00[\x00\x01\x04\x05]", content)
    if body and content.find(b"OggS\0\x02", body.start()) >= 0:
        return ANOTHER
    last = content.rfind(b"OggS\0")
    return "" if last < 0 or content[last + 5] & 4 else CUT


def _find_after_mp3(content: mmap.mmap, _frames: int) -> str:
    """Compare the size of the file with the one that the encoder's first frame states."""
    at = 0
    if content[:3] == b"ID3":
        at = 10 + sum(byte << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    tag = re.compile(rb"Xing|Info").search(content, at, at + 200)
    if not tag or not content[tag.end() + 3] & 2:
        return ""
    begin = tag.end() + (8 if content[tag.end() + 3] & 1 else 4)  # behind the number of frames, if it is stated
    end = at + int.from_bytes(content[begin : begin + 4], "big")
    if end > len(content):
        return CUT
    following = content[end : end + 3]
    return ANOTHER if following == b"ID3" or (following[:1] == b"\xff" and following[1:2] >= b"\xe0") else ""


def _voc_frames(head: bytes) -> int:
    """Return the frames that the first block of a Creative Voice file states; samples have 8 bits by default."""
    at = int.from_bytes(head[20:22], "little")
    kind, size = head[at], int.from_bytes(head[at + 1 : at + 4], "little")
    if kind == _VOC_EXTENDED:
        return (size - 12) // max(1, head[at + 8] // 8 * head[at + 9])
    return size - 2 if kind == 1 else 0


_CORRECTIONS: dict[bytes, Callable[[IO[bytes], int, bytes], Correction]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"FORM"), _correct_chunks),
    **dict.fromkeys((b".snd", b"dns."), _correct_au),
    b"caff": _correct_caf,
    b"fLaC": _correct_flac,
}
_FIND_AFTER: dict[str, Callable[[mmap.mmap, int], str]] = {
    "FLAC": _find_after_flac,
    "OGG": _find_after_ogg,
    "MP3": _find_after_mp3,
    "MPEG": _find_after_mp3,
}
_STATED_FRAMES: dict[str, Callable[[bytes], int]] = {
    "NIST": lambda head: int((re.findall(rb"sample_count -i (\d+)", head) or [0])[0]),
    "VOC": _voc_frames,
    "AVR": lambda head: int.from_bytes(head[26:30], "big"),
    "MPC2K": lambda head: int.from_bytes(head[26:30], "little"),
    "MAT5": lambda head: int.from_bytes(head[236:240], "little" if head[126:128] == b"IM" else "big"),
}
