"""Events of whole recordings, from the broadband level and from bands, as a survey finds them."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from detected import RATE, SYLLABLE, add, corpus_of, detected, located, noise, sine, song, with_syllables
from scipy import ndimage

from audiosae.corpus import ingest as ingest_module
from audiosae.engine import LocalEngine
from audiosae.recordings import audio, bands
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds import band_events, broadband, noise_floor
from audiosae.sounds import locate as module
from audiosae.sounds.detection import DetectorOptions, _joined, detect
from audiosae.sounds.locate import expected_broadband, locate, transform_seconds
from audiosae.sounds.loud_levels import LoudLevels, Runs
from audiosae.sounds.noise_floor import BandLevels, between_knots

RESOLUTION = 0.003  # s
SPECTRA = {  # amplitude at frequencies in Hz
    "white": None,
    "pink": lambda hertz: 1 / np.sqrt(np.maximum(hertz, 20)),
    "low-passed": lambda hertz: 1 / (1 + (hertz / 1500) ** 8),
    "telephone band": lambda hertz: (hertz > 300) & (hertz < 3400),
    "MP3": lambda hertz: (hertz < 9500) / np.sqrt(np.maximum(hertz, 50)),
}


def times(events):
    return np.stack([events.start, events.end], axis=1)


def spans(starts, seconds):
    return np.stack([np.asarray(starts), np.asarray(starts) + seconds], axis=1)


def centre(band):
    return Spectrogram(RATE).resolve([]).frequencies[band]


@pytest.mark.parametrize("name", SPECTRA)
def test_stationary_noise_has_no_events(tmp_path, name):
    assert len(detected(tmp_path, noise(15, 22050, gain=SPECTRA[name]), 22050)) == 0


def test_stationary_noise_of_a_lower_rate_than_the_model_has_no_events(tmp_path):
    assert len(detected(tmp_path, noise(15, 8000, level=0.002), 8000, model_rate=22050, subtype="PCM_16")) == 0


def test_noise_in_the_last_bits_has_no_events(tmp_path):
    assert len(detected(tmp_path, noise(20, level=1e-5), subtype="PCM_16")) == 0


def test_syllables_with_short_pauses_are_separate_events(tmp_path):
    starts = np.concatenate([song(3.0), song(9.5)])  # across a multiple of 10 s
    events = detected(tmp_path, with_syllables(noise(15), starts))
    np.testing.assert_allclose(times(events), spans(starts, SYLLABLE), atol=RESOLUTION)
    assert not events.parallel.any()
    assert not events.alone.any()


def test_syllables_of_a_lower_rate_than_the_model_are_separate_events(tmp_path):
    starts = song(4.0)
    events = detected(tmp_path, with_syllables(noise(12), starts), model_rate=22050)
    np.testing.assert_allclose(times(events), spans(starts, SYLLABLE), atol=RESOLUTION)


@pytest.mark.parametrize("seconds", [0.4, 2.0])
def test_sounds_that_fill_three_quarters_of_the_time_are_separate_events(tmp_path, seconds):
    starts = np.arange(0.3, 28, seconds)[:40]  # in 50 sounds, the smallest one may be clutter
    samples = noise(float(starts[-1]) + 2 * seconds)
    for number, start in enumerate(starts):
        add(samples, start, sine(0.75 * seconds, 800 + 617 * number % 2000))
    np.testing.assert_allclose(times(detected(tmp_path, samples)), spans(starts, 0.75 * seconds), atol=RESOLUTION)


def test_a_call_of_18_seconds_is_one_event(tmp_path):
    call = sine(18, 200, 2000, flank=0.05)
    ((start, end),) = times(detected(tmp_path, add(noise(60, 2000), 21.3, call, 2000), 2000))
    assert (start, end) == pytest.approx((21.3, 39.3), abs=0.03)


@pytest.mark.parametrize("start", [9.5, 10.0, 19.7])
def test_a_sound_across_a_multiple_of_10_seconds_is_one_event(tmp_path, start):
    events = detected(tmp_path, add(noise(25), start, sine(0.8, 1500)))
    np.testing.assert_allclose(times(events), spans([start], 0.8), atol=RESOLUTION)


@pytest.mark.parametrize("start", [59.5, 60.0])
def test_a_sound_across_the_border_of_two_minutes_is_one_event(tmp_path, start):
    events = detected(tmp_path, add(noise(70, 2000), start, sine(0.8, 400, 2000), 2000), 2000)
    np.testing.assert_allclose(times(events), spans([start], 0.8), atol=RESOLUTION)


def test_harmonics_with_the_same_start_and_end_are_one_event_with_one_range(tmp_path):
    samples = add(noise(15), 5, sine(1.0, 700, harmonics=(1, 0, 0, 0.8)))
    _, events = located(tmp_path, samples)
    np.testing.assert_allclose(times(events), spans([5], 1.0), atol=RESOLUTION)
    assert centre(events.low) == pytest.approx([700], abs=120)
    assert centre(events.high) == pytest.approx([2800], abs=200)


@pytest.mark.parametrize(("pitch", "other"), [(600, 3000), (3000, 600)])
def test_consecutive_sounds_have_their_own_frequency_ranges(tmp_path, pitch, other):
    events = detected(tmp_path, add(add(noise(15), 5, sine(0.3, pitch)), 5.35, sine(0.3, other)))
    np.testing.assert_allclose(times(events), spans([5, 5.35], 0.3), atol=RESOLUTION)
    for bound in (events.low, events.high):
        assert centre(bound) == pytest.approx([pitch, other], abs=200)


def test_strong_pulses_with_long_pauses_are_separate_events(tmp_path):
    starts = 4 + 0.13 * np.arange(10)
    samples = noise(15)
    for start in starts:
        add(samples, start, sine(0.03, 1500, level=0.4))
    np.testing.assert_allclose(times(detected(tmp_path, samples)), spans(starts, 0.03), atol=RESOLUTION)


def levels_with(*sounds, seconds=60.0, row=0.01):
    """Return levels of noise in 40 bands with sounds, each a start and an end in seconds, in bands 12 to 15."""
    rng = np.random.default_rng(0)
    field = (10 * np.log10(rng.chisquare(6, (round(seconds / row), 40)) / 6)).astype(np.float32)
    for start, end in sounds:
        field[round(start / row) : round(end / row), 12:16] += 20
    return BandLevels(field, row)


def field_of(events):
    """Return the field of broadband events: start, end, peak and spread of each."""
    rows = np.zeros((1 + len(events), 5), np.float32)
    for row, (start, end, peak, spread) in zip(rows[1:], events, strict=True):
        row[:] = start // 1, start % 1, end - start, peak, spread
    return rows


def test_a_long_sound_without_broadband_events_is_one_event():
    events = detect(levels_with((21.3, 39.3)), field_of([]), DetectorOptions())
    np.testing.assert_allclose(times(events), [(21.3, 39.3)], atol=0.03)
    assert (events.low.tolist(), events.high.tolist(), events.alone.tolist()) == ([12], [15], [False])


DROPS = [(0.5 * number, 0.5 * number + 0.03, 12.0, 1.0) for number in range(1, 110)]


def test_in_rain_only_the_events_of_bands_are_used():
    events = detect(levels_with((20, 21)), field_of(DROPS), DetectorOptions())
    np.testing.assert_allclose(times(events), [(20, 21)], atol=0.03)
    assert events.alone.tolist() == [True]


def test_strong_broadband_events_outside_of_those_of_bands_are_used():
    weak, strong = (10.0, 10.03, 12.0, 1.0), (30.0, 30.03, 40.0, 1.0)
    events = detect(levels_with((20, 21)), field_of([weak, (20.0, 21.0, 20.0, 1.0), strong]), DetectorOptions())
    np.testing.assert_allclose(times(events), [(20, 21), (30, 30.03)], atol=1e-3)


def test_broadband_events_replace_an_event_of_bands_that_they_cover_or_in_which_they_are_strong():
    parts = {
        "cover": [(20.0, 20.3, 10.0, 1.0), (20.4, 20.7, 10.0, 1.0)],
        "strong": [(20.0, 20.1, 15.0, 1.0), (20.4, 20.5, 10.0, 1.0)],
        "weak": [(20.0, 20.1, 10.0, 1.0), (20.4, 20.5, 10.0, 1.0)],
    }
    counts = {
        name: len(detect(levels_with((20, 21)), field_of(events), DetectorOptions())) for name, events in parts.items()
    }
    assert counts == {"cover": 2, "strong": 2, "weak": 1}


@pytest.mark.parametrize(("first", "last"), [(0, 6), (4, 9), (6, 15)])
def test_digital_zeros_are_not_sounds_and_do_not_hide_others(tmp_path, first, last):
    samples, starts = noise(15), np.array([at for at in (1.0, 5.0, 11.0) if not first - 1 < at < last])
    samples[first * RATE : last * RATE] = 0
    events = detected(tmp_path, with_syllables(samples, starts))
    np.testing.assert_allclose(times(events), spans(starts, SYLLABLE), atol=RESOLUTION)


def test_sounds_between_digital_zeros_are_events(tmp_path):
    samples = np.zeros(15 * RATE, np.float32)
    for start in (3, 8):
        add(samples, start, sine(0.5, 1500))
    np.testing.assert_allclose(times(detected(tmp_path, samples)), spans([3, 8], 0.5), atol=0.04)


@pytest.mark.parametrize("samples", [2, 100, 1000])
def test_very_short_recordings_cause_no_error(tmp_path, samples):
    _, events = located(tmp_path, noise(1)[:samples], with_syllables(noise(12), [5]))
    assert (events.end <= np.array([samples / RATE, 12.0])[events.record]).all()
    assert (events.start < events.end).all()
    np.testing.assert_allclose(times(events)[-1], [5, 5 + SYLLABLE], atol=RESOLUTION)


def test_a_short_recording_full_of_sound_is_one_event(tmp_path):
    ((start, end),) = times(detected(tmp_path, add(noise(1), 0, sine(1, 1500))))
    assert (start, end) == pytest.approx((0, 1), abs=0.02)


def test_a_sound_in_a_short_recording_has_precise_times(tmp_path):
    events = detected(tmp_path, add(noise(3), 1, sine(0.4, 1500)))
    np.testing.assert_allclose(times(events), spans([1], 0.4), atol=RESOLUTION)


@pytest.mark.parametrize(
    ("gap", "joined"),
    [(0.0, [(1, 2), (2.1, 3), (3.5, 4)]), (0.2, [(1, 3), (3.5, 4)]), (0.5, [(1, 3), (3.5, 4)]), (0.6, [(1, 4)])],
)
def test_broadband_events_with_shorter_pauses_than_the_gap_are_joined(gap, joined):
    events = np.array([(1, 2, 10, 1), (2.1, 3, 30, 2), (3.5, 4, 20, 1)], float)
    assert [tuple(event[:2]) for event in _joined(events, gap)] == joined
    assert _joined(events, gap)[:, 2].max() == 30


@pytest.mark.parametrize("number", [0, 1])
def test_few_broadband_events_are_joined(number):
    assert len(_joined(np.ones((number, 4)), 0.5)) == number


@pytest.mark.parametrize("count", [60, 100])
def test_all_of_many_equal_sounds_are_events(tmp_path, count):
    starts = 1 + 0.4 * np.arange(count)
    samples = noise(0.4 * count + 3, 2000, seed=5)
    for start in starts:
        add(samples, start, sine(0.2, 500, 2000), 2000)
    np.testing.assert_allclose(times(detected(tmp_path, samples, 2000)), spans(starts, 0.2), atol=0.01)


def test_sounds_of_one_pitch_that_fill_three_quarters_of_the_time_are_events(tmp_path):
    starts = np.arange(0.3, 58)
    samples = noise(60, seed=2)
    for start in starts:
        add(samples, start, sine(0.75, 1500))
    found = detected(tmp_path, samples).start
    assert (np.abs(np.subtract.outer(starts, found)).min(axis=1) < 0.05).mean() >= 0.95


def test_a_steady_call_is_one_event(tmp_path):
    call = sine(12, 200, 2000, flank=0.05)
    ((start, end),) = times(detected(tmp_path, add(noise(60, 2000, seed=3), 21.3, call, 2000), 2000))
    assert (start, end) == pytest.approx((21.3, 33.3), abs=0.1)


def test_songs_between_digital_zeros_are_syllables(tmp_path):
    """A noise gate leaves songs with little noise before and after them."""
    firsts = np.arange(2, 36, 3.0)
    starts = np.concatenate([song(first) for first in firsts])
    samples = with_syllables(noise(40, seed=2), starts)
    time = np.arange(len(samples)) / RATE
    samples[~((time >= firsts[:, None] - 0.1) & (time < firsts[:, None] + 1.15)).any(axis=0)] = 0
    found = detected(tmp_path, samples).start
    assert len(found) > 0
    assert (np.abs(np.subtract.outer(starts, found)).min(axis=1) < 0.005).mean() >= 0.97


def test_syllables_in_digital_zeros_are_separate_events(tmp_path):
    samples = with_syllables(np.zeros(15 * RATE, np.float32), song(4.0))
    np.testing.assert_allclose(times(detected(tmp_path, samples)), spans(song(4.0), SYLLABLE), atol=0.01)


def test_a_loud_tone_that_fills_a_short_recording_has_a_level(tmp_path):
    tone = (noise(1) + sine(1, 1000, level=0.2))[: RATE // 2]  # 35 dB above the noise of its band
    assert len(detected(tmp_path, tone, options=DetectorOptions(min_level=6))) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((5.0, 2.0), (6.0, 3.0)),
        ((5.0, 3.0), (7.8, 3.0)),
        ((5.0, 0.8), (5.3, 1.2)),
        ((3.0, 8.0), (6.0, 0.5)),
    ],
)
def test_two_simultaneous_tones_in_separate_bands_are_two_events(tmp_path, first, second):
    samples = noise(15)
    for (start, seconds), pitch in ((first, 600), (second, 3000)):
        add(samples, start, sine(seconds, pitch))
    _, events = located(tmp_path, samples)
    np.testing.assert_allclose(
        times(events), [(start, start + seconds) for start, seconds in (first, second)], atol=0.04
    )
    assert centre(events.low) == pytest.approx([600, 3000], abs=250)
    assert centre(events.high) == pytest.approx([600, 3000], abs=250)


def test_an_event_in_the_last_row_has_a_duration(tmp_path):
    _, events = located(tmp_path, with_syllables(noise(60), [1, 59.9]), hop_length=4000, n_fft=4096)
    assert (events.start < events.end).all()


def archive(seed=0):
    """Return four recordings: songs, calls, both at once, and noise."""
    songs = with_syllables(noise(15, seed=seed), np.concatenate([song(3.0), song(9.5)]))
    calls = noise(35, seed=seed + 1)
    for start in np.arange(2.0, 34, 1.2):
        add(calls, start, sine(0.4, 900, harmonics=(1, 0.5)))
    both = with_syllables(add(noise(15, seed=seed + 2), 4, sine(3, 700)), song(5.0), pitch=2900)
    return songs, calls, both, noise(15, seed=seed + 3)


def columns(found):
    detector, events = found
    parts = {name: [np.asarray(part).tolist() for part in column] for name, column in vars(events).items()}
    return detector.to_json(), parts


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Detector and events of the archive, found in this process."""
    return located(tmp_path_factory.mktemp("whole"), *archive())


