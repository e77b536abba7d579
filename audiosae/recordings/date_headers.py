"""Date, time, place, time expansion in WAV headers: GUANO, Wildlife Acoustics, AudioMoth's comment, Broadcast Wave.

Tags of the containers that FFmpeg reads have date, time and place, too.
"""

from __future__ import annotations

import math
import re
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, BinaryIO

from audiosae.errors import InputError
from audiosae.recordings.av_stream import read_tags
from audiosae.recordings.formats import has_av, is_av_name
from audiosae.system.files import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_CHUNKS = 64  # per file
_MOST_BYTES = 65536  # per chunk
_SIZE_IN_DS64 = 0xFFFFFFFF
_WAMD_TIME, _WAMD_PLACE, _WAMD_EXPANSION = 5, 6, 15  # numbers of the entries with time, place and time expansion
_AUDIOMOTH = re.compile(
    r"Recorded at (?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?) (?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4})"
    r"(?: (?P<utc>\(UTC(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::(?P<minutes>\d\d))?)?\))| by )"  # firmware 1.0: no UTC
)
_TRIGGERED = re.compile(r"\d{6}T\.WAV", re.IGNORECASE)  # end of the names of an AudioMoth's triggered recordings
_DECIMAL = r"([+-]?\d{1,3}(?:\.\d*)?)"
_POSITION = re.compile(rf"\s*{_DECIMAL}[\s,;]+{_DECIMAL}(?![\d.])")
_WAMD_POSITION = re.compile(
    rf"WGS\w*,\s*{_DECIMAL}\s*(?:,\s*([NS]))?\s*,\s*{_DECIMAL}\s*(?:,\s*([EW]))?", re.IGNORECASE
)
_MOST_NORTH, _MOST_EAST = 90.0, 180.0  # degrees
_TAGS = "container tags"
_TIME_TAGS = ("com.apple.quicktime.creationdate", "creation_time", "date_recorded", "date")
_PLACE_TAGS = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_ISO_6709 = re.compile(r"([+-]\d{1,2}(?:\.\d*)?)([+-]\d{1,3}(?:\.\d*)?)(?![\d.])")
_SAME_RATE = 0.01  # relative difference of sample rates that is rounding


def header_times(path: Path) -> dict[str, datetime | None]:
    """Return the start times that a file's headers state, by kind of header; empty if it has none that are read.

    A header whose date and time is missing or cannot be read has None.
    """
    if is_av_name(path):
        return _tag_times(path)
    times: dict[str, datetime | None] = {}
    for name, content in _contents(path):
        kind, parse = _PARSERS[name]
        if (start := parse(content)) or name != b"LIST" or b"AudioMoth" in content:
            times[kind] = times.get(kind) or start
    return times


def header_place(path: Path) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees that GUANO or Wildlife Acoustics metadata state; None if there are none.

    Both are 0 in the headers of recorders that had no GPS fix, which is no place.
    """
    if is_av_name(path):
        return _tag_place(path)
    for name, content in _contents(path):
        if name == b"guan" and (place := parsed_place(_guano_value(content, "Loc Position"))):
            return place
        if name == b"wamd" and (place := _wamd_place(content)):
            return place
    return None


def _tags(path: Path) -> dict[str, str]:
    """Return the tags of a container that FFmpeg reads; empty without PyAV, or if it cannot be read."""
    with suppress(InputError):
        return read_tags(path) if has_av() else {}
    return {}


def _tag_times(path: Path) -> dict[str, datetime | None]:
    tags = _tags(path)
    times = {_TAGS: next((start for name in _TIME_TAGS if (start := _iso(tags.get(name, "")))), None)}
    comment = tags.get("comment", "").encode()
    if "AudioMoth" in tags.get("artist", "") or b"AudioMoth" in comment:
        times["AudioMoth"] = _audiomoth(comment)
    return times if any(name in tags for name in _TIME_TAGS) or len(times) > 1 else {}


def _tag_place(path: Path) -> tuple[float, float] | None:
    tags = _tags(path)
    match = next((found for name in _PLACE_TAGS if (found := _ISO_6709.match(tags.get(name, "")))), None)
    return _valid_place(float(match[1]), float(match[2])) if match else None


def parsed_place(text: str) -> tuple[float, float] | None:
    """Return latitude and longitude of a text such as ``52.52 13.41`` or ``52.52,13.41``; None if it is not a place."""
    match = _POSITION.fullmatch(text.strip())
    return _valid_place(float(match[1]), float(match[2])) if match else None


def timing_remark(path: Path, rate: int) -> str:
    """Return why the times in a file are not those of the sound, as `audiosae.domain.Probe.remark`, or "".

    Parameters
    ----------
    path
        Recording.
    rate
        Sample rate in Hz that its format header states.
    """
    if _TRIGGERED.search(path.name):
        return (
            "a name of triggered AudioMoth recordings (T.WAV), which leave out pauses, so times after a pause are too "
            "early (expand them with the AudioMoth Configuration App)"
        )
    for name, content in _contents(path):
        kind, _ = _PARSERS[name]
        factor, true_rate = _EXPANSIONS[name](content) if name in _EXPANSIONS else (0.0, 0.0)
        if factor not in {0.0, 1.0}:
            return (
                f"a header of time-expanded recordings ({kind} TE: {factor:g}), so times and frequencies are those of "
                "the slower file"
            )
        if true_rate and abs(true_rate - rate) > _SAME_RATE * rate:
            return (
                f"a header of time-expanded or resampled recordings ({kind} Samplerate: {true_rate:g}, in the file "
                f"{rate} Hz), so times and frequencies may be those of a slower file"
            )
    return ""


def _contents(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of each chunk that may have a date; none from a damaged file or a pipe."""
    with suppress(OSError, struct.error), check_regular(path).open("rb") as file:
        yield from _chunks(file)


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
    text = re.sub(r" ?([+-])(\d):(\d\d)$", r"\g<1>0\2:\3", text)  # Song Meters write +1:00
    try:
        return datetime.fromisoformat(text) if len(text) > len("2024-06-01") else None
    except ValueError:
        return None


