"""Examples of a search: a recording, or a stretch of it, with or without a range of frequencies."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.sources import printable
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORM = "FILE@START-END[:LOW-HIGH]"
_SAMPLE = "song.wav@3.2-4.5 or song.wav@3.2-4.5:2000-8000"
_ROUNDING = 1e-6  # s, of times entered as decimals
LEAST_SECONDS, _MOST_SECONDS = 0.01, 600.0  # its windows are in memory together
_TIME, _HZ = r"(?:\d+:)*\d+(?:\.\d*)?", r"\d+(?:\.\d*)?"  # in seconds, or as 1:03.5; in hertz
_FORM = re.compile(rf"(.+)@({_TIME})-({_TIME})(?::({_HZ})-({_HZ}))?")


@dataclass(frozen=True)
class Example:
    """Sound to search for, or not to search for.

    Attributes
    ----------
    start, end
        In seconds; by default all of the file.
    low_hz, high_hz
        Range of frequencies that is compared; by default all.
    liked
        Whether sounds similar to it are wanted; the others are unwanted.
    text
        The example as it was given.
    name
        What messages call it; by default the option of the command line and the text.
    """

    path: Path
    start: float = 0.0
    end: float = float("inf")
    low_hz: float = 0.0
    high_hz: float = float("inf")
    liked: bool = True
    text: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str, *, liked: bool = True) -> Example:
        """Parse ``FILE[@START-END[:LOW-HIGH]]``; a file whose name is the whole text takes precedence.

        Raises
        ------
        InputError
            The file does not exist, or the stretch is not valid.
        """
        parts = None if Path(text).exists() else _FORM.fullmatch(text)
        example = cls(Path(parts[1] if parts else text), liked=liked, text=printable(text))
        option = example.called
        if parts:
            low, high = (float(parts[4]), float(parts[5])) if parts[4] else (0.0, float("inf"))
            example = replace(example, start=_seconds(parts[2]), end=_seconds(parts[3]), low_hz=low, high_hz=high)
        file, _, stretch = text.rpartition("@")
        if not parts and file and not example.path.is_file() and Path(file).is_file():
            raise InputError(
                f"{option}: {stretch!r} is not a stretch of {file}; wanted START-END in seconds, or "
                f"START-END:LOW-HIGH with a range in Hz, as in {file}@3.2-4.5:2000-8000"
            )
        if not example.path.is_file():
            raise InputError(f"{option}: no file {example.path}; wanted FILE or {FORM}, as in {_SAMPLE}")
        if not example.start < example.end:
            raise InputError(f"{option}: START {example.start:g} s is not before END {example.end:g} s")
        if not example.low_hz < example.high_hz:
            raise InputError(f"{option}: LOW {example.low_hz:g} Hz is not below HIGH {example.high_hz:g} Hz")
        return example

    @property
    def option(self) -> str:
        """The option of the command line with which it was given."""
        return "--like" if self.liked else "--unlike"

    @property
    def called(self) -> str:
        """What messages call the example."""
        return self.name or f"{self.option} {self.text}"

    @property
    def part(self) -> str:
        """How to give a part of the recording instead, as the end of a message."""
        return "draw a box around a part of it" if self.name else f"{FORM} takes a part"

    @property
    def ranged(self) -> bool:
        """Whether the frequencies are limited, on one side or both."""
        return self.low_hz > 0 or self.high_hz < float("inf")

    def within(self, seconds: float) -> Example:
        """Return the part of the example within the duration of its recording.

        Raises
        ------
        InputError
            The part is too short or too long to compare.
        """
        inside, option = replace(self, end=min(self.end, seconds)), self.called
        if self.start >= seconds:
            raise InputError(f"{option}: the recording ends at {seconds:.2f} s; wanted a start before that")
        if inside.end - inside.start < LEAST_SECONDS - _ROUNDING:
            raise InputError(
                f"{option}: {inside.end - inside.start:.3g} s are too short to compare; wanted at least "
                f"{LEAST_SECONDS:g} s"
            )
        if inside.end - inside.start > _MOST_SECONDS:
            raise InputError(
                f"{option}: {inside.end - inside.start:.0f} s are too long to compare as one sound; wanted at most "
                f"{_MOST_SECONDS:g} s; {self.part}"
            )
        return inside

    def bands(self, below: NDArray[np.float64], above: NDArray[np.float64]) -> tuple[int, int]:
        """Return the first band of the model that the range of frequencies touches, and the last.

        Parameters
        ----------
        below, above
            Lower and upper edge of each band in Hz, (bands,).

        Raises
        ------
        InputError
            It touches none.
        """
        inside = np.flatnonzero((above > self.low_hz) & (below < self.high_hz))
        if not len(inside):
            raise InputError(
                f"{self.called}: the model hears {below[0]:.0f} to {above[-1]:.0f} Hz; wanted frequencies within that"
            )
        return int(inside[0]), int(inside[-1])


def parse_examples(like: Sequence[str], unlike: Sequence[str]) -> list[Example]:
    """Return the examples of both options, those to search for first.

    Raises
    ------
    InputError
        An example is not valid, or there is none to search for.
    """
    if not like:
        raise InputError(f"--like: wanted at least one example, as in {_SAMPLE}")
    return [*map(Example.parse, like), *(Example.parse(text, liked=False) for text in unlike)]


def _seconds(text: str) -> float:
    """Return 63.5 for "63.5" and for "1:03.5"."""
    return reduce(lambda total, part: 60 * total + float(part), text.split(":"), 0.0)
