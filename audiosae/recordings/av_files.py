"""Files that FFmpeg reads (PyAV): samples in order from the start, and those of any part.

FFmpeg leaves out the encoder's delay and padding that a container states; docs/reference/recordings.md says for which
formats that is not all. Positions are counted in decoded samples: the time stamps of some containers are rounded to
milliseconds.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.av_stream import NO_STAMP, AvStream
from audiosae.recordings.correction import CUT, SKIPPED
from audiosae.recordings.formats import INSTALL, has_av, kind_of
from audiosae.recordings.repair import find_problem

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_UNSTATED = {"aac", "ac3", "eac3", "amr"}  # formats that state no length
_STATED = {"asf", "ape", "matroska", "mov", "ogg", "tta", "wv"}  # formats that state the length of their sound
_TRIMMED = "mov"  # formats that state the length without the encoder's padding
_MOST_COUNTED = 2**26  # bytes of a file whose packets are counted, if it states no length
_TOLERANCE, _PACKETS = 0.1, 2  # s, and packets, by which a recording may be shorter than stated
_LEAD_SECONDS, _LEAD_PACKETS = 1.0, 3  # decoded before an excerpt, because decoders need earlier packets
_NEAR_SECONDS = 20.0  # excerpts that end before are decoded from the start
_SILENCED = "damaged frames were replaced by silence"
_FROM_START = {"AMR_NB", "AMR_WB"}  # codecs in which a sample depends on all before it
_PROBED = 16  # packets


class _Places(NamedTuple):
    """Time stamps of the packets, and the positions of their first samples and of the end, in sample frames."""

    stamps: NDArray[np.int64]
    firsts: NDArray[np.int64]


class AvFile:
    """The first sound stream of a file, with what recordings need of the interface of `soundfile.SoundFile`.

    Attributes
    ----------
    samplerate, channels, format, subtype
        As those of `soundfile.SoundFile`.
    limit
        Number of sample frames at which the recording ends; None if that is where its packets end.
    remark
        Text on the file as a whole, or "".
    """

    extra_info: ClassVar[str] = ""  # libsndfile's log
    needs: ClassVar[str] = "av"  # package

    def __init__(self, path: Path) -> None:
        if not has_av():
            raise InputError(f"{kind_of(path)} needs the extra av: {INSTALL}")
        self._path, self._stream = path, AvStream(path)
        self._packets = self._stream.packets()
        first = next((packet for packet in self._packets if packet.samples), None)
        if first is None:
            error = self._stream.error
            raise InputError(f"undecodable: {error}" if error else "no samples: zero frames in the file")
        self._pending = first.samples
        self.samplerate: int = self._stream.rate
        self.channels: int = self._stream.channels
        self._demuxer, codec = self._stream.container.format.name.split(",")[0], self._stream.stream.codec_context.codec
        self._tolerance = _TOLERANCE * self.samplerate + _PACKETS * sum(map(len, first.samples))
        self.format: str = path.suffix[1:].upper() or self._demuxer.upper()
        self.subtype: str = codec.canonical_name.upper()
        count = len(self._stream.container.streams.audio)
        self.remark: str = f"{count} sound streams, of which the first is read" if count > 1 else ""
        self.limit: int | None = self.frames if self._demuxer == _TRIMMED and self._length[1] else None

    def close(self) -> None:
        """Close the file."""
        self._stream.container.close()

    @property
    def frames(self) -> int:
        """Length in sample frames, as the file states it, or an estimate."""
        return self._length[0]

    @cached_property
    def _length(self) -> tuple[int, bool]:
        """Return the length in sample frames, and whether the file states that of its sound."""
        stream, rate = self._stream.stream, self.samplerate
        if self._demuxer in _UNSTATED and self._path.stat().st_size <= _MOST_COUNTED:
            return int(self._places.firsts[-1]), False
        if stream.duration:
            return round(stream.duration * stream.time_base * rate), self._demuxer in _STATED
        hours, *rest = str(stream.metadata.get("DURATION", "")).split(":")
        if len(rest) == 2 and hours.isdecimal():  # noqa: PLR2004 (Matroska: hours, minutes, seconds)
            return round((int(hours) * 3600 + int(rest[0]) * 60 + float(rest[1])) * rate), True
        return round((self._stream.container.duration or 0) / 1e6 * rate), False

    def read(self, *, out: NDArray[np.float32], **_: Any) -> NDArray[np.float32]:  # noqa: ANN401
        """Fill `out`, (frames, channels), with the next samples; return the part that is filled."""
        filled = 0
        while filled < len(out):
            while not self._pending and (packet := next(self._packets, None)):
                self._pending = packet.samples
            if not self._pending:
                break
            taken = self._pending[0][: len(out) - filled]
            out[filled : filled + len(taken)] = taken
            filled += len(taken)
            rest = self._pending[0][len(taken) :]
            self._pending[:1] = [rest] if len(rest) else []
        return out[:filled]

    def problem(self, frames: int) -> str:
        """Return why only a part was read, or what is wrong with the times, after so many sample frames; or ""."""
        stream, seconds = self._stream, f"{frames / self.samplerate:.1f} s"
        is_short = self._demuxer in _STATED and self._length[1] and frames < self.frames - self._tolerance
        missing = self.frames - frames if is_short else 0
        lost = f"; {missing / self.samplerate:.1f} s are missing" if missing else ""
        if stream.change:
            return f"only the first {seconds}: {stream.change}"
        if stream.errors and 0 < stream.error_at < frames - self._tolerance:
            at = f"{stream.error_at / self.samplerate:.1f} s"
            what = _SILENCED if stream.is_constant else SKIPPED
            return f"{what}: {stream.errors}, the first at {at} ({stream.error}){lost}"
        if stream.gap:
            return stream.gap
        if missing:
            return f"truncated at {seconds}: its header states {self.frames / self.samplerate:.1f} s"
        if stream.error_at:
            return f"truncated at {seconds} ({stream.error})"
        problem = find_problem(self._path, "OGG", frames) if self._demuxer == "ogg" else ""
        return (
            f"truncated at {seconds}" if problem == CUT else f"only the first {seconds}: {problem}" if problem else ""
        )

    def read_part(self, first: int, count: int) -> NDArray[np.float32]:
        """Return some sample frames, (frames, channels): those that reading from the start gives."""
        last = first + count
        is_far = last > _NEAR_SECONDS * self.samplerate and self.subtype not in _FROM_START
        part = self._sought(first, last) if is_far else None
        return self._from_start(first, last) if part is None else part

    def _from_start(self, first: int, last: int) -> NDArray[np.float32]:
        stream, begin, parts = AvStream(self._path), 0, [np.empty((0, self.channels), np.float32)]
        for packet in stream.packets():
            for samples in packet.samples:
                parts.append(samples[max(0, first - begin) : max(0, last - begin)])
                begin += len(samples)
            if begin >= last:
                break
        stream.container.close()
        return np.concatenate(parts)

    def _sought(self, first: int, last: int) -> NDArray[np.float32] | None:
        """Return a part that begins after a seek; None if the file has no time stamps for it."""
        stamps, firsts = self._places
        begin = int(np.searchsorted(firsts, first - _LEAD_SECONDS * self.samplerate, "right")) - 1 - _LEAD_PACKETS
        begin = min(begin, len(stamps) - 1)
        if begin <= 0 or (np.diff(stamps) <= 0).any():
            return None
        stream = AvStream(self._path)  # a decoder that makes up noise begins with the same noise for each excerpt
        if self._demuxer in _UNSTATED:  # without time stamps, a seek may miss the place behind a damaged frame
            deque(islice(stream.packets(decode=False), begin), maxlen=0)
        elif not stream.seek(int(stamps[begin])):
            return None
        number, parts = -1, [np.empty((0, self.channels), np.float32)]
        for packet in stream.packets():
            at = len(stamps) if packet.stamp == NO_STAMP else int(np.searchsorted(stamps, packet.stamp))
            if at < len(stamps) and stamps[at] != packet.stamp:
                return None
            if (number < 0 and at > begin) or (number >= 0 and at != number + 1):
                return None
            number, place = at, int(firsts[at])
            for samples in packet.samples if at >= begin + _LEAD_PACKETS - 1 else []:
                parts.append(samples[max(0, first - place) : max(0, last - place)])
                place += len(samples)
            if place >= last:
                break
        return np.concatenate(parts)

    @cached_property
    def _places(self) -> _Places:
        """The places of all packets; those of codecs with equal packets are not decoded."""
        stream = AvStream(self._path)
        stamps, firsts, counts = list[int](), [0], list[int]()
        for packet in stream.packets():
            counts.append(sum(map(len, packet.samples)))
            if packet.stamp == NO_STAMP:
                break
            stamps.append(packet.stamp)
            firsts.append(firsts[-1] + counts[-1])
            if stream.is_constant and len(counts) == _PROBED and len({*counts[_LEAD_PACKETS:]}) == 1:
                more = [packet.stamp for packet in stream.packets(decode=False) if packet.stamp != NO_STAMP]
                firsts += range(firsts[-1] + counts[-1], firsts[-1] + (len(more) + 1) * counts[-1], counts[-1])
                stamps += more
                break
        return _Places(np.array(stamps, np.int64), np.array(firsts, np.int64))
