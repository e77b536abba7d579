"""Events as Raven selection tables and Audacity label tracks, one file for each recording that has events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from audiosae.sounds.results import Event

_COLUMNS = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
            "Begin File", "File Offset (s)", "Type", "Name")  # fmt: skip
_LONGEST = 120  # bytes of a name: folders, suffixes and old file systems need room too
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows


def safe_names(files: Sequence[str]) -> dict[str, str]:
    """Return for each of some distinct names one that is a file's name everywhere; their order does not matter."""
    taken: set[str] = set()
    names = {}
    for file in sorted(files):
        stem = re.sub(r"\.[^./]*[A-Za-z][^./]*$", "", file)
        short = re.sub(r'[\x00-\x1f<>:"|?*\\/]+', "_", stem).strip(" .").encode()[:_LONGEST]
        plain = short.decode(errors="ignore").lstrip("-").rstrip(" .") or "_"
        plain = f"_{plain}" if _RESERVED.match(plain) else plain
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name.casefold())
        names[file] = name
    return names


def write_annotations(events: Iterable[Event], folder: Path, program: str) -> list[Path]:
    """Write a table for each recording into a folder.

    Parameters
    ----------
    folder
        Where NAME and the suffix of the format are written; made where it is not there.
    program
        That reads them, one of `FORMATS`.

    Raises
    ------
    InputError
        A folder that cannot be written.
    """
    suffix, lines = FORMATS[program].suffix, FORMATS[program].lines
    by_file: dict[str, list[Event]] = {}
    for event in events:
        by_file.setdefault(event.file, []).append(event)
    names = safe_names(list(by_file))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    written = [folder / f"{names[file]}{suffix}" for file in by_file]
    for path, own in zip(written, by_file.values(), strict=True):
        text = "".join(f"{line}\n" for line in lines(sorted(own, key=lambda event: (event.start, event.end))))
        write_file(path, text.encode())
    return written


def _raven(events: Sequence[Event]) -> Iterable[str]:
    yield "\t".join(_COLUMNS)
    for number, event in enumerate(events, 1):
        start, end, low, high = map(_number, (event.start, event.end, event.low_hz, event.high_hz))
        file = event.file.rsplit("/", 1)[-1]
        yield "\t".join((str(number), "Spectrogram 1", "1", start, end, low, high, _text(file), start,
                         str(event.type), _text(event.name)))  # fmt: skip


def _audacity(events: Sequence[Event]) -> Iterable[str]:
    for event in events:
        yield f"{_number(event.start)}\t{_number(event.end)}\t{_text(event.name or f'type {event.type}')}"
        yield f"\\\t{_number(event.low_hz)}\t{_number(event.high_hz)}"


@dataclass(frozen=True)
class Format:
    """How a program has the events of one recording: the suffix of its tables, and their lines in order of time."""

    suffix: str
    lines: Callable[[Sequence[Event]], Iterable[str]]


FORMATS = {
    "raven": Format(".selections.txt", _raven),  # a selection table
    "audacity": Format(".txt", _audacity),  # a label track with the line of frequencies
}


def _number(value: float) -> str:
    """Return the shortest decimals that read back as the same number; no exponent, which Audacity cannot read."""
    return np.format_float_positional(float(value), trim="0")


def _text(text: str) -> str:
    return " ".join(text.split())
