"""Sites, recording effort, and day and night."""

from __future__ import annotations

import csv
import io
import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from signals import tone, write
from surveys import survey_of
from test_dates import chunk

from audiosae.commands.site_options import parse_place, with_sites
from audiosae.corpus.sources import scan
from audiosae.errors import InputError
from audiosae.recordings.date_headers import header_place
from audiosae.recordings.sun import LIGHTS, light, sun_altitude
from audiosae.sounds.effort import effort_of, effort_rows
from audiosae.sounds.sites import SiteRule
from audiosae.sounds.timeline import micros

BERLIN = ZoneInfo("Europe/Berlin")
PLACE = (52.52, 13.405)


def sites(rule, folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    said = []
    found = SiteRule.parse(rule).sites_of(scan([folder], (".wav",)), [folder], said.append)
    return found, said


def test_the_site_is_the_first_folder_below_the_source(tmp_path):
    found, said = sites("folder", tmp_path, "north/may/1.wav", "south/1.wav", "south/june/2.wav", "3.wav")
    assert found == {"3.wav": "", "north/may/1.wav": "north", "south/1.wav": "south", "south/june/2.wav": "south"}
    assert said == ["2 sites (recordings): north (1), south (2)", "1 recording without a site: 3.wav"]


def test_each_of_several_sources_has_its_own_first_folders(tmp_path):
    for name in ("a/north/1.wav", "b/south/x/2.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    folders = [tmp_path / "a", tmp_path / "b"]
    assert [*SiteRule.parse("FOLDER").sites_of(scan(folders, (".wav",)), folders).values()] == ["north", "south"]


@pytest.mark.parametrize(
    ("rule", "site"),
    [
        (r"(?P<site>[A-Z]+\d+)_", "AB12"),
        (r"(?P<plot>[A-Z]+)(?P<recorder>\d+)_", "AB-12"),
        (r"(?P<plot>[A-Z]+)(?P<site>\d+)_", "12"),
        (r"([A-Z]+)\d+_", "AB"),
        (r"[A-Z]+\d+", "AB12"),
    ],
)
def test_the_site_is_the_named_group_of_an_expression(tmp_path, rule, site):
    assert sites(rule, tmp_path, "x/AB12_20240601_053000.wav")[0] == {"x/AB12_20240601_053000.wav": site}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("folder", "no recording is in a folder below"),
        ("(?P<site>x", "wanted folder, or a regular expression"),
        ("Q(?P<site>x)", "the expression matches no recording; the first is 1.wav"),
    ],
)
def test_sites_that_cannot_be_read_are_an_error(tmp_path, rule, message):
    with pytest.raises(InputError, match=f"--site .*{message.replace('(', '.')}"):
        sites(rule, tmp_path, "1.wav")


def test_the_altitude_of_the_sun_is_that_of_a_reference():
    # Reda and Andreas, Solar Position Algorithm, NREL/TP-560-34302: 39.8720 degrees without refraction
    time = datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7))).timestamp()
    assert sun_altitude(time, 39.742476, -105.1786)[0] == pytest.approx(39.8720, abs=0.01)
    noon = datetime(2024, 6, 21, 13, 8, tzinfo=BERLIN).timestamp()
    assert sun_altitude(noon, *PLACE)[0] == pytest.approx(90 - PLACE[0] + 23.44, abs=0.02)


@pytest.mark.parametrize(
    ("hour", "minute", "place", "name"),
    [
        (4, 40, PLACE, "dawn"),  # sunrise in Berlin at 4:43, sunset at 21:33
        (4, 46, PLACE, "day"),
        (21, 30, PLACE, "day"),
        (21, 36, PLACE, "dusk"),
        (0, 30, (42.0, 13.4), "night"),
        (1, 0, (78.2, 15.6), "day"),  # Spitsbergen
        (13, 0, (-78.0, 166.7), "night"),  # Antarctica
    ],
)
def test_day_dawn_dusk_and_night_follow_the_sun(hour, minute, place, name):
    time = datetime(2024, 6, 21, hour, minute, tzinfo=BERLIN).timestamp()
    assert LIGHTS[int(light(time, *place))] == name


def wamd(text):
    return chunk(b"wamd", struct.pack("<HI", 6, len(text)) + text)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (chunk(b"guan", b"GUANO|Version: 1.0\nLoc Position: -37.00403 174.57577\n"), (-37.00403, 174.57577)),
        (chunk(b"guan", b"Loc Position: 0.0 0.0\n"), None),  # no GPS fix
        (chunk(b"guan", b"Loc Position: 97 10\n"), None),
        (chunk(b"guan", b"Note: x\n") + wamd(b"WGS84, 41.713889, N, 121.508333, W, 4200"), (41.713889, -121.508333)),
        (wamd(b"WGS84, 41.713889, -21.508333"), (41.713889, -21.508333)),
        (b"", None),
    ],
)
def test_the_place_is_read_from_metadata(tmp_path, content, place):
    path = write(tmp_path / "a.wav", tone())
    path.write_bytes(path.read_bytes() + content)
    assert header_place(path) == place


@pytest.mark.parametrize("text", ["52.5", "north", "91,0", "0,181", "52.5;13;4", "nan,1"])
def test_coordinates_that_are_no_place_are_an_error(text):
    assert parse_place("-33.9, 151.2") == parse_place((-33.9, 151.2)) == (-33.9, 151.2)
    with pytest.raises(InputError, match="--coordinates .*wanted LAT,LON in degrees"):
        parse_place(text)


