"""Annotation files of events: Raven selection tables and Audacity label tracks, one for each recording with events."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, repeat
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.recordings.channels import loudest_channels
from audiosae.system.files import write_errors, write_file
from audiosae.system.text import file_names, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audiosae.sounds.events import Event

_RAVEN_HEADER = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Begin Path\tBegin File\tFile Offset (s)\tType\tName"
)


def safe_names(files: Sequence[str]) -> dict[str, str]:
    """Return a distinct name for each recording that is a valid file name on all systems.

    Parameters
    ----------
    files
        Distinct names of recordings. Their order does not change the result.
    """
    return file_names(files, stem_of)


def stem_of(file: str) -> str:
    """Return the name of a recording without its suffix."""
    return re.sub(r"\.[^./]*[A-Za-z][^./]*$", "", file)


def write_annotations(
    events: Iterable[Event], folder: Path, program: str, *, recordings: Sequence[str] = (), channel: int = 0
) -> list[Path]:
    """Write an annotation file for each recording with events.

    Parameters
    ----------
    folder
        Where the files are written; it is created if it does not exist.
    program
        The program that reads the files, one of `FORMATS`.
    recordings
        Paths of the recordings, by `Event.record`; they are decoded only if they have several channels and the format
        states the channel of an event. Without paths every event is in channel 1, and tables name the recordings as
        events do.
    channel
        The channel that was read; 0 if all were averaged, so that each event is in its loudest channel.

    Returns
    -------
    list of Path
        The files, in alphabetical order of their recordings.

    Raises
    ------
    InputError
        The folder or a file cannot be written.
    """
    form, in_order = FORMATS[program], sorted(events, key=lambda event: (event.file, event.start, event.end))
    by_file = {file: list(own) for file, own in groupby(in_order, attrgetter("file"))}
    paths = {file: folder / f"{name}{form.suffix}" for file, name in safe_names(list(by_file)).items()}
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for file, path in paths.items():
        where = os.path.abspath(recordings[by_file[file][0].record]) if recordings else file  # noqa: PTH100 (keeps links)
        lines = form.lines(by_file[file], _event_channels(by_file[file], recordings, channel), where)
        write_file(path, "".join(f"{line}\n" for line in lines).encode())
    return list(paths.values())


def _event_channels(events: Sequence[Event], recordings: Sequence[str], channel: int) -> Iterator[int]:
    """Yield the channel of each event of one recording, from 1; nothing is decoded until the first is asked for."""
    if channel or not recordings:
        yield from repeat(channel or 1, len(events))
    else:
        yield from loudest_channels(Path(recordings[events[0].record]), events).tolist()


def _raven(events: Sequence[Event], channels: Iterable[int], path: str) -> Iterable[str]:
    yield _RAVEN_HEADER
    where = one_line(path)  # with the folder: recorders at several sites write files of the same names
    for number, (event, channel) in enumerate(zip(events, channels, strict=True), 1):
        start, end, low, high = map(_number, (event.start, event.end, event.low_hz, event.high_hz))
        file, name = _one_line(event.file.rsplit("/", 1)[-1]), _label(event)
        box = f"{start}\t{end}\t{low}\t{high}"
        yield f"{number}\tSpectrogram 1\t{channel}\t{box}\t{where}\t{file}\t{start}\t{event.type}\t{name}"


def _audacity(events: Sequence[Event], _channels: Iterable[int], _path: str) -> Iterable[str]:
    for event in events:
        yield f"{_number(event.start)}\t{_number(event.end)}\t{_label(event)}"
        yield f"\\\t{_number(event.low_hz)}\t{_number(event.high_hz)}"


@dataclass(frozen=True)
class Format:
    """Annotation format of a program.

    Attributes
    ----------
    suffix
        Suffix of its files.
    lines
        Function of the events of a recording, the channel of each and the path that returns the lines of a file.
    """

    suffix: str
    lines: Callable[[Sequence[Event], Iterable[int], str], Iterable[str]]


FORMATS = {
    "raven": Format(".selections.txt", _raven),  # a selection table
    "audacity": Format(".txt", _audacity),  # a label track; every second line has the frequencies
}


def _number(value: float) -> str:
    """Return the shortest decimals that read back as the same number, without an exponent for Audacity."""
    text = repr(float(value))
    return np.format_float_positional(float(value), trim="0") if "e" in text else text


def _label(event: Event) -> str:
    """Return an event's label or type: no cell is empty, which some readers refuse."""
    return _one_line(event.label) or _one_line(event.name) or f"type {event.type}"


@lru_cache(1024)
def _one_line(text: str) -> str:
    return one_line(" ".join(text.split()))
