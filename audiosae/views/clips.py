"""Clips: sounds of recordings as FLAC files, cut from the source at its own sample rate, with its samples unchanged.

A clip has the channel that was read, or the one in which the sound is loudest, and a short time before and after the
sound. Sources of up to 16 bits and lossy ones give 16 bits, others 24. Samples of float files beyond full scale are
scaled down with the rest of the clip. Ultrasound is slowed down as on the pages, by a lower sample rate in the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.audio import read_channels
from audiosae.recordings.channels import loudest_channels
from audiosae.recordings.opening import read_header
from audiosae.sounds.annotations import stem_of
from audiosae.sounds.events import NOWHERE, REJECTED
from audiosae.system.files import write_errors
from audiosae.system.processes import run_in_order
from audiosae.system.progress import Progress
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.system.text import file_name, file_names, one_line
from audiosae.views.media import slowing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.recordings.opening import Header
    from audiosae.sounds.events import Event
    from audiosae.sounds.results import Survey
    from audiosae.sounds.search import Matches

SUFFIX = ".flac"
PADDING = 0.25  # s before and after a sound
_DEEP = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24"}  # subtypes above 16 bits
_AT_ONCE = 2**20  # samples of all channels
_SUBSET = 2**16  # Hz: FLAC streams of higher rates need a multiple of 10 Hz
_OVERHEAD = 2**13  # bytes of a file: header, and the rest of a block of the disk
_CLIPS_PER_WORKER = 64  # a process takes longer to start than to write fewer
_NO_TYPE, _NUMBERED = "no-type", re.compile(r"type \d+")


@dataclass(frozen=True)
class Clip:
    """A clip to write.

    Attributes
    ----------
    path
        Recording.
    name
        File to write, relative to the folder of the clips.
    start, end, low_hz, high_hz
        Extent of the sound, in seconds of the recording and in hertz.
    title, comment
        Texts in the file.
    """

    path: str
    name: str
    start: float
    end: float
    low_hz: float
    high_hz: float
    title: str
    comment: str


@dataclass
class Written:
    """Result of writing clips: their number, duration of the sounds with padding (s) and bytes; faults as text."""

    count: int = 0
    seconds: float = 0.0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """The clips of one recording."""

    path: str
    clips: tuple[Clip, ...]
    folder: Path
    channel: int


@dataclass(frozen=True)
class ClipKinds:
    """The labels and types of the sounds of a survey, each of which has a folder of clips.

    Attributes
    ----------
    names
        Their names: labels, names of types, or ``type 3``.
    kind
        Of each sound, an index of `names`; -1 for sounds of no type and label, -2 for those that are not of interest.
    """

    names: tuple[str, ...]
    kind: NDArray[np.intp]


def kinds_of(survey: Survey) -> ClipKinds:
    """Return the kind of each sound of a survey: its label, or else its type, by name or number."""
    sounds, kinds = survey.sounds, {kind.number: kind.name or f"type {kind.number}" for kind in survey.types}
    by_type = [kinds.get(number, "") for number in range(max(kinds, default=0) + 1)]
    names = np.array([*by_type, *survey.label_names, ""])
    labelled = np.array([bool(label) for label in (*survey.label_names, "")])[sounds.label]
    at = np.where(labelled, len(by_type) + sounds.label, np.maximum(sounds.type, NOWHERE))
    known, kind = np.unique(np.append(names[at], ""), return_inverse=True)  # "" is the first
    return ClipKinds(tuple(known[1:].tolist()), np.where(sounds.type == REJECTED, -2, kind[:-1] - 1))


def clips_of_survey(survey: Survey, count: int, *, of: str | None = None) -> list[Clip]:
    """Return the clips of the most typical sounds of each label or type, and of the most unusual ones.

    Sounds that a person labelled are first, then those that are classified with the highest confidence. The clips are
    in a folder of the name of the label or type.

    Parameters
    ----------
    count
        Largest number of each label or type.
    of
        Name of the only label or type, or the number of the type.
    """
    kinds, sounds = kinds_of(survey), survey.sounds
    wanted = {of, f"type {of}", *(kind.name for kind in survey.types if str(kind.number) == of)}
    typical = np.where(kinds.kind < 0, -sounds.score, sounds.score)
    sure = np.where(sounds.label >= 0, np.nan_to_num(sounds.confidence), 0)
    order = np.lexsort((typical, -sure, kinds.kind))
    own = kinds.kind[order]
    first = np.arange(len(own)) - np.searchsorted(own, own) < count
    chosen = np.isin(own, [i for i, name in enumerate(kinds.names) if of is None or name in wanted])
    chosen |= (own == -1) & (of is None)
    folders = file_names({name for name in kinds.names if not _NUMBERED.fullmatch(name)})
    folders |= {name: name.replace(" ", "-") for name in kinds.names if name not in folders}
    clips = []
    for event in survey.rows(np.sort(order[first & chosen])):
        kind = kinds.kind[event.number]
        title = kinds.names[kind] if kind >= 0 else "no type"
        name = f"{_stem(event.file, event.start)}_{survey.group}{event.number + 1}"
        clips.append(_clip(survey.records[event.record], event, f"{folders.get(title, _NO_TYPE)}/{name}", title))
    return clips


def clips_of_matches(matches: Matches) -> list[Clip]:
    """Return the clips of the results of a search; their names begin with the rank."""
    events, records, clips = matches.events, matches.records, []
    width = len(str(len(events)))
    for rank, (index, start) in enumerate(zip(events.record.tolist(), events.start.tolist(), strict=True)):
        sound = _Box(start, *(float(part[rank]) for part in (events.end, events.low_hz, events.high_hz)))
        name = f"{rank + 1:0{width}}_{_stem(records[index].file, start)}"
        clips.append(_clip(records[index], sound, name, f"similarity {matches.similarity[rank]:.2f}"))
    return sorted(clips, key=attrgetter("path", "start", "end"))


@dataclass(frozen=True)
class _Box:
    start: float
    end: float
    low_hz: float
    high_hz: float


def _stem(file: str, start: float) -> str:
    return f"{file_name(stem_of(file))}_{start:07.2f}s"  # in order of time if sorted by name


def _clip(record: Record, sound: Event | _Box, name: str, title: str) -> Clip:
    where = f"{record.file}, {sound.start:.4f} to {sound.end:.4f} s"
    box = sound.start, sound.end, sound.low_hz, sound.high_hz
    return Clip(record.path, f"{name}{SUFFIX}", *box, one_line(title), one_line(where))


def largest_size(clips: Sequence[Clip]) -> int:
    """Return how many bytes the clips take at most: without compression."""
    total = 0
    for path, own in groupby(clips, attrgetter("path")):
        try:
            header = read_header(Path(path))
        except InputError:  # it is reported when its clips are written
            continue
        seconds = [clip.end - clip.start + 2 * PADDING for clip in own]
        total += round(sum(seconds) * header.rate * _bits(header) / 8) + _OVERHEAD * len(seconds)
    return total


def write_clips(
    clips: Sequence[Clip], folder: Path, *, channel: int = 0, workers: int = 1, progress: Progress | None = None
) -> Written:
    """Write clips into a folder, which is created.

    Parameters
    ----------
    clips
        In order of their recordings.
    channel
        Channel that was read; 0 if all were averaged, so that each clip is of the channel in which it is loudest.
    workers
        Largest number of processes; the files do not depend on it.

    Returns
    -------
    Written
        A clip that could not be cut is a fault; the others are written.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    progress, written = progress or Progress(), Written()
    with write_errors(folder):
        for name in dict.fromkeys(Path(clip.name).parent for clip in clips):
            (folder / name).mkdir(parents=True, exist_ok=True)
    grouped = groupby(clips, attrgetter("path"))
    jobs = [_Job(path, tuple(own), folder, channel) for path, own in grouped]
    workers = min(workers, -(-len(clips) // _CLIPS_PER_WORKER))
    progress.stage("clips", len(clips), "clips")
    results = (
        map(_write_all, jobs) if workers <= 1 else run_in_order(_write_all, jobs, workers=workers, crashed=_crashed)
    )
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, str):
            raise InputError(result)
        written.count += result.count
        written.seconds += result.seconds
        written.bytes += result.bytes
        written.faults += result.faults
        progress.advance(len(job.clips))
    progress.close()
    return written


def _crashed(job: _Job) -> Written | str:
    return Written(faults=[f"{clip.comment}: the decoder crashed on this file" for clip in job.clips])


def _write_all(job: _Job) -> Written | str:
    """Write the clips of one recording; return the message of an error of the file system."""
    written = Written()
    try:
        channels = [job.channel] * len(job.clips)
        if not job.channel:
            channels = loudest_channels(Path(job.path), job.clips).tolist()
        for clip, channel in zip(job.clips, channels, strict=True):
            try:
                with write_errors(job.folder / clip.name):
                    seconds = _write(clip, job.folder / clip.name, channel)
            except _UncutError as error:
                written.faults.append(f"{clip.comment}: {error}")
                continue
            written.count, written.seconds = written.count + 1, written.seconds + seconds
            written.bytes += (job.folder / clip.name).stat().st_size
    except InputError as error:
        return str(error)
    return written


class _UncutError(Exception):
    """A part of a recording cannot be read any more."""


def _write(clip: Clip, path: Path, channel: int) -> float:
    """Write one clip and return its duration in the recording, s."""
    import soundfile

    from audiosae.system.sound_files import open_sound_file

    try:
        header = read_header(Path(clip.path))
        bits, rate = _bits(header), _played_rate(header)
        peak = 0.0
        if not _is_integer(header):
            peak = max((float(np.abs(block).max(initial=0)) for block in _blocks(clip, header, channel)), default=0.0)
        gain, frames = 1 / max(1.0, peak), 0
        with open_sound_file(path, "w", rate, 1, format="FLAC", subtype=f"PCM_{bits}") as file:
            file.title, file.comment = clip.title, clip.comment + _changes(header, gain)
            for block in _blocks(clip, header, channel):
                file.write(_integers(block, gain, bits))
                frames += len(block)
    except InputError as error:
        path.unlink(missing_ok=True)
        raise _UncutError(str(error)) from error
    except soundfile.LibsndfileError as error:
        raise OSError(f"{error.error_string}") from error
    if not frames:
        path.unlink(missing_ok=True)
        raise _UncutError("the file has become shorter: it has nothing at this position")
    return frames / header.rate


def _changes(header: Header, gain: float) -> str:
    """Return what was changed, for the comment of a clip."""
    slowed = slowing(header.rate)
    return (f"; slowed down {slowed} times from {header.rate} Hz" if slowed > 1 else "") + (
        f"; scaled by {20 * np.log10(gain):.1f} dB" if gain < 1 else ""
    )


def _blocks(clip: Clip, header: Header, channel: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of a clip, (frames,), a part at a time."""
    first = max(0, round((clip.start - PADDING) * header.rate))
    last, step = round((clip.end + PADDING) * header.rate), max(1, _AT_ONCE // header.channels)
    for at in range(first, last, step):
        with capture_stderr(CapturedStderr()):
            samples, _ = read_channels(Path(clip.path), at / header.rate, min(at + step, last) / header.rate)
        if not len(samples):
            return
        yield np.nan_to_num(samples[:, channel - 1])


def _integers(samples: NDArray[np.float32], gain: float, bits: int) -> NDArray[np.int32]:
    """Return samples as integers of some bits in the highest bits of 32, as libsndfile writes them."""
    full = 2 ** (bits - 1)
    scaled = np.rint(samples.astype(np.float64) * (gain * full))
    return np.asarray(np.clip(scaled, -full, full - 1).astype(np.int32) << np.int32(32 - bits))


def _bits(header: Header) -> int:
    return 24 if header.format.rpartition("/")[2] in _DEEP else 16


def _is_integer(header: Header) -> bool:
    """Return whether the samples of a file are integers, so that none is beyond full scale."""
    return header.format.rpartition("/")[2].startswith("PCM_")


def _played_rate(header: Header) -> int:
    rate = round(header.rate / slowing(header.rate))
    return rate if rate < _SUBSET else round(rate, -1)
