"""Length fields of containers of plain samples: RIFF, AIFF, AU, CAF, Wave64, and some older ones."""

from __future__ import annotations

import re
import struct
from typing import IO, TYPE_CHECKING

from audiosae.recordings.correction import (
    ANOTHER,
    BLOCKS,
    CUT,
    MORE,
    MOST_CHUNKS,
    Correction,
    cut_if,
    is_padding,
    is_placeholder,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_SIZE = 2**32 - 1
_TRAILING = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"guan", b"JUNK", b"PAD ", b"fact", b"smpl", b"afsp")
_ID3V1 = 128  # bytes: TAG and what follows
_HEAD = 4096
_PLAIN = {1, 3, 6, 7, 0xFFFE}  # WAVE formats whose samples have a fixed size: the others fill whole blocks
_PLAIN_CAF = {b"lpcm", b"ulaw", b"alaw"}
_WRONG_BY = 8  # bytes by which some writers of older formats state too much
_VOC_END, _VOC_SAMPLES = 0, {1, 2, 9}  # types of blocks
_SDS_HEADER, _SDS_PACKET, _SDS_SAMPLES = 21, 127, 120  # bytes
_SDS_BITS = range(8, 29)
_SDS_SHIFTS, _SDS_LARGEST = (0, 7, 14), 2**21 - 1  # of the number of samples
_SDS_HEAD, _SDS_FOLLOWING = (
    1,
    {b"\1": ANOTHER, b"\2": MORE},
)  # kinds of messages: the header, and those behind it
_SDS_MISREAD = {14, 21}  # bits of a sample, which libsndfile expects in one byte more than the standard says


