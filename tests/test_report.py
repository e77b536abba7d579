"""The report: the right windows, the right sounds at the right times, within its bounds; file names stay text."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
import soundfile
from pages import decoded, items, pieces
from test_render import make

from audiosae.autoencoder.model import load_model
from audiosae.backends import Backend
from audiosae.corpus.ingest import ingest
from audiosae.corpus.journal import Record
from audiosae.corpus.sources import scan
from audiosae.domain import Span, make_domain
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.features.top_windows import Neighbourhoods, TopWindows
from audiosae.features.unit_statistics import Step, gather, numbered
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.views.excerpts import span_text
from audiosae.views.media import SLOWED, encode_sound
from audiosae.views.unit_sides import by_likeness, map_positions, show_units

HOSTILE = 'a "quoted" <b onload=alert(1)> & </script><script>alert(2)</script>\n.wav'.replace("/", "\u2215")


def corpus_of(model, folder, cache):
    records = ingest(model.domain, scan([folder], model.domain.suffixes), cache=cache, workers=1)
    return EngineCorpus(model.domain, records, LocalEngine())


def sent(value):
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 (our own)


def best_cells(codes, cells, keep):
    """What TopWindows must find: per unit, the strongest window of each cell, strongest cells first."""
    found = []
    for unit in codes.T:
        best = {cell: min((-unit[i], i) for i in np.flatnonzero(cells == cell)) for cell in set(cells.tolist())}
        found.append([number for _, number in sorted(best.values())[:keep]])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_top_windows_add_to_the_same_lists_in_any_order_and_any_parts(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 12, (300, 4)) / 12  # with many ties
    numbers, cells = np.arange(300), rng.integers(0, 40, 300)
    parts = [p for p in np.split(rng.permutation(300), np.sort(rng.integers(0, 300, 6))) if len(p)]
    whole = TopWindows.of(codes, numbers, cells, keep=9)
    added = reduce(add, (TopWindows.of(codes[p], numbers[p], cells[p], keep=9) for p in parts))
    assert whole.numbers.tolist() == added.numbers.tolist() == best_cells(codes, cells, 9)
    np.testing.assert_array_equal(whole.values, added.values)


def test_fewer_windows_than_wanted_are_all_there_and_no_more():
    found = TopWindows.of(np.array([[0.5], [0.7]]), np.arange(2), np.array([0, 1]), keep=5)
    assert (found + found).numbers[0, :2].tolist() == [1, 0]
    assert np.isneginf((found + found).values[0, 2:]).all()


def test_a_step_sent_to_another_process_adds_up_to_the_fold(trained, sounds, cache):
    model = load_model(trained)
    corpus = corpus_of(model, sounds, cache)
    labels = np.arange(len(corpus.records)) % 3
    near = Neighbourhoods.of(corpus)
    step = sent(Step(model, corpus, near, 5 * near.crowd, labels, 3))
    small = [
        (first + at, all_[at : at + 100])
        for first, all_ in numbered(corpus.blocks())
        for at in range(0, len(all_), 100)
    ]
    parts = [sent(step(Backend(), block)) for block in reversed(small)]
    added, whole = reduce(add, parts), gather(model, corpus, top=5, labels=labels, classes=3)
    assert added.usage.count == whole.usage.count == len(corpus)
    assert added.histogram.sum(axis=1).tolist() == [len(corpus)] * 12
    np.testing.assert_allclose(added.lift(), whole.lift(), rtol=1e-6)
    for mine, theirs in zip(added.tops.strongest(corpus, 5), whole.tops.strongest(corpus, 5), strict=True):
        assert [number for number, _ in mine] == [number for number, _ in theirs]
        np.testing.assert_allclose([code for _, code in mine], [code for _, code in theirs], rtol=1e-5)


def test_the_strongest_window_comes_first_and_no_neighbours_are_shown(trained, sounds, cache):
    model = load_model(trained)
    corpus = corpus_of(model, sounds, cache)
    codes = np.concatenate([model.encode(windows) for windows in corpus.blocks()])
    tops = gather(model, corpus, top=6).tops.strongest(corpus, 6)
    for unit, top in enumerate(tops):
        assert top[0][1] == pytest.approx(codes[:, unit].max(), rel=1e-6)
        places = list(zip(*corpus.locate(np.array([number for number, _ in top])), strict=True))
        for i, (record, start) in enumerate(places):
            for other, there in places[:i]:
                assert record != other or abs(start[0] - there[0]) >= 2 * model.domain.window[0] - 1


def test_the_strongest_window_encoded_again_gives_the_activation_stated(trained, sounds, page):
    model = load_model(trained)
    shown = items(page)
    assert len(shown) == 12
    for item in shown:
        window = item["windows"][0]
        path = sounds / pieces(page)[window["piece"]]["file"]
        field = np.concatenate(list(model.domain.field(path)))
        model.domain.finish(field)
        row = round(window["from"][0] * model.domain.sample_rate / model.domain.hop_length)
        again = model.encode(field[None, row : row + model.domain.window[0]])[0, item["number"]]
        assert window["activation"] == pytest.approx(float(again), abs=1e-6)
        assert window["activation"] == max(each["activation"] for each in item["windows"])


def test_every_player_plays_the_right_file_at_the_right_time(sounds, page):
    for piece in pieces(page):
        heard, rate = decoded(piece["sound"])
        source, own = soundfile.read(sounds / piece["file"], dtype="float32")
        assert rate == own
        assert len(heard) / rate == pytest.approx(min(piece["high"], len(source) / own) - piece["low"], abs=0.011)
        if len(heard) < len(source):
            lag = int(np.correlate(source, heard, "valid").argmax())
            assert abs(lag - round(piece["low"] * rate)) <= 8, "a millisecond"
        place = source[round(piece["low"] * rate) :][: len(heard)]
        assert np.corrcoef(place, heard[: len(place)])[0, 1] > 0.9


def test_a_player_starts_a_little_before_its_window_and_ends_after_it(page):
    for item in items(page):
        for window in item["windows"]:
            piece = pieces(page)[window["piece"]]
            (start,), (end,) = window["from"], window["to"]
            assert start - piece["low"] >= 0.25 or piece["low"] == 0
            assert start - piece["low"] < 0.75
            assert piece["high"] >= end - 0.011
            left, _, width, _ = window["box"]
            length = piece["high"] - piece["low"]
            assert left == pytest.approx(100 * (start - piece["low"]) / length, abs=0.01)
            assert width == pytest.approx(100 * (end - start) / length, abs=0.01)


def test_a_piece_that_many_units_share_is_there_once(page):
    places = [(piece["file"], piece["low"], piece["high"]) for piece in pieces(page)]
    assert len(places) == len(set(places)) < sum(len(item["windows"]) for item in items(page))


def test_the_histogram_counts_every_window(trained, sounds, cache, page):
    model = load_model(trained)
    assert {sum(item["histogram"]) for item in items(page)} == {len(corpus_of(model, sounds, cache))}


def test_a_smaller_size_shows_fewer_windows_and_says_so(trained, sounds, tmp_path, run, page):
    room = page.stat().st_size * 3 // 4
    code, out, _ = run("report", trained, sounds, "-o", tmp_path / "small.html", "--size", f"{room / 2**20:.6f}M")
    small = tmp_path / "small.html"
    shown = {len(item["windows"]) for item in items(small)}
    assert code == 0
    assert small.stat().st_size <= room
    assert 0 < max(shown) < 10
    assert f"{max(shown)} windows each (of 10: " in out
    assert f"{max(shown)} strongest windows, not 10" in small.read_text()


def test_a_size_that_the_units_alone_exceed_is_refused(trained, sounds, tmp_path, run):
    code, _, err = run("report", trained, sounds, "-o", tmp_path / "small.html", "--size", "20K")
    assert code == 1
    assert "the 12 units alone take" in err
    assert not (tmp_path / "small.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "page.pdf"], "wanted .html"),
        (["-o", "gone/page.html"], "choose another with -o"),
        (["-o", "page.html", "--size", "much"], "wanted a size such as"),
        (["-o", "page.html", "--label-column", "x"], "wanted together with --labels"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(small, sounds, tmp_path, run, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("report", small, sounds, *arguments)
    assert code == 1
    assert told in err


def test_a_source_that_has_gone_costs_its_sounds_not_the_page(small, sounds, tmp_path, run, monkeypatch):
    def gone(self, path, span):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Spectrogram, "excerpt", gone)
    code, _, err = run("report", small, sounds, "-o", tmp_path / "page.html", "--workers", "1")  # in this process
    assert code == 0, err
    faults = {piece["fault"] for piece in pieces(tmp_path / "page.html")}
    assert all("excerpt() raised" in fault for fault in faults)
    assert items(tmp_path / "page.html")[0]["windows"][0]["activation"] > 0


def test_labels_say_what_a_unit_goes_with(small, sounds, tmp_path, run, cache):
    model = load_model(small)
    corpus = corpus_of(model, sounds, cache)
    table = tmp_path / "labels.csv"
    names = ["low" if i < 6 else "high" for i in range(12)]
    table.write_text("filename,kind\n" + "".join(f"tone_{i:02d}.wav,{name}\n" for i, name in enumerate(names)))
    run("report", small, sounds, "-o", tmp_path / "page.html", "--labels", table)
    codes = np.concatenate([model.encode(windows) for windows in corpus.blocks()])
    records, _ = corpus.locate(np.arange(len(corpus)))
    for item in items(tmp_path / "page.html"):
        act = codes[:, item["number"]]
        for name, times in item["labels"]:
            mine = np.array([names[record] == name for record in records])
            assert times == pytest.approx(act[mine].mean() / act.mean(), abs=0.006)
            assert times >= 1.2
        for window in item["windows"]:
            file = pieces(tmp_path / "page.html")[window["piece"]]["file"]
            assert window["label"] == names[int(file[5:7])]


def test_hostile_names_of_files_and_labels_are_text(sounds, small, tmp_path, run):
    folder = tmp_path / "<i>&amp;"
    folder.mkdir()
    for name, number in ((HOSTILE, 5), (os.fsdecode(b"\xff\xfe.wav"), 6)):
        (folder / name).write_bytes((sounds / f"tone_{number:02d}.wav").read_bytes())
    code, _, err = run("report", small, folder, "-o", tmp_path / "page.html", "--labels", "folder")
    assert code == 0, err
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b onload" not in text
    assert text.count("<script") == text.count("</script>") == 3
    files = {piece["file"] for piece in pieces(tmp_path / "page.html")}
    assert files == {HOSTILE.replace("\n", "\\n"), "\\xff\\xfe.wav"}
    assert {window["label"] for item in items(tmp_path / "page.html") for window in item["windows"]} == {"<i>&amp;"}


def test_tanh_units_state_their_codes(sounds, tmp_path, run, cache):
    run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 3, "--activation", "tanh", "-q")
    assert run("report", tmp_path / "run", sounds, "-o", tmp_path / "page.html", "-q")[0] == 0
    model = load_model(tmp_path / "run")
    codes = np.concatenate([model.encode(windows) for windows in corpus_of(model, sounds, cache).blocks()])
    stated = [item["windows"][0]["activation"] for item in items(tmp_path / "page.html")]
    np.testing.assert_allclose(stated, codes.max(axis=0), atol=1e-6)


def test_patches_of_pictures_are_shown_with_their_place(tmp_path, run):
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        np.save(folder / f"p{number}.npy", rng.normal(size=(60, 80)).astype(np.float32))
    few = ["--hidden", 3, "--epochs", 5, "-q"]
    assert run("train", folder, "--domain", "images", "-o", tmp_path / "run", *few)[0] == 0
    assert run("report", tmp_path / "run", folder, "-o", tmp_path / "page.html")[0] == 0
    model = load_model(tmp_path / "run")
    assert len(pieces(tmp_path / "page.html")) == 2
    for item in items(tmp_path / "page.html"):
        for window in item["windows"]:
            (row, column), piece = window["from"], pieces(tmp_path / "page.html")[window["piece"]]
            patch = np.load(folder / piece["file"])[int(row) : int(row) + 10, int(column) : int(column) + 10]
            again = model.encode(patch[None, ..., None])[0, item["number"]]
            assert window["activation"] == pytest.approx(float(again), abs=1e-5)
            assert window["box"] == pytest.approx([100 * column / 80, 100 * row / 60, 12.5, 100 / 6], abs=0.01)
            assert window["patch"]


def test_rows_of_vectors_are_shown_with_their_numbers(tmp_path, run):
    rows = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    np.save(tmp_path / "v.npy", rows)
    few = ["--hidden", 3, "--epochs", 5, "-q"]
    assert run("train", tmp_path, "--domain", "vectors", "-o", tmp_path / "run", *few)[0] == 0
    assert run("report", tmp_path / "run", tmp_path / "v.npy", "-o", tmp_path / "page.html")[0] == 0
    for item in items(tmp_path / "page.html"):
        assert len({window["where"] for window in item["windows"]}) == 10
        for window in item["windows"]:
            row = rows[int(window["where"].removeprefix("row "))]
            assert all(value == pytest.approx(float(row[at])) for at, value in window["numbers"])
            assert abs(window["numbers"][0][1]) == pytest.approx(float(np.abs(row).max()))


def test_neighbourhoods_of_two_axes_hold_each_window_once():
    domain = make_domain(type(Spectrogram()), {"sample_rate": 8000, "n_fft": 256, "hop_length": 80, "frames": 4})
    records = [Record("a", "used", shape=(30, 40), ranges=((0, 30),)), Record("b", "skipped")]
    near = Neighbourhoods.of(EngineCorpus(domain, records, LocalEngine()))
    assert near.reach == (7, 79)
    assert near.crowd == 3
    assert near.cells(np.array([0, 0, 0]), np.array([[0, 0], [6, 0], [7, 0]])).tolist() == [0, 0, 1]


def test_units_are_drawn_and_heard_the_same_whoever_draws_them(monkeypatch):
    monkeypatch.setattr("audiosae.views.unit_sides._UNITS_PER_WORKER", 2)
    model = make(4)  # enough for two processes
    assert [*show_units(model, workers=2)] == [*show_units(model, workers=1)]


def test_similar_units_lie_side_by_side():
    angles = np.random.default_rng(0).permutation(40) * np.pi / 40
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cosines = np.abs(vectors @ vectors.T)
    cells, columns = map_positions(cosines)
    assert len(set(cells)) == 40
    assert max(column for _, column in cells) < columns
    cells = np.array(cells)
    beside = [(i, j) for i in range(40) for j in range(i) if np.abs(cells[i] - cells[j]).sum() == 1]
    assert np.mean([cosines[i, j] for i, j in beside]) > cosines[~np.eye(40, dtype=bool)].mean() + 0.2
    order = by_likeness(cosines)
    assert sorted(order) == list(range(40))
    assert np.mean([cosines[a, b] for a, b in pairwise(order)]) > 0.95


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (Span((1.234,), (1.394,), "s"), "1.23 s to 1.39 s"),
        (Span((59.999,), (60.16,), "s"), "1:00.00 to 1:00.16"),
        (Span((3723.5,), (3723.66,), "s"), "1:02:03.50 to 1:02:03.66"),
        (Span((40, 12), (50, 22), "px"), "rows 40 to 49, columns 12 to 21"),
        (Span((7,), (8,), "row"), "row 7"),
    ],
)
def test_places_are_told_as_people_say_them(span, told):
    assert span_text(span) == told


@pytest.mark.parametrize(
    ("rate", "heard", "slowed"), [(8000, 8000, 1), (9600, 11025, 1), (44100, 22050, 1), (250000, 22050, SLOWED)]
)
def test_sounds_keep_their_pitch_and_length_and_ultrasound_is_slowed_down(rate, heard, slowed):
    tone = np.sin(2 * np.pi * 0.05 * rate * np.arange(rate) / rate).astype(np.float32)
    sound = encode_sound(tone, rate)
    samples, own = decoded(sound.data)
    assert (own, sound.slowed) == (heard, slowed)
    assert len(samples) / own == pytest.approx(slowed, rel=0.01)
    pitch = np.abs(np.fft.rfft(samples)).argmax() * own / len(samples)
    assert pitch == pytest.approx(0.05 * rate / slowed, rel=0.01)


def test_copies_of_a_recording_are_shown_once_and_what_is_too_short_is_counted(small, sounds, tmp_path, run):
    folder = tmp_path / "copied"
    shutil.copytree(sounds, folder)
    for copy in range(4):
        shutil.copy(folder / "tone_11.wav", folder / f"copy{copy}.wav")
    soundfile.write(folder / "short.wav", np.linspace(-0.5, 0.5, 300), 8000)
    code, out, err = run("report", small, folder, "-o", tmp_path / "page.html", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["sources_used"], told["sources_skipped"]) == (16, 1)
    assert "shorter than a window: 1." in (tmp_path / "page.html").read_text(encoding="utf-8")
    for item in items(tmp_path / "page.html"):
        heard = [pieces(tmp_path / "page.html")[window["piece"]]["sound"] for window in item["windows"]]
        assert len(set(heard)) == len({window["piece"] for window in item["windows"]})


def test_a_folder_is_no_page(small, sounds, tmp_path, run):
    (tmp_path / "page.html").mkdir()
    assert "it is a folder" in run("report", small, sounds, "-o", tmp_path / "page.html")[2]
