"""Date and time in the headers of WAV files: GUANO, Wildlife Acoustics, AudioMoth's comment, Broadcast Wave."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("GUANO", "Wildlife Acoustics", "AudioMoth", "Broadcast Wave")  # in order of trust
_CHUNKS = 64  # that are walked over
_BYTES = 65536  # that are read of one
_WANTED = (b"guan", b"wamd", b"LIST", b"bext")
_MOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d\d)/(\d\d)/(\d{4}) \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)


def header_times(path: Path) -> dict[str, datetime]:
    """Return the starts that a file's headers state, by kind; nothing for what is no RIFF or RF64 file."""
    found: dict[str, datetime] = {}
    try:
        with path.open("rb") as file:
            for name, content in _chunks(file):
                kind, start = _read(name, content)
                if start:
                    found.setdefault(kind, start)
    except (OSError, struct.error):
        return found
    return found


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that may hold a date; sizes beyond 4 GiB stand in ds64 (EBU Tech 3306)."""
    head, long_data = file.read(12), 0
    if head[:4] not in {b"RIFF", b"RF64", b"BW64"} or head[8:] != b"WAVE":
        return
    for _ in range(_CHUNKS):
        start = file.read(8)
        if len(start) < 8:  # noqa: PLR2004
            return
        name, size = struct.unpack("<4sI", start)
        at = file.tell()
        if name == b"ds64":
            long_data = struct.unpack("<8xQ", file.read(16))[0]
        elif name in _WANTED:
            yield name, file.read(min(size, _BYTES))
        if name == b"data" and size == 0xFFFFFFFF:  # noqa: PLR2004
            size = long_data
        file.seek(at + size + size % 2)


def _read(name: bytes, content: bytes) -> tuple[str, datetime | None]:
    text = content.decode("utf-8", "replace")
    if name == b"guan":
        stated = re.search(r"^Timestamp:\s*(.+?)\s*$", text, re.MULTILINE)
        return "GUANO", _iso(stated[1]) if stated else None
    if name == b"wamd":
        return "Wildlife Acoustics", _wildlife(content)
    if name == b"LIST":
        return "AudioMoth", _moth(text)
    stated = re.match(r"(\d{4})[-_:. ](\d\d)[-_:. ](\d\d)(\d\d)[-_:. ](\d\d)[-_:. ](\d\d)", text[320:338])
    return "Broadcast Wave", _time(*map(int, stated.groups())) if stated else None


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if len(text) > len("2024-06-01") else None


def _wildlife(content: bytes) -> datetime | None:
    """Return the time of Wildlife Acoustics' own chunk: entry 5 of its list of (number, length, text)."""
    at = 0
    while at + 6 <= len(content):
        number, size = struct.unpack_from("<HI", content, at)
        if number == 5:  # noqa: PLR2004
            return _iso(content[at + 6 : at + 6 + size].decode("ascii", "replace").strip("\0 "))
        at += 6 + size
    return None


def _moth(text: str) -> datetime | None:
    stated = _MOTH.search(text)
    if not stated:
        return None
    hour, minute, second, day, month, year = map(int, stated.groups()[:6])
    shift = timedelta(hours=int(stated[8] or 0), minutes=int(stated[9] or 0)) * (-1 if stated[7] == "-" else 1)
    found = _time(year, month, day, hour, minute, second)
    return found and found.replace(tzinfo=timezone(shift) if shift else UTC)


def _time(*parts: int) -> datetime | None:
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 (no zone is stated)
    except ValueError:
        return None
