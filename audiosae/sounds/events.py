"""Events and bouts of a survey: one as an object, all of them in columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.system.frames import html_table

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

NOWHERE = 0  # type of the events that are similar to none of the types
_SHOWN = 10  # rows in a notebook
REJECTED = -1  # type of the events that are not of interest, as a person said; tables and counts omit them


@dataclass(frozen=True, slots=True)
class Event:
    """One continuous sound in a recording, such as a syllable or a bark, or a bout of such sounds.

    Attributes
    ----------
    number
        Row in `Survey.events` or `Survey.bouts`, from 0; the tables that are written count from 1.
    record
        Index into `Survey.records`.
    file
        Name of the recording.
    start, end
        Seconds from the beginning of the file.
    low_hz, high_hz
        Frequency range of the sound.
    type
        Number of its sound type; 0 if it is similar to none of them, -1 if a person said it is not of interest.
    name
        The user's name for that type, or "".
    score
        Distance from the centre of the nearest type divided by that type's reach: 0 at the centre, 1 at the border.
        Events with more than 1 have type 0.
    peak
        Strongest level above the noise floor, in dB.
    top_unit
        The unit whose activity is highest, relative to its mean over all events.
    time
        Date and time at its start, with time zone; None if the date of the recording is not known.
    bout
        Row of its bout in `Survey.bouts`.
    events
        Number of events in a bout; 1 for an event.
    site
        Site of the recording, or "".
    light
        "day", "dawn", "dusk" or "night" at its start; "" if the place or the time zone is not known.
    label, confidence
        What a person said it is, or what it was classified as from other labels, and the probability that this is
        right: 1 if a person said it, NaN if it was not classified; label "" if it has none.
    """

    number: int
    record: int
    file: str
    start: float
    end: float
    low_hz: float
    high_hz: float
    type: int
    name: str
    score: float
    peak: float
    top_unit: int
    time: datetime | None
    bout: int
    events: int
    site: str = ""
    light: str = ""
    label: str = ""
    confidence: float = float("nan")


@dataclass(frozen=True)
class Events:
    """Events or bouts in order of file and start, an array (events,) for each of these attributes of `Event`.

    `label` is an index into `Labels.names` of the survey, -1 for none.
    """

    record: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    low_hz: NDArray[np.float32]
    high_hz: NDArray[np.float32]
    type: NDArray[np.int32]
    score: NDArray[np.float32]
    peak: NDArray[np.float32]
    top_unit: NDArray[np.int32]
    bout: NDArray[np.int32]
    events: NDArray[np.int32]
    label: NDArray[np.int32]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.record)

    def _repr_html_(self) -> str:
        columns = [getattr(self, column.name)[:_SHOWN].tolist() for column in fields(self)]
        rows = ([f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in zip(*columns, strict=True))
        return html_table(rows, head=[column.name for column in fields(self)], caption=f"{len(self)} rows, from 0")

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Duration of each event, (events,)."""
        return self.end - self.start

    def only(self, chosen: NDArray[Any]) -> Events:
        """Return some of the events, chosen by a mask or by their numbers."""
        return Events(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def of_type(self, number: int) -> NDArray[np.intp]:
        """Return the numbers of the events of a type, the most typical first (type 0: the least typical first)."""
        numbers = np.flatnonzero(self.type == number)
        return numbers[np.argsort((-1 if number == NOWHERE else 1) * self.score[numbers], kind="stable")]