def test_the_archive_has_the_planted_events(whole):
    _, events = whole
    assert np.bincount(events.record, minlength=4)[[0, 1, 3]].tolist() == [28, 27, 0]


def test_two_processes_find_the_same_events(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("audiosae.engine.spread.LEAST_VALUES", 0)
    steps, run_map = [], LocalEngine.map
    monkeypatch.setattr(LocalEngine, "map", lambda _, step, *a, **k: steps.append(step) or run_map(_, step, *a, **k))
    found = locate(*corpus_of(tmp_path, archive(), workers=2), DetectorOptions())
    assert columns(found) == columns(whole)
    assert module._detect_shard not in steps


def test_levels_and_broadband_events_are_of_one_reading(tmp_path, whole, monkeypatch):
    opened, open_one = [], audio.open_recording
    monkeypatch.setattr(audio, "open_recording", lambda path: opened.append(path.name) or open_one(path))
    monkeypatch.setattr(ingest_module, "run_in_order", lambda work, jobs, **_: (work(job) for job in jobs))
    domain, paths = Spectrogram(RATE).resolve([]), [tmp_path / "in" / f"{number}.wav" for number in range(4)]
    expected = partial(expected_broadband, domain, paths, DetectorOptions())
    found = locate(*corpus_of(tmp_path, archive(), beside=expected), DetectorOptions())
    parts, whole_files = opened[:-4], opened[-4:]  # the first parts determine the length of the transforms
    assert whole_files == [path.name for path in paths]
    assert len(parts) <= len(paths)
    assert columns(found) == columns(whole)


def test_events_do_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(broadband, "_FRAMES_AT_ONCE", 999)
    monkeypatch.setattr(broadband, "_TRANSFORMS", 41)
    monkeypatch.setattr(bands, "_FRAMES_AT_ONCE", 37)
    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 5001)
    songs, *_ = archive()
    detector, own = whole
    _, events = located(tmp_path, songs, known=detector)
    count = len(events)
    for name in ("start", "end", "low", "high", "peak", "bout"):
        assert getattr(events, name).tolist() == getattr(own, name)[:count].tolist()
    assert count == 28


