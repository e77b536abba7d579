"""Pictures of a survey: events by date and hour, in total and per type, and recordings coloured by their codes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.system.threads import one_blas_thread
from audiosae.views.atoms import new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from audiosae.sounds.timeline import Timeline

_PANELS = 24
_TABLES = {"type": "timeline.csv", "label": "timeline_labels.csv"}
_DAYS = 60  # a longer period with gaps is drawn without the days that have no recording
_SHARE = 0.25
_LINES = 400
_BINS = 720  # pixels of a line: two minutes of a day each
_SAMPLE, _PART = 20000, 1000  # codes from which the colours are learned; those at a time
_LINE_LABELS = 30
_HOUR = 3600.0  # s
_NO_RECORDING: dict[str, Any] = {"facecolor": "0.95", "edgecolor": "0.7", "hatch": "////"}


def draw_timeline(
    timeline: Timeline,
    path: Path,
    *,
    names: Mapping[int, str] | None = None,
    title: str = "",
    highest: Mapping[int | None, float] | None = None,
    what: Literal["type", "label"] = "type",
) -> None:
    """Draw events per recorded hour by date and hour, of all types together and of the most common ones.

    Parameters
    ----------
    path
        Output file: .png, .svg or .pdf.
    names
        Names of types, by number.
    title
        The site.
    highest
        Events per recorded hour at the end of the colour scale of each type, and of all types (None); those of the
        timeline where not given.
    what
        Whether the types are labels (`Survey.by_label`), which have no numbers.
    """
    panels: list[tuple[str, int | None, NDArray[Any]]] = [("all sounds", None, timeline.events.sum(1))]
    for column in np.argsort(-timeline.events.sum(0), kind="stable")[: _PANELS - 1]:
        number = timeline.types[column]
        label = f"no {what}" if number == 0 else f"{what} {number}" if what == "type" else ""
        panels.append((f"{label} {(names or {}).get(number, '')}".strip(), number, timeline.events[:, column]))
    days = _days([day for day, _ in timeline.cells])
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(1 + 3.6 * columns, 1.2 + 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (label, number, events) in zip(axes, panels, strict=False):
        _draw_panel(ax, timeline, days, events, top=(highest or {}).get(number))
        ax.set_title(f"{label} ({events.sum():,})".replace("$", r"\$"), fontsize=9)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    left_out = len(timeline.types) + 1 - len(panels)
    more = f"; {left_out} rarer {what}s are in {_TABLES[what]}" if left_out else ""
    site = f"{title}: s".replace("$", r"\$") if title else "S"
    figure.suptitle(f"{site}ounds per recorded hour, by date and hour of the day{more}", fontsize=11)
    _draw_legend(figure)
    save_figure(figure, path)


def _days(recorded: Sequence[date]) -> list[date]:
    """Return the days to draw: those with a recording if they are few in a long period, else all of the period."""
    days = sorted(set(recorded))
    period = (days[-1] - days[0]).days + 1
    if period > _DAYS and len(days) < _SHARE * period:
        return days
    return [days[0] + timedelta(days=day) for day in range(period)]


def _site_days(sites: Sequence[str], starts: Sequence[datetime | None]) -> list[tuple[str, date]]:
    """Return the days to draw of each site."""
    recorded: dict[str, list[date]] = {}
    for site, start in zip(sites, starts, strict=True):
        if start:
            recorded.setdefault(site, []).append(start.date())
    return [(site, day) for site in sorted(recorded) for day in _days(recorded[site])]


def highest_rates(timelines: Iterable[Timeline]) -> dict[int | None, float]:
    """Return the most events of each type, and of all (None), per recorded hour in any hour of some timelines."""
    highest: dict[int | None, float] = {}
    for line in timelines:
        counts = [(None, line.events.sum(1)), *zip(line.types, line.events.T, strict=True)]
        for number, events in counts:
            highest[number] = max(highest.get(number, 0.0), float(_rates(line, events).max(initial=0)))
    return highest


def _rates(timeline: Timeline, events: NDArray[Any]) -> NDArray[np.float64]:
    """Return counts of each cell of a timeline per recorded hour."""
    return np.asarray(_HOUR * events / np.maximum(timeline.recorded, 1.0))


def _draw_panel(ax: Axes, timeline: Timeline, days: Sequence[date], events: NDArray[Any], *, top: float | None) -> None:
    column = {day: i for i, day in enumerate(days)}
    picture = np.full((24, len(days)), np.nan)
    for (day, hour), rate in zip(timeline.cells, _rates(timeline, events).tolist(), strict=True):
        picture[hour, column[day]] = rate
    ax.patch.set(**_NO_RECORDING, linewidth=0)
    top = top or np.nanmax(picture) or 1.0
    image = ax.imshow(picture, cmap="viridis", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
    labelled = sorted({round(day) for day in np.linspace(0, len(days) - 1, min(len(days), 4))})
    ax.set_xticks(labelled, [days[i].isoformat() for i in labelled], fontsize=6)
    ax.set_yticks([-0.5, 5.5, 11.5, 17.5, 23.5], ["0:00", "6:00", "12:00", "18:00", "24:00"], fontsize=7)
    ax.figure.colorbar(image, ax=ax, pad=0.02).ax.tick_params(labelsize=6)
    for i in range(1, len(days)):
        if days[i] - days[i - 1] > timedelta(days=1):
            ax.axvline(i - 0.5, color="white", lw=1.5)


def _draw_legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(**_NO_RECORDING, label="nothing recorded")],
        loc="outside lower center",
        frameon=False,
        fontsize=8,
    )


@one_blas_thread()
def colours(series: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Return codes as colours: their first three principal components as red, green and blue.

    Parameters
    ----------
    series
        Pooled codes of each recording, (bins, hidden).

    Returns
    -------
    list of ndarray
        (bins, 3) each, in [0, 1]; similar codes have similar colours.
    """
    rows = np.concatenate(series)
    rows = rows[:: -(-len(rows) // _SAMPLE)]
    parts = np.array_split(rows, -(-len(rows) // _PART))  # in double precision, all rows take as much as a page
    mean = rows.mean(0, dtype=np.float64)
    scale = np.sqrt(np.sum([np.square(part - mean).sum(0) for part in parts], axis=0) / len(rows))
    scale[scale == 0] = 1.0
    scaled = ((part - mean) / scale for part in parts)
    _, vectors = np.linalg.eigh(sum(part.T @ part for part in scaled) / len(rows))
    vectors = vectors[:, ::-1][:, :3]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    vectors /= scale[:, None]
    low, high = np.quantile(np.concatenate([(part - mean) @ vectors for part in parts]), [0.02, 0.98], axis=0)
    extent = np.where(high > low, high - low, 1.0)
    coloured = [np.clip(((codes - mean) @ vectors - low) / extent, 0, 1) for codes in series]
    return [np.pad(part, ((0, 0), (0, 3 - part.shape[1]))) for part in coloured]


def draw_recordings(
    series: Sequence[NDArray[Any]],
    durations: Sequence[float],
    path: Path,
    *,
    starts: Sequence[datetime | None] = (),
    names: Sequence[str] = (),
    sites: Sequence[str] = (),
) -> None:
    """Draw recordings as lines coloured by their codes: one line per day if dates are known, else per recording.

    Every site has lines of its own.

    Parameters
    ----------
    series
        Colours of each recording, see `colours`, (bins, 3), in bins of equal length.
    durations
        Duration of each recording in seconds.
    path
        Output file: .png, .svg or .pdf.
    starts
        Start of each recording, None if not known.
    names
        Name of each recording, for recordings without dates.
    sites
        Site of each recording, if any.
    """
    dated = any(starts)
    sites = sites or [""] * len(series)
    if dated:
        days = _site_days(sites, starts)
        lines = {day: line for line, day in enumerate(days[:_LINES])}
        labels, length = [f"{site} {day.isoformat()}".strip() for site, day in lines], 86400.0
        left_out = len(days) - len(lines)
    else:
        chosen = np.unique(np.linspace(0, len(series) - 1, min(len(series), _LINES)).round().astype(int)).tolist()
        labels, length = [names[i] if names else str(i) for i in chosen], max(durations[i] for i in chosen) or 1.0
        left_out = len(series) - len(chosen)
    picture = np.full((len(labels), _BINS, 4), 255, np.uint8)
    picture[..., 3] = 0
    for index, (colour, seconds) in enumerate(zip(series, durations, strict=True)):
        part = (255 * colour).astype(np.uint8)  # floating-point pixels take several times as long to draw
        start = starts[index] if dated else None
        if start is not None:
            offset = start.hour * 3600.0 + start.minute * 60 + start.second
            later = range(int((offset + seconds) / length) + 1)
            rows = [lines.get((sites[index], start.date() + timedelta(days=days))) for days in later]
            _paint(picture, part, rows, offset=offset, seconds=seconds, length=length)
        elif not dated and index in chosen:
            _paint(picture, part, [chosen.index(index)], offset=0.0, seconds=seconds, length=length)
    step = max(1, len(labels) // _LINE_LABELS)
    figure = new_figure(12, min(20.0, 1.6 + 0.22 * len(labels)))
    ax = figure.subplots()
    ax.patch.set(**_NO_RECORDING, linewidth=0)
    unit, divisor = ("hours", 3600) if length >= _HOUR else ("seconds", 1)
    ax.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, length / divisor, len(labels), 0))
    ax.set_yticks(np.arange(0, len(labels), step) + 0.5, [t.replace("$", r"\$") for t in labels[::step]], fontsize=7)
    ax.set_xlabel("hour of the day" if dated else f"{unit} in the recording")
    if dated:
        ax.set_xticks(range(0, 25, 3))
    more = f" ({left_out} more {'days' if dated else 'recordings'} not shown)" if left_out else ""
    ax.set_title(f"Recordings: similar colours mean similar sounds{more}", fontsize=10)
    _draw_legend(figure)
    save_figure(figure, path)


def _paint(
    picture: NDArray[Any],
    part: NDArray[Any],
    rows: Sequence[int | None],
    *,
    offset: float,
    seconds: float,
    length: float,
) -> None:
    """Paint the colours of a recording into `rows` of the picture: its line, or the lines of its days.

    A line is `length` seconds long; the recording begins `offset` seconds after the start of the first one.
    """
    low, high = int(offset / length * _BINS), max(1, round((offset + seconds) / length * _BINS))
    pixels = np.arange(low, max(low + 1, high) if len(part) else low)
    inside = (pixels + 0.5) * length / _BINS - offset
    nearest = np.clip((inside / max(seconds, 1e-9) * len(part)).astype(int), 0, len(part) - 1)
    for line, row in enumerate(rows):
        own = pixels // _BINS == line
        if row is not None:
            picture[row, pixels[own] % _BINS] = np.pad(part[nearest[own]], ((0, 0), (0, 1)), constant_values=255)
