"""Surveys made from values, without recordings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from audiosae.corpus.journal import Record
from audiosae.sounds.answers import Answer
from audiosae.sounds.events import Events
from audiosae.sounds.labelled import Labels, LabelScore
from audiosae.sounds.results import SoundType, Survey


def survey_of(starts, seconds, events=(), **more):
    """Return a survey with recordings that begin at some times; events are (record, start, end, type)."""
    records = [Record(f"{i}.wav", "used", extent=extent, path=f"{i}.wav") for i, extent in enumerate(seconds)]
    columns = np.array(events, float).reshape(-1, 4).T
    record, kind = columns[0].astype(np.int32), columns[3].astype(np.int32)
    zeros, whole = np.zeros(len(record), np.float32), np.arange(len(record), dtype=np.int32)
    ones = np.ones(len(record), np.int32)
    sounds = Events(record, columns[1], columns[2], zeros, zeros, kind, zeros, zeros, ones, whole, ones, -ones, zeros)
    numbers = range(1, int(kind.max(initial=0)) + 1)
    types = [SoundType(number, "", 0, 0, 0.0, 0.0, 0.0, (), 0.0, -1) for number in numbers]
    return Survey(records, sounds, sounds, types, times=starts, **more)


def coded_survey():
    """Return a survey whose sites, labels and names are numbers, with every kind of cell that may be empty."""
    zone = ZoneInfo("Europe/Berlin")
    starts = [datetime(2024, 10, 26, 23, 59, tzinfo=zone), datetime(2024, 10, 27, 4, 30, tzinfo=zone), None]
    events = [(0, 1.25, 1.5, 1), (0, 70.0, 71.5, 2), (1, 2.0, 3.0001, 0), (2, 0.5, 1.0, 1), (2, 2.0, 3.0, 1)]
    more = {"sites": ["007", "012", "012"], "places": [(52.5, 13.4), (52.5, 13.4), None]}
    floors = [np.array([-50.04, -51], np.float32), np.array([np.nan], np.float32), np.empty(0, np.float32)]
    survey = survey_of(starts, [90.0, 60.0, 60.123456], events, floors=floors, **more)
    label, confidence = np.array([0, 1, -1, -1, 0], np.int32), np.array([1, 0.81236, np.nan, np.nan, 1], np.float32)
    sounds = replace(survey.events, label=label, confidence=confidence, top_unit=np.arange(5, dtype=np.int32))
    answers = [
        Answer(f"{record}.wav", start, end, int(kind), "01" * (i in {1, 5}), "", i)
        for i, (record, start, end, kind) in enumerate(events, 1)
    ]
    scores = LabelScore("01", 2, 2, 2, 1.25, 0.66666, 1.0), LabelScore("02", 0, 1, 1, 1.5, None, None)
    labels = Labels(("01", "02"), label, confidence, tuple(answers), scores, ())
    types = [
        SoundType(1, "3", 3, 2, 1.75, 1000.04, 2000.0, (4, 2), 1.2346, 0, 1),
        SoundType(2, "", 0, 0, 0.0, 0.0, 0.0, (), 0.0, -1, 1),
    ]
    return replace(survey, events=sounds, bouts=sounds, types=types, labels=labels)
