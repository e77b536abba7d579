"""Dates of recordings of several recorders: groups of names, the order of year, month and day, clocks not set."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from signals import tone, write
from test_dates import HEADERS, NOW, chunk, comment, recording

import audiosae
from audiosae.recordings.dates import read_dates, stamps

MOTH = [f"20240601_0{hour}0000.WAV" for hour in range(3)]
TRAP = [f"5678.24060112{minute}000.wav" for minute in range(3)]
ZOOM = [f"ZOOM000{number}.WAV" for number in range(1, 4)]
BAR = [f"20240601T0{hour}0000+1000_REC.flac" for hour in range(4, 6)]
DAY = [f"240625_12{minute}000.wav" for minute in range(3)]


def dates(*names, **options):
    return read_dates([Path(name) for name in names], now=NOW, **options)


def hours(found):
    return [start and (start.hour, start.minute) for start in found.starts]


def inside(folder, names):
    return [f"{folder}/{name}" for name in names]


@pytest.mark.parametrize("folders", [("moth", "trap", "zoom"), ("", "", "")])
def test_names_of_several_recorders_are_read_by_their_own_forms(folders):
    moth, trap, zoom = (inside(*each) for each in zip(folders, (MOTH, TRAP, ZOOM), strict=True))
    found = dates(*moth, *trap, *zoom)
    assert hours(found) == [(0, 0), (1, 0), (2, 0), (12, 0), (12, 10), (12, 20), None, None, None]
    assert found.note.startswith("dates from file names: YYYYMMDD_HHMMSS (3), file names: YYMMDDHHMMSS (3), 6 of 9 ")
    assert "without a date: ZOOM0001.WAV, ZOOM0002.WAV, ZOOM0003.WAV (the file names contain no" in found.note
    assert hours(dates(*moth, *trap))[3:] == [(12, 0), (12, 10), (12, 20)]


def test_folders_may_have_different_orders_and_headers(tmp_path):
    (tmp_path / "b").mkdir()
    names = ["a/31012024_053000.wav", "a/30012024_063000.wav", "c/01312024_073000.wav", "c/01302024_083000.wav"]
    zoom = [recording(tmp_path / "b" / name, HEADERS["bext"][0]) for name in ZOOM]
    found = dates(*names, *zoom)
    assert [start.day for start in found.starts] == [31, 30, 31, 30, 1, 1, 1]
    assert [group.form for group in found.groups] == [
        "file names: DDMMYYYY_HHMMSS",
        "file names: MMDDYYYY_HHMMSS",
        "headers: Broadcast Wave",
    ]


def test_eight_digits_are_dates_of_two_orders_in_one_folder():
    found = dates(*MOTH, "31012024_053000.wav", "30012024_063000.wav")
    assert [(start.month, start.day) for start in found.starts] == [(6, 1)] * 3 + [(1, 31), (1, 30)]


def test_few_recordings_of_another_recorder_are_dated_too():
    found = dates(*(f"20240601_{hour:02d}0000.WAV" for hour in range(20)), TRAP[0])
    assert hours(found)[-1] == (12, 0)
    assert found.note.count("recordings") == 1
    assert "21 of 21 recordings" in found.note


def test_one_name_of_a_form_among_others_has_no_date():
    assert hours(dates(MOTH[0], *ZOOM)) == [None] * 4
    assert hours(dates(*inside("a", MOTH[:1]), *inside("b", ZOOM))) == [(0, 0), None, None, None]


@pytest.mark.parametrize("epoch", ["19700101_000012", "19800106_000000", "20000101_000000", "20990101_000000"])
def test_names_of_a_clock_that_was_not_set_are_left_out_and_named(epoch):
    found = dates(*MOTH, "20240601_030000.WAV", f"{epoch}.WAV")
    assert hours(found) == [(0, 0), (1, 0), (2, 0), (3, 0), None]
    assert found.note.startswith("dates from file names: YYYYMMDD_HHMMSS, 4 of 5 recordings, no time zone; ")
    assert found.note.endswith(f"; without a date: {epoch}.WAV (the clock was not set)")
    assert dates("240601_003000.wav", "240602_013000.wav", f"{epoch[2:]}.wav").starts[2] is None


def test_names_and_headers_of_unset_clocks_only_are_reported(tmp_path):
    assert "the clock was not set" in dates("19700101_000000.WAV", "19700101_010000.WAV").note
    guano = [chunk(b"guan", f"Timestamp: {year}-06-01T05:30:00\n".encode()) for year in (2024, 2024, 2024, 1970)]
    found = dates(*(recording(tmp_path / f"{i}.wav", content) for i, content in enumerate(guano)))
    assert hours(found) == [(5, 30)] * 3 + [None]
    assert "3.wav (the clock was not set)" in found.note


def test_a_wrong_date_in_the_same_form_leaves_out_that_recorder_only():
    found = dates(*inside("moth", [*MOTH, "20240230_000000.WAV"]), *inside("trap", TRAP))
    assert hours(found) == [None] * 4 + [(12, 0), (12, 10), (12, 20)]
    assert "only 3 of 4 names have the form YYYYMMDD_HHMMSS" in found.note


def test_line_breaks_in_names_are_escaped_in_the_note():
    wrong, other = "20240230\n000000.WAV", "2024-06\n01.WAV"
    assert "leave out the others: 20240230\\n000000" in dates(*MOTH, "20240601_030000.WAV", wrong).note
    assert "without a date: 2024-06\\n01.WAV (" in dates(*MOTH, "20240601_030000.WAV", other).note


def test_takes_are_not_dated_in_parts():
    names = [*inside("a", ["240601_0001.wav", "240601_0002.wav"]), *inside("b", ["240602_0003.wav", "240602_0004.wav"])]
    found = dates(*names, *inside("c", MOTH))
    assert hours(found) == [None] * 4 + [(0, 0), (1, 0), (2, 0)]
    assert "takes" in found.note


def test_the_order_of_year_month_and_day_can_be_given():
    assert "give the order with --date-order" in dates(*DAY).note
    assert [dates(*DAY, date_order=order).starts[0] for order in ("YMD", "DMY")] == [
        datetime(2024, 6, 25, 12),  # noqa: DTZ001
        datetime(2025, 6, 24, 12),  # noqa: DTZ001
    ]
    assert "not of --date-order MDY" in dates(*DAY, date_order="MDY").note
    named = ["01022024_053000.wav", "02022024_053000.wav"]
    assert [dates(*named, date_order=order).starts[1].month for order in ("DMY", "MDY")] == [2, 2]
    assert [dates(*named, date_order=order).starts[0].month for order in ("DMY", "MDY")] == [2, 1]
    assert hours(dates(*MOTH, date_order="DMY")) == hours(dates(*MOTH))


def test_a_day_of_a_recorder_that_writes_the_year_first_needs_no_order():
    found = dates(*(f"5678.24062512{minute}000.wav" for minute in range(3)))
    assert {start.date().isoformat() for start in found.starts} == {"2024-06-25"}
    assert dates("5678.200710032151.wav").starts == [datetime(2020, 7, 10, 3, 21, 51)]  # noqa: DTZ001


def test_an_order_in_doubt_is_reported_beside_names_without_dates():
    assert "--date-order" in dates(*inside("a", DAY), *inside("b", ZOOM)).note


def test_zones_that_only_some_recorders_state_need_the_zone_of_the_others():
    found = dates(*MOTH, *BAR)
    assert hours(found) == [(0, 0), (1, 0), (2, 0), (4, 0), (5, 0)]
    assert {start.tzinfo for start in found.starts} == {None}
    assert "; that of 2 recordings is not used, as the others state none" in found.note
    found = dates(*MOTH, *BAR, time_zone="UTC")
    assert [start.isoformat() for start in found.starts[2:4]] == [
        "2024-06-01T02:00:00+00:00",
        "2024-05-31T18:00:00+00:00",
    ]
    assert "time zone as stated, shown in UTC; 3 without one, taken as times in UTC" in found.note


NAMES = {
    "2022-11-21-birdnet-16:09:08.wav": "2022-11-21T16:09:08.000",
    "Corvus_corax-85-2022-11-21-birdnet-RTSP_1-16:09:08.mp3": "2022-11-21T16:09:08.000",
    "2022-11-21-birdnet-RTSP_10-16-09-08.wav": "2022-11-21T16:09:08.000",
    "20221121_siteA12_160908.wav": "2022-11-21T16:09:08.000",
    "20221121_160908_250.WAV": "2022-11-21T16:09:08.250",
    "20221121_160908.250.wav": "2022-11-21T16:09:08.250",
    "20221121_160908250.wav": "2022-11-21T16:09:08.250",
    "20221121160908250.wav": "2022-11-21T16:09:08.250",
    "2022-11-21_16-09-08-250.wav": "2022-11-21T16:09:08.250",
}


@pytest.mark.parametrize("name", NAMES)
def test_text_between_date_and_time_and_fractions_of_seconds_are_read(name):
    found = dates(name)
    assert found.starts[0].isoformat(timespec="milliseconds") == NAMES[name], found.note


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("20221121_siteA_000123.wav", "takes"),
        ("AUD-20221121-WA1609.wav", "a date (YYYYMMDD, 1 of 1), but no time of day in a known form"),
        ("2022-11-21 walk.wav", "a date (YYYY-MM-DD, 1 of 1), but no time of day in a known form"),
    ],
)
def test_numbers_that_may_be_no_time_are_not_read(name, why):
    assert why in dates(name).note
    assert "takes" in dates("20240601_000000001.wav", "20240601_000000002.wav").note


def test_every_time_of_a_table_has_milliseconds():
    stamp = stamps(["a"], [Path("20240601_053000.wav")])
    assert [stamp("a", seconds) for seconds in (0.0, 0.01, 1.9999)] == [
        "2024-06-01T05:30:00.000",
        "2024-06-01T05:30:00.010",
        "2024-06-01T05:30:02.000",
    ]
    assert stamps(["a"], [Path("20240601_053000Z.wav")])("a", 60) == "2024-06-01T05:31:00.000+00:00"


def test_times_of_windows_have_milliseconds_in_every_row(tmp_path, run, trained):
    pandas = pytest.importorskip("pandas")
    write(tmp_path / "in" / "20240601_053000Z.wav", tone())
    table = tmp_path / "t.csv"
    for level in ("window", "file"):
        assert run("export", trained, tmp_path / "in", "-o", table, "--level", level)[0] == 0
        times = [row["time"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())]
        assert {len(time) for time in times} == {len("2024-06-01T05:30:00.000+00:00")}
        assert pandas.to_datetime(pandas.read_csv(table)["time"]).iloc[0] == datetime(2024, 6, 1, 5, 30, tzinfo=UTC)


def test_header_that_gives_no_date_is_named(tmp_path):
    path = recording(tmp_path / "a.wav", chunk(b"bext", bytes(602)))
    assert "the headers (Broadcast Wave) state none that can be used" in dates(path).note


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_broadcast_wave_time_follows_a_description_in_any_encoding(tmp_path, encoding):
    description = "Waldkäuze, Höhenweg ".encode(encoding, "replace").ljust(320, b"\0")
    found = dates(recording(tmp_path / "a.wav", chunk(b"bext", description + b"2024-06-0105:30:00" + bytes(264))))
    assert hours(found) == [(5, 30)]
    assert found.form == "headers: Broadcast Wave"


def test_comments_of_the_first_audiomoth_firmware_are_local_times(tmp_path):
    found = dates(recording(tmp_path / "a.wav", comment("Recorded at 05:30:00 01/06/2024 by AudioMoth 0FE081F80FE0")))
    assert (hours(found), found.starts[0].tzinfo) == ([(5, 30)], None)
    assert "headers: AudioMoth, 1 of 1 recording, no time zone" in found.note


def test_headers_of_one_folder_may_differ(tmp_path):
    texts = ["05:30:00 01/06/2024 (UTC)", "06:30:00 01/06/2024", "07:30:00 01/06/2024"]
    comments = [comment(f"Recorded at {text} by AudioMoth") for text in texts]
    moth = [recording(tmp_path / f"a{i}.wav", content) for i, content in enumerate(comments)]
    other = [recording(tmp_path / f"b{i}.wav", HEADERS["guano without zone"][0]) for i in range(2)]
    assert hours(dates(*moth, *other)) == [(5, 30), (6, 30), (7, 30), (5, 30), (5, 30)]


def test_offsets_with_one_digit_are_read(tmp_path):
    found = dates(recording(tmp_path / "a.wav", chunk(b"guan", b"Timestamp:2020-10-17 13:05:00+1:00\0")))
    assert found.starts[0].isoformat() == "2020-10-17T13:05:00+01:00"


TIMING = {
    "expanded.wav": (
        b"GUANO|Version: 1.0\nTE: 10\nSamplerate: 80000\n",
        "time-expanded recordings (GUANO TE: 10), so times ",
    ),
    "expanded-too.wav": (
        b"GUANO|Version: 1.0\n TE : 10.0 \r\n",
        "time-expanded recordings (GUANO TE: 10), so times ",
    ),
    "rate.wav": (
        b"Samplerate: 80000\n",
        "time-expanded or resampled recordings (GUANO Samplerate: 80000, in the file 8000",
    ),
    "direct.wav": (b"TE: 1\nSamplerate: 8000\n", ""),
    "unknown.wav": (b"TE: x\nSamplerate: nan\n", ""),
    "20240601_053000T.WAV": (b"Note: x\n", "a name of triggered AudioMoth recordings (T.WAV)"),
}


@pytest.mark.parametrize("name", TIMING)
def test_times_that_are_not_those_of_the_sound_are_reported(tmp_path, trained, name):
    (tmp_path / "in").mkdir()
    path, (content, words) = tmp_path / "in" / name, TIMING[name]
    write(path, tone(2.0))
    data = path.read_bytes() + chunk(b"guan", content)
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    lines = audiosae.inspect(tmp_path / "in").summary
    assert [line for line in lines if line.startswith("1 of 1 sources have ")] == [
        line for line in lines if words and words in line
    ]
    if words:
        assert sum(words in line for line in lines) == 1
        assert sum(words in note for note in audiosae.export(trained, tmp_path / "in").notes) == 1


def test_time_expansion_of_wildlife_acoustics_is_reported(tmp_path):
    path = recording(tmp_path / "a.wav", chunk(b"wamd", b"\x0f\0\x02\0\0\0\x0a\0"))
    assert "time-expanded recordings (Wildlife Acoustics TE: 10)" in audiosae.inspect(path).files[0]["remark"]


def test_inspect_reports_groups_of_names_and_no_equal_rows(tmp_path, run):
    for number, name in enumerate([*inside("moth", MOTH), *inside("trap", TRAP), *inside("zoom", ZOOM)]):
        write(tmp_path / "in" / name, tone(1.0, seed=number))
    write(tmp_path / "in" / "longer.wav", tone(2.0))
    status, out, _ = run("inspect", tmp_path / "in")
    rows = out.splitlines()[1 : out.splitlines().index("")]
    assert (status, len(rows)) == (0, 2)
    assert "moth/20240601_000000.WAV and 8 more" in out
    assert "  3 x file names: YYYYMMDD_HHMMSS, 2024-06-01T00:00:00 to 2024-06-01T02:00:00 (moth/20240601_000" in out
    assert "  3 x file names: YYMMDDHHMMSS, 2024-06-01T12:00:00 to 2024-06-01T12:20:00 (trap/5678.2406011" in out
    assert "  4 x no date: the file names contain no date and time in a known form" in out
    groups = json.loads(run("inspect", tmp_path / "in", "--json")[1])["dates"]["groups"]
    assert sorted(name for group in groups for name in group["files"]) == sorted(
        path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*.*")
    )


def test_date_order_is_an_option_of_the_commands_and_functions(tmp_path, run, trained):
    for name in DAY:
        write(tmp_path / "in" / name, tone(1.0))
    for order, day in (("YMD", "2024-06-25T12:00:00"), ("DMY", "2025-06-24T12:00:00")):
        assert audiosae.inspect(tmp_path / "in", date_order=order).files[0]["time"] == day
        assert (
            json.loads(run("inspect", tmp_path / "in", "--date-order", order, "--json")[1])["files"][0]["time"] == day
        )
    assert audiosae.survey(trained, tmp_path / "in", types=1, date_order="DMY").times[0].isoformat() == day
    assert audiosae.export(trained, tmp_path / "in", date_order="DMY").keys["time"][0] == f"{day}.000"
    assert audiosae.inspect(tmp_path / "in").files[0]["time"] is None
    assert run("inspect", tmp_path / "in", "--date-order", "YDM")[0] == 2
