"""Digital zeros before, behind and within a sound: levels, windows and features are those of the sound alone."""

from __future__ import annotations

import numpy as np
import pytest
from signals import tone, write

import audiosae
from audiosae.commands.inspect import inspect_sources
from audiosae.corpus.ingest import content_ranges, ingest
from audiosae.corpus.ranges import common_ranges
from audiosae.corpus.sources import scan
from audiosae.domain import BLANK
from audiosae.features.codes import FeatureSet, pooled_files
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.progress import Progress

RATE = 8000
SOUND = np.concatenate([tone(0.5, pitch=900.0), tone(0.5, pitch=300.0, level=0.1)])
ZEROS = np.zeros(3 * RATE, np.float32)
PADDED = {"behind": [SOUND, ZEROS], "before": [ZEROS, SOUND], "around": [ZEROS, SOUND, ZEROS]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("padded")
    write(folder / "alone.wav", SOUND)
    for name, parts in PADDED.items():
        write(folder / f"{name}.wav", np.concatenate(parts))
    write(folder / "twice.flac", np.concatenate([SOUND, ZEROS, SOUND]))
    write(folder / "click.wav", np.concatenate([ZEROS, SOUND[:400], ZEROS]))
    return folder


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    domain = Spectrogram(sample_rate=RATE).resolve([])
    found = ingest(domain, scan([folder], domain.suffixes), cache=tmp_path_factory.mktemp("cache"), workers=1)
    return {record.file.split(".")[0]: record for record in found}


@pytest.mark.parametrize("name", [*PADDED, "twice"])
def test_pooled_features_are_those_of_the_sound_alone(trained, folder, name):
    table = audiosae.export(audiosae.load_model(trained), folder, pool="max,mean,std,change", code="sqrt")
    rows = dict(zip(table.keys["file"], np.asarray(table.features), strict=True))
    suffix = "flac" if name == "twice" else "wav"
    found, expected = (rows[file].reshape(12, 4) for file in (f"{name}.{suffix}", "alone.wav"))  # (units, pools)
    np.testing.assert_allclose(found[:, [0, 2, 3]], expected[:, [0, 2, 3]], atol=0.03)
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=0.1)  # one more window at the edge has the maximum


@pytest.mark.parametrize(("name", "start"), [("behind", 0), ("before", 300), ("around", 300)])
def test_codes_of_the_same_windows_agree(trained, folder, name, start):
    table = audiosae.export(audiosae.load_model(trained), folder, level="window")
    files, values = np.array(table.keys["file"]), np.asarray(table.features)
    alone, padded = values[files == "alone.wav"], values[files == f"{name}.wav"]
    assert len(padded) > 300  # window tables have rows for blank windows too
    both = alone[:80], padded[start : start + 80]
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.99


def test_baselines_that_pool_rows_leave_blank_rows_out(records):
    domain = Spectrogram(sample_rate=RATE).resolve([])
    raw = FeatureSet(lambda rows: rows, rows=True)
    pooled = pooled_files(domain, records.values(), raw.encode, pools=("mean", "max"), rows=True)
    found = {record.file.split(".")[0]: values for record, values in pooled}
    np.testing.assert_allclose(found["behind"], found["alone"], atol=0.7)  # dB; there are two more rows with sound


def test_windows_to_train_on_are_those_of_the_sound(records):
    assert (records["alone"].content, records["alone"].remark) == ((), "")
    for name, first in (("behind", 0), ("before", 299), ("around", 299)):
        ((low, high),) = records[name].ranges
        assert (abs(low - first) <= 2, abs(high - low - 101) <= 3, records[name].remark) == (True, True, BLANK)
    assert len(records["twice"].ranges) == 2


def test_a_sound_shorter_than_a_window_is_in_the_windows_that_hold_all_of_it(records):
    ((low, high),) = records["click"].ranges
    assert (low < 300, high > 305, high - low < 32) == (True, True, True)


def test_inspection_reports_zeros(folder):
    found = inspect_sources(Spectrogram(), scan([folder], (".wav", ".flac")), progress=Progress())
    assert f"5 of 6 checked sources have {BLANK}: around.wav, before.wav, behind.wav and 2 more" in found["summary"]


def test_zeros_at_the_end_of_a_long_recording_are_reported(tmp_path):
    write(tmp_path / "a.wav", np.concatenate([tone(60.0), np.zeros(RATE, np.float32)]))
    write(tmp_path / "b.wav", tone(60.0))
    found = inspect_sources(Spectrogram(), scan([tmp_path], (".wav",)), progress=Progress())
    assert [each["file"] for each in found["glances"]["found"]] == ["a.wav"]


@pytest.mark.parametrize("scale", ["mel", "linear", "cqt"])
@pytest.mark.parametrize("top_db", [0.0, 80.0])
def test_the_mean_level_is_that_of_the_sound(scale, top_db, folder):
    domain = Spectrogram(sample_rate=RATE, scale=scale, top_db=top_db).resolve([])
    fields = {}
    for name in ("alone", "behind"):
        fields[name] = np.concatenate([block.copy() for block in domain.field(folder / f"{name}.wav")])
        domain.finish(fields[name])
    assert abs(np.median(fields["behind"][:97] - fields["alone"][:97])) < 0.7


def test_a_level_above_that_of_zeros_is_not_blank():
    field = np.full((30, 40), -100.0, np.float32)
    field[10:, 7] = -99.0
    assert Spectrogram(sample_rate=RATE).resolve([]).blank(field).tolist() == [True] * 10 + [False] * 20
    assert Spectrogram(sample_rate=RATE).resolve([]).blank(field[10:]) is None


@pytest.mark.parametrize("length", [3, 8, 9, 30, 200])
@pytest.mark.parametrize("seed", range(3))
def test_content_ranges_hold_the_right_windows(length, seed):
    rng, window = np.random.default_rng(seed), 8
    blank = np.repeat(rng.random(length) < 0.5, rng.integers(1, 12, length))[:length]
    ranges = content_ranges(blank, window)
    inside = [start for low, high in ranges for start in range(low, high - window + 1)]
    if not blank.any() or blank.all() or length < window:
        assert ranges == ()
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[True], blank, [True]]))).reshape(-1, 2)
    whole = [(a, b) for a, b in edges if b - a < window]
    expected = [
        start
        for start in range(length - window + 1)
        if not blank[start : start + window].any() or any(start <= a and b <= start + window for a, b in whole)
    ]
    assert inside == expected


@pytest.mark.parametrize("seed", range(6))
def test_common_ranges_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    first, second = (
        list(zip(np.cumsum(steps).tolist(), np.cumsum(steps + rng.integers(0, 5, len(steps))).tolist(), strict=True))
        for steps in (rng.integers(1, 9, size=rng.integers(0, 20)) for _ in range(2))
    )  # ascending, some of them overlapping
    pairs = ((max(a, low), min(b, high)) for a, b in first for low, high in second)
    assert common_ranges(first, second) == tuple((low, high) for low, high in pairs if low < high)
