"""Excerpts of recordings around events, with the event marked in time and frequency; mean spectrogram of events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.domain import Span, plugin_call
from audiosae.views.excerpts import Excerpts, SourceRange, per_cent, span_text
from audiosae.views.media import sound_scene_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.corpus.windows import Corpus
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.results import Events


class EventExcerpts(Excerpts):
    """Excerpts of recordings around events; `corpus` has the records to which the events refer."""

    def __init__(self, domain: Spectrogram, corpus: Corpus, events: Events) -> None:
        super().__init__(domain, corpus)
        self._events, self._bands = events, np.asarray(domain.frequencies)

    def locate(self, number: int, /) -> tuple[SourceRange, tuple[int, ...]]:
        """Return the range of the source in which an event is shown, and the event's number."""
        index, second = self._index_and_row_seconds(number)
        low, high = (round(float(times[number]) / second) for times in (self._events.start, self._events.end))
        return self._around(index, low, high), (number,)

    def window(self, _source_range: SourceRange, start: tuple[int, ...], piece: dict[str, Any], /) -> dict[str, Any]:
        """Return an event as the page stores it: its position, and its mark on the piece in per cent."""
        (number,), events = start, self._events
        begin, end = float(events.start[number]), float(events.end[number])
        length = max(piece["high"] - piece["low"], 1e-9)
        limits = [float(events.low_hz[number]), float(events.high_hz[number])]
        low, high = np.interp(limits, self._bands, np.linspace(0, 1, len(self._bands))).tolist()
        return {
            "where": span_text(Span((begin,), (end,), "s")),
            "from": [begin],
            "to": [end],
            "event": number,
            "box": per_cent((begin - piece["low"]) / length, 1 - high, (end - begin) / length, high - low),
            "hz": f"{limits[0]:,.0f} to {limits[1]:,.0f} Hz",
            "type": int(events.type[number]),
        }

    def mean(self, numbers: Sequence[int], seconds: float) -> str:
        """Return the PNG of the mean spectrogram of events: `seconds` from the start of each."""
        rows = max(2, math.ceil(seconds / self._index_and_row_seconds(numbers[0])[1]))
        total, counts = np.zeros((rows, len(self._bands))), np.zeros((rows, 1))
        for number in numbers:
            index, second = self._index_and_row_seconds(number)
            first = round(float(self._events.start[number]) / second)
            piece = np.asarray(read_field(self._corpus.records[index])[first : first + rows])
            total[: len(piece)] += piece
            counts[: len(piece)] += 1
        with plugin_call(self._domain, "scene"):
            scene = self._domain.scene((total / np.maximum(counts, 1)).astype(np.float32))
        return "" if scene is None else sound_scene_png(np.asarray(scene, np.float64))

    def _index_and_row_seconds(self, number: int) -> tuple[int, float]:
        index = int(self._events.record[number])
        return index, self._row_position(self._corpus.records[index], 1)[0]