def archive(count=60, seed=0, zone=BERLIN):
    """Return starts and durations: overlapping, over midnight, in the hour that clocks repeat, and without a date."""
    rng = np.random.default_rng(seed)
    minutes, seconds = rng.uniform(0, 6000, count), rng.uniform(0.5, 9000, count)
    begin = datetime(2024, 10, 25, 22, 50, tzinfo=zone)
    starts = [(begin + timedelta(minutes=float(minute))) if i % 7 else None for i, minute in enumerate(minutes)]
    return starts, seconds.tolist(), [f"s{i % 3}" for i in range(count)]


def test_effort_sums_exactly_to_the_recorded_time():
    starts, seconds, names = archive()
    survey = survey_of(starts, seconds, sites=names, places=[PLACE] * len(starts))
    found = effort_of(survey)
    assert sum(row.length for row in found.values()) == sum(map(micros, seconds))
    for site in ("s0", "s1", "s2"):
        own = [length for length, name in zip(seconds, names, strict=True) if name == site]
        assert sum(row.length for key, row in found.items() if key[0] == site) == sum(map(micros, own))
        undated = [
            length for length, name, time in zip(seconds, names, starts, strict=True) if name == site and not time
        ]
        assert found[site, None, None].length == sum(map(micros, undated))
        assert found[site, None, None].files == len(undated)
    dated = [row for (_, day, _), row in found.items() if day]
    assert all(sum(row.lights) == row.length for row in dated)
    assert len({row.lights.index(max(row.lights)) for row in dated}) > 1
    written = csv_of(effort_rows(survey))
    assert sum(round(10**6 * float(row["recorded_seconds"])) for row in written) == sum(map(micros, seconds))
    assert {row["day_seconds"] is None for row in written if not row["date"]} == {True}


def test_the_recorded_time_of_the_timeline_is_that_of_the_effort(tmp_path):
    starts, seconds, names = archive()
    survey = survey_of(starts, seconds, [(1, 0.0, 0.1, 1), (2, 0.0, 0.2, 2)], sites=names)
    survey.table("timeline").write_csv(tmp_path / "timeline.csv")
    rows = csv_of(csv.reader(io.StringIO((tmp_path / "timeline.csv").read_text())))
    hours = {(row["site"], row["date"], row["hour"]): row["recorded_seconds"] for row in rows}
    effort = [row for row in csv_of(effort_rows(survey)) if row["date"]]
    assert hours == {(row["site"], str(row["date"]), str(row["hour"])): str(row["recorded_seconds"]) for row in effort}
    assert [row["type"] for row in rows] == ["1", "2"] * len(hours)
    assert sum(int(row["events"]) for row in rows) == 2
    with pytest.raises(InputError, match=r"no recording is of the site 'west'; the sites are "):
        survey.timeline("west")


def csv_of(rows):
    head, *rows = map(list, rows)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_noise_floor_of_an_hour_is_the_mean_of_its_minutes():
    start = datetime(2024, 6, 1, 5, 58, tzinfo=UTC)
    floors = [np.array([-60, np.nan, -50, -40], np.float32), np.empty(0, np.float32)]
    found = effort_of(survey_of([start, start], [210.0, 60.0], floors=floors))
    five, six = found.values()
    assert (five.length, six.length) == (180 * 10**6, 90 * 10**6)
    assert five.floor_db == pytest.approx(-60)
    assert six.floor_db == pytest.approx((-50 * 60 - 40 * 30) / 90)


def test_pandas_reads_the_tables_with_the_right_types(tmp_path):
    start = datetime(2024, 6, 1, 12, 30, tzinfo=UTC)
    events = [(0, 1.0, 2.0, 1), (1, 1.0, 2.0, 1), (2, 0.5, 1.0, 1)]
    starts, places = [start, start + timedelta(hours=12), None], [PLACE, PLACE, None]
    survey = survey_of(starts, [60.0, 60.0, 60.0], events, sites=["a", "b", "b"], places=places)
    for name in ("events", "timeline", "effort"):
        survey.table(name).write_csv(tmp_path / f"{name}.csv")
    events, line, effort = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("events", "timeline", "effort"))
    survey.table("events").write_parquet(tmp_path / "events.parquet")
    parquet = pd.read_parquet(tmp_path / "events.parquet")
    assert parquet[["site", "light"]].fillna("").to_numpy().tolist() == [["a", "day"], ["b", "night"], ["b", ""]]
    assert events["site"].tolist() == ["a", "b", "b"]
    assert events["light"].fillna("").tolist() == ["day", "night", ""]
    pd.testing.assert_frame_equal(events, survey.frame())
    kinds = {"hour": "i", "type": "i", "events": "i", "seconds": "f", "recorded_seconds": "f", "floor_db": "f"}
    assert {name: line[name].dtype.kind for name in kinds} == kinds
    kinds = {"hour": "f", "recorded_seconds": "f", "files": "i", **dict.fromkeys(map("{}_seconds".format, LIGHTS), "f")}
    assert {name: effort[name].dtype.kind for name in kinds} == kinds  # hours have gaps, so they are floats
    assert effort["date"].fillna("").tolist() == ["2024-06-01", "2024-06-02", ""]
    assert pd.to_datetime(line["date"]).dt.month.eq(6).all()


def test_what_is_not_known_of_places_and_times_is_reported():
    start, said = datetime(2024, 6, 1, 12, 30), []  # noqa: DTZ001
    survey = survey_of([start, start + timedelta(seconds=30), None], [60.0, 60.0, 60.0])
    assert not with_sites(survey, {}, PLACE, said.append).lit
    assert "day and night are not known for 2 recordings with coordinates: their times have no time zone" in said[0]
    assert "1 of 3 recordings begin before an earlier one ends (several recorders?" in said[1]
    names = {f"{i}.wav": f"site {i}" for i in range(3)}
    said.clear()
    assert with_sites(survey, names, None, said.append).sites == [*names.values()]
    assert said == []
    assert [Path(record.path).name for record in survey.records] == [*names]
