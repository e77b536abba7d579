"""What the tables of a survey need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.events import Event
    from audiosae.sounds.labelled import Labels
    from audiosae.sounds.timeline import Timeline


class Surveyed(Protocol):
    """The part of `audiosae.sounds.results.Survey`, which has the tables as a method, that describes its content."""

    @property
    def records(self) -> Sequence[Record]:
        """The recordings."""

    @property
    def times(self) -> Sequence[datetime | None]:
        """Date and time at the start of each recording."""

    @property
    def sites(self) -> Sequence[str]:
        """Site of each recording; empty without sites."""

    @property
    def places(self) -> Sequence[tuple[float, float] | None]:
        """Latitude and longitude of each recording."""

    @property
    def floors(self) -> Sequence[NDArray[np.float32]]:
        """Noise floor of each recording."""

    @property
    def types(self) -> Sequence[Any]:
        """The sound types, `audiosae.sounds.results.SoundType`."""

    @property
    def labels(self) -> Labels | None:
        """Labels of the sounds."""

    @property
    def names(self) -> Mapping[int, str]:
        """The user's names for types."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels."""

    @property
    def site_names(self) -> Sequence[str]:
        """The sites."""

    @property
    def dated(self) -> bool:
        """Whether the date of any recording is known."""

    @property
    def lit(self) -> bool:
        """Whether day and night are known."""

    def rows(self, *, group: Group | None = None) -> Iterator[Event]:
        """Yield events or bouts."""

    def event(self, number: int) -> Event:
        """Return an event or bout."""

    def timeline(self, site: str | None = None) -> Timeline:
        """Return the sounds by hour."""
