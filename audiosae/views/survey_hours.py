"""Hours and sites on the page of a survey: sounds per recorded hour, by date, hour, site, and day and night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from audiosae.recordings.sun import LIGHTS
from audiosae.sounds.effort import effort_of
from audiosae.sounds.events import REJECTED
from audiosae.sounds.timeline import MICRO
from audiosae.views.site_pictures import SITE_PICTURES, site_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.sounds.effort import Effort
    from audiosae.sounds.results import Survey
    from audiosae.sounds.timeline import Timeline

_DAYS = 92  # columns; of a longer period each column is a month
_HOUR = 3600.0  # s
_SITES = 12  # whose hours are on the page; of more sites, all hours are shown together
_SITES_NAMED = 6  # in the facts of a type
_FEW = 10.0  # per hour: a lower rate has a decimal


def rate_text(count: float, seconds: float) -> str:
    """Return a number of sounds per recorded hour as text."""
    rate = count * _HOUR / max(seconds, 1.0)
    return f"{rate:,.1f}" if 0 < rate < _FEW else f"{rate:,.0f}"


class Rates:
    """Sounds per recorded hour of the types of a survey, in total, by site, and by day, dawn, dusk and night."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._effort = effort_of(survey)
        self._sites = [name for name in survey.site_names if name]
        self._seconds = {
            site: _seconds(row.length for (name, *_), row in self._effort.items() if name == site)
            for site in self._sites
        }
        lit = [row.lights for row in self._effort.values() if row.lights]
        self._lit = np.array(lit, np.float64).reshape(-1, len(LIGHTS)).sum(axis=0) / MICRO

    def facts(self, own: NDArray[np.intp]) -> list[tuple[str, str]]:
        """Return the facts of a type with some sounds for its card."""
        survey, facts = self._survey, [("per recorded hour", rate_text(len(own), self._survey.seconds))]
        if self._sites:
            names = np.array(survey.sites)[survey.sounds.record[own]]
            counts = {site: int((names == site).sum()) for site in self._sites}
            order = sorted(self._sites, key=lambda site: -counts[site] / max(self._seconds[site], 1.0))
            shown = [f"{site} {rate_text(counts[site], self._seconds[site])}" for site in order[:_SITES_NAMED]]
            more = f", and {len(order) - _SITES_NAMED} more sites" if len(order) > _SITES_NAMED else ""
            facts.append(("at sites", f"{', '.join(shown)}{more}"))
        if survey.lit:
            lights = survey.lights(own)
            shown = [
                f"{name} {rate_text(lights.count(name), seconds)}"
                for name, seconds in zip(LIGHTS, self._lit.tolist(), strict=True)
                if seconds
            ]
            facts.append(("by daylight", ", ".join(shown)))
        return facts

    def sites(self, folder: Path) -> dict[str, Any] | None:
        """Return the table of the sites: its head and rows; None without sites.

        Parameters
        ----------
        folder
            Where the page is written; a site with a picture there has a link to it.
        """
        if not self._sites:
            return None
        files = site_files(self._survey)
        lit = LIGHTS if self._survey.lit else ()
        rows = []
        for site in self._sites:
            own = [row for (name, *_), row in self._effort.items() if name == site]
            picture = f"{SITE_PICTURES}/{files[site]}.png"
            rows.append(
                {
                    "name": site,
                    "picture": quote(picture) if (folder / picture).is_file() else "",
                    "cells": self._site_cells(site, own),
                }
            )
        head = ["recordings", "recorded hours", "sounds", "per recorded hour", "noise floor", *lit]
        return {"head": head, "rows": rows}

    def _site_cells(self, site: str, own: Sequence[Effort]) -> list[str]:
        survey, seconds = self._survey, self._seconds[site]
        inside = np.array(survey.sites) == site
        count = int(inside[survey.sounds.record[survey.sounds.type != REJECTED]].sum())
        known = sum(row.floor[1] for row in own)
        floor = f"{sum(row.floor[0] for row in own) / known:.0f} dB" if known else ""
        lights = np.array([row.lights for row in own if row.lights]).reshape(-1, len(LIGHTS)).sum(axis=0)
        lit = [f"{part / MICRO / _HOUR:.2f} h" for part in lights.tolist()] if survey.lit else []
        return [
            f"{int(inside.sum()):,}",
            f"{seconds / _HOUR:,.2f}",
            f"{count:,}",
            rate_text(count, seconds),
            floor,
            *lit,
        ]


