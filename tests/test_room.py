"""Fields that are not kept because the disk has too little room: the same results, nothing left, faults reported."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import audiosae
from audiosae.commands.cache import cache as bound_cache
from audiosae.corpus import fields, room
from audiosae.corpus.entries import AGAIN, LostFieldError
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)


def decoded(sounds, cache, *, again=True, **options):
    sources = scan([sounds], DOMAIN.suffixes)
    return [*ingest(DOMAIN, sources, cache=cache, workers=1, again=lambda *_: again, **options)]


@pytest.fixture
def recordings(sounds, tmp_path):
    return Path(shutil.copytree(sounds, tmp_path / "recordings"))


def test_a_field_that_is_not_kept_is_that_of_the_cache_and_has_no_file(sounds, tmp_path):
    kept, records = decoded(sounds, tmp_path / "kept", again=False), decoded(sounds, tmp_path / "not")
    assert all(record.field.endswith(AGAIN) for record in records)
    for own, other in zip(records, kept, strict=True):
        np.testing.assert_array_equal(np.asarray(fields.read_field(own)), np.asarray(fields.read_field(other)))
        assert (own.digest, own.ranges, own.extent) == (other.digest, other.ranges, other.extent)
    assert [path.name for path in (tmp_path / "not").rglob("*") if path.is_file()] == ["domain.json"]


def test_a_source_that_is_changed_between_two_steps_is_an_error(recordings, tmp_path):
    (first, second, third, *_), folder = decoded(recordings, tmp_path / "cache"), tmp_path / "cache"
    samples, rate = soundfile.read(first.path)
    soundfile.write(first.path, samples[::-1], rate)
    with pytest.raises(InputError, match=r"tone_00.wav was changed during the command; run the same command again"):
        fields.read_field(first)
    Path(second.path).unlink()
    with pytest.raises(InputError, match=r"tone_01.wav can no longer be read: .*; run the same command again"):
        fields.read_field(second)
    shutil.rmtree(folder)
    with pytest.raises(LostFieldError, match=r"the folder .* was removed; run the same command again"):
        fields.read_field(third)


HALF, TEMPORARY, BOUND = (
    "half of what is free on the disk of",
    "the most that --cache none takes",
    "leaves of the cache",
)


@pytest.mark.parametrize(
    ("free", "lasting", "bound", "beside", "limit"),
    [  # in sizes of all fields
        (100, True, 0, 0, ""),
        (1.9, True, 0, 0, HALF),
        (100, False, 0, 0, TEMPORARY),
        (100, True, 2, 0, ""),
        (100, True, 2, 1.5, BOUND),
    ],
)
def test_fields_are_kept_where_there_is_room(sounds, tmp_path, monkeypatch, free, lasting, bound, beside, limit):
    sources, lines = scan([sounds], DOMAIN.suffixes), []
    size = sum(record.shape[0] * record.shape[1] for record in decoded(sounds, tmp_path / "kept"))
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free * size))
    monkeypatch.setattr(room, "MOST_TEMPORARY", size // 2)
    bound_cache(cache=tmp_path, size=bound * size)
    place = room.Room(DOMAIN, tmp_path, lasting, lines.append)
    assert place.is_too_small(sources, int(beside * size)) == bool(limit)
    assert [limit in line for line in lines] == [True] * bool(limit)
    assert abs(room.estimated_values(DOMAIN, sources) / size - 1) < 0.05


def outputs(model, sounds, out):
    """Write a table and a page of matches; return the bytes of all files, and the messages."""
    out.mkdir()
    table = audiosae.export(model, sounds, out / "table.csv", cache="none")
    matches = audiosae.find(model, sounds, sounds / "tone_00.wav", out / "like.html", count=3, cache="none")
    return {path.name: path.read_bytes() for path in out.iterdir()}, [*table.notes, *matches.notes]


def test_results_are_the_same_whether_or_not_fields_are_kept(trained, sounds, tmp_path, monkeypatch):
    """That of `survey` is in test_survey_cli.py."""
    before, _ = outputs(trained, sounds, tmp_path / "before")
    monkeypatch.setattr(room, "MOST_TEMPORARY", 1000)
    after, notes = outputs(trained, sounds, tmp_path / "after")
    assert sum("they are not kept but decoded again in each step" in note for note in notes) == 2
    assert before == after
    assert len(before) == 3
