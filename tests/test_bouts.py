"""Bouts: events that belong together, and the choice between events and bouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detected import located, noise, song, with_syllables

from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds import bouts
from audiosae.sounds.bouts import Joining, learn_joining
from audiosae.sounds.detection import Detections, DetectorOptions
from audiosae.sounds.find_types import _both
from audiosae.sounds.locate import Detector, Spans, _renumbered

HOP = 0.002  # s
BANDS = 12


def events_of(starts, seconds, bands=0, **marks):
    """Return events with some starts and durations in one band each."""
    starts = np.asarray(starts, float)
    count = len(starts)
    bands = np.broadcast_to(bands, count).astype(np.int32)
    spectrum = np.eye(BANDS, dtype=np.float16)[bands]
    flags = {name: np.asarray(marks.get(name, np.zeros(count)), bool) for name in ("alone", "parallel")}
    return Detections(
        starts, starts + seconds, bands, bands, np.full(count, 20, np.float32), **flags, spectrum=spectrum
    )


def series(pauses, seconds=0.06):
    """Return the starts of events with some pauses between them."""
    return np.concatenate([[1.0], 1.0 + np.cumsum(np.asarray(pauses) + seconds)])


def songs(count=20, syllables=8, *, pause=0.03, between=4.0, bands=0, seconds=0.06, seed=0):
    """Return the events of songs with about the same pauses."""
    rng = np.random.default_rng(seed)
    pauses = [between if number % syllables == syllables - 1 else pause for number in range(count * syllables - 1)]
    return events_of(series(pauses * np.exp(rng.normal(0, 0.1, len(pauses))), seconds), seconds, bands)


@pytest.mark.parametrize(("pause", "between"), [(0.01, 0.5), (0.03, 4.0), (0.1, 1.5), (0.5, 20.0)])
def test_the_joining_pause_separates_the_two_kinds_of_pauses(pause, between):
    joining = learn_joining([songs(pause=pause, between=between)], HOP)
    assert 1.3 * pause < joining.pause < between / 1.3


def test_the_joining_pause_is_learned_from_all_recordings():
    whole = songs(40)
    half = len(whole) // 2
    parts = [whole.only(np.arange(half)), whole.only(np.arange(half, len(whole)))]
    assert learn_joining(parts, HOP).pause == pytest.approx(learn_joining([whole], HOP).pause, rel=0.1)


def test_of_three_kinds_of_pauses_the_longest_separates_bouts():
    pauses = [15.0 if number % 40 == 39 else 0.4 if number % 8 == 7 else 0.03 for number in range(799)]
    assert 0.5 < learn_joining([events_of(series(pauses), 0.06)], HOP).pause <= 5


def test_pauses_of_one_kind_are_not_divided():
    rng = np.random.default_rng(0)
    starts = series(2 * np.exp(rng.normal(0, 0.3, 300)))
    joining = learn_joining([events_of(starts, 0.06)], HOP)
    assert joining.pause == pytest.approx(0.15 * 0.06, rel=0.01)
    assert joining.bouts_of(events_of(starts, 0.06)).tolist() == [*range(301)]


@pytest.mark.parametrize(
    "recordings", [[], [events_of([], 0.1)], [events_of([1.0], 0.1)], [events_of([1, 2], 0.1)] * 3]
)
def test_few_events_have_rules_too(recordings):
    joining = learn_joining(recordings, HOP)
    assert 0 < joining.pause < 1
    assert (joining.offset, joining.slope, joining.group) == (0.0, 0.0, "event")
    for each in recordings:
        assert joining.bouts_of(each).tolist() == [*range(len(each))]


def test_songs_are_bouts():
    events = songs()
    assert learn_joining([events], HOP).bouts_of(events).tolist() == np.repeat(np.arange(20), 8).tolist()


def test_events_that_sound_alike_are_joined_over_longer_pauses():
    # phrases of two birds: within a phrase the band is the same
    events = songs(40, bands=np.repeat(np.arange(40) % 5, 8))
    joining = learn_joining([events], HOP)
    assert joining.slope > 0
    alike, other = (
        events_of([1, 1.06 + 1.3 * joining.pause], 0.06),
        events_of([1, 1.06 + 0.7 * joining.pause], 0.06, [0, 7]),
    )
    assert joining.bouts_of(alike).tolist() == [0, 0]
    assert joining.bouts_of(other).tolist() == [0, 1]


def test_the_importance_of_similarity_is_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    near, far = rng.beta(8, 2, 300), rng.beta(3, 3, 900)
    model = LogisticRegression(C=1e3, class_weight="balanced")
    model.fit(np.concatenate([near, far])[:, None], np.repeat([1, 0], [300, 900]))
    assert bouts._logistic(near, far) == pytest.approx((model.intercept_[0], model.coef_[0, 0]), rel=1e-7)


def test_an_event_is_compared_with_several_events_of_the_bout():
    joining = Joining(0.1, offset=-3.0, slope=6.0)
    assert joining.bouts_of(events_of([1.0, 1.07, 1.2], 0.06, [0, 7, 0])).tolist() == [0, 0, 0]
    assert joining.bouts_of(events_of([1.0, 1.07, 1.2], 0.06, [0, 7, 3])).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("pause", "bouts"), [(0.09, [0, 0]), (0.11, [0, 1])])
def test_only_the_pause_counts_without_similarity(pause, bouts):
    assert Joining(0.1).bouts_of(events_of([1, 1.06 + pause], 0.06, [0, 7])).tolist() == bouts


def test_a_pause_is_measured_from_the_end_of_the_bout():
    events = events_of([1.0, 1.1, 2.05], np.array([1.0, 0.1, 0.1]))
    assert Joining(0.1).bouts_of(events).tolist() == [0, 0, 0]


def test_events_in_weather_are_not_joined():
    events = events_of([1.0, 1.07, 1.14, 1.21], 0.06, alone=[0, 1, 0, 0])
    assert Joining(0.1).bouts_of(events).tolist() == [0, 1, 2, 2]


def test_events_in_weather_do_not_affect_the_rules():
    events, drops = songs(), events_of(np.arange(1, 60, 0.3), 0.1, alone=np.ones(197))
    assert learn_joining([events, drops], HOP) == learn_joining([events], HOP)


@pytest.mark.parametrize(
    ("start", "seconds", "least", "bouts"),
    [
        (1.5, 0.5, 0.1, [0, 1]),  # a part of the bout
        (1.5, 0.5, 0.6, [0, -1]),  # too short
        (1.1, 2.8, 0.1, [0, -1]),  # the same sound as the bout
        (3.5, 3.0, 0.1, [0, 1]),
    ],
)
def test_simultaneous_events_have_their_own_bout_unless_they_are_the_same_sound(start, seconds, least, bouts):
    events = events_of([1.0, start], np.array([3.0, seconds]), [0, 7], parallel=[0, 1])
    assert Joining(0.1, least_parallel=least).bouts_of(events).tolist() == bouts


def test_parallel_events_do_not_end_a_bout():
    events = events_of([1.0, 1.03, 1.07], np.array([0.06, 0.02, 0.06]), [0, 7, 0], parallel=[0, 1, 0])
    assert Joining(0.1, least_parallel=0.01).bouts_of(events).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("spread", "syllables", "group"),
    [(0.05, 1, "event"), (0.05, 8, "event"), (1.2, 1, "event"), (1.8, 1, "bout"), (1.2, 8, "bout")],
)
def test_sounds_of_very_different_durations_are_parts_of_bouts(spread, syllables, group):
    rng = np.random.default_rng(0)
    pauses = [4.0 if number % syllables == syllables - 1 else 0.03 for number in range(319)]
    seconds = 0.06 * np.exp2(rng.normal(0, spread, 320))
    starts = 1 + np.concatenate([[0], np.cumsum(seconds[:-1] + pauses)])
    assert learn_joining([events_of(starts, seconds)], HOP).group == group


@pytest.mark.parametrize("group", ["event", "bout"])
def test_the_user_chooses_the_group(group):
    assert learn_joining([songs()], HOP, group).group == group


def test_a_detector_is_the_same_after_json():
    joining = replace(learn_joining([songs()], HOP), group="bout")
    for options in (DetectorOptions(), DetectorOptions(0.05, 0.1, 6.0, 1000.0, 8000.0)):
        detector = Detector(options, 0.004, joining)
        assert Detector.from_json(json_of(detector)) == detector


def json_of(detector):
    import json

    return json.loads(json.dumps(detector.to_json()))


def spans_of(records, starts, seconds, bouts):
    starts, low = np.asarray(starts, float), np.arange(len(starts), dtype=np.int32)
    record, bout = (np.asarray(numbers, np.int32) for numbers in (records, bouts))
    return Spans(record, starts, starts + seconds, low, low + 2, low.astype(np.float32), bout)


def test_a_bout_has_the_extent_and_the_peak_of_its_events():
    bouts = spans_of([0, 0, 0, 1], [1.0, 1.5, 3.0, 0.5], 0.3, [0, 0, 1, 2]).joined()
    assert bouts.record.tolist() == [0, 0, 1]
    assert bouts.start.tolist() == [1.0, 3.0, 0.5]
    assert bouts.end.tolist() == [1.8, 3.3, 0.8]
    assert (bouts.low.tolist(), bouts.high.tolist()) == ([0, 2, 3], [3, 4, 5])
    assert bouts.peak.tolist() == [1, 2, 3]
    assert bouts.bout.tolist() == [0, 1, 2]


def test_bouts_are_numbered_in_the_order_of_recording_and_start():
    events = _renumbered(spans_of([0, 0, 0, 1, 1], [1.0, 1.5, 3.0, 0.5, 0.6], 0.3, [1, 2, 0, 4, 3]))
    assert events.bout.tolist() == [0, 1, 2, 3, 4]
    assert events.joined().start.tolist() == [1.0, 1.5, 3.0, 0.5, 0.6]


TYPES = np.array([1, 2, 2, 0, 3], np.int32)
SCORES = np.array([0.1, 0.2, 0.3, 2.0, 0.5], np.float32)
UNITS = np.array([5, 6, 7, 8, 9], np.int32)


def both(group, *columns):
    spans = spans_of([0, 0, 0, 0, 1], [1.0, 1.5, 2.0, 4.0, 1.0], np.array([0.5, 0.2, 0.4, 0.3, 0.2]), [0, 0, 0, 1, 2])
    return _both(Spectrogram(8000).resolve([]), spans, group, columns)


def test_a_bout_has_the_type_that_covers_most_of_it():
    events, bouts = both("event", TYPES, SCORES, UNITS)
    assert events.type.tolist() == TYPES.tolist()
    assert bouts.type.tolist() == [2, 0, 3]  # 0.6 s of type 2, 0.5 s of type 1
    assert bouts.score.tolist() == SCORES[[2, 3, 4]].tolist()  # of the longest event of that type
    assert bouts.top_unit.tolist() == [7, 8, 9]
    assert bouts.events.tolist() == [3, 1, 1]
    assert events.events.tolist() == [1] * 5


def test_an_event_has_the_type_of_its_bout():
    events, bouts = both("bout", TYPES[:3], SCORES[:3], UNITS[:3])
    assert bouts.type.tolist() == [1, 2, 2]
    assert events.type.tolist() == [1, 1, 1, 2, 2]
    assert events.score.tolist() == SCORES[[0, 0, 0, 1, 2]].tolist()
    assert events.bout.tolist() == [0, 0, 0, 1, 2]
    assert bouts.events.tolist() == [3, 1, 1]


def test_a_few_songs_with_clear_pauses_are_bouts():
    events = songs(6, 10, pause=0.015, between=2.3)
    assert learn_joining([events], HOP).bouts_of(events).tolist() == np.repeat(np.arange(6), 10).tolist()


def test_songs_in_recordings_are_bouts_of_syllables(tmp_path):
    firsts = np.arange(0.5, 11, 1.5)
    starts = np.concatenate([song(first, 4) for first in firsts])
    recordings = [with_syllables(noise(11, seed=seed), starts) for seed in (1, 2)]
    detector, events = located(tmp_path, *recordings)
    assert 0.03 < detector.joining.pause < 1
    assert events.bout.tolist() == np.repeat(np.arange(14), 4).tolist()
    bouts = events.joined()
    assert bouts.record.tolist() == [0] * 7 + [1] * 7
    assert bouts.start == pytest.approx([*firsts, *firsts], abs=0.003)
    assert bouts.end - bouts.start == pytest.approx([0.285] * 14, abs=0.005)
