"""Annotation files of events: Raven selection tables and Audacity label tracks, one for each recording with events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, count, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.files import write_errors, write_file
from audiosae.system.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from audiosae.sounds.results import Event

_RAVEN_HEADER = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Begin File\tFile Offset (s)\tType\tName"
)
_LONGEST = 120  # bytes of a file name: leaves room for folders, suffixes and the limits of old file systems
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows


def safe_names(files: Sequence[str]) -> dict[str, str]:
    """Return a distinct name for each recording that is a valid file name on all systems.

    Parameters
    ----------
    files
        Distinct names of recordings. Their order does not change the result.
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for file in sorted(files):
        stem = re.sub(r"\.[^./]*[A-Za-z][^./]*$", "", file)
        short = re.sub(r'[\x00-\x1f<>:"|?*\\/]+', "_", stem).strip(" .").encode()[:_LONGEST]
        plain = short.decode(errors="ignore").lstrip("-").rstrip(" .") or "_"
        plain = f"_{plain}" if _RESERVED.match(plain) else plain
        candidates = chain([plain], (f"{plain}-{number}" for number in count(2)))
        names[file] = next(name for name in candidates if name.casefold() not in taken)
        taken.add(names[file].casefold())
    return names


def write_annotations(events: Iterable[Event], folder: Path, program: str) -> list[Path]:
    """Write an annotation file for each recording with events.

    Parameters
    ----------
    folder
        Where the files are written; it is created if it does not exist.
    program
        The program that reads the files, one of `FORMATS`.

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
        write_file(path, "".join(f"{line}\n" for line in form.lines(by_file[file])).encode())
    return list(paths.values())


def _raven(events: Sequence[Event]) -> Iterable[str]:
    yield _RAVEN_HEADER
    for number, event in enumerate(events, 1):
        start, end, low, high = map(_number, (event.start, event.end, event.low_hz, event.high_hz))
        file, name = _one_line(event.file.rsplit("/", 1)[-1]), _label(event)
        yield f"{number}\tSpectrogram 1\t1\t{start}\t{end}\t{low}\t{high}\t{file}\t{start}\t{event.type}\t{name}"


def _audacity(events: Sequence[Event]) -> Iterable[str]:
    for event in events:
        yield f"{_number(event.start)}\t{_number(event.end)}\t{_label(event)}"
        yield f"\\\t{_number(event.low_hz)}\t{_number(event.high_hz)}"


@dataclass(frozen=True)
class Format:
    """Annotation format of a program: the suffix of its files, and a function from events to the lines of a file."""

    suffix: str
    lines: Callable[[Sequence[Event]], Iterable[str]]


FORMATS = {
    "raven": Format(".selections.txt", _raven),  # a selection table
    "audacity": Format(".txt", _audacity),  # a label track; every second line has the frequencies
}


def _number(value: float) -> str:
    """Return the shortest decimals that read back as the same number, without an exponent for Audacity."""
    return np.format_float_positional(float(value), trim="0")


def _label(event: Event) -> str:
    """Return the name of an event's type, or its number: no cell is empty, which some readers refuse."""
    return _one_line(event.name) or f"type {event.type}"


def _one_line(text: str) -> str:
    return one_line(" ".join(text.split()))
