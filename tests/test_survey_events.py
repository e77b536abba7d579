"""Event detection: sounds above the running noise floor are events, noise and rain are not."""

from __future__ import annotations

import numpy as np
import pytest
from planted import overlap

from audiosae.sounds.band_events import stretches
from audiosae.sounds.noise_floor import BandLevels

ROW = 0.01  # s


def noise(seconds, bands=40, seed=0):
    """Return a field of noise around 0 dB with the spread of averaged spectra."""
    rng = np.random.default_rng(seed)
    return (10 * np.log10(rng.chisquare(6, (round(seconds / ROW), bands)) / 6)).astype(np.float32)


def add_sound(field, start, end, low, high, level=20.0):
    field[round(start / ROW) : round(end / ROW), low : high + 1] += level
    return field


def events_in(field, **limits):
    return [(e.start * ROW, e.end * ROW, e.low, e.high) for e in stretches(BandLevels(field, ROW), **limits)]


def test_one_sound_gives_one_event_with_its_time_and_band():
    ((start, end, low, high),) = events_in(add_sound(noise(30), 10, 11.5, 12, 15))
    assert (start, end) == pytest.approx((10, 11.5), abs=0.03)
    assert (low, high) == (12, 15)


@pytest.mark.parametrize("field", [noise(90), np.full((3000, 40), -100, np.float32), noise(0.05), noise(30, bands=1)])
def test_noise_and_silence_have_no_events(field):
    assert events_in(field) == []


def test_sound_that_fills_a_short_recording_is_one_event():
    field = add_sound(noise(1.5), 0, 1.5, 12, 25, level=40.0)
    ((start, end, low, high),) = events_in(field)
    assert (start, end) == pytest.approx((0, 1.5), abs=0.03)
    assert (low, high) == (12, 25)


@pytest.mark.parametrize("seconds", [1.5, 4, 9.9])
def test_sound_in_noise_of_a_short_recording_is_one_event(seconds):
    ((start, end, low, high),) = events_in(add_sound(noise(seconds), 0.6, 0.9, 12, 15, level=18))
    assert (start, end) == pytest.approx((0.6, 0.9), abs=0.03)
    assert (low, high) == (12, 15)


def test_simultaneous_sounds_in_a_short_recording_are_one_event():
    field = add_sound(add_sound(noise(2), 0.4, 1.2, 4, 6, level=40), 0.5, 1.0, 20, 22, level=35)
    ((start, end, low, high),) = events_in(field)
    assert (start, end) == pytest.approx((0.4, 1.2), abs=0.03)
    assert (low, high) == (4, 22)


@pytest.mark.parametrize(("start", "end"), [(20, 35), (0, 8), (45, 60), (5, 55)])
def test_digital_zeros_are_ignored_by_the_noise_floor(start, end):
    field = noise(60)
    starts = [at for at in (2, 12, 40, 57) if not start - 2 < at < end + 1]
    for at in starts:
        add_sound(field, at, at + 0.5, 12, 15)
    field[round(start / ROW) : round(end / ROW)] = -40
    assert [event[0] for event in events_in(field)] == pytest.approx(starts, abs=0.03)


def test_slow_gusts_are_not_events():
    field = noise(120)
    time = np.arange(len(field)) * ROW
    assert events_in(field + (6 * np.sin(2 * np.pi * time / 7)[:, None]).astype(np.float32)) == []


