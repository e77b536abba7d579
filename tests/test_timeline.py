"""Timeline: events per hour of local time; hours without a recording are left out, silent hours are 0."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import matplotlib.image
import numpy as np

from audiosae.recordings.dates import later
from audiosae.sounds.timeline import make_timeline
from audiosae.views.timeline_picture import colours, draw_recordings, draw_timeline

DAY = date(2024, 6, 1)
START = datetime(2024, 6, 1, 5, 30)  # noqa: DTZ001


def timeline(starts, durations, events):
    record, start, end, kind = (np.array(column) for column in zip(*events, strict=True))
    return make_timeline(starts, durations, record=record.astype(int), start=start, end=end, types=kind.astype(int))


def test_events_count_in_the_hour_of_their_start_and_durations_are_split():
    line = timeline([START], [3600.0], [(0, 1790.0, 1810.0, 1), (0, 10.0, 12.0, 2)])
    assert list(line.rows()) == [
        ("2024-06-01", 5, 1, 1, 10.0),
        ("2024-06-01", 5, 2, 1, 2.0),
        ("2024-06-01", 6, 1, 0, 10.0),
        ("2024-06-01", 6, 2, 0, 0.0),
    ]
    assert line.cells == ((DAY, 5), (DAY, 6))
    assert line.recorded.tolist() == [1800.0, 1800.0]


def test_hours_without_a_recording_are_left_out_and_silent_hours_are_0():
    starts = [START, START + timedelta(hours=3), None]
    line = timeline(starts, [60.0, 60.0, 60.0], [(0, 1.0, 2.0, 1), (2, 1.0, 2.0, 1)])
    assert line.cells == ((DAY, 5), (DAY, 8))
    assert line.events[:, 0].tolist() == [1, 0]
    assert line.undated == 1


def test_hour_skipped_by_daylight_saving_time_is_left_out():
    start = datetime(2024, 3, 31, 1, 59, tzinfo=ZoneInfo("Europe/Berlin"))
    assert later(start, 120).isoformat() == "2024-03-31T03:01:00+02:00"
    line = timeline([start], [120.0], [(0, 0.0, 120.0, 1)])
    assert [hour for _, hour in line.cells] == [1, 3]
    assert line.seconds[:, 0].tolist() == [60.0, 60.0]


def test_every_event_and_recorded_second_is_in_an_hour():
    rng = np.random.default_rng(0)
    starts = [START + timedelta(minutes=float(minute)) for minute in rng.uniform(0, 9999, 50)]
    record, start = rng.integers(0, 50, 300).tolist(), rng.uniform(0, 597, 300).tolist()
    events = [(index, at, at + 3.0, index % 4) for index, at in zip(record, start, strict=True)]
    line = timeline(starts, [600.0] * 50, events)
    assert line.events.sum() == 300
    np.testing.assert_allclose([line.seconds.sum(), line.recorded.sum()], [900.0, 30000.0], rtol=1e-6)


def test_pictures_show_gaps_and_types(tmp_path):
    starts = [START + timedelta(hours=hour) for hour in range(30) if hour % 4]
    events = [(i, 1.0, 2.0, 1 + i % 2) for i in range(len(starts))]
    draw_timeline(timeline(starts, [60.0] * len(starts), events), tmp_path / "t.png", names={1: "wren"})
    series = [np.full((5, 6), i) + np.eye(5, 6) for i in range(len(starts))]
    series = colours(series)
    draw_recordings(series, [60.0] * len(starts), tmp_path / "days.png", starts=starts)
    draw_recordings(
        series, [60.0] * len(starts), tmp_path / "files.png", names=[f"{i}.wav" for i in range(len(starts))]
    )
    for name in ("t", "days", "files"):
        assert matplotlib.image.imread(tmp_path / f"{name}.png").std() > 0.05


def test_similar_codes_have_similar_colours():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 20))
    series = [kinds[[i % 3] * 10] + 0.01 * rng.normal(size=(10, 20)) for i in range(9)]
    series_colours = colours(series)
    assert np.abs(series_colours[0].mean(0) - series_colours[3].mean(0)).max() < 0.05
    assert np.abs(series_colours[0].mean(0) - series_colours[1].mean(0)).max() > 0.5
