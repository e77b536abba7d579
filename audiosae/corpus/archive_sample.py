"""Stretches of a long archive that stand for all of it, drawn before anything but headers is read.

Every source is divided into cells of about `Domain.stretch` rows. The cells of all sources, in the order of their names
(folders, then usually times), are divided into as many groups as cells are wanted, and one cell is drawn from each: so
the sample is spread evenly over folders, days and files. Within a group it is drawn from the hour of the day of which
the sample has least, compared with the archive.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.copies import find_copies, find_links
from audiosae.corpus.sources import Source
from audiosae.corpus.windows import windows_in
from audiosae.system.processes import prepare
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain, Probe
    from audiosae.system.progress import Progress

_STREAM = (1 << 32) + 3  # separates the random numbers of this choice from all others
_HOURS = 24  # of the day
_DOUBT = 0.05  # of what was drawn from a source: lengths in headers may be estimates
_PROBED = 64  # sources, drawn at random, from whose headers and sizes the length of all is estimated


@dataclass(frozen=True)
class Archive:
    """Sources from whose headers it is known how much there is to draw from.

    Attributes
    ----------
    sources
        All of them, in the order of their names.
    probes
        What the header of each states; None if it cannot be read or does not state a length.
    """

    domain: Domain
    sources: Sequence[Source]
    probes: Sequence[Probe | None]

    @classmethod
    def of(cls, domain: Domain, sources: Sequence[Source], progress: Progress) -> Archive:
        """Return the archive of some sources."""
        progress.stage("reading headers", len(sources), "files")
        probes = []
        for source in sources:
            probes.append(_probe(domain, source))
            progress.advance(1)
        return cls(domain, sources, probes)

    @classmethod
    def larger_than(cls, most: int, domain: Domain, sources: Sequence[Source], progress: Progress) -> Archive | None:
        """Return the archive of some sources if they have more than `most` windows; None if they have not.

        All headers are read only if the sizes of the files leave a doubt, because many short files take long to open.
        """
        rates = [windows_in(domain, probe.rows, probe.columns) / size for probe, size in _some(domain, sources)]
        if max(rates, default=0) * sum(map(_size, sources)) <= most:
            return None
        prepare()  # decoding processes, while headers are read
        archive = cls.of(domain, sources, progress)
        return archive if archive.windows > most else None

    @property
    def windows(self) -> int:
        """Number of windows in the sources of known length."""
        return sum(windows_in(self.domain, probe.rows, probe.columns) for probe in self.probes if probe)

    @property
    def extent(self) -> float:
        """Length of the sources of known length, in the unit of the domain."""
        return sum(probe.extent for probe in self.probes if probe)

    def extent_of(self, sources: Sequence[Source]) -> float:
        """Return the length of what was drawn, as the headers state it, in the unit of the domain."""
        probes = {source.location: probe for source, probe in zip(self.sources, self.probes, strict=True)}
        known = [(probe, source.stretches) for source in sources if (probe := probes[source.location]) and probe.rows]
        rows = [(sum(high - low for low, high in stretches) or probe.rows, probe) for probe, stretches in known]
        return sum(probe.extent * count / probe.rows for count, probe in rows)

    def lost(self, sources: Sequence[Source], records: Sequence[Record]) -> dict[str, int]:
        """Return of how many windows the sources of a sample lack, by location; those that can be read lack none."""
        probes, lost = {source.location: probe for source, probe in zip(self.sources, self.probes, strict=True)}, {}
        for source, record in zip(sources, records, strict=True):
            probe = probes[source.location]
            lengths = [high - low for low, high in source.stretches] or [probe.rows if probe else 0]
            read = record.shape[0] if record.status == "used" else 0
            if probe and (share := 1 - read / max(1, sum(lengths))) > _DOUBT:
                windows = sum(windows_in(self.domain, rows, probe.columns) for rows in lengths)
                lost.update({source.location: math.ceil(share * windows)} if windows else {})
        return lost

    def drawn(
        self,
        most: int,
        *,
        seed: int,
        starts: Sequence[datetime | None] = (),
        lost: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Source]:
        """Return sources with stretches of at most `most` windows in total, or a little more.

        A source of unknown length is like one of median length, and read as a whole. A source that is too short or has
        no readable header is among those that are returned, so that it is reported. Of files with the same bytes, the
        first one has the stretches that were drawn from any of them.

        Parameters
        ----------
        starts
            Date and time at which each source begins, for domains whose unit is seconds; None where it is unknown.
        lost
            What `lost` returned for the sources that this method returned first: as many windows more are drawn from
            others.
        """
        cells, rng = _Cells.of(self, starts), np.random.default_rng([seed, _STREAM])
        chosen = cells.chosen(most, rng)
        if lost:
            other = np.array([source.location not in lost for source in self.sources])[cells.source]
            other[chosen] = False
            rest = np.flatnonzero(other)
            if len(rest):
                chosen = np.sort(np.append(chosen, rest[cells.only(rest).chosen(sum(lost.values()), rng)]))
        stretches: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for cell in chosen.tolist():
            stretches[int(cells.source[cell])].append((int(cells.low[cell]), int(cells.high[cell])))
        for number, first in self._copies(sorted(stretches)).items():
            stretches[first] = sorted({*stretches[first], *stretches.pop(number)})
        counts = np.bincount(cells.source, minlength=len(self.sources))
        kept = {**dict.fromkeys(np.flatnonzero(counts == 0).tolist(), ()), **stretches}
        return [
            Source(source.name, source.location, source.fault, tuple(kept[i]) if len(kept[i]) < counts[i] else ())
            for i, source in enumerate(self.sources)
            if i in kept
        ]

    def _copies(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the sources whose bytes are those of another, each with the number of the first of them."""
        sources = [self.sources[number] for number in numbers]
        number_of, links = {id(s): n for s, n in zip(sources, numbers, strict=True)}, find_links(sources)
        firsts: dict[int, int] = {}
        for group in [*find_copies(sources, links), *links]:  # of links, the first may be a copy
            first, *others = (number_of[id(source)] for source in group)
            firsts.update(dict.fromkeys(others, firsts.get(first, first)))
        return firsts