def _guano(content: bytes) -> datetime | None:
    return _iso(_guano_value(content, "Timestamp"))


def _guano_value(content: bytes, key: str) -> str:
    match = re.search(rf"^[ \t]*{key}[ \t]*:(.*)$", content.decode("utf-8", "replace"), re.MULTILINE)
    return match[1].strip("\0 \t\r") if match else ""


def _guano_expansion(content: bytes) -> tuple[float, float]:
    """Return the time expansion and the true sample rate that a GUANO chunk states, 0 if it does not."""
    factor, rate = (_positive(_guano_value(content, key)) for key in ("TE", "Samplerate"))
    return factor, rate


def _positive(text: str) -> float:
    try:
        return max(0.0, float(text)) if math.isfinite(float(text)) else 0.0
    except ValueError:
        return 0.0


def _wildlife_acoustics(content: bytes) -> datetime | None:
    return _iso(_wamd_entry(content, _WAMD_TIME).decode("ascii", "replace").strip("\0 "))


def _wamd_expansion(content: bytes) -> tuple[float, float]:
    return float(int.from_bytes(_wamd_entry(content, _WAMD_EXPANSION)[:2], "little")), 0.0


def _wamd_entry(content: bytes, wanted: int) -> bytes:
    """Return an entry of a chunk of Wildlife Acoustics, a list of (number, length, bytes), or b""."""
    at = 0
    while at + 6 <= len(content):
        number, size = struct.unpack_from("<HI", content, at)
        if number == wanted:
            return content[at + 6 : at + 6 + size]
        at += 6 + size
    return b""


def _audiomoth(content: bytes) -> datetime | None:
    """Return the time of an AudioMoth's comment; without a time zone if it states none."""
    match = _AUDIOMOTH.search(content.decode("utf-8", "replace"))
    if not match:
        return None
    shift = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    if shift >= timedelta(hours=24):
        return None  # a damaged comment: no time zone is a day away
    start = _iso("{year}-{month}-{day} {time}".format(**match.groupdict()))
    if start is None or not match["utc"]:
        return start
    return start.replace(tzinfo=timezone(-shift if match["sign"] == "-" else shift) if shift else UTC)


def _wamd_place(content: bytes) -> tuple[float, float] | None:
    """Return the place of ``WGS84, 41.71, N, 121.51, W, 4200`` or ``WGS84, 41.71, -121.51, 4200``."""
    match = _WAMD_POSITION.match(_wamd_entry(content, _WAMD_PLACE).decode("ascii", "replace").strip("\0 "))
    if not match:
        return None
    north, east = float(match[1]), float(match[3])
    south, west = (match[2] or "").upper() == "S", (match[4] or "").upper() == "W"
    return _valid_place(-north if south else north, -east if west else east)


def _valid_place(north: float, east: float) -> tuple[float, float] | None:
    return (north, east) if abs(north) <= _MOST_NORTH and abs(east) <= _MOST_EAST and (north or east) else None


def _broadcast_wave(content: bytes) -> datetime | None:
    text = content[320:338].decode("ascii", "replace")  # after texts of fixed numbers of bytes, in any encoding
    match = re.match(r"(\d{4})[-_:. /](\d\d)[-_:. /](\d\d)(\d\d)[-_:. ](\d\d)[-_:. ](\d\d)", text)
    return _iso("{}-{}-{} {}:{}:{}".format(*match.groups())) if match else None


_PARSERS = {  # per chunk name: kind of header and parser; the most reliable first
    b"guan": ("GUANO", _guano),
    b"wamd": ("Wildlife Acoustics", _wildlife_acoustics),
    b"LIST": ("AudioMoth", _audiomoth),
    b"bext": ("Broadcast Wave", _broadcast_wave),
}
_EXPANSIONS = {b"guan": _guano_expansion, b"wamd": _wamd_expansion}
KINDS = (*(kind for kind, _ in _PARSERS.values()), _TAGS)
