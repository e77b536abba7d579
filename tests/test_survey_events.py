"""Events: where something stands out from the running noise, and only there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from planted import overlap

from audiosae.sounds.events import MAX_SECONDS, stretches
from audiosae.sounds.noise_floor import BandLevels

ROW = 0.01  # s


def noise(seconds, bands=40, seed=0):
    """A field of noise about 0 dB with the spread that averaged spectra have."""
    rng = np.random.default_rng(seed)
    return (10 * np.log10(rng.chisquare(6, (round(seconds / ROW), bands)) / 6)).astype(np.float32)


def sound(field, start, end, low, high, level=20.0):
    field[round(start / ROW) : round(end / ROW), low : high + 1] += level
    return field


def found(field, **limits):
    return [(e.start * ROW, e.end * ROW, e.low, e.high) for e in stretches(BandLevels(field, ROW), **limits)]


def test_a_sound_is_one_event_at_its_time_and_in_its_band():
    ((start, end, low, high),) = found(sound(noise(30), 10, 11.5, 12, 15))
    assert (start, end) == pytest.approx((10, 11.5), abs=0.03)
    assert (low, high) == (12, 15)


@pytest.mark.parametrize("field", [noise(90), np.full((3000, 40), -100, np.float32), noise(0.05), noise(30, bands=1)])
def test_nothing_is_found_where_nothing_sounds(field):
    assert found(field) == []


def test_a_short_recording_that_is_filled_by_its_sound_is_one_event():
    field = sound(noise(1.5), 0, 1.5, 12, 25, level=40.0)
    ((start, end, low, high),) = found(field)
    assert (start, end) == pytest.approx((0, 1.5), abs=0.03)
    assert (low, high) == (12, 25)


@pytest.mark.parametrize("seconds", [1.5, 4, 9.9])
def test_a_sound_in_the_noise_of_a_short_recording_is_an_event_of_its_own(seconds):
    ((start, end, low, high),) = found(sound(noise(seconds), 0.6, 0.9, 12, 15, level=18))
    assert (start, end) == pytest.approx((0.6, 0.9), abs=0.03)
    assert (low, high) == (12, 15)


def test_what_sounds_at_one_time_in_a_short_recording_is_one_event():
    field = sound(sound(noise(2), 0.4, 1.2, 4, 6, level=40), 0.5, 1.0, 20, 22, level=35)
    ((start, end, low, high),) = found(field)
    assert (start, end) == pytest.approx((0.4, 1.2), abs=0.03)
    assert (low, high) == (4, 22)


@pytest.mark.parametrize(("start", "end"), [(20, 35), (0, 8), (45, 60), (5, 55)])
def test_digital_zeros_are_no_noise(start, end):
    field = noise(60)
    starts = [at for at in (2, 12, 40, 57) if not start - 2 < at < end + 1]
    for at in starts:
        sound(field, at, at + 0.5, 12, 15)
    field[round(start / ROW) : round(end / ROW)] = -40
    assert [event[0] for event in found(field)] == pytest.approx(starts, abs=0.03)


def test_slow_gusts_are_no_events():
    field = noise(120)
    time = np.arange(len(field)) * ROW
    assert found(field + (6 * np.sin(2 * np.pi * time / 7)[:, None]).astype(np.float32)) == []


def drops(field, a_second, seed=1):
    """Rain on water: short sounds at any time and in any band, mostly soft."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.poisson(a_second * len(field) * ROW)):
        at, low = rng.integers(len(field) - 8), rng.integers(field.shape[1] - 3)
        fall = np.exp(-np.arange(8) / rng.uniform(1, 3))[:, None]
        field[at : at + 8, low : low + 3] += (rng.exponential(9) * fall).astype(np.float32)
    return field


@pytest.mark.parametrize("a_second", [10, 20, 40])
def test_drops_of_rain_are_no_events_and_sounds_among_them_are(a_second):
    assert len(found(drops(noise(180), a_second))) <= 6  # 20 and more without a threshold for rain
    field = drops(noise(180), a_second)
    starts = [20.0, 75.0, 130.0]
    for start in starts:
        sound(field, start, start + 0.8, 12, 16, level=25)
    events = found(field)
    assert len(events) <= 9
    assert all(any(overlap(event, (start, start + 0.8)) >= 0.5 for event in events) for start in starts)


