"""Timeline: events are counted in the clock's hours, and hours without a recording are no zeros."""

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


def test_events_count_where_they_start_and_their_seconds_are_split():
    found = timeline([START], [3600.0], [(0, 1790.0, 1810.0, 1), (0, 10.0, 12.0, 2)])
    assert list(found.rows()) == [
        ("2024-06-01", 5, 1, 1, 10.0), ("2024-06-01", 5, 2, 1, 2.0),
        ("2024-06-01", 6, 1, 0, 10.0), ("2024-06-01", 6, 2, 0, 0.0),
    ]  # fmt: skip
    assert found.cells == ((DAY, 5), (DAY, 6))
    assert found.recorded.tolist() == [1800.0, 1800.0]


def test_hours_without_a_recording_have_no_row_and_silent_ones_have_zeros():
    starts = [START, START + timedelta(hours=3), None]
    found = timeline(starts, [60.0, 60.0, 60.0], [(0, 1.0, 2.0, 1), (2, 1.0, 2.0, 1)])
    assert found.cells == ((DAY, 5), (DAY, 8))
    assert found.events[:, 0].tolist() == [1, 0]
    assert found.undated == 1


def test_the_hour_that_clocks_skip_stays_empty():
    start = datetime(2024, 3, 31, 1, 59, tzinfo=ZoneInfo("Europe/Berlin"))
    assert later(start, 120).isoformat() == "2024-03-31T03:01:00+02:00"
    found = timeline([start], [120.0], [(0, 0.0, 120.0, 1)])
    assert [hour for _, hour in found.cells] == [1, 3]
    assert found.seconds[:, 0].tolist() == [60.0, 60.0]


def test_all_that_was_recorded_and_every_event_is_in_some_hour():
    rng = np.random.default_rng(0)
    starts = [START + timedelta(minutes=float(minute)) for minute in rng.uniform(0, 9999, 50)]
    record, start = rng.integers(0, 50, 300).tolist(), rng.uniform(0, 597, 300).tolist()
    events = [(index, at, at + 3.0, index % 4) for index, at in zip(record, start, strict=True)]
    found = timeline(starts, [600.0] * 50, events)
    assert found.events.sum() == 300
    np.testing.assert_allclose([found.seconds.sum(), found.recorded.sum()], [900.0, 30000.0], rtol=1e-6)


def test_pictures_show_gaps_and_types(tmp_path):
    starts = [START + timedelta(hours=hour) for hour in range(30) if hour % 4]
    events = [(i, 1.0, 2.0, 1 + i % 2) for i in range(len(starts))]
    draw_timeline(timeline(starts, [60.0] * len(starts), events), tmp_path / "t.png", names={1: "wren"})
    series = [np.full((5, 6), i) + np.eye(5, 6) for i in range(len(starts))]
    draw_recordings(series, [60.0] * len(starts), tmp_path / "days.png", starts=starts)
    draw_recordings(
        series, [60.0] * len(starts), tmp_path / "files.png", names=[f"{i}.wav" for i in range(len(starts))]
    )
    for name in ("t", "days", "files"):
        assert matplotlib.image.imread(tmp_path / f"{name}.png").std() > 0.05


def test_like_codes_have_like_colours():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 20))
    series = [kinds[[i % 3] * 10] + 0.01 * rng.normal(size=(10, 20)) for i in range(9)]
    found = colours(series)
    assert np.abs(found[0].mean(0) - found[3].mean(0)).max() < 0.05
    assert np.abs(found[0].mean(0) - found[1].mean(0)).max() > 0.5
