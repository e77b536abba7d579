"""The first sound stream of a file that FFmpeg reads (PyAV), as packets of decoded samples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiosae.errors import InputError
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NO_STAMP: int = -(2**63)
_NO_INDEX = "moov atom not found"
_OPTIONS = {  # no playlists and no protocols, which would open other files or the network
    "format_whitelist": (
        "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,"
        "mpegts,ogg,tta,wav,w64,wv,xwma"
    ),
    "protocol_whitelist": "file",
}
_MESSAGES = {  # of FFmpeg
    _NO_INDEX: "it has no index (moov), as a recording that was cut or not ended",
    "Format not on whitelist": "a playlist, or a format that is not read",
}
_ATOMS = (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip")  # with which files of this kind begin
_ENCRYPTED = {"drms", "drmi", "enca", "aavd", "aavx"}  # codec tags
_CONSTANT = {"aac", "mp3", "ac3"}  # codecs
_GAP_SECONDS = 0.1  # between time stamps that is reported; those of some containers are rounded
_MOST_ERRORS = 1000  # before the first sample


class Packet(NamedTuple):
    """Time stamp in the stream's unit, and the decoded samples, arrays of shape (frames, channels)."""

    stamp: int
    samples: list[NDArray[np.float32]]


class AvStream:
    """One opening of a file, read packet by packet.

    Attributes
    ----------
    container, stream
        PyAV's objects.
    is_constant
        Whether all packets have the same number of samples.
    rate, channels
        Of the first frame; 0 before it.
    end
        Number of sample frames that were decoded.
    errors
        Number of packets that could not be decoded.
    error, error_at
        Text of the first error, and the number of sample frames before it.
    change, gap
        Texts on a change of rate or channels, at which reading ends, and on the first gap in the time stamps; or "".
    """

    def __init__(self, path: Path) -> None:
        import av.stream

        self.container: Any = _container(path)
        self.stream: Any = _sound(self.container)
        self.stream.codec_context.options = {"err_detect": "crccheck"}
        if discard := getattr(av.stream, "Discard", None):  # since PyAV 17.1: pictures are not read
            for other in self.container.streams:
                if other is not self.stream:
                    other.discard = discard.all
        self.rate: int = 0
        self.channels: int = 0
        self.end: int = 0
        self.errors: int = 0
        self.error_at: int = 0
        self.error: str = ""
        self.change: str = ""
        self.gap: str = ""
        self.is_constant: bool = self.stream.codec_context.codec.canonical_name in _CONSTANT
        self._equal = 0

    def packets(self, *, decode: bool = True) -> Iterator[Packet]:
        """Yield the packets from the current position on; the last one, which flushes the decoder, has no stamp."""
        import av

        expected: float | None = None
        packets = self.container.demux(self.stream)
        while not self.change and (self.end or self.errors < _MOST_ERRORS):
            packet, frames = None, list[Any]()
            try:
                packet = next(packets)
                frames = packet.decode() if decode else []
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError as error:
                self._note(error)
                if packet is None:
                    return
            is_lost = decode and not frames and self.errors > 0
            samples = [_samples(frame) for frame in frames if self._is_alike(frame)] or self._silence(is_lost=is_lost)
            count = sum(map(len, samples))
            self._equal = count if self.is_constant and frames else self._equal
            if packet.pts is not None:
                expected = self._check_gap(packet, expected, count)
            self.end += count
            yield Packet(NO_STAMP if packet.pts is None else packet.pts, samples)

    def _silence(self, *, is_lost: bool) -> list[NDArray[np.float32]]:
        """Return silence in place of a packet that cannot be decoded, where its length is known."""
        return [np.zeros((self._equal, self.channels), np.float32)] if is_lost and self._equal else []

    def seek(self, stamp: int) -> bool:
        """Move to a packet at or before a time stamp; return whether that is possible."""
        import av

        try:
            self.container.seek(stamp, stream=self.stream, backward=True)
        except av.error.FFmpegError:
            return False
        return True

    def _note(self, error: Any) -> None:  # noqa: ANN401
        if not self.errors:
            self.error, self.error_at = str(error.strerror), self.end
        self.errors += 1

    def _is_alike(self, frame: Any) -> bool:  # noqa: ANN401
        """Return whether a frame has the rate and channels of the first."""
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        self.rate, self.channels = self.rate or rate, self.channels or channels
        if (rate, channels) != (self.rate, self.channels) and not self.change:
            before = f"{counted(self.channels, 'channel')} at {self.rate} Hz"
            self.change = f"then it has {counted(channels, 'channel')} at {rate} Hz instead of {before}"
        return not self.change

    def _check_gap(self, packet: Any, expected: float | None, count: int) -> float:  # noqa: ANN401
        """Note the first gap in the time stamps; return the time in seconds at which the next packet is expected."""
        time = float(packet.pts * packet.time_base)
        if expected is not None and time - expected > _GAP_SECONDS and self.rate and not self.gap:
            self.gap = (
                f"its times have a gap of {time - expected:.1f} s at {self.end / self.rate:.1f} s, and later ones are "
                "counted without it"
            )
        return time + max(float((packet.duration or 0) * packet.time_base), count / (self.rate or 1))


def read_tags(path: Path) -> dict[str, str]:
    """Return the tags of a file and of its first sound stream, by name in lower case.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    container = _container(path)
    streams = container.streams.audio[:1]
    tags = {str(name).lower(): str(text) for each in (*streams, container) for name, text in each.metadata.items()}
    container.close()
    return tags


def _container(path: Path) -> Any:  # noqa: ANN401
    import av

    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture():  # the error has the message
            return av.open("file:" + os.fspath(path.absolute()), options=_OPTIONS)
    except av.error.FFmpegError as error:
        log: Any = error.log
        message = " ".join(str(log[2]).split()) if log else ""
        if message == _NO_INDEX and not _is_mp4(path):
            message = f"its content is not that of {path.suffix.lower()}"
        reason = next((text for start, text in _MESSAGES.items() if message.startswith(start)), message)
        if isinstance(error, OSError) and not reason:
            raise InputError(f"unreadable: {error.strerror}") from error
        raise InputError(f"undecodable: {reason or error.strerror}") from error


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] in _ATOMS


def _sound(container: Any) -> Any:  # noqa: ANN401
    """Return the first sound stream of a container; raise InputError if there is none that can be decoded."""
    streams = container.streams.audio
    if not streams:
        others = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
        raise InputError(f"no sound: the file has only {others}")
    codec = streams[0].codec_context
    if codec is not None and codec.codec_tag in _ENCRYPTED:
        raise InputError(f"encrypted ({codec.codec_tag}, copy protection): wanted a file without it")
    if codec is None:
        raise InputError("undecodable: its sound has a coding that FFmpeg does not know, or is encrypted")
    return streams[0]


def _samples(frame: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """Return the samples of a frame, (frames, channels), full scale as 1."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return np.asarray(values, np.float32)
    if values.dtype.kind == "u":
        return np.asarray((values.astype(np.float32) - 128) * np.float32(2.0**-7))
    scale = 2.0 ** (1 - 8 * values.dtype.itemsize)
    return np.asarray(values * (np.float32(scale) if values.dtype == np.int16 else scale), np.float32)