def _seconds(lengths: Any) -> float:  # noqa: ANN401 (an iterable of whole numbers)
    return float(sum(lengths)) / MICRO


def columns_of(timeline: Timeline) -> list[str]:
    """Return the column of each hour of the timeline: its day, or its month if there are many days."""
    days = [day.isoformat() for day, _ in timeline.cells]
    return days if len(set(days)) <= _DAYS else [day[:7] for day in days]


def hours_table(timeline: Timeline) -> dict[str, Any]:
    """Return the table of hours: its columns, and its rows.

    A row has the hour of the day, its cells (whether the hour was recorded), and no number of hours; or, in place of
    several hours that were never recorded, the first of them, no cells, and their number.
    """
    labels = columns_of(timeline)
    recorded = {(hour, label) for label, (_, hour) in zip(labels, timeline.cells, strict=True)}
    columns, rows = sorted(set(labels)), list[tuple[int, list[bool], int]]()
    for hour in range(24):
        cells = [(hour, label) in recorded for label in columns]
        if any(cells):
            rows.append((hour, cells, 0))
        elif rows and rows[-1][2]:
            rows[-1] = (rows[-1][0], [], rows[-1][2] + 1)
        else:
            rows.append((hour, [], 1))
    return {"columns": columns, "rows": rows}


def hours_content(survey: Survey, timeline: Timeline) -> dict[str, Any]:
    """Return the content of each hour: in `cells`, seconds recorded and events by type, also by number of the site.

    With labels, a cell has events by number of the label, too, from 1; `labels` has their names.
    """
    labels = columns_of(timeline)
    letters = len(labels[0]) if labels else 0
    names, by_label = sites_shown(survey), survey.by_label() if any(survey.label_names) else None
    cells = _counts(timeline, letters, by_label.timeline() if by_label else None)
    for number, site in enumerate(names):
        labelled = by_label.timeline(site) if by_label else None
        for key, cell in _counts(survey.timeline(site), letters, labelled).items():
            cells[key].setdefault("sites", {})[number] = cell
    return {"cells": cells, "sites": names, "labels": labels_shown(survey)}


def labels_shown(survey: Survey) -> list[str]:
    """Return the labels in the order of their numbers, from 1, as `Survey.by_label` numbers them."""
    return [name for name in survey.label_names if name]


def sites_shown(survey: Survey) -> list[str]:
    """Return the sites whose hours the page can show: none if there is one or too many."""
    names = [name for name in survey.site_names if name]
    return names if 1 < len(names) <= _SITES else []


def _counts(timeline: Timeline, letters: int, labelled: Timeline | None) -> dict[str, dict[str, Any]]:
    """Return seconds recorded and events by type and label of each column (the first `letters` of a date) and hour."""
    cells: dict[str, dict[str, Any]] = {}
    for name, line in (("types", timeline), ("labels", labelled)):
        if line is None:
            continue
        for (day, hour), recorded, counts in zip(line.cells, line.recorded, line.events, strict=True):
            cell = cells.setdefault(f"{day.isoformat()[:letters]} {hour}", {"seconds": 0.0})
            if line is timeline:
                cell["seconds"] = round(cell["seconds"] + float(recorded), 1)
            own = cell.setdefault(name, {})
            for number, count in zip(line.types, counts.tolist(), strict=True):
                if count:
                    own[number] = own.get(number, 0) + count
    return cells
