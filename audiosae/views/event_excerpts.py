"""Excerpts of recordings around events, with the event marked in time and frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import Span
from audiosae.views.excerpts import Excerpts, SourceRange, per_cent, span_text

if TYPE_CHECKING:
    from audiosae.corpus.windows import Corpus
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.events import Events
    from audiosae.views.excerpts import Crop


class EventExcerpts(Excerpts):
    """Excerpts of recordings around events.

    Parameters
    ----------
    corpus
        Has the records to which the events refer.
    longest
        Seconds of an event that are shown.
    """

    def __init__(
        self,
        domain: Spectrogram,
        corpus: Corpus,
        events: Events,
        *,
        workers: int = 1,
        pictures: bool = True,
        longest: float | None = None,
    ) -> None:
        super().__init__(domain, corpus, workers=workers, pictures=pictures)
        self._longest = longest
        self._events, self._bands = events, np.asarray(domain.frequencies)

    def locate(self, number: int, /) -> tuple[SourceRange, tuple[int, ...]]:
        """Return the range of the source in which an event is shown, and the event's number."""
        index = int(self._events.record[number])
        second = self._row_position(self._corpus.records[index], 1)[0]
        low, high = (round(float(times[number]) / second) for times in (self._events.start, self._events.end))
        high = high if self._longest is None else min(high, low + round(self._longest / second))
        margin, last = self._margin(index), self._corpus.records[index].shape[0]
        return SourceRange(index, max(0, low - margin), min(last, high + margin)), (number,)

    def window(
        self,
        _source_range: SourceRange,
        start: tuple[int, ...],
        piece: dict[str, Any],
        /,
        crop: Crop = (),  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return an event as the page stores it: its position, and its mark on the piece in per cent."""
        (number,), events = start, self._events
        begin, end = float(events.start[number]), float(events.end[number])
        shown = min(end, piece["high"]) - begin
        length = max(piece["high"] - piece["low"], 1e-9)
        limits = [float(events.low_hz[number]), float(events.high_hz[number])]
        low, high = np.interp(limits, self._bands, np.linspace(0, 1, len(self._bands))).tolist()
        return {
            "where": span_text(Span((begin,), (end,), "s")),
            "from": [begin],
            "to": [end],
            "event": number,
            "box": per_cent((begin - piece["low"]) / length, 1 - high, shown / length, high - low),
            "hz": f"{limits[0]:,.0f} to {limits[1]:,.0f} Hz",
            "type": int(events.type[number]),
        }