def test_short_soft_sounds_of_one_kind_are_not_taken_for_rain():
    field = noise(120)
    starts = np.arange(2, 118, 1.0).tolist()
    for start in starts:
        sound(field, start, start + 0.12, 20, 22, level=11)
    assert len(found(field)) >= 0.9 * len(starts)


def test_short_silences_do_not_end_an_event():
    field = noise(30)
    for pulse in range(8):
        sound(field, 10 + 0.12 * pulse, 10.06 + 0.12 * pulse, 20, 24)
    ((start, end, *_),) = found(field)
    assert (start, end) == pytest.approx((10, 10.9), abs=0.03)


def test_a_drop_beside_a_sound_does_not_make_it_longer():
    field = sound(noise(30), 10, 10.4, 12, 15, level=30)
    for at, low in ((9.88, 15), (10.5, 12)):  # within the silences that do not end an event
        sound(field, at, at + 0.02, low, low, level=12)
    ((start, end, _, _),) = found(field)
    assert (start, end) == pytest.approx((10, 10.4), abs=0.03)


def test_a_soft_note_that_could_be_an_event_belongs_to_the_loud_one_beside_it():
    field = sound(noise(30), 10, 11, 12, 17, level=40)
    ((start, end, _, _),) = found(sound(field, 9.8, 9.9, 12, 13, level=18))
    assert (start, end) == pytest.approx((9.8, 11), abs=0.03)


def test_sounds_at_one_time_in_bands_of_their_own_are_two_events():
    field = sound(sound(noise(30), 10, 12, 3, 5), 10.8, 14, 30, 32)
    assert [event[2:] for event in found(field)] == [(3, 5), (30, 32)]


def test_harmonics_that_begin_and_end_together_are_one_event():
    field = sound(sound(noise(30), 10, 11, 5, 6), 10, 11, 15, 16)
    assert [event[2:] for event in found(field)] == [(5, 16)]


def test_a_sound_that_goes_on_becomes_events_of_bounded_length_that_do_not_overlap():
    events = found(sound(noise(300), 52, 77, 10, 20))
    assert max(end - start for start, end, *_ in events) <= 1.25 * MAX_SECONDS
    assert sum(end - start for start, end, *_ in events) == pytest.approx(25, abs=0.5)
    assert all(before[1] <= after[0] for before, after in pairwise(events))


def test_a_tone_that_goes_on_all_the_time_is_events_of_bounded_length():
    field = sound(noise(120), 0, 120, 16, 16, level=30)
    events = found(field)
    assert {(low, high) for _, _, low, high in events} == {(16, 16)}
    assert all(end - start <= MAX_SECONDS + ROW for start, end, _, _ in events)
    assert sum(end - start for start, end, _, _ in events) >= 118


def test_the_slope_of_noise_is_no_tone():
    assert found(noise(120) + np.linspace(60, 0, 40, dtype=np.float32) ** 1.5 / 8) == []


def test_rain_for_hours_becomes_the_floor_and_no_flood_of_events():
    events = found(sound(noise(1200), 200, 1100, 0, 39, level=15))
    assert len(events) <= 10
    assert sum(end - start for start, end, *_ in events) <= 60


def test_sounds_that_fill_half_of_the_time_in_one_band_are_found_one_by_one():
    field = noise(120)
    starts = np.arange(1, 118, 2).tolist()
    for start in starts:
        sound(field, start, start + 1.1, 12, 15, level=12)
    events = found(field)
    assert [event[0] for event in events] == pytest.approx(starts, abs=0.05)
    assert [event[1] for event in events] == pytest.approx([start + 1.1 for start in starts], abs=0.05)


@pytest.mark.parametrize("at", [59.5, 60.0, 119.9])
def test_a_sound_across_the_edge_of_a_piece_is_found_once(at):
    ((start, end, *_),) = found(sound(noise(180), at, at + 0.8, 12, 15))
    assert (start, end) == pytest.approx((at, at + 0.8), abs=0.03)


def test_what_is_found_does_not_depend_on_what_is_far_away():
    field = sound(noise(240), 100, 101, 12, 15)
    assert found(field)[0] == found(field[: round(180 / ROW)])[0]


def test_shorter_events_than_wanted_are_left_out():
    field = sound(noise(30), 10, 10.3, 12, 20)
    assert len(found(field)) == 1
    assert found(field, shortest=0.5) == []
