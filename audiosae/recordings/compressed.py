"""Ends and lengths of FLAC, Ogg and MPEG recordings, from their frames and pages."""

from __future__ import annotations

import mmap
import re
import struct
from typing import IO, NamedTuple

from audiosae.recordings.correction import (
    ANOTHER,
    CUT,
    DAMAGED,
    JOINED,
    MORE,
    MOST_CHUNKS,
    SKIPPED,
    Correction,
    is_padding,
    padding_begin,
)
from audiosae.system.mapped import MappedFile

_TAIL = 2**17  # bytes, longer than a frame of FLAC or a page of Ogg
_FLAC_TOTAL = 2**36 - 1  # mask of the number of samples
_FLAC_FRAME_HEADER = 16  # bytes, at most
_FLAC_BLOCKS = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608}  # samples of a block by their code
_FLAC_POWERS = 8  # first of the codes of powers of two
_VORBIS_LEAD = 2 * 8192  # samples: two blocks, because each overlaps with the one before it
_FLAC_MARGIN = 64  # bytes: the last frame may end with zeros
_FLAC_PADDING = 4096  # bytes of zeros that are left
_OGG_LAST = 4  # flag of the last page of a stream
_MPEG_SYNC = 0x7FF  # the first 11 bits of a frame header
_MPEG_STREAM = 0xFFFE0C00  # mask of what all frame headers of a stream share: version, layer, sample rate
_MPEG_SIZE = 0xFFFFFE00  # mask of what determines the size of a frame
_MPEG_RATES = (44100, 48000, 32000)
_MPEG_TRIES = 2**16  # bytes that are tried as the beginning of a frame
_MPEG_RESYNC = 1024  # bytes that mpg123 skips at most, to find the next frame
_KBPS = {  # by version 1 or not, and layer; the first is index 1
    (True, 1): range(32, 449, 32),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def correct_flac(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Give a FLAC that was written to a pipe the length that its last frame states."""
    file.seek(4)
    information = file.read(38)
    total = int.from_bytes(information[17:22], "big")
    end = 0 if total & _FLAC_TOTAL else _flac_end(file, size, information)
    unpadded = padding_begin(file, size) + _FLAC_MARGIN
    size = unpadded if size - unpadded > _FLAC_PADDING else size  # libFLAC looks for frames in zeros, slowly
    return Correction(size, ((21, (total | end).to_bytes(5, "big")),) if 0 < end <= _FLAC_TOTAL else ())


def _flac_end(file: IO[bytes] | mmap.mmap, size: int, information: bytes) -> int:
    """Return the number of samples up to the end of the last frame; 0 if there is no frame."""
    at = 4
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        block = file.read(4)
        at += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 0x80:
            break
    else:
        return 0
    file.seek(at)
    first = file.read(4)
    file.seek(max(at, size - _TAIL))
    tail = file.read(_TAIL) + bytes(_FLAC_FRAME_HEADER)  # a last frame of silence may be shorter than a header
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


def find_after_flac(content: mmap.mmap, frames: int) -> str:
    """Return `ANOTHER` if another FLAC follows, `MORE` if there are more frames than the header states, else ""."""
    at = 7
    while (at := content.find(b"fLaC", at + 1)) >= 0:
        if content[at + 4 : at + 8] in {b"\0\0\0\x22", b"\x80\0\0\x22"}:
            return ANOTHER
    content.seek(4)
    return MORE if _flac_end(content, len(content), content.read(38)) > frames else ""


def is_flac_cut(file: IO[bytes], size: int) -> bool:
    """Return whether the last frame of a FLAC ends before the length that its header states."""
    file.seek(4)
    information = file.read(38)
    total = int.from_bytes(information[17:22], "big") & _FLAC_TOTAL
    unpadded = min(size, padding_begin(file, size) + _FLAC_MARGIN)
    return 0 < _flac_end(file, unpadded, information) < total


def is_ogg_cut(file: IO[bytes], size: int) -> bool:
    """Return whether no whole page ends a stream of Ogg."""
    end = padding_begin(file, size)
    begin = max(0, end - _TAIL)
    file.seek(begin)
    tail = file.read(size - begin)
    last = tail.rfind(b"OggS\0")
    if last < 0:
        return False
    is_whole = last + 27 <= len(tail) and tail[last + 5] & _OGG_LAST and _page_end(tail, last) <= len(tail)
    return not is_whole


def correct_ogg(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Leave out zeros behind the last page of Ogg."""
    end = padding_begin(file, size)
    if end == size:
        return Correction(size)
    begin = max(0, end - _TAIL)
    file.seek(begin)
    tail = file.read(end - begin)
    last = tail.rfind(b"OggS\0")
    page_end = begin + _page_end(tail, last)  # a page may end with zeros
    return Correction(page_end if last >= 0 and page_end < size else size)


def _page_end(content: bytes | mmap.mmap, at: int) -> int:
    """Return the end of the page of Ogg at an offset, which may be beyond the end of the content."""
    count = content[at + 26] if at + 26 < len(content) else 0
    return at + 27 + count + sum(content[at + 27 : at + 27 + count])


def find_after_ogg(content: mmap.mmap, _frames: int) -> str:
    """Return `ANOTHER` if a stream begins after the first pages with sound, `CUT` if no whole page ends it, else ""."""
    body = re.search(rb"OggS\x00[\x00\x01\x04\x05]", content)
    if body and content.find(b"OggS\0\x02", body.start()) >= 0:
        return ANOTHER
    last = content.rfind(b"OggS\0")
    if last < 0:
        return ""
    whole = last + 27 <= len(content) and content[last + 5] & _OGG_LAST and _page_end(content, last) <= len(content)
    return "" if whole else CUT


def vorbis_part(content: mmap.mmap, first: int, last: int, frames: int) -> tuple[bytes, int]:
    """Return headers and some pages of Ogg Vorbis as a file of their own, and the position of its end.

    libsndfile may miss the place by a block of Vorbis when it seeks, but the last page states where it ends.

    Parameters
    ----------
    first, last
        Sample frames that the pages must hold.
    frames
        Length of the whole recording.
    """
    headers = _dated_page(content, 0)
    offset = _granule(content, content.rfind(b"OggS\0")) - frames  # of the first frame, in a recording that was cut
    begin, end = _page_before(content, headers, first + offset - _VORBIS_LEAD), len(content)
    page = begin
    while page >= 0:
        end, granule = _page_end(content, page), _granule(content, page)
        if granule >= last + offset:
            break
        page = content.find(b"OggS\0", end)
    return content[:headers] + content[begin:end], granule - offset


def _granule(content: mmap.mmap, page: int) -> int:
    return int.from_bytes(content[page + 6 : page + 14], "little", signed=True)


def _dated_page(content: mmap.mmap, at: int) -> int:
    """Return the next page from an offset on in which sound ends, which states a time; -1 if there is none."""
    while (at := content.find(b"OggS\0", at)) >= 0 and _granule(content, at) <= 0:
        at += 1
    return at


def _page_before(content: mmap.mmap, low: int, granule: int) -> int:
    """Return a page at most 128 KiB before the one that holds a time, from `low` on."""
    high = len(content)
    while high - low > _TAIL:
        middle = (low + high) // 2
        page = _dated_page(content, middle)
        if 0 <= page < high and _granule(content, page) <= granule:
            low = page
        else:
            high = middle
    return low


class _MpegFrame(NamedTuple):
    """What the header of a frame of MPEG audio states: its size in bytes, samples, and the offset of a Xing tag."""

    size: int
    samples: int
    tag: int


def _mpeg_frame(header: int) -> _MpegFrame | None:
    """Return what the 32 bits of a frame header state; None if they are not a header, or leave the bit rate open."""
    version, layer, bits, rate = header >> 19 & 3, 4 - (header >> 17 & 3), header >> 12 & 15, header >> 10 & 3
    if header >> 21 != _MPEG_SYNC or version == 1 or layer == 4 or bits in {0, 15} or rate == 3:  # noqa: PLR2004
        return None
    first, mono = version == 3, header >> 6 & 3 == 3  # noqa: PLR2004
    hertz = _MPEG_RATES[rate] >> (0 if first else 1 if version else 2)
    samples = 384 if layer == 1 else 1152 if first or layer == 2 else 576  # noqa: PLR2004
    slot = 4 if layer == 1 else 1  # bytes
    slots = samples // 8 * 1000 * _KBPS[first, layer][bits - 1] // (hertz * slot) + (header >> 9 & 1)
    return _MpegFrame(slots * slot, samples, 4 + (32 if first and not mono else 17 if first or not mono else 9))


def correct_mpeg(file: IO[bytes], size: int, _magic: bytes) -> Correction:
    """Count the frames of an MPEG file that does not state their number: mpg123 guesses it from the first frame."""
    with MappedFile(file.fileno(), size, access=mmap.ACCESS_READ) as content:
        begin = _mpeg_begin(content)
        first = _mpeg_frame(_word(content, begin))
        if first is None:
            return Correction(size)
        tag = re.compile(rb"Xing|Info").search(content, begin, begin + 200)
        if tag and content[tag.end() + 3] & 1:  # the number of frames is stated
            end, problem = _end_of_tag(content, begin, tag.end())
            return Correction(end if 0 < end < size and is_padding(file, end) else size, problem=problem)
        end, count, problem = _walk(content, begin)
        return Correction(end, (), problem or _find_after_frames(content, begin, end), count * first.samples, begin)


def _end_of_tag(content: mmap.mmap, begin: int, at: int) -> tuple[int, str]:
    """Return the end that a Xing tag states, or 0, and what is wrong with it; `at` is the offset of its flags."""
    if not content[at + 3] & 2:
        return 0, ""
    end = begin + _word(content, at + 8)
    if end > len(content):
        return end, CUT
    following = content[end : end + 3]
    return end, ANOTHER if following == b"ID3" or (following[:1] == b"\xff" and following[1:2] >= b"\xe0") else ""


def _mpeg_begin(content: mmap.mmap) -> int:
    """Return the offset of the first frame, behind tags and, in a file that was cut, a part of a frame."""
    at = 0
    for _ in range(MOST_CHUNKS):
        if content[at : at + 3] != b"ID3":
            break
        at += 10 + sum(byte << shift for byte, shift in zip(content[at + 6 : at + 10], (21, 14, 7, 0), strict=False))
    found = _next_frame(content, at, at + _TAIL)
    return at if found < 0 else found


def _word(content: mmap.mmap, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "big")


def _walk(content: MappedFile, at: int) -> tuple[int, int, str]:
    """Return end, number and problem of the frames from an offset on."""
    stream, sizes, count, problem = _word(content, at) & _MPEG_STREAM, dict[int, int](), 0, ""
    unpack, size, released = struct.Struct(">I").unpack_from, len(content), at
    while at + 4 <= size:
        released = content.used(released, at)
        (header,) = unpack(content, at)
        length = sizes.get(header & _MPEG_SIZE)
        if length is None:
            frame = _mpeg_frame(header) if header & _MPEG_STREAM == stream else None
            if frame is None:
                following = _next_frame(content, at, at + _MPEG_RESYNC, stream)
                if following < 0 or content[at : at + 3] == b"ID3":
                    break
                at, problem = following, SKIPPED
                continue
            length = sizes[header & _MPEG_SIZE] = frame.size
        if at + length > size:
            return at, count, CUT
        at += length
        count += 1
    return at, count, problem


def _next_frame(content: mmap.mmap, at: int, before: int, stream: int = 0) -> int:
    """Return the offset of the next frame that another one, or the end of the file, follows; -1 if there is none."""
    for _ in range(_MPEG_TRIES):
        at = content.find(b"\xff", at, before)
        if at < 0:
            break
        header = _word(content, at)
        frame = _mpeg_frame(header)
        if frame and (not stream or header & _MPEG_STREAM == stream):
            end = at + frame.size
            if end == len(content) or _word(content, end) & _MPEG_STREAM == header & _MPEG_STREAM:
                return at
        at += 1
    return -1


def _find_after_frames(content: mmap.mmap, begin: int, end: int) -> str:
    """Return what follows the frames, or is between them: `ANOTHER`, `JOINED`, `DAMAGED` or ""."""
    header = _word(content, begin)
    first, stream = _mpeg_frame(header), header & _MPEG_STREAM
    if _next_frame(content, end, len(content), stream) >= 0:
        return ANOTHER if content[end : end + 3] == b"ID3" else DAMAGED
    for word in (b"Xing", b"Info"):
        tag = begin + 200
        while first and (tag := content.find(word, tag, end)) >= 0:
            if _word(content, tag - first.tag) & _MPEG_STREAM == stream:
                return JOINED
            tag += 1
    return ""
