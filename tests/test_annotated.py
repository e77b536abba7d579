"""Annotated stretches as rows of `export` and as items of `evaluate`, and the recordings that their tables name."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

import audiosae
from audiosae.corpus.annotation_files import annotated_sources
from audiosae.corpus.annotation_tables import Annotation
from audiosae.corpus.sources import Source
from audiosae.errors import InputError

PITCHES = [300, 500, 900, 1500, 2500]


@pytest.fixture(scope="module")
def notes():
    """The notes of the recordings of the fixture `sounds`: (file, start, end, pitch), see `signals.bursts`."""
    rng, rows = np.random.default_rng(0), []
    for number in range(12):
        pitches = rng.choice(PITCHES, size=5 + number)
        rng.normal(size=800 * len(pitches))
        rows += [(f"tone_{number:02d}.wav", i / 10, (i + 1) / 10, str(pitch)) for i, pitch in enumerate(pitches)]
    return rows


def table(path, rows):
    path.write_text("\n".join(["file,start,end,label", *(",".join(map(str, row)) for row in rows)]))
    return path


def test_row_of_an_annotation_pools_the_windows_whose_centres_lie_in_it(trained, sounds, tmp_path):
    model, name = audiosae.load_model(trained), "tone_03.wav"
    length = soundfile.info(sounds / name).duration
    rows = [(name, 0.3, 0.52, "b"), (name, 0, length + 1, "all"), (name, 0.2001, 0.2002, "short")]
    path = table(tmp_path / "t.csv", rows)
    how = {"code": "sqrt", "pool": "mean,max,std"}
    found = audiosae.export(model, sounds, annotations=path, **how)
    assert found.columns == ["file", "start", "end", "label"]
    assert found.keys["label"].tolist() == ["all", "short", "b"]  # in order of file and start
    windows = audiosae.export(model, sounds / name, level="window")
    centres = (windows.keys["start"] + windows.keys["end"]) / 2
    pooled = dict(zip(found.keys["label"], found.features, strict=True))
    inside = windows.features[(centres >= 0.3) & (centres < 0.52)]
    assert len(inside) == 22
    expected = np.stack([inside.max(axis=0), inside.mean(axis=0), inside.std(axis=0)], axis=1).ravel()
    np.testing.assert_allclose(pooled["b"], expected, rtol=1e-4, atol=1e-6)
    nearest = windows.features[np.abs(centres - 0.20015).argmin()]
    np.testing.assert_allclose(pooled["short"].reshape(-1, 3)[:, 1], nearest, rtol=1e-5)
    np.testing.assert_array_equal(pooled["all"], audiosae.export(model, sounds / name, **how).features[0])
    assert any("1 annotation reaches beyond the recording" in note for note in found.notes)


def test_annotations_that_cannot_be_used_are_counted_and_named(run, trained, sounds, tmp_path):
    rows = [
        ("tone_00.wav", 0.1, 0.2, "a"),
        ("tone_00.wav", 0.1, 0.2, "a"),
        ("gone.wav", 0, 1, "a"),
        ("tone_01.wav", 90, 91, "a"),
        ("tone_01.wav", 0.3, 0.3, "a"),
    ]
    path = table(tmp_path / "t.csv", rows)
    arguments = ["export", trained, sounds, "--annotations", path, "-o", tmp_path / "f.csv"]
    status, out, _ = run(*arguments, "--json")
    facts = json.loads(out)
    assert (status, facts["annotations"], facts["rows"]) == (0, 1, 1)
    assert facts["annotations_left_out"] == {
        "given more than once": 1,
        "of recordings that are not among the 12 sources": 1,
        "without duration": 1,
        "outside of their recording": 1,
    }
    status, _, err = run(*arguments, "--strict")
    assert status == 1
    assert "4 of 5 annotations are left out: 1 given more than once (t line 3)" in err
    assert "(gone.wav)" in err
    status, _, err = run("export", trained, sounds, "--annotations", table(path, rows[2:]), "-o", tmp_path / "g.csv")
    assert status == 1
    assert "none of 3 annotations can be used: 1 of recordings that are not" in err
    assert not (tmp_path / "g.csv").exists()


def test_evaluation_of_annotations_keeps_recordings_apart(trained, sounds, notes, tmp_path, monkeypatch):
    for name in ("draw_scores", "draw_confusion", "_draw_units"):
        monkeypatch.setattr(f"audiosae.commands.evaluation_folder.{name}", lambda *_: None)
    monkeypatch.setattr("audiosae.commands.evaluate.write_page", lambda *_, **__: None)
    path = table(tmp_path / "t.csv", notes)
    done = audiosae.evaluate(trained, sounds, annotations=path, out=tmp_path / "e", baselines="mfcc")
    assert done.plan.classes == sorted(map(str, PITCHES))
    with (tmp_path / "e" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["file"], float(r["start"]), r["label"]) for r in rows] == [(n[0], n[1], n[3]) for n in notes]
    folds = {}
    for row in rows:
        folds.setdefault(row["file"], set()).add(row["fold"])
    assert len(folds) == 12
    assert all(len(own) == 1 for own in folds.values())
    assert all(result["accuracy"] > 0.9 for result in done.results)
    assert f"label of {len(notes)} annotations in 12 recordings" in done.title


def test_values_of_a_column_divide_the_annotations(trained, sounds, notes, tmp_path):
    sites = tmp_path / "sites.csv"
    sites.write_text("\n".join(["filename,site", *(f"tone_{n:02d}.wav,{'abc'[n % 3]}" for n in range(11))]))
    path = table(tmp_path / "t.csv", notes)
    done = audiosae.evaluate(trained, sounds, sites, annotations=path, out=None, baselines="none", group_column="site")
    assert [split.name for split in done.plan.splits] == ["a", "b", "c"]
    assert done.facts["annotations_left_out"] == {"of recordings without a value in column site": 16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "folder"}, r"the table has the labels; leave labels=.folder. out"),
        ({"group_column": "site"}, r"group_column=.site.: wanted labels=.FILE\.csv. with that column"),
        ({"rows": [("tone_00.wav", 0, 0.1, "a"), ("tone_00.wav", 0.1, 0.2, "b")]}, r"each label is in one recording"),
    ],
)
def test_evaluation_refuses_options_that_contradict_the_table(trained, sounds, tmp_path, options, message):
    rows = options.pop("rows", [("tone_00.wav", 0, 0.1, "a")])
    with pytest.raises(InputError, match=message):
        audiosae.evaluate(trained, sounds, annotations=table(tmp_path / "t.csv", rows), baselines="none", **options)


@pytest.mark.parametrize("options", [{"labels": "folder"}, {"level": "window"}])
def test_export_refuses_options_that_contradict_the_table(trained, sounds, tmp_path, options):
    with pytest.raises(InputError, match="the table has a row for each annotation; leave l"):
        audiosae.export(trained, sounds, annotations=table(tmp_path / "t.csv", []), **options)


SOURCES = ["a/rec.wav", "b/rec.wav", "b/deep/rec.wav", "x.1.wav"]


@pytest.mark.parametrize(
    ("file", "table", "expected"),
    [
        ("b/rec.wav", "t", 1),
        ("/disk/of/another/b/rec.wav", "t", 1),
        ("C:\\b\\deep\\rec.wav", "t", 2),
        ("deep/rec", "deep/rec", 2),
        ("rec.wav", "a_rec.selections", 0),
        ("x.1", "x.1.Table.1.selections", 3),
        ("x.1.Own.Detector", "x.1.Own.Detector", 3),
        ("other/rec.mp3", "t", None),
        ("x", "t", None),
    ],
)
def test_recording_of_a_table_is_found_among_the_sources(tmp_path, file, table, expected):
    sources = [Source(name, tmp_path / name) for name in SOURCES]
    assert annotated_sources([Annotation(file, 0, 1, None, None, "", table)], sources) == [expected]


@pytest.mark.parametrize(
    ("files", "sources", "message"),
    [
        (["rec.wav"], SOURCES, r"rec\.wav of the table t may be a/rec\.wav or b/rec\.wav"),
        (["n/rec.wav", "s/rec.wav"], ["rec.wav"], r"are two recordings, but only rec\.wav is among the sources"),
    ],
)
def test_ambiguous_recordings_are_refused(tmp_path, files, sources, message):
    with pytest.raises(InputError, match=message):
        annotated_sources(
            [Annotation(file, 0, 1, None, None, "", "t") for file in files],
            [Source(name, tmp_path / name) for name in sources],
        )