def test_events_of_a_recording_do_not_depend_on_the_other_recordings_with_a_known_detector(tmp_path, whole):
    detector, events = whole
    _, _, both, _ = archive()
    again, alone = located(tmp_path, both, known=detector)
    own = events.record == 2
    for name in ("start", "end", "low", "high", "peak"):
        assert getattr(alone, name).tolist() == getattr(events, name)[own].tolist()
    assert alone.bout.tolist() == (events.bout[own] - events.bout[own].min()).tolist()
    assert again == detector


def bands_with(pitch, seconds=10.0, rate=192000):
    """Return a field in which a sound stands out in the band of a frequency."""
    domain = Spectrogram(rate).resolve([])
    field = np.random.default_rng(0).normal(0, 2, (round(seconds * rate / domain.hop_length), 40)).astype(np.float32)
    if pitch:
        field[200:260, np.abs(domain.frequencies - pitch).argmin()] += 40
    return domain, field


@pytest.mark.parametrize(
    ("pitch", "seconds"), [(100, 0.008), (2000, 0.008), (8000, 0.004), (40000, 0.0008), (90000, 0.0005), (0, 0.008)]
)
def test_the_transform_has_32_periods_of_the_sounds_within_bounds(monkeypatch, pitch, seconds):
    domain, field = bands_with(pitch)
    monkeypatch.setattr(module, "read_field", lambda _: field)
    shard = SimpleNamespace(corpus=SimpleNamespace(records=[None]))
    corpus = SimpleNamespace(records=[None], only=lambda _: corpus, map=lambda step, rows: [step(None, shard, rows)])
    assert transform_seconds(domain, corpus) == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize(("rows", "least"), [(200, 0.3), (512, 0.2), (1300, 0.14)])
