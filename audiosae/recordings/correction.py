"""Corrections of the lengths that headers of recordings state, and what they share."""

from __future__ import annotations

from typing import IO, NamedTuple

CUT, ANOTHER, MORE = "cut", "another recording follows", "more samples follow than its header states"
DAMAGED, SKIPPED = "damaged frames follow", "damaged frames were skipped"
JOINED = "another recording was joined to it, and a header in between may sound like a click"
BLOCKS = "it consists of several blocks, and a header in between may sound like a click"
MOST_CHUNKS = 4096  # that are searched: sizes of 0 in a damaged file would make it a long search
_PLACEHOLDERS = ((2**31 - 2**16, 2**31), (2**32 - 2**16, 2**32), (2**62, 2**64))  # written if the end is unknown
_LARGEST_HEADER = 128  # bytes: some writers count the header, or a part of it, as samples
_BLOCK = 2**20  # bytes
_LAST = 2**12  # bytes that are read first: most files end with no zeros, or few
_ZEROS = bytes(_BLOCK)


class Correction(NamedTuple):
    """Right values for a file: the offset of its end, bytes to write over its header, and its length.

    Attributes
    ----------
    end
        Bytes of the file that belong to the recording.
    patches
        (offset, bytes) to write over.
    problem
        One of the constants of this module, or "".
    frames
        Length of the recording; 0 if libsndfile derives it correctly.
    begin
        Offset of its first frame, where frames are counted.
    is_open
        Whether the header states no length, so that the samples are said to go on until the end of the file.
    """

    end: int
    patches: tuple[tuple[int, bytes], ...] = ()
    problem: str = ""
    frames: int = 0
    begin: int = 0
    is_open: bool = False


def is_placeholder(size: int) -> bool:
    """Return whether a size field means "until the end of the file"."""
    return any(low <= size < high for low, high in _PLACEHOLDERS)


def cut_if(stated: int, actual: int, header: int) -> str:
    """Return `CUT` if fewer bytes than stated follow a header, by more than the header's own size; else ""."""
    return CUT if stated - actual > min(header, _LARGEST_HEADER) and not is_placeholder(stated) else ""


def is_padding(file: IO[bytes], begin: int) -> bool:
    """Return whether zeros follow an offset, until the end of the file, as on a disk that allocates whole sectors."""
    file.seek(begin)
    found = False
    while block := file.read(_BLOCK):
        if block != _ZEROS[: len(block)]:
            return False
        found = True
    return found


def padding_begin(file: IO[bytes], size: int) -> int:
    """Return the offset behind the last byte of a file that is not zero."""
    count = _LAST
    while size > 0:
        begin = max(0, size - count)
        file.seek(begin)
        block = file.read(size - begin)
        if block != _ZEROS[: len(block)]:  # faster than to strip each block
            return begin + len(block.rstrip(b"\0"))
        size, count = begin, _BLOCK
    return 0