def correct_chunks(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct RIFF, RF64, AIFF and 8SVX: chunks of a name and a size of 32 bits."""
    number = ">I" if magic in {b"FORM", b"RIFX"} else "<I"
    samples = {b"SSND", b"BODY"} if magic == b"FORM" else {b"data"}
    at, long_size, coding, frames = 12, 0, 1, 0
    for _ in range(MOST_CHUNKS):
        name, stated = _chunk(file, at, number)
        if name in samples:
            break
        if name == b"ds64":
            file.seek(at + 16)
            (long_size,) = struct.unpack("<Q", file.read(8))
        elif name == b"fmt ":
            (coding,) = struct.unpack(number[0] + "H", file.read(2))
        elif name == b"fact":
            (frames,) = struct.unpack(number, file.read(4))
        at += 8 + stated + (stated & 1)
    else:
        return Correction(size)
    is_long = magic == b"RF64" and stated == _LARGEST_SIZE
    stated, begin = long_size if is_long else stated, at + 8
    rest = size - begin
    is_plain = coding in _PLAIN
    whole = Correction(
        size,
        problem=cut_if(stated, rest, begin if is_plain else 0),
        frames=0 if is_plain else frames,
        is_open=not stated or is_placeholder(stated),
    )
    if rest <= stated and not (is_long and stated > size):
        return whole
    if 0 < stated < rest and is_padding(file, begin + stated):
        return whole._replace(end=begin + stated)
    if stated < rest and (found := _end_of_chunks(file, begin + stated, size, number, magic)):
        return whole._replace(end=found[0], problem=found[1])
    if is_long:
        return whole._replace(patches=((20, struct.pack("<QQ", size - 8, rest)),))
    sizes = {4: size - 8, at + 4: rest}
    patches = tuple((offset, struct.pack(number, min(value, _LARGEST_SIZE))) for offset, value in sizes.items())
    return whole._replace(patches=() if magic == b"FORM" and not rest else patches)


def _end_of_chunks(file: IO[bytes], begin: int, size: int, number: str, magic: bytes) -> tuple[int, str] | None:
    """Return end and problem of a recording if chunks or padding follow its samples; None if more samples follow."""
    starts = (begin + (begin & 1), begin)
    return next(filter(None, (_last_chunk(file, start, size, number, magic) for start in starts)), None)


def _last_chunk(file: IO[bytes], at: int, size: int, number: str, magic: bytes) -> tuple[int, str] | None:
    for _ in range(MOST_CHUNKS):
        if at + 8 > size:
            break
        name, length = _chunk(file, at, number)
        if name == magic:
            return at, ANOTHER
        if not any(name) and is_padding(file, at):
            return at, ""
        if name[:3] == b"TAG" and size - at == _ID3V1:
            return size, ""
        if length < 0 or not name.isascii() or not name.decode("ascii").isprintable():
            return None
        at += struct.calcsize(number) + 4 + length + (length & 1)
        if name in _TRAILING and at > size:
            return size, ""
    return (size, "") if at <= size + 1 else None


def _chunk(file: IO[bytes], at: int, number: str) -> tuple[bytes, int]:
    """Return name and size of the chunk at an offset; `number` is the struct format of the size."""
    file.seek(at)
    name = file.read(4)
    return name, int(*struct.unpack(number, file.read(struct.calcsize(number))))


def correct_au(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct the size of AU, which must be that of the rest of the file."""
    order = ">" if magic == b".snd" else "<"
    file.seek(4)
    begin, stated = struct.unpack(order + "II", file.read(8))
    end = begin + stated
    is_open = not stated or is_placeholder(stated)
    if end >= size:
        return Correction(size, problem=cut_if(stated, size - begin, begin), is_open=is_open)
    file.seek(end)
    if stated and file.read(4) == magic:
        return Correction(end, problem=ANOTHER)
    if stated and is_padding(file, end):
        return Correction(end)
    return Correction(size, ((8, struct.pack(order + "I", _LARGEST_SIZE)),), is_open=is_open)


def correct_caf(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct CAF: chunks of a name and a signed size of 64 bits, which is -1 for samples up to the end of the file."""
    at, coding = 8, b"lpcm"
    for _ in range(MOST_CHUNKS):
        name, stated = _chunk(file, at, ">q")
        if name == b"data":
            break
        if name == b"desc":
            coding = file.read(12)[8:]
        at += 12 + stated
        if not 0 <= stated <= size:
            return Correction(size)
    else:
        return Correction(size)
    begin = at + 12
    rest, end = size - begin, begin + stated
    if 0 < stated < rest:
        file.seek(end)
        is_another = file.read(4) == magic
        if is_another or is_padding(file, end):
            return Correction(end, problem=ANOTHER if is_another else "")
        if found := _end_of_chunks(file, end, size, ">q", magic):
            return Correction(found[0] if found[1] else size, problem=found[1])
    patches = () if stated == rest else ((at + 4, struct.pack(">q", rest)),)
    problem = cut_if(stated, rest, begin if coding in _PLAIN_CAF else 0)
    return Correction(size, patches, problem, is_open=stated in {0, -1})


def correct_wave64(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Correct Wave64: chunks of a GUID and a size of 64 bits, which includes both and is rounded up to 8 bytes."""
    at, coding, frames = 40, 1, 0
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        name, stated = struct.unpack("<4s12xQ", file.read(24))
        if name == b"data":
            break
        if name == b"fmt ":
            (coding,) = struct.unpack("<H", file.read(2))
        elif name == b"fact":
            (frames,) = struct.unpack("<Q", file.read(8))
        if stated < 24:  # noqa: PLR2004 (the size of its own header)
            return Correction(size)
        at += stated + -stated % 8
    else:
        return Correction(size)
    end = at + stated
    padded = end < size and stated > 24 and is_padding(file, end)  # noqa: PLR2004
    is_plain = coding in _PLAIN
    return Correction(end if padded else size, (), cut_if(end, size, at if is_plain else 0), 0 if is_plain else frames)


def correct_fixed(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct formats whose header states the length once, by the end that it states."""
    file.seek(0)
    head = file.read(_HEAD)
    end = _ENDS[magic](head)
    return Correction(end if 0 < end < size and is_padding(file, end) else size, problem=cut_if(end, size, _WRONG_BY))


def _nist_end(head: bytes) -> int:
    """Return the end of NIST Sphere, whose header is text."""

    def number(name: bytes, default: int) -> int:
        found = re.search(rb"^%s -i (\d{1,18})\s" % name, head, re.MULTILINE)
        return int(found[1]) if found else default

    begin = int(head[8:16].strip() or 0)
    width = number(b"sample_n_bytes", 1) * number(b"channel_count", 1)
    return begin + number(b"sample_count", 0) * width


def _avr_end(head: bytes) -> int:
    stereo, bits, frames = struct.unpack_from(">hH", head, 12) + struct.unpack_from(">I", head, 26)
    return int(128 + frames * (2 if stereo else 1) * (bits // 8))


def _mat5_end(head: bytes) -> int:
    """Return the end of the second matrix, which holds the samples."""
    order = "<" if head[126:128] == b"IM" else ">"
    (first,) = struct.unpack_from(order + "I", head, 132)
    at = 184 + first  # of its name, behind its flags and dimensions
    (length,) = struct.unpack_from(order + "I", head, at - 4)
    at += length + -length % 8
    (samples,) = struct.unpack_from(order + "I", head, at + 4)
    return int(at + 8 + samples)


def correct_voc(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Leave out zeros behind the terminator of a Creative Voice file, and report further blocks of samples."""
    file.seek(20)
    (at,) = struct.unpack("<H", file.read(2))
    blocks = 0
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        kind, *length = file.read(4) or b"\0"
        if kind == _VOC_END:
            at += 1
            break
        blocks += kind in _VOC_SAMPLES
        at += 4 + int.from_bytes(length, "little")
        if at > size:
            break
    problem = cut_if(at, size, _WRONG_BY) or (BLOCKS if blocks > 1 else "")
    return Correction(at if at < size and is_padding(file, at) else size, problem=problem)


def correct_sds(file: IO[bytes], size: int, magic: bytes) -> Correction:
    """Correct a MIDI sample dump: packets of one size, whose bytes have 7 bits.

    libsndfile repeats the last packet up to the stated length, reads zeros from one that is not full, and lets the
    length wrap around at 2^21 samples.
    """
    file.seek(0)
    head = file.read(_SDS_HEADER)
    bits = head[6]
    if len(head) < _SDS_HEADER or head[3] != _SDS_HEAD or bits not in _SDS_BITS:  # another message of MIDI
        return Correction(size)
    each = _SDS_SAMPLES // -(-bits // 7)
    frames = sum(byte << shift for byte, shift in zip(head[10:13], _SDS_SHIFTS, strict=True))
    packets, there = -(-frames // each), (size - _SDS_HEADER) // _SDS_PACKET
    full = min(packets, there, _SDS_LARGEST // each) * each
    patches: tuple[tuple[int, bytes], ...] = ((10, bytes(full >> shift & 127 for shift in _SDS_SHIFTS)),)
    if bits in _SDS_MISREAD:
        patches = ((6, bytes((bits - 1,))), *patches)
    whole = Correction(size, patches, CUT if packets > there else "", min(frames, full))
    end = _SDS_HEADER + packets * _SDS_PACKET
    file.seek(end)
    following = file.read(4)
    if following[:2] == magic and following[3:] in _SDS_FOLLOWING:
        return whole._replace(end=end, problem=_SDS_FOLLOWING[following[3:]])
    return whole._replace(end=end) if end < size and is_padding(file, end) else whole


_ENDS: dict[bytes, Callable[[bytes], int]] = {
    b"NIST": _nist_end,
    b"2BIT": _avr_end,
    b"MATL": _mat5_end,
    b"ALaw": lambda head: 32 + int.from_bytes(head[18:22], "big"),
    b"\x01\x04": lambda head: 42 + 2 * (2 if head[21] else 1) * int.from_bytes(head[34:38], "little"),
}
CORRECTIONS: dict[bytes, Callable[[IO[bytes], int, bytes], Correction]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"FORM"), correct_chunks),
    **dict.fromkeys((b".snd", b"dns."), correct_au),
    b"caff": correct_caf,
    b"riff": correct_wave64,
    b"Crea": correct_voc,
    b"\xf0\x7e": correct_sds,
    **dict.fromkeys(_ENDS, correct_fixed),
}