@dataclass(frozen=True)
class _Cells:
    """Cells of the sources of an archive, in order, (cells,) each.

    Attributes
    ----------
    source, low, high
        Number of the source, and range of rows; a source of unknown length has one cell, up to row 0.
    windows
        Number of windows.
    hour
        Hour of the day; -1 if unknown.
    """

    source: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    windows: NDArray[np.int64]
    hour: NDArray[np.int64]

    @classmethod
    def of(cls, archive: Archive, starts: Sequence[datetime | None]) -> _Cells:
        """Return all cells that have windows."""
        domain, columns = archive.domain, []
        known = [windows_in(domain, each.rows, each.columns) for each in archive.probes if each and each.rows]
        for number, probe in enumerate(archive.probes):
            if probe is None:
                continue
            count = max(1, round(probe.rows / domain.stretch))
            edges = [probe.rows * i // count for i in range(count + 1)]
            start = starts[number] if starts else None
            for low, high in pairwise(edges):
                windows = windows_in(domain, high - low, probe.columns) if high else int(np.median(known))
                at = None if start is None else start + timedelta(seconds=probe.extent * low / max(1, probe.rows))
                columns.append((number, low, high, windows, -1 if at is None else at.hour))
        table = np.array(columns, np.int64)
        return cls(*table[table[:, 3] > 0].T)

    def only(self, numbers: NDArray[np.intp]) -> _Cells:
        """Return some of the cells."""
        return _Cells(*(column[numbers] for column in vars(self).values()))

    def chosen(self, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the numbers of the cells that are drawn, ascending."""
        total = int(self.windows.sum())
        groups = min(len(self.windows), max(1, round(most / self.windows.mean())))
        group = ((np.cumsum(self.windows) - self.windows / 2) * groups // total).astype(int)
        there = np.bincount(self.hour + 1, self.windows, minlength=1 + _HOURS)
        taken, drawn = np.zeros_like(there), []
        order = rng.permutation(groups)  # later ones balance the hours; they are not the end of the archive
        edges = np.searchsorted(group, np.arange(groups + 1))
        for low, high in zip(edges[order].tolist(), edges[order + 1].tolist(), strict=True):
            if low == high:
                continue
            hours = np.unique(self.hour[low:high] + 1)
            lack = taken[hours] / there[hours]
            least = hours[rng.choice(np.flatnonzero(lack == lack.min()))]
            own = low + np.flatnonzero(self.hour[low:high] + 1 == least)
            cell = int(rng.choice(own, p=self.windows[own] / self.windows[own].sum()))
            taken[least] += self.windows[cell]
            drawn.append(cell)
        return np.sort(np.array(drawn, np.int64))


def estimated_values(domain: Domain, sources: Sequence[Source]) -> float:
    """Return about how many values the fields of sources have: the headers of some are read, and the sizes of all."""
    values, read = 0, 0
    for probe, size in _some(domain, sources):
        values += probe.rows * (probe.columns or math.prod(domain.window[1:2])) * math.prod(domain.window[2:])
        read += size
    return values / max(1, read) * sum(map(_size, sources))


def _some(domain: Domain, sources: Sequence[Source]) -> Iterator[tuple[Probe, int]]:
    """Yield what the headers of some sources state, and the sizes of these in bytes, at least 1."""
    drawn = np.random.default_rng(_STREAM).permutation(len(sources))[:_PROBED]  # two kinds of files may alternate
    for number in np.sort(drawn).tolist():
        if probe := _probe(domain, source := sources[number]):
            yield probe, _size(source) or 1


def _size(source: Source) -> int:
    try:
        return 0 if source.fault else source.path.stat().st_size
    except OSError:
        return 0


def _probe(domain: Domain, source: Source) -> Probe | None:
    if source.fault:
        return None
    try:
        with capture_stderr(CapturedStderr()):
            return domain.probe(source.path)
    except (Exception, SystemExit):  # noqa: BLE001 (reported when the source is read)
        return None
