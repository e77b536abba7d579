"""Dates: forms of date and time in file names and headers, and ambiguous names that stay undated."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from signals import tone, write

from audiosae.errors import InputError
from audiosae.recordings.date_names import read_names, why_none
from audiosae.recordings.dates import read_dates

NOW = datetime(2026, 11, 26, tzinfo=UTC)
START = datetime(2024, 6, 1, 5, 30)  # noqa: DTZ001 (names have no zone)


def at(hours):
    return START.replace(tzinfo=timezone(timedelta(hours=hours)))


FORMS = [
    ("20240601_053000.WAV", START),
    ("24F319046D0D1234_20240601_053000T.WAV", START),
    ("665AB2C8.WAV", datetime(2024, 6, 1, 5, 34, 0, tzinfo=UTC)),
    ("SM4A_20240601_053000.wav", START),
    ("SM304290_0+1_20240601$053000.wav", START),
    ("SMU01234__0__20240601_053000.wav", START),
    ("SM4A_20240601_053000_000.wav", START),
    ("5146.240601053000.wav", START),
    ("240601-053000.wav", START),
    ("240601_0530.wav", START),
    ("2024-06-01T05-30-00Z.wav", at(0)),
    ("20240601T053000+0200.wav", at(2)),
    ("2024-06-01T05:30:00-04:00.flac", at(-4)),
    ("20240601T053000+1000_REC_-27.3871+152.9126.flac", at(10)),
    ("S1234_20240601_053000-0400.wav", at(-4)),
    ("SWIFT01_20240601_053000.wav", START),
    ("Recording 2024-06-01 05.30.00.wav", START),
    ("2024_06_01_05_30_00.wav", START),
    ("Voice 240601_053000.mp3", START),
    ("20240601 053000-ABCDEF12.wav", START),
    ("WhatsApp Audio 2024-06-01 at 05.30.00.ogg", START),
    ("Note 2024-06-01 at 5.30.00 AM.wav", START),
    ("20240601/053000.wav", START),
    ("2024-06-01/REC_05-30-00.wav", START),
    ("2024/06/01/053000.wav", START),
    ("20240601053000.wav", START),
    ("20240601_053000_20240601_063000.wav", START),
    ("31122023_053000.wav", datetime(2023, 12, 31, 5, 30)),  # noqa: DTZ001
    ("12-31-2023 05-30-00.wav", datetime(2023, 12, 31, 5, 30)),  # noqa: DTZ001
    ("1 Jun 2024 05h30m00.wav", START),
]
REFUSED = [
    (["ZOOM0001.WAV", "ZOOM0002.WAV"], "known form"),
    (["M00001.wav"], "known form"),
    (["AUD-20240601-WA0001.wav"], "no time"),
    (["240601_0001.wav", "240601_0002.wav"], "takes"),
    (["240601_0101.wav", "240602_0102.wav", "240603_0103.wav"], "takes"),
    (["20240601_000001.wav", "20240601_000002.wav"], "takes"),
    (["01062024_053000.wav", "02062024_053000.wav"], "DDMMYYYY"),
    (["010624_053000.wav"], "DDMMYY"),
    (["20241301_053000.wav"], "known form"),
    (["20240601_256000.wav"], "no time"),
    (["20240601_053000Z.wav", "20240602_053000.wav"], "zone"),
    (["5e90a4d0.wav"], "known form"),
    (["12345678.wav"], "known form"),
    (["20240601_053000.wav", "a.wav", "b.wav"], "known form"),
]


@pytest.mark.parametrize(("name", "start"), FORMS, ids=[name for name, _ in FORMS])
def test_forms_of_recorders_give_the_right_time(name, start):
    found = read_names([Path(name)], now=NOW)
    assert found.starts == (start,), found.reason
    assert found.starts[0].utcoffset() == start.utcoffset()


@pytest.mark.parametrize(("names", "why"), REFUSED, ids=[names[0] for names, _ in REFUSED])
def test_ambiguous_names_give_no_dates(names, why):
    paths = [Path(name) for name in names]
    found = read_names(paths, now=NOW)
    assert (found.form, found.starts) == ("", ())
    assert why in (found.reason or why_none(paths, now=NOW))


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def recording(path, *chunks, rf64=False):
    """Write a WAV file of four samples with chunks behind them."""
    data = chunk(b"data", bytes(8))
    if rf64:
        data = chunk(b"ds64", struct.pack("<QQQI", 0, 8, 4, 0)) + b"data" + b"\xff" * 4 + bytes(8)
    kind = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
    body = b"WAVE" + kind + data + b"".join(chunks)
    path.write_bytes((b"RF64" + b"\xff" * 4 if rf64 else b"RIFF" + struct.pack("<I", len(body))) + body)
    return path


def comment(text):
    return chunk(b"LIST", b"INFO" + chunk(b"ICMT", text.encode()))


HEADERS = {
    "guano": (chunk(b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-06-01T05:30:00+10:00\n"), at(10)),
    "guano without zone": (chunk(b"guan", b"Timestamp: 2024-06-01 05:30:00\nNote: x"), START),
    "wamd": (chunk(b"wamd", struct.pack("<HI", 5, 25) + b"2024-06-01 05:30:00-05:00"), at(-5)),
    "audiomoth": (comment("Recorded at 05:30:00 01/06/2024 (UTC+2) by AudioMoth 24F3"), at(2)),
    "audiomoth half hour": (comment("Recorded at 05:30:00 01/06/2024 (UTC-3:30) by AudioMoth 24F3"), at(-3.5)),
    "audiomoth utc": (comment("Recorded at 05:30:00 01/06/2024 (UTC) by AudioMoth 24F3"), at(0)),
    "bext": (chunk(b"bext", bytes(320) + b"2024-06-0105:30:00" + bytes(264)), START),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("rf64", [False, True])
def test_time_is_read_from_headers_behind_the_samples(tmp_path, kind, rf64):
    content, start = HEADERS[kind]
    found = read_dates([recording(tmp_path / "a.wav", content, rf64=rf64)], now=NOW)
    assert found.starts == [start]
    assert found.starts[0].utcoffset() == start.utcoffset()


def test_a_header_with_an_impossible_zone_has_no_date(tmp_path):
    content = comment("Recorded at 05:30:00 01/06/2024 (UTC+99) by AudioMoth 24F3")
    dates = read_dates([recording(tmp_path / "a.wav", content)], now=NOW)
    assert dates.starts == [None]
    assert dates.note.startswith("no dates: the file names contain no date and time in a known form")


def test_zone_of_a_name_is_read_from_a_header_with_the_same_time(tmp_path):
    path = recording(tmp_path / "20240601_053000.WAV", HEADERS["audiomoth"][0])
    assert read_dates([path], now=NOW).starts[0].utcoffset() == timedelta(hours=2)
    assert read_dates([path], when="name", now=NOW).starts == [START]


def test_names_and_headers_that_disagree_by_days_give_no_date(tmp_path):
    path = recording(tmp_path / "20240701_053000.WAV", HEADERS["audiomoth"][0])
    found = read_dates([path], now=NOW)
    assert found.starts == [None]
    assert "disagree" in found.note


def test_time_zone_is_added_to_times_without_one_and_converts_others():
    naive, stated = (
        read_dates([Path(name)], time_zone="Europe/Berlin", now=NOW).starts[0]
        for name in ("20240601_053000.wav", "20240601_053000Z.wav")
    )
    assert naive.isoformat() == "2024-06-01T05:30:00+02:00"
    assert stated.isoformat() == "2024-06-01T07:30:00+02:00"


def test_hours_that_clocks_repeat_or_skip_are_reported():
    paths = [Path("20241027_023000.wav"), Path("20240331_023000.wav")]
    found = read_dates(paths, time_zone="Europe/Berlin", now=NOW)
    assert "1 in an hour that clocks repeat" in found.note
    assert "1 in an hour that clocks skip" in found.note
    assert found.starts[0].isoformat() == "2024-10-27T02:30:00+02:00"


def test_note_states_form_and_number_of_dates():
    paths = [Path(f"202406{day:02d}_053000.wav") for day in range(1, 21)] + [Path("notes.wav")]
    found = read_dates(paths, now=NOW)
    assert (
        found.note == "dates from file names: YYYYMMDD_HHMMSS, 20 of 21 recordings, no time zone; give that of the "
        "recorder's clock with --time-zone"
    )
    assert found.starts[-1] is None
    assert read_dates(paths, when="none").starts == [None] * 21


def test_unknown_time_zone_raises_an_error():
    with pytest.raises(InputError, match="Nowhere/Here"):
        read_dates([Path("a.wav")], time_zone="Nowhere/Here")


def test_inspect_reports_dates(tmp_path, run):
    write(tmp_path / "20240601_053000.wav", tone())
    status, out, _ = run("inspect", tmp_path, "--json", "--time-zone", "Europe/Berlin")
    found = json.loads(out)
    assert status == 0
    assert found["dates"]["form"] == "file names: YYYYMMDD_HHMMSS"
    assert found["files"][0]["time"] == "2024-06-01T05:30:00+02:00"
    assert "no time zone; give that of the recorder's clock" in run("inspect", tmp_path)[1]


@pytest.mark.parametrize(("level", "index"), [("window", 3), ("file", 2)])
def test_tables_have_a_time_column_only_if_dates_are_known(tmp_path, run, trained, level, index):
    write(tmp_path / "a" / "20240601_053000.wav", tone())
    write(tmp_path / "b" / "call.wav", tone())
    heads = {}
    for folder in "ab":
        table = tmp_path / f"{folder}.csv"
        assert run("export", trained, tmp_path / folder, "-o", table, "--level", level)[0] == 0
        heads[folder] = [line.split(",") for line in table.read_text().splitlines()]
    assert [name for name in heads["a"][0] if name != "time"] == heads["b"][0]
    assert heads["a"][0][index] == "time"
    assert heads["a"][1][index].startswith("2024-06-01T05:30:00")


def test_names_without_digits_have_no_date_and_do_not_affect_others():
    names = [f"20240601_0{hour}0000.WAV" for hour in range(4)]
    found = read_dates([*map(Path, names[:2]), Path("morning.wav"), *map(Path, names[2:])])
    assert [start and start.hour for start in found.starts] == [0, 1, None, 2, 3]
    assert "4 of 5" in found.note
    assert not read_dates([Path(names[0]), Path("morning.wav")]).form


def test_note_lists_names_that_do_not_have_the_form():
    found = read_dates([*(Path(f"20240601_0{hour}0000.WAV") for hour in range(5)), Path("20240230_053000.WAV")])
    assert found.starts == [None] * 6
    assert "5 of 6 names have the form YYYYMMDD_HHMMSS" in found.note
    assert "leave out the others: 20240230_053000" in found.note


def test_times_in_an_hour_that_clocks_skip_are_one_hour_later():
    paths = [Path(f"20240331_0{hour}3000.WAV") for hour in range(1, 5)]
    found = read_dates(paths, time_zone="Europe/Berlin")
    assert [start.hour for start in found.starts] == [1, 3, 3, 4]
    assert "1 in an hour that clocks skip" in found.note
    assert [start.utcoffset().total_seconds() for start in found.starts] == [3600, 7200, 7200, 7200]
