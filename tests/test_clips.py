"""Clips: FLAC files with the samples of the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from signals import write
from test_sites import survey_of

from audiosae.commands import clips as module
from audiosae.commands.clips import ClipChoice
from audiosae.corpus.journal import Record
from audiosae.errors import InputError
from audiosae.sounds.labelled import Labels
from audiosae.sounds.results import Survey
from audiosae.sounds.search import Matches
from audiosae.views.clips import PADDING, Clip, clips_of_matches, clips_of_survey, largest_size, write_clips

RATE = 8000


def clip(path, start=1.0, end=1.5, low=0.0, high=4000.0, name="a.flac"):
    return Clip(str(path), name, start, end, low, high, "wren", "a.wav, 1 to 1.5 s")


def noise(seconds=3, channels=1, level=0.1):
    return level * np.random.default_rng(0).normal(size=(round(seconds * RATE), channels))


@pytest.mark.parametrize(
    ("source", "bits"), [("PCM_16", 16), ("PCM_U8", 16), ("PCM_24", 24), ("PCM_32", 24), ("ULAW", 16)]
)
def test_the_samples_of_a_clip_are_those_of_the_source(tmp_path, source, bits):
    path = write(tmp_path / "a.wav", noise(), RATE, subtype=source)
    written = write_clips([clip(path)], tmp_path / "out")
    file = tmp_path / "out" / "a.flac"
    info, (samples, _) = soundfile.info(file), soundfile.read(file, dtype="int32")
    own, _ = soundfile.read(path, dtype="int32")
    inside = own[round((1 - PADDING) * RATE) : round((1.5 + PADDING) * RATE)]
    assert (info.samplerate, info.subtype, info.channels) == (RATE, f"PCM_{bits}", 1)
    expected = inside.astype(float) / 2.0 ** (32 - bits)
    np.testing.assert_allclose(samples >> (32 - bits), expected, atol=1 if source == "PCM_32" else 0)
    assert (written.count, written.seconds, written.bytes) == (1, 1.0, file.stat().st_size)
    with soundfile.SoundFile(file) as opened:
        assert (opened.title, opened.comment) == ("wren", "a.wav, 1 to 1.5 s")


def test_a_clip_ends_with_its_recording(tmp_path):
    path = write(tmp_path / "a.wav", noise(1), RATE)
    assert write_clips([clip(path, 0.1, 0.9)], tmp_path / "out").seconds == 1.0


def test_clips_of_loud_float_files_are_scaled_and_not_cut(tmp_path):
    samples = noise(level=2.0)[:, 0].astype(np.float32)
    path = write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    write_clips([clip(path)], tmp_path / "out")
    heard, _ = soundfile.read(tmp_path / "out" / "a.flac")
    own = samples[round((1 - PADDING) * RATE) : round((1.5 + PADDING) * RATE)]
    np.testing.assert_allclose(heard, own / np.abs(own).max(), atol=2**-22)
    with soundfile.SoundFile(tmp_path / "out" / "a.flac") as opened:
        assert f"scaled by {-20 * np.log10(np.abs(own).max()):.1f} dB" in opened.comment


@pytest.mark.parametrize(("channel", "expected"), [(0, 2), (1, 1), (2, 2)])
def test_a_clip_has_the_channel_that_was_read_or_the_loudest(tmp_path, channel, expected):
    path = write(tmp_path / "a.wav", noise(channels=2) * [0.1, 1], RATE)
    write_clips([clip(path)], tmp_path / "out", channel=channel)
    heard, _ = soundfile.read(tmp_path / "out" / "a.flac", dtype="int16")
    own, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(heard, own[round((1 - PADDING) * RATE) :, expected - 1][: len(heard)])


def test_ultrasound_is_slowed_down_with_its_samples_unchanged(tmp_path):
    path = write(tmp_path / "a.wav", noise(30), 250_000)
    write_clips([clip(path, 0.4, 0.41)], tmp_path / "out")
    heard, rate = soundfile.read(tmp_path / "out" / "a.flac", dtype="int16")
    own, _ = soundfile.read(path, dtype="int16")
    assert rate == 25_000
    np.testing.assert_array_equal(heard, own[round(0.15 * 250_000) : round(0.66 * 250_000)])
    with soundfile.SoundFile(tmp_path / "out" / "a.flac") as opened:
        assert "slowed down 10 times from 250000 Hz" in opened.comment


def test_a_long_clip_is_written_in_parts(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", noise(), RATE)
    write_clips([clip(path)], tmp_path / "one")
    monkeypatch.setattr("audiosae.views.clips._AT_ONCE", 777)
    write_clips([clip(path)], tmp_path / "two")
    assert (tmp_path / "two" / "a.flac").read_bytes() == (tmp_path / "one" / "a.flac").read_bytes()


def test_a_part_that_cannot_be_read_is_a_fault_and_the_others_are_written(tmp_path):
    path = write(tmp_path / "a.wav", noise(), RATE)
    gone = [clip(tmp_path / "gone.wav", name="b.flac"), clip(path, 9, 9.5, name="c.flac")]
    written = write_clips([*gone, clip(path)], tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.flac"]
    assert written.count == 1
    assert ["unreadable" in written.faults[0], "has become shorter" in written.faults[1]] == [True, True]


@pytest.mark.slow
def test_the_files_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.views.clips._CLIPS_PER_WORKER", 1)
    paths = [write(tmp_path / f"{i}.wav", noise(), RATE) for i in range(3)]
    for workers in (1, 2):
        write_clips([clip(p, name=f"{p.stem}.flac") for p in paths], tmp_path / f"{workers}", workers=workers)
    for path in paths:
        one, two = (tmp_path / f"{workers}" / f"{path.stem}.flac" for workers in (1, 2))
        assert one.read_bytes() == two.read_bytes()


def test_the_size_without_compression_is_a_bound(tmp_path):
    path = write(tmp_path / "a.wav", noise(level=0.5), RATE, subtype="PCM_24")
    written = write_clips([clip(path)], tmp_path / "out")
    assert 0.8 * written.bytes < largest_size([clip(path)]) - 2**13 <= 24_000


def test_names_of_clips_are_valid_on_every_system():
    survey = survey_of([None] * 2, [9.0] * 2, [(0, 1, 2, 1), (0, 3, 4, 2), (0, 5, 6, 3), (1, 1, 2, 0), (1, 3, 4, 4)])
    records = [Record("north/a:b?.wav", "used", extent=9.0), Record("CON.wav", "used", extent=9.0)]
    survey = Survey(records, survey.events, survey.bouts, survey.types, "event")
    survey = survey.named({1: "Wren", 2: "wren", 3: "E. coli / nul."})
    names = [each.name for each in clips_of_survey(survey, 9)]
    assert names == [
        "Wren/north_a_b__0001.00s_event1.flac",
        "wren-2/north_a_b__0003.00s_event2.flac",
        "E. coli _ nul/north_a_b__0005.00s_event3.flac",
        "no-type/_CON_0001.00s_event4.flac",
        "type-4/_CON_0003.00s_event5.flac",
    ]


def test_the_clips_of_a_type_are_its_most_typical_sounds_in_order_of_time():
    survey = survey_of([None], [9.0], [(0, i, i + 0.5, 1) for i in range(8)])
    survey.events.score[:] = [0.8, 0.1, 0.9, 0.2, 0.7, 0.3, 0.6, 0.5]
    assert [each.start for each in clips_of_survey(survey, 3)] == [1.0, 3.0, 5.0]


def test_clips_are_in_the_folder_of_their_label_those_of_a_person_first():
    survey = survey_of([None], [9.0], [(0, i, i + 0.5, 1 + i % 2) for i in range(6)])
    survey.events.label[:4] = [0, 0, 0, 1]
    survey.events.confidence[:4] = [0.6, 1.0, 0.9, 1.0]
    survey = replace(survey, labels=Labels(("wren", "robin"), None, None, (), (), ())).named({2: "wren"})

    def names(**chosen):
        return [each.name.replace("0_000", "") for each in clips_of_survey(survey, **chosen)]

    assert names(count=2) == [
        "wren/1.00s_event2.flac",
        "wren/2.00s_event3.flac",
        "robin/3.00s_event4.flac",
        "type-1/4.00s_event5.flac",
    ]
    assert names(count=9, of="wren") == [f"wren/{at}.00s_event{at + 1}.flac" for at in (0, 1, 2, 5)]
    assert names(count=9, of="1") == ["type-1/4.00s_event5.flac"]
    assert names(count=9, of="2") == names(count=9, of="wren")
    assert names(count=9, of="owl") == []


def test_clips_of_a_search_begin_with_their_rank():
    survey = survey_of([None] * 2, [9.0] * 2, [(1, 1, 2, 0), (0, 3, 4, 0)])
    matches = Matches(survey.records, survey.events, np.array([0.9, 0.8]))
    assert [each.name for each in clips_of_matches(matches)] == ["2_0_0003.00s.flac", "1_1_0001.00s.flac"]


@pytest.mark.parametrize(
    ("clips", "out", "message"),
    [
        ("some", "found", "wanted all, or a whole number of at least 1"),
        (0, "found", "wanted all, or a whole number of at least 1"),
        (3, None, "needs a folder"),
        ("all", "in/found", "would read the clips as recordings"),
    ],
)
def test_wrong_options_are_an_error(tmp_path, clips, out, message):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=message):
        ClipChoice.of(str(clips), None, out and tmp_path / out, [tmp_path / "in"])


def test_number_duration_and_size_are_stated():
    assert module.clip_text({"count": 2, "seconds": 90, "bytes": 2.5e6, "folder": "x"}) == (
        "2 clips (1.5 min, 2.5 MB) written to x"
    )