def add_drops(field, per_second, seed=1):
    """Add rain on water: short, mostly soft sounds at random times and in random bands."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.poisson(per_second * len(field) * ROW)):
        at, low = rng.integers(len(field) - 8), rng.integers(field.shape[1] - 3)
        fall = np.exp(-np.arange(8) / rng.uniform(1, 3))[:, None]
        field[at : at + 8, low : low + 3] += (rng.exponential(9) * fall).astype(np.float32)
    return field


@pytest.mark.parametrize("per_second", [10, 20, 40])
def test_sounds_in_rain_are_events_and_drops_are_not(per_second):
    assert len(events_in(add_drops(noise(180), per_second))) <= 6  # 20 and more without a threshold for rain
    field = add_drops(noise(180), per_second)
    starts = [20.0, 75.0, 130.0]
    for start in starts:
        add_sound(field, start, start + 0.8, 12, 16, level=25)
    events = events_in(field)
    assert len(events) <= 9
    assert all(any(overlap(event, (start, start + 0.8)) >= 0.5 for event in events) for start in starts)


def test_many_short_soft_sounds_are_not_mistaken_for_rain():
    field = noise(120)
    starts = np.arange(2, 118, 1.0).tolist()
    for start in starts:
        add_sound(field, start, start + 0.12, 20, 22, level=11)
    assert len(events_in(field)) >= 0.9 * len(starts)


def test_short_silences_do_not_end_an_event():
    field = noise(30)
    for pulse in range(8):
        add_sound(field, 10 + 0.12 * pulse, 10.06 + 0.12 * pulse, 20, 24)
    ((start, end, *_),) = events_in(field)
    assert (start, end) == pytest.approx((10, 10.9), abs=0.03)


def test_drop_next_to_a_sound_does_not_extend_it():
    field = add_sound(noise(30), 10, 10.4, 12, 15, level=30)
    for at, low in ((9.88, 15), (10.5, 12)):  # within the silences that do not end an event
        add_sound(field, at, at + 0.02, low, low, level=12)
    ((start, end, _, _),) = events_in(field)
    assert (start, end) == pytest.approx((10, 10.4), abs=0.03)


def test_soft_note_next_to_a_loud_one_is_part_of_its_event():
    field = add_sound(noise(30), 10, 11, 12, 17, level=40)
    ((start, end, _, _),) = events_in(add_sound(field, 9.8, 9.9, 12, 13, level=18))
    assert (start, end) == pytest.approx((9.8, 11), abs=0.03)


def test_simultaneous_sounds_in_separate_bands_are_two_events():
    field = add_sound(add_sound(noise(30), 10, 12, 3, 5), 10.8, 14, 30, 32)
    assert [event[2:] for event in events_in(field)] == [(3, 5), (30, 32)]


def test_harmonics_with_the_same_start_and_end_are_one_event():
    field = add_sound(add_sound(noise(30), 10, 11, 5, 6), 10, 11, 15, 16)
    assert [event[2:] for event in events_in(field)] == [(5, 16)]


def test_long_sound_is_one_event():
    ((start, end, low, high),) = events_in(add_sound(noise(300), 52, 77, 10, 20))
    assert (start, end) == pytest.approx((52, 77), abs=0.03)
    assert (low, high) == (10, 20)


def test_long_sounds_in_separate_bands_are_separate_events():
    field = add_sound(add_sound(noise(300), 52, 77, 10, 14), 60, 95, 30, 34)
    assert [(round(start), round(end)) for start, end, *_ in events_in(field)] == [(52, 77), (60, 95)]


def test_continuous_tone_is_one_event():
    ((start, end, low, high),) = events_in(add_sound(noise(120), 0, 120, 16, 16, level=30))
    assert end - start >= 118
    assert (low, high) == (16, 16)


@pytest.mark.parametrize(("low", "high"), [(0, 24), (15, 39), (6, 30)])
def test_edge_of_the_band_of_noise_is_not_a_tone(low, high):
    field = np.full_like(noise(120), -60)
    field[:, low : high + 1] = noise(120)[:, low : high + 1]
    assert events_in(field) == []


def test_slope_of_the_noise_spectrum_is_not_a_tone():
    assert events_in(noise(120) + np.linspace(60, 0, 40, dtype=np.float32) ** 1.5 / 8) == []


def test_continuous_rain_becomes_part_of_the_noise_floor():
    events = events_in(add_sound(noise(1200), 200, 1100, 0, 39, level=15))
    assert len(events) <= 10
    assert sum(end - start for start, end, *_ in events) <= 60


def test_sounds_that_fill_half_of_the_time_are_separate_events():
    field = noise(120)
    starts = np.arange(1, 118, 2).tolist()
    for start in starts:
        add_sound(field, start, start + 1.1, 12, 15, level=12)
    events = events_in(field)
    assert [event[0] for event in events] == pytest.approx(starts, abs=0.05)
    assert [event[1] for event in events] == pytest.approx([start + 1.1 for start in starts], abs=0.05)


@pytest.mark.parametrize("at", [59.5, 60.0, 119.9])
def test_sound_across_the_border_of_two_pieces_is_one_event(at):
    ((start, end, *_),) = events_in(add_sound(noise(180), at, at + 0.8, 12, 15))
    assert (start, end) == pytest.approx((at, at + 0.8), abs=0.03)


def test_events_do_not_depend_on_distant_parts_of_the_recording():
    field = add_sound(noise(240), 100, 101, 12, 15)
    assert events_in(field)[0] == events_in(field[: round(180 / ROW)])[0]


def test_events_below_the_shortest_duration_are_left_out():
    field = add_sound(noise(30), 10, 10.3, 12, 20)
    assert len(events_in(field)) == 1
    assert events_in(field, shortest=0.5) == []
