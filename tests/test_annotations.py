"""Annotation files for Raven and Audacity: their values can be read back exactly."""

from __future__ import annotations

import csv
import time

import numpy as np
import pytest

from audiosae.sounds.annotations import safe_names, write_annotations
from audiosae.sounds.events import Event

RAVEN_COLUMNS = [
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "Begin File",
    "File Offset (s)",
    "Type",
    "Name",
]


def event(file, start, end, low, high, kind, name):
    return Event(
        0, 0, file, start, end, low, high, kind, name, score=0.5, peak=20.0, top_unit=0, time=None, bout=0, events=1
    )


@pytest.fixture
def events():
    """Forty events in two recordings with the same name in two folders."""
    rng = np.random.default_rng(0)
    starts, lows = np.sort(rng.uniform(0, 3600, 40)), rng.uniform(0, 4000, 40)
    starts[0] = 1e-5
    return [
        event(f"{'ab'[i % 2]}/rec.wav", start, start + 1 / 3, low, low + 1000 / 7, i % 3, "wren" * (i % 3 == 1))
        for i, (start, low) in enumerate(zip(starts.tolist(), lows.tolist(), strict=True))
    ]


def boxes(events, file):
    return [(e.start, e.end, e.low_hz, e.high_hz) for e in events if e.file == file]


def test_raven_tables_have_the_exact_values(events, tmp_path):
    paths = write_annotations(events, tmp_path, "raven")
    assert [path.name for path in paths] == ["a_rec.selections.txt", "b_rec.selections.txt"]
    with paths[1].open(newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header == RAVEN_COLUMNS
    assert [tuple(map(float, row[3:7])) for row in rows] == boxes(events, "b/rec.wav")
    assert {(row[7], row[8]) for row in rows} == {("b/rec.wav", "rec.wav")}
    assert [row[9] for row in rows] == [row[3] for row in rows]
    assert [row[11] for row in rows] == [e.name or f"type {e.type}" for e in events if e.file == "b/rec.wav"]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of crowsetta under pandas 3.1
def test_crowsetta_reads_both_formats(events, tmp_path):
    formats = pytest.importorskip(
        "crowsetta", reason="crowsetta reads the tables back: pip install crowsetta"
    ).formats.bbox
    table = write_annotations(events, tmp_path / "raven", "raven")[0]
    raven = formats.Raven.from_file(table, annot_col="Type").to_bbox()
    assert [b.label for b in formats.Raven.from_file(table, annot_col="Name").to_bbox()] == [
        e.name or f"type {e.type}" for e in events if e.file == "a/rec.wav"
    ]
    audacity = formats.AudBBox.from_file(write_annotations(events, tmp_path / "audacity", "audacity")[0]).to_bbox()
    expected = boxes(events, "a/rec.wav")
    np.testing.assert_allclose([(b.onset, b.offset, b.low_freq, b.high_freq) for b in raven], expected, rtol=1e-14)
    assert [(b.onset, b.offset, b.low_freq, b.high_freq) for b in audacity] == expected
    assert [b.label for b in audacity] == [e.name or f"type {e.type}" for e in events if e.file == "a/rec.wav"]


def test_audacity_labels_have_frequencies_and_no_exponents(events, tmp_path):
    lines = write_annotations(events, tmp_path, "audacity")[0].read_text().splitlines()
    read = [
        (*map(float, first.split("\t")[:2]), *map(float, second.split("\t")[1:]))
        for first, second in zip(lines[::2], lines[1::2], strict=True)
    ]
    assert read == boxes(events, "a/rec.wav")
    assert all(line.startswith("\\\t") for line in lines[1::2])
    assert lines[0].startswith("0.00001\t")


def test_file_names_are_safe_and_distinct():
    files = [
        "a/b.wav",
        "a_b.wav",
        "A_B.flac",
        "con.wav",
        "x/" + "y" * 300 + ".wav",
        "ü" * 120 + ".wav",
        "q?:*.wav",
        "...wav",
        "5146.240601.wav",
    ]
    names = safe_names(files)
    assert len({name.casefold() for name in names.values()}) == len(files)
    assert names == safe_names(files[::-1])
    assert all(len(name.encode()) <= 125 and not set('<>:"|?*\\/') & set(name) for name in names.values())
    assert names["con.wav"] == "_con"
    assert names["5146.240601.wav"] == "5146.240601"


def test_name_with_tab_or_newline_stays_in_one_cell(tmp_path):
    (path,) = write_annotations([event("a.wav", 0.5, 1.0, 100.0, 200.0, 1, "wren\tor\nrobin")], tmp_path, "raven")
    assert path.read_text().splitlines()[1].split("\t")[-1] == "wren or robin"


def test_thousands_of_names_that_begin_alike_take_no_time():
    files = [f"{'a folder of this archive/' * 6}{number:05d}.wav" for number in range(8000)]
    began = time.perf_counter()
    names = safe_names(files)
    assert time.perf_counter() - began < 1
    assert len({name.casefold() for name in names.values()}) == len(files)
    assert max(len(name) for name in names.values()) <= 120 + len("-8000")
