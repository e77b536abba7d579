"""Options of event detection: what they do, and the errors of invalid values."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import once
from detected import RATE, SYLLABLE, add, located, noise, sine, song, with_syllables
from signals import write

import audiosae
from audiosae.autoencoder.model import load_model
from audiosae.commands.event_options import EventSettings
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.detection import DetectorOptions

RESOLUTION = 0.003  # s
SONGS = (0.5, 2.0, 3.5, 5.0)
PITCH = 1200.0  # Hz


def recording(seed):
    """Return 11 s with songs of 4 syllables, a soft high tone at 7 s and a loud low one at 9 s."""
    samples = with_syllables(noise(11, seed=seed), np.concatenate([song(first, 4) for first in SONGS]), PITCH)
    return add(add(samples, 7, sine(0.4, 3000, level=0.05)), 9, sine(0.4, 600, level=0.4))


SYLLABLES = np.concatenate([song(first, 4) for first in SONGS])
STARTS = [*SYLLABLES, 7.0, 9.0]


def starts_of(folder, samples=None, **options):
    samples = recording(0) if samples is None else samples
    return located(folder, samples, options=DetectorOptions(**options))[1].start.tolist()


def near(starts):
    return pytest.approx(starts, abs=RESOLUTION)


def test_the_defaults_choose_everything():
    settings = EventSettings()
    assert settings.detector() == DetectorOptions()
    assert settings.group is None
    assert settings.domain(Spectrogram(RATE, channel=2)).channel == 2


def test_values_are_those_of_the_detector():
    settings = EventSettings("bout", "0.05", 0.1, 6.0, " 500 - 2000.5 ", "2")
    assert settings.detector() == DetectorOptions(0.05, 0.1, 6.0, 500.0, 2000.5)
    assert settings.group == "bout"
    assert settings.domain(Spectrogram(RATE)).channel == 2


@pytest.mark.parametrize("value", ["auto", " AUTO ", "Auto"])
def test_auto_is_no_time(value):
    assert EventSettings(min_gap=value, min_duration=value).detector() == DetectorOptions()


@pytest.mark.parametrize("option", ["min_gap", "min_duration"])
@pytest.mark.parametrize("value", ["", "x", "1s", "-0.1", "nan", "inf", "1,5", -1])
def test_a_time_must_be_auto_or_a_number(option, value):
    with pytest.raises(InputError, match=f"^--{option.replace('_', '-')} {value}: wanted auto or a number of seconds"):
        _ = EventSettings(**{option: value}).detector()


@pytest.mark.parametrize(
    "band", ["", "1000", "2000-1000", "1000-1000", "0-0", "a-b", "-100-2000", "1000-2000 Hz", "1-2-3"]
)
def test_a_band_must_be_a_range(band):
    with pytest.raises(InputError, match=f"^--band {band}: wanted all, or LOW-HIGH in Hz"):
        _ = EventSettings(band=band).detector()


@pytest.mark.parametrize("gap", [None, 0.012])
def test_pauses_of_at_least_the_gap_separate_events(tmp_path, gap):
    assert starts_of(tmp_path, min_gap=gap) == near(STARTS)


def test_shorter_pauses_than_the_gap_do_not(tmp_path):
    _, events = located(tmp_path, recording(0), options=DetectorOptions(min_gap=0.02))
    assert events.start.tolist() == near([*SONGS, 7, 9])
    assert events.end[:4].tolist() == near([first + 0.285 for first in SONGS])


@pytest.mark.parametrize(("duration", "starts"), [(0.04, STARTS), (0.07, [7, 9]), (0.35, [7, 9]), (0.5, [])])
def test_events_have_at_least_the_duration(tmp_path, duration, starts):
    _, events = located(tmp_path, recording(0), options=DetectorOptions(min_duration=duration))
    assert events.start.tolist() == pytest.approx(starts, abs=0.02)
    assert (events.end - events.start >= duration).all()


def test_a_lower_duration_finds_clicks(tmp_path):
    click = add(noise(11), 5, sine(0.01, 1500, level=0.3))
    assert starts_of(tmp_path / "auto", click) == []
    assert starts_of(tmp_path / "short", click, min_duration=0.005) == pytest.approx([5], abs=0.03)


def test_events_have_at_least_the_level(tmp_path):
    _, events = located(tmp_path / "all", recording(0))
    assert events.peak[-2] < events.peak[:-2].min() < events.peak[-1]
    for at in (-2, -1):
        level = float(events.peak[at])
        _, loud = located(tmp_path / str(at), recording(0), options=DetectorOptions(min_level=level))
        assert loud.start.tolist() == events.start[events.peak >= level].tolist()


@pytest.mark.parametrize(
    ("low", "high", "starts"),
    [(0, 0, STARTS), (900, 1600, SYLLABLES), (2000, 0, [7]), (0, 800, [9]), (1700, 2200, [])],
)
def test_only_sounds_in_the_band_are_events(tmp_path, low, high, starts):
    _, events = located(tmp_path, recording(0), options=DetectorOptions(low_hz=low, high_hz=high))
    assert events.start.tolist() == near(list(starts))
    if high:
        centres = Spectrogram(RATE).resolve([]).frequencies
        assert (centres[events.low] >= low).all()
        assert (centres[events.high] <= high).all()


def test_the_part_of_a_sound_in_the_band_is_an_event(tmp_path):
    samples = add(noise(11), 3, sine(0.5, 800, harmonics=(1, 0, 1)))
    _, events = located(tmp_path, samples, options=DetectorOptions(low_hz=2000, high_hz=3000))
    centres = Spectrogram(RATE).resolve([]).frequencies
    assert events.start.tolist() == near([3])
    assert centres[[*events.low, *events.high]] == pytest.approx([2400, 2400], abs=200)


@pytest.mark.parametrize(("channel", "starts"), [(0, [2, 5]), (1, [2]), (2, [5])])
def test_only_the_channel_has_events(tmp_path, channel, starts):
    samples = np.stack([add(noise(11, seed=seed), 3 * seed - 1, sine(0.3, 1000)) for seed in (1, 2)], axis=1)
    assert located(tmp_path, samples, channel=channel)[1].start.tolist() == near(starts)


@pytest.fixture(scope="module")
def archive(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    for number in range(4):
        write(folder / "in" / f"{number}.wav", recording(number), RATE, subtype="FLOAT")
    once(
        ["train", folder / "in", "-o", folder / "run", "--hidden", 6, "--epochs", 1, "--cache", cache, "-q"],
        pictures=False,
    )
    return SimpleNamespace(run=folder / "run", sounds=folder / "in", model=load_model(folder / "run"), cache=cache)


@pytest.fixture(autouse=True)
def _without_page(monkeypatch):
    """Write no page, to save time."""
    monkeypatch.setattr("audiosae.commands.survey.write_survey_page", lambda *_, **__: None)


def survey(archive, **options):
    return audiosae.survey(archive.model, archive.sounds, cache=archive.cache, **options)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--min-gap", "x"], 1, "--min-gap x: wanted auto or a number of seconds of at least 0"),
        (["--min-duration", "-1"], 1, "--min-duration -1: wanted auto or a number of seconds of at least 0"),
        (["--min-level", "-1"], 2, "greater than or equal to 0"),
        (["--band", "2000-1000"], 1, "--band 2000-1000: wanted all, or LOW-HIGH in Hz"),
        (["--channel", "0"], 1, "--channel 0: wanted mix, or the number of a channel"),
        (["--group-by", "song"], 2, "is not one of 'auto', 'event', 'bout'"),
        (["--min-level", "90"], 1, "no events in 4 recordings"),
        (["--band", "6000-7000"], 1, "--band 6000-7000: no band of the model lies in it"),
    ],
)
@pytest.mark.parametrize("command", ["survey", "find"])
def test_invalid_values_are_a_one_line_error(archive, run, tmp_path, command, options, status, message):
    more = ["-o", tmp_path / "out"] if command == "survey" else ["--like", archive.sounds / "0.wav"]
    code, _, error = run(command, archive.run, archive.sounds, *more, "--cache", archive.cache, "-q", *options)
    assert (code, message in error, len(error.strip().splitlines())) == (status, True, 1)


def test_every_event_refers_to_the_row_of_its_bout(archive, tmp_path):
    survey(archive, out=tmp_path, events="csv")
    events, bouts = rows_of(tmp_path / "events.csv"), rows_of(tmp_path / "bouts.csv")
    assert [row["event"] for row in events] == [str(1 + number) for number in range(72)]
    assert [row["bout"] for row in bouts] == [str(1 + number) for number in range(len(bouts))]
    assert [int(row["events"]) for row in bouts] == [4, 4, 4, 4, 1, 1] * 4
    for bout in bouts:
        own = [row for row in events if row["bout"] == bout["bout"]]
        assert len(own) == int(bout["events"])
        assert {row["file"] for row in own} == {bout["file"]}
        assert min(float(row["start"]) for row in own) == float(bout["start"])
        assert max(float(row["end"]) for row in own) == float(bout["end"])


@pytest.mark.parametrize("group", ["event", "bout"])
def test_the_chosen_sounds_get_types(archive, group):
    found = survey(archive, group_by=group, types=3)
    assert (found.group, len(found.sounds)) == (group, 72 if group == "event" else 24)
    assert sum(kind.events for kind in found.types) == len(found.sounds) - len(found.sounds.of_type(0))
    if group == "bout":
        assert found.events.type.tolist() == found.bouts.type[found.events.bout].tolist()


def test_a_later_survey_uses_the_same_detector(archive, run, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    command = ("survey", archive.run, archive.sounds, "--cache", archive.cache, "-q", "--events", "csv")
    options = ("--min-gap", 0.02, "--min-level", 5, "--band", "800-4000", "--group-by", "bout")
    assert run(*command, "-o", one, *options)[0] == 0
    assert run(*command, "-o", two, "--types-from", one)[0] == 0
    for name in ("events.csv", "bouts.csv", "types.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert len(rows_of(one / "events.csv")) == 20
    fewer = write(tmp_path / "in" / "0.wav", recording(0), RATE, subtype="FLOAT").parent
    found = audiosae.survey(archive.model, fewer, types_from=one, cache=archive.cache)
    assert [round(float(start), 4) for start in found.events.start] == [
        float(row["start"]) for row in rows_of(one / "events.csv")[:5]
    ]


def test_a_later_survey_changes_only_the_options_that_are_given(archive, tmp_path):
    survey(archive, out=tmp_path, events="csv", min_gap=0.02, types=2)
    later = survey(archive, types_from=tmp_path, min_level=1.0)
    assert len(later.events) == 24
    reset = survey(archive, types_from=tmp_path, min_gap="auto")
    assert len(reset.events) == len(survey(archive, types=2).events) > 24


def test_a_later_survey_uses_the_same_channel(archive, tmp_path):
    samples = np.stack([add(noise(11, seed=seed), 3 * seed - 1, sine(0.3, 1000)) for seed in (1, 2)], axis=1)
    stereo = write(tmp_path / "in" / "0.wav", samples, RATE, subtype="FLOAT").parent
    found = [
        audiosae.survey(archive.model, stereo, cache=archive.cache, types=1, channel=2, out=tmp_path / "out"),
        audiosae.survey(archive.model, stereo, cache=archive.cache, types_from=tmp_path / "out"),
    ]
    assert [each.events.start.tolist() for each in found] == [near([5])] * 2


def test_a_band_may_be_a_pair_of_numbers(archive):
    of_text, of_pair = (survey(archive, band=band).events for band in ("1000-2000", (1000, 2000)))
    assert of_text.start.tolist() == of_pair.start.tolist()


@pytest.mark.parametrize("band", [1000, (1000,), (2000, 1000)])
def test_a_band_that_is_no_range_is_refused(archive, band):
    with pytest.raises(InputError, match="^band=.*: wanted all, or LOW-HIGH in Hz"):
        survey(archive, band=band)


@pytest.mark.parametrize("options", [{"min_gap": 0.02}, {"band": "2000-4000"}, {"group_by": "bout"}])
def test_find_compares_the_same_events(archive, options):
    found = survey(archive, **({"group_by": "event"} | options)).sounds
    like = f"{archive.sounds / '0.wav'}@7-7.4"
    matches = audiosae.find(
        archive.model, archive.sounds, like, cache=archive.cache, count=500, **({"group_by": "event"} | options)
    )
    columns = [sorted(zip(e.record, e.start, e.end, e.low_hz, strict=True)) for e in (matches.events, found)]
    own = [row for row in columns[1] if row[0] == 0 and row[1] < 7.4 and row[2] > 7]
    assert len(own) == 1
    assert sorted([*columns[0], *own]) == columns[1]


def test_options_of_the_command_are_keywords(archive, run, tmp_path):
    arguments = ("survey", archive.run, archive.sounds, "-o", tmp_path / "out", "--cache", archive.cache, "--json")
    facts = json.loads(run(*arguments, "--min-gap", "0.02", "--types", 2, "--events", "csv")[1])
    found = survey(archive, min_gap="0.02", types=2)
    assert [kind["events"] for kind in facts["types"]] == [kind.events for kind in found.types]
    assert len(found.events) == 24
    assert (found.events.end - found.events.start).min() > SYLLABLE
