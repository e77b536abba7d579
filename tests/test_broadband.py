"""Broadband events: starts and ends to a few milliseconds, none in stationary noise."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from detected import PAUSE, RATE, SYLLABLE, add, broadband, noise, sine, song, with_syllables
from signals import collect, write

from audiosae.sounds import broadband_level as module
from audiosae.sounds.broadband import (
    COLUMNS,
    BroadbandEvents,
    cut_at_minima,
    events_of,
    parts_of,
    with_floor,
)
from audiosae.sounds.broadband_level import broadband_level, whitened_levels
from audiosae.sounds.detection import _broadband

RESOLUTION = 0.003  # s
HOP = 0.002  # s


def powers(seconds, bins=32, seed=0):
    """Return the power of noise in frames that are 2 ms apart, (frames, bins)."""
    rng = np.random.default_rng(seed)
    return rng.chisquare(2, (round(seconds / HOP), bins)).astype(np.float32)


def level_of(rows, pitch=2500):
    floors = []
    parts = list(whitened_levels([rows[at : at + pitch] for at in range(0, len(rows), pitch)], floors))
    return broadband_level(parts, floors, pitch)


def times(events):
    return events[:, :2]


def spans(starts, seconds):
    return np.stack([np.asarray(starts), np.asarray(starts) + seconds], axis=1)


@pytest.mark.parametrize("bins", [1, 8, 64])
def test_noise_has_no_events(bins):
    slope = 10.0 ** np.linspace(0, -6, bins).astype(np.float32)  # any spectrum
    assert len(events_of(level_of(powers(60, bins) * slope))) == 0


@pytest.mark.parametrize("pitch", [500.0, 2500.0])
@pytest.mark.parametrize("level", [0.04, 0.4])
def test_syllables_with_short_pauses_are_separate_events(tmp_path, pitch, level):
    starts = np.concatenate([song(1.0), song(4.5), song(7.0)])  # across the knots at 2.5 and 7.5 s
    events = broadband(tmp_path, with_syllables(noise(12), starts, pitch, level=level))
    np.testing.assert_allclose(times(events), spans(starts, SYLLABLE), atol=RESOLUTION)


def test_peaks_of_events_follow_the_levels_of_sounds(tmp_path):
    samples = noise(12)
    for start, level in ((2, 0.05), (5, 0.1), (8, 0.2)):
        add(samples, start, sine(0.5, 1500, level=level))
    peaks = broadband(tmp_path, samples)[:, 2]
    np.testing.assert_allclose(np.diff(peaks), 20 * np.log10(2), atol=1)


@pytest.mark.parametrize("seconds", [0.08, 0.4, 4.0])
def test_sounds_that_fill_three_quarters_of_the_time_are_separate_events(tmp_path, seconds):
    starts = np.arange(0.3, 30 - seconds, seconds)
    samples = noise(30)
    for number, start in enumerate(starts):
        add(samples, start, sine(0.75 * seconds, 800 + 617 * number % 2000))
    np.testing.assert_allclose(times(broadband(tmp_path, samples)), spans(starts, 0.75 * seconds), atol=RESOLUTION)


@pytest.mark.parametrize("middle", [2.5, 5.0, 7.5, 10.0])
def test_a_sound_across_a_knot_of_the_noise_is_one_event(tmp_path, middle):
    events = broadband(tmp_path, add(noise(13), middle - 0.2, sine(0.4, 1500)))
    np.testing.assert_allclose(times(events), spans([middle - 0.2], 0.4), atol=RESOLUTION)


@pytest.mark.parametrize("change", [0.2, 5.0])
def test_a_lasting_change_of_the_noise_is_not_a_sound_elsewhere(change):
    rows = powers(60)
    rows[len(rows) // 2 :] *= change
    begin = events_of(level_of(rows))[:, 0] * HOP
    assert ((begin > 14) & (begin < 46)).all()


@pytest.mark.parametrize(("first", "last"), [(0.0, 6.0), (3.0, 9.0), (6.0, 12.0)])
def test_digital_zeros_have_no_events_and_do_not_lower_the_noise(tmp_path, first, last):
    samples, starts = noise(12), np.array([at for at in (1.0, 5.0, 10.5) if not first - 1 < at < last])
    samples[round(first * RATE) : round(last * RATE)] = 0
    events = broadband(tmp_path, with_syllables(samples, starts))
    np.testing.assert_allclose(times(events), spans(starts, SYLLABLE), atol=RESOLUTION)


def test_only_digital_zeros_have_no_events():
    assert len(events_of(level_of(np.zeros((5000, 8), np.float32)))) == 0


@pytest.mark.parametrize("rows", [0, 1, 2, 31, 32, 100])
def test_very_short_recordings_have_no_events(rows):
    assert events_of(level_of(powers(1)[:rows])).shape == (0, 4)


@pytest.mark.parametrize("samples", [2, 10, 100, 1000])
def test_the_field_of_a_very_short_recording_has_no_event(tmp_path, samples):
    path = write(tmp_path / "a.wav", noise(1)[:samples], RATE)
    field, note = collect(BroadbandEvents(RATE).field(path))
    assert (parts_of(field)[1].shape, note) == ((0, COLUMNS), "")


def test_the_noise_floor_of_each_minute_is_relative_to_full_scale(tmp_path):
    samples = noise(130)
    samples[: 60 * RATE] *= 0.02 / samples.std()
    samples[60 * RATE :] *= 0.2 / samples[60 * RATE :].std()
    add(samples, 30, sine(1, 1500, level=0.5))
    field, _ = collect(BroadbandEvents(RATE).field(write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")))
    floor, _ = parts_of(field)
    assert len(floor) == 3
    np.testing.assert_allclose(floor[[0, 2]], 20 * np.log10([0.02, 0.2]), atol=0.5)
    again, _ = parts_of(with_floor(np.array([np.nan, -40.0]), np.empty((0, COLUMNS))))
    np.testing.assert_array_equal(again, [np.nan, -40.0])


@pytest.mark.parametrize("last", [1, 7, 199, 625])
def test_the_noise_floor_is_that_of_the_neighbouring_segments(last):
    pitch, floors = 2500, []
    rows = powers(66)[: 12 * pitch + 4 * last]
    rows[2 * pitch : 3 * pitch] = 0
    rows[6 * pitch : 8 * pitch] /= 100  # the lowest of seven segments, of which the last may have more rows
    segments = [rows[at : at + pitch] for at in range(0, len(rows), pitch)]
    list(whitened_levels(segments, floors))
    samples = [module._Sample.of(segment, None).rows for segment in segments]
    assert len(floors) == len(segments) == 13
    assert max(map(len, samples[:-1])) == 105
    for number, floor in enumerate(floors):
        near = np.concatenate(samples[max(0, number - 3) : number + 4])
        np.testing.assert_array_equal(floor, module._floor_of(near, gated=False))


def test_events_do_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch):
    samples = with_syllables(noise(12), np.concatenate([song(1.0), song(6.0)]))
    whole = broadband(tmp_path, samples)
    monkeypatch.setattr("audiosae.sounds.broadband._FRAMES_AT_ONCE", 1000)
    monkeypatch.setattr("audiosae.sounds.broadband._TRANSFORMS", 17)
    np.testing.assert_array_equal(broadband(tmp_path, samples), whole)
    assert len(whole) == 28


def test_events_do_not_depend_on_distant_parts_of_the_recording():
    rows = powers(100)
    rows[4000:4100] *= 30
    whole, part = events_of(level_of(rows)), events_of(level_of(rows[:30000]))
    assert whole.tolist() == part.tolist()
    assert len(whole) == 1


@pytest.mark.parametrize(("low", "high", "heard"), [(0, 0, [2, 5]), (2000, 0, [5]), (0, 2000, [2]), (3500, 3900, [])])
def test_only_frequencies_in_the_range_are_used(tmp_path, low, high, heard):
    samples = add(add(noise(12), 2, sine(0.3, 1000)), 5, sine(0.3, 3000))
    np.testing.assert_allclose(
        times(broadband(tmp_path, samples, low=low, high=high)), spans(heard, 0.3).reshape(-1, 2), atol=RESOLUTION
    )


@pytest.mark.parametrize(("channel", "heard"), [(0, [2, 5]), (1, [2]), (2, [5])])
def test_only_the_chosen_channel_is_used(tmp_path, channel, heard):
    samples = np.stack([add(noise(12, seed=seed), 3 * seed - 1, sine(0.3, 1000)) for seed in (1, 2)], axis=1)
    np.testing.assert_allclose(times(broadband(tmp_path, samples, channel=channel)), spans(heard, 0.3), atol=RESOLUTION)


@pytest.mark.parametrize(
    ("rate", "transform", "pitch", "seconds"), [(96000, 0.0005, 30000, 0.004), (2000, 0.008, 200, 18.0)]
)
def test_calls_of_bats_and_whales_are_found_at_their_scale(tmp_path, rate, transform, pitch, seconds):
    total = 12 * seconds if seconds < 1 else 90.0
    starts = np.array([0.2, 0.5]) * total
    samples = noise(total + 0.1, rate)
    for start in starts:
        add(samples, start, sine(seconds, pitch, rate, level=0.2, flank=0.0002), rate)
    events = broadband(tmp_path, samples, rate, transform=transform)
    np.testing.assert_allclose(times(events), spans(starts, seconds), atol=max(0.0005, HOP * 1.5 * (seconds > 1)))


@pytest.mark.parametrize("hours", [1, 24])
def test_times_late_in_a_long_recording_are_exact(tmp_path, monkeypatch, hours):
    domain = BroadbandEvents(RATE)
    begin = round(hours * 3600 / domain.seconds_per_frame) + 7.0
    events = np.array([[begin, begin + 30, 20.0, 1.0]])
    found = SimpleNamespace(floor=np.empty(0), pitch=1)
    monkeypatch.setattr("audiosae.sounds.broadband.broadband_level", lambda *_: found)
    monkeypatch.setattr("audiosae.sounds.broadband.events_of", lambda _: events)
    field, _ = collect(domain.field(write(tmp_path / "a.wav", noise(1), RATE)))
    ((start, end, peak, spread),) = _broadband(field)
    assert start == pytest.approx((begin - 0.5) * domain.seconds_per_frame, abs=1e-5)
    assert end - start == pytest.approx(30 * domain.seconds_per_frame, abs=1e-5)
    assert (peak, spread) == (20.0, 1.0)


def region(*parts):
    """Return a level (dB) that is linear between pairs of duration (frames) and level."""
    at = np.cumsum([frames for frames, _ in parts])
    return np.interp(np.arange(at[-1] + 1), at, [level for _, level in parts]).astype(np.float32)


def test_a_shallow_minimum_does_not_separate_events():
    level = region((0, 0), (10, 30), (10, 26), (10, 31), (10, 0))  # 4 dB below the lower peak
    assert len([*cut_at_minima(level, 8)]) == 1


def test_a_deep_minimum_separates_events_at_a_share_of_their_peaks():
    level = region((0, 0), (30, 30), (30, 3), (30, 30), (30, 0))
    (first, second) = cut_at_minima(level, 8)
    assert first == (9, 54, 30)
    assert second == (67, 112, 30)


def test_a_soft_syllable_after_a_loud_one_is_separate():
    level = region((0, 0), (20, 30), (20, 5), (15, 14), (20, 0))  # the minimum is 9 dB below the lower peak
    assert [peak for *_, peak in cut_at_minima(level, 8)] == [30, 14]


def test_a_weak_echo_after_a_loud_sound_is_not_part_of_it():
    level = region((0, 0), (10, 50), (10, 17), (5, 19), (20, 0))
    ((first, last, peak),) = cut_at_minima(level, 8)
    assert (first, last, peak) == (4, 20, 50)


def test_events_of_a_region_are_in_order_and_reach_the_least_peak():
    rng = np.random.default_rng(0)
    for _ in range(50):
        level = np.maximum(np.convolve(rng.normal(0, 20, 400), np.ones(12) / 4, "same"), 0.1).astype(np.float32)
        found = [*cut_at_minima(level, 8)]
        assert all(before[1] <= after[0] for before, after in pairwise(found))
        assert all(first < last and peak == level[first:last].max() > 8 for first, last, peak in found)
        assert max(peak for *_, peak in found) == level.max()


def test_pauses_below_the_resolution_do_not_end_an_event(tmp_path):
    samples = add(add(noise(12), 3, sine(0.2, 1500)), 3.202, sine(0.2, 1500))
    ((start, end),) = times(broadband(tmp_path, samples))
    assert (start, end) == pytest.approx((3, 3.402), abs=RESOLUTION)
    assert PAUSE > 2 * HOP


@pytest.mark.parametrize(("seconds", "count"), [(0.006, 0), (0.03, 1)])
def test_clicks_are_left_out(tmp_path, seconds, count):
    assert len(broadband(tmp_path, add(noise(12), 3, sine(seconds, 1500)))) == count


def test_the_level_is_the_mean_square_of_power_over_the_interpolated_noise_floor():
    segment, (before, own, after) = powers(0.5), powers(0.006, seed=1) + 0.1
    level = module._level_of(segment, [before, own, after], 1)
    share = ((np.arange(len(segment)) + 0.5) / len(segment) - 0.5)[:, None]
    weight, other = np.abs(share), np.where(share < 0, before, after)
    expected = 5 * np.log10(np.mean(np.square(segment * ((1 - weight) / own + weight / other)), axis=1))
    np.testing.assert_allclose(level, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("rows", [8, 512, 735, 2000])
def test_the_noise_floor_of_any_number_of_rows_is_their_low_quantile(rows):
    power = np.random.default_rng(rows).permutation(rows * 32).reshape(rows, 32).astype(np.float32)
    expected = np.sort(power, axis=0)[int(0.1 * (rows - 1))]
    floor = module._floor_of(power, gated=False)
    np.testing.assert_array_equal(floor, np.maximum(expected, 1e-3 * np.median(expected)))
