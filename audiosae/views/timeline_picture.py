"""Pictures of when things sound: hour by day for all events and each type, and recordings coloured by their codes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.system.threads import one_blas_thread
from audiosae.views.atoms import new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.sounds.timeline import Timeline

_PANELS = 24
_DAYS = 60  # a longer stretch with gaps is drawn without the days on which nothing was recorded
_SHARE = 0.25
_LINES = 400
_BINS = 720  # of a line, fewer than the picture has columns: two minutes of a day
_SAMPLE = 20000
_LINE_LABELS = 30
_HOUR = 3600.0  # s


def draw_timeline(timeline: Timeline, path: Path, *, names: Mapping[int, str] | None = None) -> None:
    """Draw events per recorded minute by date and hour, all and of the commonest types: .png, .svg or .pdf."""
    order = np.argsort(-timeline.events.sum(0), kind="stable")[: _PANELS - 1]
    panels = [("all events", timeline.events.sum(1))]
    for column in order:
        number = timeline.types[column]
        label = "like no type" if number == 0 else f"type {number}"
        panels.append((f"{label} {(names or {}).get(number, '')}".strip(), timeline.events[:, column]))
    days = _days([day for day, _ in timeline.cells])
    wide = min(4, len(panels))
    high = -(-len(panels) // wide)
    figure = new_figure(1 + 3.6 * wide, 1.2 + 2.5 * high)
    axes = figure.subplots(high, wide, squeeze=False).ravel()
    for ax, (title, events) in zip(axes, panels, strict=False):
        _panel(ax, timeline, days, events)
        ax.set_title(f"{title} ({events.sum():,})".replace("$", r"\$"), fontsize=9)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    left_out = len(timeline.types) + 1 - len(panels)
    more = f"; {left_out} rarer types are in timeline.csv" if left_out else ""
    figure.suptitle(f"Events per minute of recording, by date and hour of the day{more}", fontsize=11)
    _legend(figure)
    save_figure(figure, path)


def _days(recorded: Sequence[date]) -> list[date]:
    found = sorted(set(recorded))
    span = (found[-1] - found[0]).days + 1
    if span > _DAYS and len(found) < _SHARE * span:
        return found
    return [found[0] + timedelta(days=day) for day in range(span)]


def _panel(ax: Any, timeline: Timeline, days: Sequence[date], events: NDArray[Any]) -> None:  # noqa: ANN401
    column = {day: i for i, day in enumerate(days)}
    picture = np.full((24, len(days)), np.nan)
    for (day, hour), count, seconds in zip(timeline.cells, events, timeline.recorded, strict=True):
        picture[hour, column[day]] = 60 * count / max(seconds, 1.0)
    _blank(ax)
    top = np.nanmax(picture) or 1.0
    image = ax.imshow(picture, cmap="viridis", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
    shown = sorted({round(at) for at in np.linspace(0, len(days) - 1, min(len(days), 4))})
    ax.set_xticks(shown, [days[i].isoformat() for i in shown], fontsize=6)
    ax.set_yticks([-0.5, 5.5, 11.5, 17.5, 23.5], ["0:00", "6:00", "12:00", "18:00", "24:00"], fontsize=7)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.ax.tick_params(labelsize=6)
    for i in range(1, len(days)):
        if days[i] - days[i - 1] > timedelta(days=1):
            ax.axvline(i - 0.5, color="white", lw=1.5)


def _blank(ax: Any) -> None:  # noqa: ANN401
    ax.patch.set(facecolor="0.95", edgecolor="0.7", hatch="////", linewidth=0)


def _legend(figure: Any) -> None:  # noqa: ANN401
    from matplotlib.patches import Patch

    blank = Patch(facecolor="0.95", edgecolor="0.7", hatch="////", label="nothing recorded")
    figure.legend(handles=[blank], loc="outside lower center", frameon=False, fontsize=8)


@one_blas_thread()
def colours(series: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Return codes as colours: their first three principal components as red, green and blue.

    Parameters
    ----------
    series
        Of each recording: pooled codes (bins, hidden).

    Returns
    -------
    list of ndarray
        (bins, 3) each, in [0, 1]; alike codes have alike colours.
    """
    rows = np.concatenate(series).astype(np.float64)
    rows = rows[:: -(-len(rows) // _SAMPLE)]
    mean, scale = rows.mean(0), rows.std(0)
    scale[scale == 0] = 1.0
    _, vectors = np.linalg.eigh(np.cov((rows - mean) / scale, rowvar=False, ddof=0).reshape(rows.shape[1], -1))
    vectors = vectors[:, ::-1][:, :3]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    low, high = np.quantile((rows - mean) / scale @ vectors, [0.02, 0.98], axis=0)
    room = np.where(high > low, high - low, 1.0)
    found = [np.clip(((part - mean) / scale @ vectors - low) / room, 0, 1) for part in series]
    return [np.pad(part, ((0, 0), (0, 3 - part.shape[1]))) for part in found]


def draw_recordings(
    series: Sequence[NDArray[Any]], durations: Sequence[float], path: Path, *,
    starts: Sequence[datetime | None] = (), names: Sequence[str] = (),
) -> None:  # fmt: skip
    """Draw recordings as lines coloured by their codes: a line a day where dates are known, else a line a recording.

    Parameters
    ----------
    series
        Of each recording: pooled codes (bins, hidden), bins of equal length.
    durations
        Seconds.
    path
        .png, .svg or .pdf.
    """
    dated = any(starts)
    colour = colours(series)
    if dated:
        days = _days([start.date() for start in starts if start])
        lines = {day: line for line, day in enumerate(days[:_LINES])}
        picture, labels, length = np.ones((len(lines), _BINS, 4)), [day.isoformat() for day in lines], 86400.0
    else:
        chosen = np.unique(np.linspace(0, len(series) - 1, min(len(series), _LINES)).round().astype(int)).tolist()
        labels, length = [names[i] if names else str(i) for i in chosen], max(durations[i] for i in chosen) or 1.0
        picture = np.ones((len(chosen), _BINS, 4))
    picture[..., 3] = 0
    for index, (part, seconds) in enumerate(zip(colour, durations, strict=True)):
        start = starts[index] if dated else None
        if (dated and start is None) or (not dated and index not in chosen):
            continue
        _lay(picture, part, seconds, length, start, lines if start else chosen.index(index))
    step = max(1, len(labels) // _LINE_LABELS)
    figure = new_figure(12, min(20.0, 1.6 + 0.22 * len(labels)))
    ax = figure.subplots()
    _blank(ax)
    unit, divisor = ("hours", 3600) if length >= _HOUR else ("seconds", 1)
    ax.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, length / divisor, len(labels), 0))
    ax.set_yticks(np.arange(0, len(labels), step) + 0.5, [t.replace("$", r"\$") for t in labels[::step]], fontsize=7)
    ax.set_xlabel("hour of the day" if dated else f"{unit} in the recording")
    if dated:
        ax.set_xticks(range(0, 25, 3))
    left_out = len(days) - len(lines) if dated else len(series) - len(chosen)
    more = f" ({left_out} more {'days' if dated else 'recordings'} not shown)" if left_out else ""
    ax.set_title(f"What was recorded: moments of like colour sound alike{more}", fontsize=10)
    _legend(figure)
    save_figure(figure, path)


def _lay(  # noqa: PLR0917
    picture: NDArray[Any], part: NDArray[Any], seconds: float, length: float, start: datetime | None,
    line: Mapping[date, int] | int,
) -> None:  # fmt: skip
    """Put a recording into its line, or into its days' lines."""
    if isinstance(line, int):
        first, row = 0.0, line
    else:
        assert start is not None  # noqa: S101
        first, row = start.hour * 3600.0 + start.minute * 60 + start.second, line.get(start.date(), -1)
    low, high = int(first / length * _BINS), max(1, round((first + seconds) / length * _BINS))
    for at in range(low, max(low + 1, high)):
        days, column = divmod(at, _BINS)
        if isinstance(line, Mapping) and start is not None:
            row = line.get(start.date() + timedelta(days=days), -1)
        if row < 0 or not len(part):
            continue
        inside = (at + 0.5) * length / _BINS - first
        picture[row, column, :3] = part[min(len(part) - 1, max(0, int(inside / max(seconds, 1e-9) * len(part))))]
        picture[row, column, 3] = 1
