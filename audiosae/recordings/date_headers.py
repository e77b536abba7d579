"""Date and time in the headers of WAV files: GUANO, Wildlife Acoustics, AudioMoth's comment, Broadcast Wave."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, BinaryIO

from audiosae.system.files import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_CHUNKS = 64  # per file
_MOST_BYTES = 65536  # per chunk
_SIZE_IN_DS64 = 0xFFFFFFFF
_WAMD_TIME = 5  # number of the entry with the time
_AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d\d)/(\d\d)/(\d{4}) \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)


def header_times(path: Path) -> dict[str, datetime]:
    """Return the start times that a file's headers state, by kind of header; empty if it is not RIFF or RF64."""
    times: dict[str, datetime] = {}
    with suppress(OSError, struct.error), check_regular(path).open("rb") as file:
        for name, content in _chunks(file):
            kind, parse = _PARSERS[name]
            if start := parse(content):
                times.setdefault(kind, start)
    return times


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that may have a date; sizes beyond 4 GiB are in the chunk ds64 (EBU Tech 3306)."""
    head, long_data = file.read(12), 0
    if head[:4] not in {b"RIFF", b"RF64", b"BW64"} or head[8:] != b"WAVE":
        return
    for _ in range(_MOST_CHUNKS):
        name, size = struct.unpack("<4sI", file.read(8))
        at = file.tell()
        if name == b"ds64":
            long_data = struct.unpack("<8xQ", file.read(16))[0]
        elif name in _PARSERS:
            yield name, file.read(min(size, _MOST_BYTES))
        if name == b"data" and size == _SIZE_IN_DS64:
            size = long_data
        file.seek(at + size + size % 2)


def _iso(text: str) -> datetime | None:
    """Return the date and time of a text in ISO 8601; None if it has no time or another form."""
    try:
        return datetime.fromisoformat(text) if len(text) > len("2024-06-01") else None
    except ValueError:
        return None


def _guano(content: bytes) -> datetime | None:
    match = re.search(r"^Timestamp:\s*(.+?)\s*$", content.decode("utf-8", "replace"), re.MULTILINE)
    return _iso(match[1]) if match else None


def _wildlife_acoustics(content: bytes) -> datetime | None:
    """Return the time of a chunk of Wildlife Acoustics: an entry of its list of (number, length, text)."""
    at = 0
    while at + 6 <= len(content):
        number, size = struct.unpack_from("<HI", content, at)
        if number == _WAMD_TIME:
            return _iso(content[at + 6 : at + 6 + size].decode("ascii", "replace").strip("\0 "))
        at += 6 + size
    return None


def _audiomoth(content: bytes) -> datetime | None:
    match = _AUDIOMOTH.search(content.decode("utf-8", "replace"))
    if not match:
        return None
    hour, minute, second, day, month, year, sign, hours, minutes = match.groups()
    shift = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    if abs(shift) >= timedelta(hours=24):
        return None  # a damaged comment: no time zone is a day away
    start = _iso(f"{year}-{month}-{day} {hour}:{minute}:{second}")
    return start and start.replace(tzinfo=timezone(shift) if shift else UTC)


def _broadcast_wave(content: bytes) -> datetime | None:
    text = content.decode("utf-8", "replace")[320:338]
    match = re.match(r"(\d{4})[-_:. ](\d\d)[-_:. ](\d\d)(\d\d)[-_:. ](\d\d)[-_:. ](\d\d)", text)
    return _iso("{}-{}-{} {}:{}:{}".format(*match.groups())) if match else None


_PARSERS = {  # per chunk name: kind of header and parser; the most reliable first
    b"guan": ("GUANO", _guano),
    b"wamd": ("Wildlife Acoustics", _wildlife_acoustics),
    b"LIST": ("AudioMoth", _audiomoth),
    b"bext": ("Broadcast Wave", _broadcast_wave),
}
KINDS = tuple(kind for kind, _ in _PARSERS.values())
