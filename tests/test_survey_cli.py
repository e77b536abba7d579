"""The commands survey and find."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import once
from signals import write
from test_engine import own_folders, pids

import audiosae
from audiosae.autoencoder.model import FILE, load_model
from audiosae.commands.continuation import continued_note
from audiosae.commands.survey_folder import LABELS
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine, start_engine
from audiosae.engine.corpus import EngineCorpus, read
from audiosae.errors import InputError
from audiosae.features.codes import Encoder
from audiosae.sounds.band_events import stretches
from audiosae.sounds.event_codes import encode_sounds, pooled_codes, recordings_domain, sample_codes
from audiosae.sounds.examples import Example
from audiosae.sounds.find_types import find_types
from audiosae.sounds.noise_floor import BandLevels, seconds_per_row
from audiosae.sounds.search import find_like
from audiosae.sounds.sound_store import SoundStore
from audiosae.sounds.sound_types import load_types
from audiosae.system.files import file_digest
from audiosae.system.progress import Progress

RATE = 8000
PITCHES = (600, 1500, 2900)


def recording(number, level=0.2, hiss=0.01):
    """20 s of hiss with a tone, a sweep down and a pulsed tone at 3, 9 and 15 s."""
    rng = np.random.default_rng(number)
    samples, time = hiss * rng.normal(size=20 * RATE), np.arange(RATE // 2) / RATE
    for start, kind in ((3, 0), (9, 1), (15, 2)):
        pitch = PITCHES[kind] * rng.uniform(0.95, 1.05) * np.linspace(1, 0.7 if kind == 1 else 1, len(time))
        tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        if kind == 2:
            tone *= np.sin(2 * np.pi * 8 * time) > 0
        samples[start * RATE : start * RATE + len(tone)] += level * tone
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def archive(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    for number in range(8):
        write(folder / "in" / f"20240601_{number:02d}0000.wav", recording(number), RATE)
    once(
        ["train", folder / "in", "-o", folder / "run", "--hidden", 24, "--epochs", 6, "--cache", cache, "-q"],
        pictures=False,
    )
    model = load_model(folder / "run")
    records = ingest(model.domain, scan([folder / "in"], (".wav",), domain="spectrogram"), cache=cache, workers=1)
    return SimpleNamespace(folder=folder, run=folder / "run", sounds=folder / "in", model=model, records=records)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


RULE = ("--site", "(?P<site>[0-9]{2})0000", "--time-zone", "UTC", "--coordinates", "52.5,13.4")


@pytest.fixture(scope="module")
def found(archive, cache):
    """A survey with sites and clips."""
    out = archive.folder / "found"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audiosae.views.site_pictures.MOST_SITES", 1)
        once(["survey", archive.run, archive.sounds, "-o", out, *RULE, "--clips", 2, "--cache", cache, "-q"])
    return out


def test_three_kinds_of_sound_are_three_types(found):
    facts = json.loads((found / "survey.json").read_text())
    assert [kind["events"] for kind in facts["types"]] == [8, 8, 8]
    rows = rows_of(found / "events.csv")
    assert len({(round(float(row["start"])), row["type"]) for row in rows}) == 3
    assert rows[0]["time"].startswith("2024-06-01T00:00:0")
    assert "name" not in rows[0]


def test_tables_and_pictures_of_a_survey_are_by_site(found):
    head = ["site", "date", "hour", "type", "events", "seconds", "recorded_seconds", "floor_db"]
    effort, lines = rows_of(found / "effort.csv"), rows_of(found / "timeline.csv")
    assert [*lines[0]] == head
    assert {(row["recorded_seconds"], -42 < float(row["floor_db"]) < -38) for row in lines} == {("20.0", True)}
    assert (effort[0]["site"], effort[0]["recorded_seconds"], effort[0]["files"]) == ("00", "20.0", "1")
    assert [*effort[0]][-4:] == ["day_seconds", "dawn_seconds", "dusk_seconds", "night_seconds"]
    assert {(row["site"], row["light"]) for row in rows_of(found / "bouts.csv")} >= {("00", "night"), ("05", "day")}
    assert [path.name for path in (found / "timeline.sites").iterdir()] == ["00.png"]
    assert 'href="timeline.sites/00.png"' in (found / "index.html").read_text(encoding="utf-8")


def test_clips_are_in_a_folder_for_each_type(found):
    clips, facts = sorted(found.rglob("*.flac")), json.loads((found / "survey.json").read_text())
    assert {path.relative_to(found / "clips").parts[0] for path in clips} == {"type-1", "type-2", "type-3"}
    assert all(path.name.startswith("20240601_0") for path in clips)
    assert facts["clips"]["count"] == len(clips) == 6
    assert facts["clips"]["bytes"] == sum(path.stat().st_size for path in clips)


def test_a_survey_is_the_same_where_decoded_recordings_are_not_kept(found, archive, run, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.views.site_pictures.MOST_SITES", 1)
    monkeypatch.setattr("audiosae.corpus.room.MOST_TEMPORARY", 1000)
    monkeypatch.setattr("audiosae.engine.spread.LEAST_VALUES", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = tmp_path / "out"
    command = ("survey", archive.run, archive.sounds, "-o", out, *RULE, "--clips", 2, "--cache", "none")
    code, _, error = run(*command, "--workers", 2)
    assert (code, "they are not kept but decoded again in each step" in error) == (0, True)
    files = [path.relative_to(found) for path in sorted(found.rglob("*")) if path.is_file() and path.suffix != ".json"]
    assert [str(path) for path in files if (found / path).read_bytes() != (out / path).read_bytes()] == []
    assert not [*tmp_path.glob("audiosae-*")]


def test_a_full_disk_refuses_clips_and_not_the_survey(found, archive, cache, run, tmp_path, monkeypatch):
    out = shutil.copytree(found, tmp_path / "out")
    monkeypatch.setattr("audiosae.commands.clips.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    command = ("survey", archive.run, archive.sounds, "-o", out, "--cache", cache, "--events", "csv")
    code, _, error = run(*command, "--clips", "all")
    assert code == 1
    assert re.search(r"--clips: 24 clips need up to 0.\d MB in .*, and 0.0 MB are free; write fewer", error)
    assert "site" not in rows_of(out / "events.csv")[0]
    assert not (out / "clips").exists()  # nor those of the earlier survey
    assert not (out / "timeline.sites").exists()


def test_names_are_in_every_table_and_carry_over_with_types_from(archive, cache, run, tmp_path):
    (tmp_path / "names.csv").write_text("type,name\n1,=Kiebitz\n")
    one, two = tmp_path / "one", tmp_path / "two"
    command = ("survey", archive.run, archive.sounds, "--cache", cache, "-q")
    assert run(*command, "-o", one, "--names", tmp_path / "names.csv")[0] == 0
    assert run(*command, "-o", two, "--types-from", one)[0] == 0
    for folder in (one, two):
        assert rows_of(folder / "types.csv")[0]["name"] == "'=Kiebitz"
        assert {row["name"] for row in rows_of(folder / "events.csv")} == {"'=Kiebitz", ""}
        assert {(row["type"], row["name"]) for row in rows_of(folder / "timeline.csv")} == {
            ("1", "'=Kiebitz"),
            ("2", ""),
            ("3", ""),
        }
        raven = [path.read_text() for path in (folder / "events.raven").iterdir()]
        audacity = [path.read_text() for path in (folder / "events.audacity").iterdir()]
        assert all(text.count("\t=Kiebitz\n") == 1 for text in [*raven, *audacity])
    assert (one / "events.csv").read_bytes() == (two / "events.csv").read_bytes()


def test_the_clips_of_a_search_replace_those_of_an_earlier_one(archive, cache, run, tmp_path):
    like = f"{archive.sounds}/20240601_000000.wav@9-9.6"
    command = ("find", archive.run, archive.sounds, "--like", like, "--cache", cache, "--clips", tmp_path / "clips")
    assert run(*command, "-n", 3, "-q")[0] == 0
    assert len(list((tmp_path / "clips").glob("*.flac"))) == 3
    (tmp_path / "clips" / "mine.txt").write_text("mine")
    code, text, _ = run(*command, "-n", 2, "--json")
    assert (code, json.loads(text)["clips"]["count"]) == (0, 2)
    names = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert [names[0][:2], names[1][:2], *names[2:]] == ["1_", "2_", "clips.json", "mine.txt"]
    (tmp_path / "clips" / names[0]).write_bytes(b"edited")
    code, _, error = run(*command)
    assert (code, "it was changed after" in error, "another output with --clips" in error) == (1, True, True)


def test_names_of_other_types_are_refused(archive, cache, run, tmp_path):
    one, names = tmp_path / "one", tmp_path / "names.csv"
    command = ("survey", archive.run, archive.sounds, "--cache", cache, "--events", "csv")
    assert run(*command, "-o", one, "-q")[0] == 0
    digest = load_types(one, file_digest(archive.run / FILE)).digest
    for content, more, message in (
        ("type,name\n1,a\n", [], "use --types-from FOLDER to reuse numbers and names"),
        ("type,name\n1,a\n", ["--types-from", one], ""),
        (f"type,name,survey\n1,a,{digest}\n", ["--types-from", one], ""),
        (f"type,name,survey\n1,a,{digest}\n", ["--types", 2], "names the types of another survey"),
        ("type,name,survey\n1,a,0123\n", ["--types-from", one], "names the types of another survey"),
    ):
        names.write_text(content)
        code, _, error = run(*command, "-o", tmp_path / "out", "--names", names, *more)
        assert ("--names" in error, message in error) == (bool(message), True)
        assert code == ("another survey" in message)


def test_labels_in_the_folder_of_a_survey_are_applied_to_its_tables(archive, cache, run, tmp_path):
    one, labels = tmp_path / "one", tmp_path / "one" / "labels.csv"
    command = ("survey", archive.run, archive.sounds, "--cache", cache, "--events", "csv", "-o", one)
    assert run(*command, "-q")[0] == 0
    types = [row["type"] for row in rows_of(labels)]
    lines = labels.read_text().splitlines()
    lines[1:13] = [f"{line.removesuffix(',,')},tone {line.split(',')[4]}," for line in lines[1:13]]
    lines[-1] = f"{lines[-1].removesuffix(',,')},-,"
    labels.write_text("\n".join(lines))
    code, _, error = run(*command)
    assert (code, "was changed after the survey that wrote it" in error) == (1, True)
    code, message, _ = run(*command, "--labels", labels)
    assert (code, "labels: 13 labelled sounds with 4 labels" in message) == (0, True)
    rows = rows_of(one / "bouts.csv")
    assert [row["bout"] for row in rows] == [str(number) for number in range(1, len(types))]
    assert {row["label"] for row in rows} == {"tone 1", "tone 2", "tone 3"}
    assert [row for row in rows if row["label"] != f"tone {row['type']}"] == []
    assert [float(row["confidence"]) == 1 for row in rows] == [True] * 12 + [False] * (len(rows) - 12)
    assert rows_of(labels)[-1]["label"] == "-"
    assert sum(int(row["events"]) for row in rows_of(one / "timeline_labels.csv") if row["name"]) == len(rows)
    assert '<th scope="row">tone 1</th>' in (one / "index.html").read_text()
    assert (one / "timeline_labels.png").read_bytes().startswith(b"\x89PNG")


def test_new_recordings_are_added_to_a_survey_as_with_its_types(archive, cache, run, tmp_path):
    one, two, sounds = (tmp_path / name for name in ("one", "two", "in"))
    files = sorted(archive.sounds.iterdir())
    sounds.mkdir()
    for path in files[1:]:
        shutil.copy2(path, sounds)
    command = ("survey", archive.run, sounds, "--cache", cache, "--events", "csv", "-q")
    assert run(*command, "-o", one, "--new-only", "--time-zone", "UTC")[0] == 0  # it has no survey yet
    labels = one / "labels.csv"
    labels.write_text(labels.read_text().replace(",1,,", ",3,tone,"))
    code, _, error = run(*command[:2], files[0], *command[3:], "-o", one, "--new-only")
    assert (code, "none of the recordings in" in error) == (1, True)
    shutil.copytree(one, tmp_path / "earlier")
    shutil.copy2(files[0], sounds)
    assert run(*command, "-o", one, "--new-only")[0] == 0
    earlier = ("--types-from", tmp_path / "earlier", "--labels", tmp_path / "earlier" / "labels.csv")
    earlier += ("--time-zone", "UTC")  # is kept
    assert run(*command, "-o", two, *earlier, "--cache", tmp_path / "cache")[0] == 0
    names = sorted(path.name for path in two.iterdir() if path.name != "survey.json")
    assert {name for name in names if (one / name).read_bytes() != (two / name).read_bytes()} == set()
    assert {row["label"] for row in rows_of(labels)} == {"", "tone"}
    assert {row["file"] for row in rows_of(labels)} == {path.name for path in files}
    code, _, error = run(*command, "-o", one)
    assert (code, "which would be lost; add --labels" in error) == (1, True)
    assert json.loads((one / "survey.json").read_text())["options"]["time_zone"] == "UTC"


def test_an_interrupted_survey_continues_with_the_recordings_that_are_left(archive, tmp_path, monkeypatch):
    corpus = EngineCorpus(archive.model.domain, archive.records, LocalEngine(), workers=2)
    with monkeypatch.context() as several_processes:
        several_processes.setattr("audiosae.engine.spread.LEAST_VALUES", 0)
        several_processes.setattr("audiosae.sounds.event_codes.pooled_codes", None)  # in this process
        whole, types = find_types(archive.model, corpus)
    calls, encode = [], pooled_codes

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return encode(*arguments, **options)

    monkeypatch.setattr("audiosae.sounds.event_codes.pooled_codes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_types(archive.model, corpus, store=SoundStore(tmp_path))
    entries = [*tmp_path.iterdir()]
    assert len(entries) == 2 * 8 + 5  # events and noise floors of all recordings; codes of whole events and of parts
    entries[0].write_bytes(b"damaged")
    continued, again = find_types(archive.model, corpus, store=SoundStore(tmp_path))
    assert len(calls) in {6 + 16 - 4, 6 + 16 - 2}  # both blocks of a recording, or those of two recordings
    assert again.digest == types.digest
    for name, column in vars(whole.events).items():
        np.testing.assert_array_equal(column, getattr(continued.events, name))
    find_types(archive.model, corpus, store=SoundStore(tmp_path))
    assert len(calls) <= 6 + 16 - 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"types": 3}, "leave out types=3"), ({"types_from": "x"}, 'leave out types_from="x"')],
)
def test_new_only_keeps_the_types_of_the_survey(tmp_path, options, message):
    (tmp_path / "survey.json").write_text("{}")
    with pytest.raises(InputError, match=message):
        audiosae.survey("model", "sounds", tmp_path, new_only=True, **options)
    with pytest.raises(InputError, match="give it with out"):
        audiosae.survey("model", "sounds", new_only=True)


def test_a_continued_survey_reads_the_names_of_its_recordings_once(tmp_path):
    class Names(list):
        passes = 0

        def __iter__(self):
            Names.passes += 1
            return super().__iter__()

    earlier = [f"{number}.wav" for number in range(40)]
    rows = [f"{number},{name},0,1,1,," for number, name in enumerate(earlier, 1)]
    (tmp_path / LABELS).write_text("\n".join(["event,file,start,end,type,label,answer", *rows]) + "\n")
    assert continued_note(tmp_path, Names(earlier[1:])).endswith("; 1 recording of it will be left out: 0.wav")
    assert Names.passes == 1
    with pytest.raises(InputError, match="none of the recordings in .* is among the sources, such as 0.wav, 1.wav"):
        continued_note(tmp_path, ["other.wav"])


def test_a_cluster_that_loses_a_worker_finds_the_same_types_and_moments(archive, cache, tmp_path, monkeypatch):
    own_corpus = EngineCorpus(archive.model.domain, archive.records, LocalEngine())
    own, _ = find_types(archive.model, own_corpus)
    like = [Example(archive.sounds / "20240601_000000.wav", 9.0, 9.6)]
    sources = scan([archive.sounds], (".wav",), domain="spectrogram")
    killing, sent = Progress(), []

    def kill_once(_):
        if killing.name == "encoding" and not sent:
            sent.append(pids(engine)[0])
            os.kill(sent[0], signal.SIGKILL)

    monkeypatch.setattr(killing, "stage", lambda name, *_: vars(killing).update(name=name))
    monkeypatch.setattr(killing, "advance", kill_once)
    with own_folders(2) as address, start_engine(address) as engine:
        corpus = read(archive.model.domain, sources, engine, cache=tmp_path, workers=1, interleaved=True)
        store = SoundStore.of(archive.model, corpus)
        theirs, _ = find_types(archive.model, corpus, store=store, progress=killing)
        assert sent
        steps, run_map = [], engine.map
        monkeypatch.setattr(engine, "map", lambda step, *a, **k: steps.append(step.__name__) or run_map(step, *a, **k))
        again, _ = find_types(archive.model, corpus, store=store)
        assert not {"_encode_shard", "_detect_shard"} & {*steps}
        assert again.events.type.tolist() == own.events.type.tolist()
        found = [find_like(archive.model, each, each.only([0]), like) for each in (corpus, own_corpus)]
    assert [*found[0].rows()] == [*found[1].rows()] != []
    assert [e.start for e in theirs.rows()] == [e.start for e in own.rows()]
    assert theirs.events.type.tolist() == own.events.type.tolist()


def test_without_a_cache_a_search_finds_the_same_and_leaves_nothing(archive, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    like = f"{archive.sounds}/20240601_000000.wav@9-9.6"
    kept, left = ([*audiosae.find(archive.run, archive.sounds, like, cache=each).rows()] for each in (cache, "none"))
    assert kept == left
    assert [*tmp_path.iterdir()] == []


def test_loudness_and_noise_barely_change_the_code_of_an_event(archive, cache, tmp_path):
    for name, level, hiss in (("a", 0.2, 0.01), ("b", 0.05, 0.01), ("c", 0.2, 0.03)):
        write(tmp_path / f"{name}.wav", recording(0, level, hiss), RATE)
    sources = scan([tmp_path], (".wav",), domain="spectrogram")
    records = ingest(archive.model.domain, sources, cache=cache, workers=1)
    codes = []
    for record in records:
        levels = BandLevels(read_field(record), seconds_per_row(archive.model.domain))
        codes.append(pooled_codes(archive.model, levels, stretches(levels)))
    apart = np.linalg.norm(codes[0][0] - codes[0][2])
    assert all(np.linalg.norm(codes[0][0] - other[0]) < 0.5 * apart for other in codes[1:])


def test_short_and_long_recordings_are_treated_alike(archive, cache, run, tmp_path):
    for number in range(60, 68):
        for seconds in (9.5, 13.5):  # the sounds begin at 3 and 9 s
            sounds = recording(number)[RATE : int((1 + seconds) * RATE)]
            write(tmp_path / f"{seconds}" / f"{number}.wav", sounds, RATE)
    long, short = tmp_path / "13.5", tmp_path / "9.5"
    assert run("survey", archive.run, long, "-o", tmp_path / "out", "--cache", cache, "-q")[0] == 0
    arguments = ["--types-from", tmp_path / "out", "--cache", cache, "-q"]
    assert run("survey", archive.run, short, "-o", tmp_path / "short", *arguments)[0] == 0
    before, after = (
        [(row["file"], round(float(row["start"]), 1), row["type"]) for row in rows_of(tmp_path / name / "events.csv")]
        for name in ("out", "short")
    )
    assert after == [row for row in before if row[1] < 9]
    assert {"1", "2"} <= {kind for _, _, kind in after}
    clip = write(tmp_path / "clip.wav", recording(63)[3 * RATE : 7 * RATE // 2], RATE)
    for like in (short / "63.wav@2-2.5", clip):
        _, message, _ = run("find", archive.run, long, "--like", like, "--cache", cache, "--json")
        matches = json.loads(message)["matches"]
        (own,) = [match for match in matches if (match["file"], round(match["start"])) == ("63.wav", 2)]
        assert own["similarity"] > 0.95


def test_find_reports_examples_with_several_sounds_or_none(archive, cache, run, tmp_path):
    sounds = write(tmp_path / "three.wav", np.concatenate([recording(60), recording(61)]), RATE)
    quiet = write(tmp_path / "quiet.wav", 0.01 * np.random.default_rng(0).normal(size=RATE * 15), RATE)
    code, _, error = run("find", archive.run, archive.sounds, "--like", f"{sounds}@0:00.5-0:30", "--cache", cache)
    assert code == 0
    assert "the example has 5 sounds and is compared as a whole" in error
    code, _, error = run("find", archive.run, archive.sounds, "--like", quiet, "--cache", cache)
    assert code == 0
    assert "no sound in the example rises above the noise" in error
    code, _, error = run("find", archive.run, sounds, "--like", f"{sounds}@0.5-9", "--cache", cache)
    assert "similarity means little with only" in error


def test_edited_tables_are_not_overwritten_and_other_processes_find_the_same(
    archive, cache, run, tmp_path, monkeypatch
):
    out, begun = tmp_path / "out", []

    @contextmanager
    def helpers(_):
        def begin(work, *arguments):
            begun.append(work.__name__)
            work, arguments = pickle.loads(pickle.dumps((work, arguments)))  # noqa: S301

            def wait():
                begun.append(f"end of {work.__name__}")
                return work(*arguments)

            return wait

        yield begin

    arguments = ["survey", archive.run, archive.sounds, "-o", out, "--cache", cache, "-q"]
    assert run(*arguments)[0] == 0
    digests = json.loads((out / "survey.json").read_text())["files"]
    for module in ("survey", "survey_folder"):
        monkeypatch.setattr(f"audiosae.commands.{module}.helpers", helpers)
    monkeypatch.setattr("audiosae.sounds.beside._MANY", 1)
    assert run(*arguments)[0] == 0
    steps = ["learn_joining", "learn_types", "_labelled", "types_of_samples", "choose_landmarks", "_draw"]
    assert [step for step in begun if step in steps] == steps
    assert begun.index("end of types_of_samples") < begun.index("_draw"), "both need much memory"
    assert json.loads((out / "survey.json").read_text())["files"] == digests
    table = next((out / "events.raven").iterdir())
    table.write_text("mine")
    os.utime(table, (time.time() + 60,) * 2)
    code, _, error = run(*arguments)
    assert code == 1
    assert f"{table}: it was changed after the survey" in error
    assert table.read_text() == "mine"


def test_no_event_ends_after_its_recording(archive, cache, tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.wav", recording(number)[: 12 * RATE + 37 * number], RATE)
        tone = 0.3 * np.sin(2 * np.pi * 600 * np.arange(RATE + 37 * number) / RATE)
        write(tmp_path / f"clip{number}.wav", tone, RATE)
    found = audiosae.survey(archive.model, tmp_path, cache=cache)
    extents = np.array([record.extent for record in found.records])[found.events.record]
    assert (found.events.start < found.events.end).all()
    assert (found.events.end <= extents).all()
    assert (found.events.end == extents).any()


def test_find_returns_the_most_similar_moments(archive, cache, run, tmp_path):
    like = write(tmp_path / "like.wav", recording(50), RATE)
    out = tmp_path / "found.csv"
    code, message, _ = run(
        "find", archive.run, archive.sounds, "--like", f"{like}@8.8-9.7", "-n", 8, "-o", out, "--cache", cache, "--json"
    )
    assert code == 0
    assert [round(row["start"]) for row in json.loads(message)["matches"]] == [9] * 8
    assert [int(row["rank"]) for row in rows_of(out)] == list(range(1, 9))
    assert all(re.fullmatch(r"2024-06-01T0\d:00:0[89]\.\d{3}", row["time"]) for row in rows_of(out))
    assert {row["like"] for row in rows_of(out)} == {f"{like}@8.8-9.7"}


def test_the_stretch_that_is_given_is_compared_and_left_out(archive, cache, run, monkeypatch):
    compared = []

    def encoded(model, corpus, spans, *arguments, **options):
        compared.extend(zip(spans.start.tolist(), spans.end.tolist(), strict=True) if len(spans) == 1 else ())
        return encode_sounds(model, corpus, spans, *arguments, **options)

    monkeypatch.setattr("audiosae.sounds.search.encode_sounds", encoded)
    like = archive.sounds / "20240601_000000.wav"
    _, message, _ = run(
        "find", archive.run, archive.sounds, "--like", f"{like}@2.9-3.6", "-n", 7, "--cache", cache, "--json"
    )
    assert compared == [(2.9, 3.6)]
    found = json.loads(message)["matches"]
    assert like.name not in {row["file"] for row in found}
    assert [round(row["start"]) for row in found] == [3] * 7


def test_several_examples_are_combined(archive, cache):
    like = f"{archive.sounds / '20240601_000000.wav'}@"

    def starts(count, *examples, **unlike):
        return audiosae.find(archive.model, archive.sounds, [*examples], count=count, cache=cache, **unlike)

    both = starts(14, f"{like}3-3.5", f"{like}15-15.5")
    assert {round(float(start)) for start in both.events.start} == {3, 15}
    assert [both.examples[n].start for n in both.nearest[:, 0]] == [round(float(start)) for start in both.events.start]
    assert both.facts["like"] == [f"{like}3-3.5", f"{like}15-15.5"]
    for unwanted, last in ((9, {9}), (15, {15})):
        found = starts(99, f"{like}3-3.5", unlike=f"{like}{unwanted}-{unwanted}.5")
        assert len(found) == 7 + 8 + 7  # neither the example nor the unwanted one is among them
        assert {round(float(start)) for start in found.events.start[-7:]} == last
    assert [*found.frame().columns][-3:] == ["similarity", "like", "unlike"]


def test_an_example_with_a_range_of_frequencies_is_compared_in_that_range(archive, cache, tmp_path):
    time = np.arange(RATE // 2) / RATE
    low, high = (np.sin(2 * np.pi * pitch * time) for pitch in (600, 2900))
    samples = 0.01 * np.random.default_rng(1).normal(size=20 * RATE)
    for start, sound in ((2, low + high), (5, low), (8, high), (11, low), (14, high * np.sin(50 * time))):
        samples[start * RATE : start * RATE + len(sound)] += 0.2 * sound
    like = f"{write(tmp_path / 'a.wav', samples, RATE)}@2-2.5"
    sources, own = [tmp_path, archive.sounds], []
    for end in ("", ":2000-4000"):
        found = audiosae.find(archive.model, sources, f"{like}{end}", count=99, cache=cache).frame()
        rows = found[found["file"].str.endswith("a.wav")]
        own.append(dict(zip(rows["start"].round(), rows["similarity"], strict=True)))
    assert set(own[0]) == {5, 8, 11, 14}
    assert set(own[1]) == {8, 14}
    assert own[1][8] > 0.9 > own[0][8]


def test_copies_of_the_example_are_no_matches(archive, cache, tmp_path):
    original = archive.sounds / "20240601_000000.wav"
    for name in ("link.wav", "copy.wav"):
        (tmp_path / name).write_bytes(original.read_bytes())
    (tmp_path / "link.wav").unlink()
    (tmp_path / "link.wav").symlink_to(original)
    found = audiosae.find(archive.model, [tmp_path, archive.sounds], f"{original}@3-3.5", count=500, cache=cache)
    of_copies = {path for path, start in zip(found.frame()["file"], found.events.start, strict=True) if start < 4}
    assert not any(name in path for path in of_copies for name in ("link", "copy", original.name))
    assert len(of_copies) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--types", "none"], "wanted auto or a whole number"),
        (["--types", "9" * 5000], "wanted auto or a whole number"),
        (["--events", "csv,xls"], "no format 'xls'"),
        (["--types", "3", "--types-from", "."], "leave out one of the two"),
        (["--names", "nowhere.csv"], "nowhere.csv: No such file"),
    ],
)
def test_wrong_options_are_a_one_line_error(archive, run, tmp_path, arguments, message):
    code, _, error = run("survey", archive.run, archive.sounds, "-o", tmp_path / "out", *arguments)
    assert code == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_files_that_no_survey_wrote_are_not_overwritten(archive, run, tmp_path):
    (tmp_path / "events.csv").write_text("mine")
    code, _, error = run("survey", archive.run, archive.sounds, "-o", tmp_path)
    assert code == 1
    assert "events.csv" in error
    assert (tmp_path / "events.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("none.wav", "no file"),
        ("none.wav@1-2", "no file none.wav;"),
        ("{}@3-2", "START 3 s is not before END 2 s"),
        ("{}@30-31", "the recording ends at 20.00 s"),
        ("{}@3-3.005", "0.005 s are too short"),
        ("{}@19.995-900", "0.005 s are too short"),
        ("{}@a-b", "'a-b' is not a stretch of"),
        ("{}@1:03-", "wanted START-END in seconds"),
        ("{}@3-4:2000-", "'3-4:2000-' is not a stretch of"),
        ("{}@3-4:2000-1000", "LOW 2000 Hz is not below HIGH 1000 Hz"),
        ("{}@3-4:9000-9900", "the model hears 29 to"),
        (__file__, "the recording cannot be used: undecodable"),
    ],
)
def test_wrong_examples_are_refused(archive, cache, run, like, message):
    like = like.format(archive.sounds / "20240601_000000.wav")
    code, _, error = run("find", archive.run, archive.sounds, "--like", like, "--cache", cache, "-q")
    assert code == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_an_example_that_ends_after_its_recording_is_reported(archive, cache, run):
    like = archive.sounds / "20240601_000000.wav"
    command = ("find", archive.run, archive.sounds, "-n", 2, "--cache", cache, "--like")
    assert "the recording ends at 20.00 s, so the example is 15 to 20.00 s" in run(*command, f"{like}@15-900")[2]
    assert "the example is" not in run(*command, f"{like}@15-20")[2]
    assert "the example is" not in run(*command, like)[2]


def test_a_file_name_may_look_like_a_stretch(tmp_path):
    odd = write(tmp_path / "a@1-2", recording(0), RATE, format="WAV")
    assert Example.parse(str(odd)).end == np.inf
    stretch = Example.parse(f"{odd}@1:03.5-1:05:2000-4000.5")
    assert (stretch.start, stretch.end, stretch.low_hz, stretch.high_hz) == (63.5, 65, 2000, 4000.5)
    with pytest.raises(InputError, match="3600 s are too long to compare as one sound"):
        Example.parse(str(odd)).within(3600)


def test_models_of_other_domains_are_refused():
    with pytest.raises(InputError, match="this model has the domain images"):
        recordings_domain(SimpleNamespace(domain=SimpleNamespace(name="images")), "survey")


def test_silence_has_no_events(archive, cache, run, tmp_path):
    write(tmp_path / "silence.wav", 0.01 * np.random.default_rng(0).normal(size=RATE * 15), RATE)
    code, _, error = run("survey", archive.run, tmp_path, "-o", tmp_path / "out", "--cache", cache, "-q")
    assert code == 1
    assert "no events in 1 recording:" in error


def test_a_survey_needs_a_separate_folder_and_replaces_all_tables_of_an_earlier_one(archive, cache, run, tmp_path):
    for folder, why in ((archive.run, "is a run folder"), (archive.sounds, "contains recordings")):
        code, _, error = run("survey", archive.run, archive.sounds, "-o", folder, "--cache", cache, "-q")
        assert (code, why in error) == (1, True)
    command = ("survey", archive.run, archive.sounds, "-o", tmp_path / "out", "--cache", cache, "-q")
    assert run(*command, "--events", "csv,raven,audacity")[0] == 0
    assert run(*command, "--events", "csv")[0] == 0
    assert (tmp_path / "out" / "events.csv").exists()
    assert not [*(tmp_path / "out").glob("events.*/*")]
    assert ", the number of events, or auto" in run(*command, "--types", 5000)[2]


def test_sample_codes_are_few_mean_codes_of_each_recording(archive):
    corpus = EngineCorpus(archive.model.domain, archive.records, LocalEngine())
    seen = sample_codes(archive.model, corpus)
    assert [part.shape for part in seen] == [(21, 24)] * 8
    field = np.asarray(read_field(archive.records[3]))
    frames = archive.model.domain.window[0]
    starts = [int(start * (len(field) - frames + 1)) for start in (0.5 / 42, 1.5 / 42)]
    windows = np.stack([field[at : at + frames].ravel() for at in starts])
    np.testing.assert_allclose(seen[3][0], Encoder(archive.model)(windows).mean(axis=0), rtol=1e-4)
    assert [len(part) for part in sample_codes(archive.model, corpus, most=1)] == [1] * 8