def test_the_noise_of_a_band_is_exact_beside_louder_sounds(rows, least):
    rng = np.random.default_rng(rows)
    levels = rng.normal(-60, 3, (50, rows)).astype(np.float32)
    levels[:, rng.permutation(rows)[: rows // 4]] += 40
    middle, spread = noise_floor._noise_of(levels)
    assert abs(middle.mean() + 60) < 0.2
    assert abs(spread.mean() - 3) < 0.2
    assert middle.std() < least


def test_rows_of_one_level_are_blank():
    levels = np.array([[1, 1, 1], [1, 2, 1], [1, 2, 3], [-100, -100, -100]], np.float32)
    assert noise_floor.is_blank(levels).tolist() == [True, False, False, True]
    assert not noise_floor.is_blank(levels[:, :1]).any()


def test_contrast_is_the_distance_to_the_mean_of_the_neighbouring_bands():
    levels = np.random.default_rng(0).normal(-60, 10, (3, 11)).astype(np.float32)
    expected = [[row[i] - row[max(0, i - 2) : i + 3].mean() for i in range(11)] for row in levels]
    np.testing.assert_allclose(noise_floor.contrast_of(levels), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_loud_levels_with_short_silences_in_a_band_are_joined_to_touching_sounds(gap):
    loud = np.random.default_rng(gap).random((90, 7)) < 0.15
    row, band = loud.nonzero()
    runs, run = Runs.of(LoudLevels(row, band, row, row), gap, 0, len(loud))
    heard = loud.copy()
    for before, after in zip(loud.T, heard.T, strict=True):
        for first, last in pairwise(np.flatnonzero(before)):
            after[first:last] |= last - first <= gap + 1
    cut = np.repeat([[10], [11], [50]], 3, axis=1), np.arange(1, 4)
    for each in (runs, runs.without(np.sort((cut[1] * runs.width + cut[0]).reshape(-1)))):
        if each is not runs:
            heard[cut] = False
            kept = heard[row, band]
            row, band = row[kept], band[kept]
            run = each.at(band * each.width + row)
        expected, count = ndimage.label(heard, np.ones((3, 3)))
        numbers, found = each.sounds()
        assert found == count
        np.testing.assert_array_equal(numbers[run], expected[row, band])


def test_loud_levels_are_those_far_above_the_interpolated_noise_floor():
    field = np.random.default_rng(0).normal(0, 4, (3000, 12)).astype(np.float32)
    field[700:800] += 20
    field[1500:1600] = -50
    levels = BandLevels(field, 0.01)
    loud, views = LoudLevels.between(levels, 100, 2900, 2.0), levels.views(100, 2900)
    above = views - between_knots(levels.floor.middle, levels.pitch, 100, 2900)
    spreads = (above / between_knots(levels.floor.spread, levels.pitch, 100, 2900)).reshape(-1, 2, 12).max(axis=1)
    spreads[noise_floor.is_blank(views[:, :12])] = 0
    row, band = (spreads > 2).nonzero()
    np.testing.assert_array_equal([loud.row - 100, loud.band], [row, band])
    np.testing.assert_array_equal(loud.spreads, spreads[row, band])
    np.testing.assert_array_equal(loud.decibels, above[row, band])


def test_long_sounds_are_cut_in_their_own_bands_at_the_same_rows_of_the_file():
    band, row = np.repeat([30, 31], 3000), np.tile(np.arange(500, 3500), 2)
    order = np.lexsort((band, row))
    levels = LoudLevels(row[order], band[order], row, row)
    runs, _ = Runs.of(levels, 0, 500, 3500)
    bands, rows = np.divmod(band_events._cuts(runs, 500, 1000), runs.width)
    assert bands.tolist() == [30, 30, 30, 31, 31, 31]
    assert (rows + 500).tolist() == [1000, 2000, 3000] * 2
