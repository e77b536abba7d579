"""A survey written for other programs: Camtrap DP, AOEF, the tables of Raven and Audacity, and its methods in words."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

import audiosae
from audiosae.errors import InputError
from audiosae.sounds.answers import Answer
from audiosae.sounds.exchange import EXCHANGE, check_dates
from audiosae.sounds.labelled import Labels
from audiosae.views.methods import methods_text

# tables `observations` and `media` of Camtrap DP 1.0: columns in order, those that must not be empty, and their values
COLUMNS = {
    "observations": "observationID deploymentID mediaID eventID eventStart eventEnd observationLevel observationType "
    "cameraSetupType scientificName count lifeStage sex behavior individualID individualPositionRadius "
    "individualPositionAngle individualSpeed bboxX bboxY bboxWidth bboxHeight classificationMethod classifiedBy "
    "classificationTimestamp classificationProbability observationTags observationComments",
    "media": "mediaID deploymentID captureMethod timestamp filePath filePublic fileName fileMediatype exifData "
    "favorite mediaComments",
}
REQUIRED = {
    "observations": "observationID deploymentID eventStart eventEnd observationLevel observationType",
    "media": "mediaID deploymentID timestamp filePath filePublic fileMediatype",
}
PATTERNS = {
    "observationLevel": "media|event",
    "observationType": "animal|human|vehicle|blank|unknown|unclassified",
    "classificationMethod": "human|machine",
    "filePath": r"[^./~]((?!\.\.).)*",
    "fileMediatype": "(image|video|audio)/.+",
    "filePublic": "true|false",
}
NAMES = {1: "Turdus merula", 2: '=odd | "name"'}


@pytest.fixture(scope="module")
def survey(trained, sounds, cache, tmp_path_factory):
    """A survey of two dated recordings with the same name in two folders, and its folder."""
    folder = tmp_path_factory.mktemp("survey")
    for site in ("north", "south"):
        (folder / "in" / site).mkdir(parents=True)
        shutil.copy(sounds / f"tone_{5 + len(site) % 2:02d}.wav", folder / "in" / site / "R_20240601_050000.wav")
    with (folder / "names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("type", "name"), *NAMES.items()])
    with pytest.MonkeyPatch.context() as patch:  # no page and pictures, to save time
        patch.setattr("audiosae.commands.survey.write_survey_page", lambda *_, **__: None)
        for name in ("draw_timeline", "draw_recordings"):
            patch.setattr(f"audiosae.commands.survey_folder.{name}", lambda *_, **__: None)
        found = audiosae.survey(
            trained,
            folder / "in",
            folder / "found",
            types=2,
            min_duration=0.02,
            time_zone="Europe/Berlin",
            names=folder / "names.csv",
            events="csv,raven,audacity,camtrap-dp,aoef",
            cache=cache,
        )
    return found, folder / "found"


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def values(row):
    """Return file, start, end, low and high frequency, and type of a row of events.csv."""
    return row["file"], *(float(row[name]) for name in ("start", "end", "low_hz", "high_hz")), row["type"]


def test_camtrap_dp_tables_are_valid_and_have_the_values_of_the_events(survey):
    folder = survey[1]
    tables = {name: rows_of(folder / "events.camtrap-dp" / f"{name}.csv") for name in COLUMNS}
    for name, rows in tables.items():
        assert list(rows[0]) == COLUMNS[name].split()
        assert all(row[column] for row in rows for column in REQUIRED[name].split())
        assert all(
            re.fullmatch(PATTERNS[column], row[column]) for row in rows for column in PATTERNS if row.get(column)
        )
    media = {row["mediaID"]: datetime.strptime(row["timestamp"], "%Y-%m-%dT%H:%M:%S%z") for row in tables["media"]}
    assert {time.isoformat() for time in media.values()} == {"2024-06-01T05:00:00+02:00"}
    events = rows_of(folder / "events.csv")
    assert len(tables["observations"]) == len(events) == len({row["observationID"] for row in tables["observations"]})
    for row, event in zip(tables["observations"], events, strict=True):
        tags = dict(tag.split(":") for tag in row["observationTags"].split("|"))
        box = tuple(float(tags[name]) for name in ("start", "end", "lowHz", "highHz"))
        assert (row["mediaID"], *box, tags["type"]) == values(event)
        start, end = (datetime.strptime(row[name], "%Y-%m-%dT%H:%M:%S%z") for name in ("eventStart", "eventEnd"))
        offsets = [(time - media[row["mediaID"]]).total_seconds() for time in (start, end)]
        assert offsets[0] <= box[0] < offsets[0] + 1
        assert offsets[1] - 1 <= box[1] <= offsets[1]
        assert row["deploymentID"] == event["file"].split("/")[0]
        assert row["scientificName"] == ("Turdus merula" if event["type"] == "1" else "")
        assert row["observationType"] == ("animal" if event["type"] == "1" else "unclassified")


def test_sounds_that_a_person_labelled_are_classified_by_a_human(survey, tmp_path):
    found, count = survey[0], len(survey[0].sounds)
    said = [("Turdus merula", ""), ("", "yes"), ("", "no"), ("", "")]
    answers = [Answer("", 0.0, 1.0, 1, *said[min(i, 3)], event=i + 1) for i in range(count)]
    labels = Labels(("Turdus merula",), None, None, tuple(answers), (), ())
    sounds = replace(found.sounds, label=np.zeros(count, np.int32), confidence=np.ones(count, np.float32))
    EXCHANGE["camtrap-dp"].write(replace(found, labels=labels, **{f"{found.group}s": sounds}), tmp_path)
    rows = rows_of(tmp_path / "events.camtrap-dp" / "observations.csv")
    methods = [(row["classificationMethod"], bool(row["classifiedBy"])) for row in rows]
    assert methods == [("human", False)] * 2 + [("machine", True)] * (count - 2)


def test_aoef_has_the_values_of_the_events(survey):
    content = json.loads((survey[1] / "events.aoef.json").read_text())
    assert content["version"] == "1.1.0"
    data = content["data"]
    by_uuid = {name: {each["uuid"]: each for each in data[name]} for name in ("recordings", "clips", "sound_events")}
    notes = {each["uuid"]: each for each in data["sound_event_annotations"]}
    tags = {each["id"]: (each["key"], each["value"]) for each in data["tags"]}
    assert {task["clip"] for task in data["tasks"]} == set(by_uuid["clips"])
    read = []
    for clip in data["clip_annotations"]:
        recording = by_uuid["recordings"][by_uuid["clips"][clip["clip"]]["recording"]]
        for number in clip["sound_events"]:
            event, own = (
                by_uuid["sound_events"][notes[number]["sound_event"]],
                dict(map(tags.get, notes[number]["tags"])),
            )
            assert event["recording"] == recording["uuid"]
            start, low, end, high = event["geometry"]["coordinates"]
            assert own.get("label", "") == NAMES.get(int(own["sound_type"]), "")
            box = (round(start, 4), round(end, 4), round(low, 1), round(high, 1))
            read.append((recording["path"], *box, own["sound_type"]))
    assert read == list(map(values, rows_of(survey[1] / "events.csv")))
    assert {(each["samplerate"], each["channels"], each["date"]) for each in data["recordings"]} == {
        (8000, 1, "2024-06-01")
    }


def test_tables_of_a_survey_are_annotations_of_its_recordings(trained, survey):
    found, folder = survey
    expected = [(event.file, event.start, event.name or f"type {event.type}") for event in found.rows()]
    for program in ("raven", "audacity"):
        read = audiosae.export(trained, folder.parent / "in", annotations=folder / f"events.{program}", when="none")
        assert list(zip(*(read.keys[name] for name in ("file", "start", "label")), strict=True)) == expected


@pytest.mark.parametrize(("given", "classifier"), [(20, "a graph of shared nearest neighbours"), (40, "kernel ridge")])
def test_methods_state_that_sounds_were_labelled_by_hand(survey, trained, given, classifier):
    found, _ = survey
    scores = (SimpleNamespace(answers=given - 5), SimpleNamespace(answers=5))
    labels = SimpleNamespace(scores=scores, confidence=np.array([1, 0.6]))
    text = methods_text(replace(found, labels=labels), audiosae.load_model(trained), None)
    assert f"We then labelled {given} sounds with 2 labels. The other " in text
    assert classifier in text


def test_methods_state_the_numbers_of_the_tables(survey):
    found, folder = survey
    text = (folder / "methods.md").read_text()
    paragraph, _, references = text.partition("\n\nReferences\n\n")
    events, kinds = rows_of(folder / "events.csv"), rows_of(folder / "types.csv")
    assert "\n" not in paragraph
    assert "surveyed 2 recordings with a total duration of " in paragraph
    assert f"{found.seconds:.1f} s, made on 2024-06-01, with audiosae " in paragraph
    sounds = rows_of(folder / f"{found.group}s.csv")
    typed = sum(int(kind["events"]) for kind in kinds)
    assert typed == sum(row["type"] != "0" for row in sounds)
    seconds = sum(float(row["end"]) - float(row["start"]) for row in events)
    numbers = f"found {len(events)} events ({seconds:.1f} s in total) in {len(rows_of(folder / 'bouts.csv'))} bouts"
    assert f"{numbers}, and assigned {typed} of the {found.group}s to {len(kinds)} types" in paragraph
    assert "12 sigmoid hidden units" in paragraph
    assert "a duration of at least 20 ms" in paragraph
    assert f"We named {len(NAMES)} of the types." in paragraph
    cited = re.findall(r"(\w+)(?: et al\.| and \w+)? (\d{4})\)", paragraph)
    lines = references.splitlines()
    assert len({*cited}) == len(lines)
    assert all(any(name in line and f"({year})" in line for line in lines) for name, year in cited)


def test_camtrap_dp_needs_dates_with_a_time_zone():
    files, times = ["a.wav", "b.wav"], [datetime.fromisoformat("2024-06-01T05:00+02:00"), datetime(2024, 6, 1)]  # noqa: DTZ001
    check_dates(["csv", "aoef"], files, times)
    check_dates(["camtrap-dp"], files[:1], times[:1])
    with pytest.raises(InputError, match=r"needs the date, .* 1 of 2 .* \(the first is b\.wav\); give --time"):
        check_dates(["camtrap-dp"], files, times)
