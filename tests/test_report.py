"""Page of a report: strongest windows, their sounds and times, size limit, escaping of file names."""

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
from audiosae.corpus.packed import Packing
from audiosae.corpus.sources import scan
from audiosae.domain import Span, make_domain
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.features.top_windows import Neighbourhoods, TopWindows
from audiosae.features.unit_statistics import Step, gather, numbered
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.views.excerpts import span_text
from audiosae.views.media import SLOWED, encode_sound
from audiosae.views.unit_sides import map_positions, show_units, similarity_order

HOSTILE = 'a "quoted" <b onload=alert(1)> & </script><script>alert(2)</script>\n.wav'.replace("/", "\u2215")


def corpus_of(model, folder, cache):
    records = ingest(model.domain, scan([folder], model.domain.suffixes), cache=cache, workers=1)
    return EngineCorpus(model.domain, records, LocalEngine())


def sent(value):
    """Return a value as another process receives it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 (pickled here)


def best_cells(codes, cells, keep):
    """Return the expected TopWindows: per unit, the strongest window of each cell, strongest cells first."""
    numbers = []
    for unit in codes.T:
        best = {cell: min((-unit[i], i) for i in np.flatnonzero(cells == cell)) for cell in set(cells.tolist())}
        numbers.append([number for _, number in sorted(best.values())[:keep]])
    return numbers


@pytest.mark.parametrize("seed", range(5))
def test_the_sum_of_top_windows_does_not_depend_on_order_or_parts(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 12, (300, 4)) / 12  # with many ties
    numbers, cells = np.arange(300), rng.integers(0, 40, 300)
    parts = [p for p in np.split(rng.permutation(300), np.sort(rng.integers(0, 300, 6))) if len(p)]
    whole = TopWindows.of(codes, numbers, cells, keep=9)
    added = reduce(add, (TopWindows.of(codes[p], numbers[p], cells[p], keep=9) for p in parts))
    assert whole.numbers.tolist() == added.numbers.tolist() == best_cells(codes, cells, 9)
    np.testing.assert_array_equal(whole.values, added.values)


def test_top_windows_of_few_windows_contain_each_once():
    few = TopWindows.of(np.array([[0.5], [0.7]]), np.arange(2), np.array([0, 1]), keep=5)
    assert (few + few).numbers[0, :2].tolist() == [1, 0]
    assert np.isneginf((few + few).values[0, 2:]).all()


def test_sums_of_steps_in_other_processes_equal_the_pass_over_all_windows(trained, sounds, cache):
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


def test_the_strongest_window_is_first_and_neighbours_are_omitted(trained, sounds, cache):
    model = load_model(trained)
    corpus = corpus_of(model, sounds, cache)
    codes = np.concatenate([model.encode(windows) for windows in corpus.blocks()])
    tops = gather(model, corpus, top=6).tops.strongest(corpus, 6)
    for unit, top in enumerate(tops):
        assert top[0][1] == pytest.approx(codes[:, unit].max(), rel=1e-6)
        positions = list(zip(*corpus.locate(np.array([number for number, _ in top])), strict=True))
        for i, (record, start) in enumerate(positions):
            for other, other_start in positions[:i]:
                assert record != other or abs(start[0] - other_start[0]) >= 2 * model.domain.window[0] - 1


def test_the_activation_on_the_page_is_that_of_its_window(trained, sounds, page):
    model = load_model(trained)
    shown = items(page)
    assert len(shown) == 12
    for item in shown:
        window = item["windows"][0]
        path = sounds / pieces(page)[window["piece"]]["file"]
        field = np.concatenate(list(model.domain.field(path)))
        model.domain.finish(field)
        packing = Packing.of(field, model.domain.resolution)
        field = packing.values(packing.pack(field))  # as the cache keeps it
        row = round(window["from"][0] * model.domain.sample_rate / model.domain.hop_length)
        again = model.encode(field[None, row : row + model.domain.window[0]])[0, item["number"]]
        assert window["activation"] == pytest.approx(float(again), abs=1e-6)
        assert window["activation"] == max(each["activation"] for each in item["windows"])


def test_every_excerpt_is_from_its_file_and_time(sounds, page):
    for piece in pieces(page):
        heard, rate = decoded(piece["sound"])
        source, own = soundfile.read(sounds / piece["file"], dtype="float32")
        assert rate == own
        assert len(heard) / rate == pytest.approx(min(piece["high"], len(source) / own) - piece["low"], abs=0.011)
        if len(heard) < len(source):
            lag = int(np.correlate(source, heard, "valid").argmax())
            assert abs(lag - round(piece["low"] * rate)) <= 8, "a millisecond"
        original = source[round(piece["low"] * rate) :][: len(heard)]
        assert np.corrcoef(original, heard[: len(original)])[0, 1] > 0.9


def test_an_excerpt_starts_shortly_before_its_window_and_ends_after_it(page):
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


def test_a_piece_that_units_share_is_stored_once(page):
    ranges = [(piece["file"], piece["low"], piece["high"]) for piece in pieces(page)]
    assert len(ranges) == len(set(ranges)) < sum(len(item["windows"]) for item in items(page))


def test_the_histogram_counts_every_window(trained, sounds, cache, page):
    model = load_model(trained)
    assert {sum(item["histogram"]) for item in items(page)} == {len(corpus_of(model, sounds, cache))}


def test_a_smaller_size_shows_fewer_windows_and_a_note(trained, sounds, tmp_path, run, page):
    size = page.stat().st_size * 3 // 4
    code, out, _ = run("report", trained, sounds, "-o", tmp_path / "small.html", "--size", f"{size / 2**20:.6f}M")
    small = tmp_path / "small.html"
    shown = {len(item["windows"]) for item in items(small)}
    assert code == 0
    assert small.stat().st_size <= size
    assert 0 < max(shown) < 10
    assert f"{max(shown)} windows each (of 10: " in out
    assert f"{max(shown)} strongest windows, not 10" in small.read_text()


def test_a_size_below_that_of_the_units_alone_raises(trained, sounds, tmp_path, run):
    code, _, err = run("report", trained, sounds, "-o", tmp_path / "small.html", "--size", "20K")
    assert code == 1
    assert "the 12 units without examples need" in err
    assert not (tmp_path / "small.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "page.pdf"], "wanted .html"),
        (["-o", "gone/page.html"], "choose another with -o"),
        (["-o", "page.html", "--size", "much"], "wanted a size such as"),
        (["-o", "page.html", "--label-column", "x"], "works only with --labels"),
    ],
)
def test_wrong_options_raise_before_any_work(small, sounds, tmp_path, run, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("report", small, sounds, *arguments)
    assert code == 1
    assert message in err


def test_the_page_is_written_without_the_sounds_of_a_missing_source(small, sounds, tmp_path, run, monkeypatch):
    def gone(self, path, span):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Spectrogram, "excerpt", gone)
    code, _, err = run(
        "report", small, sounds, "-o", tmp_path / "page.html", "--workers", "1"
    )  # in this process: the method is replaced here
    assert code == 0, err
    faults = {piece["fault"] for piece in pieces(tmp_path / "page.html")}
    assert all("excerpt() raised" in fault for fault in faults)
    assert items(tmp_path / "page.html")[0]["windows"][0]["activation"] > 0


def test_units_show_the_labels_for_which_they_are_most_active(small, sounds, tmp_path, run, cache):
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


def test_names_of_files_and_labels_are_escaped(sounds, small, tmp_path, run):
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


def test_activations_of_tanh_units_are_their_codes(sounds, tmp_path, run, cache):
    run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 3, "--activation", "tanh", "-q")
    assert run("report", tmp_path / "run", sounds, "-o", tmp_path / "page.html", "-q")[0] == 0
    model = load_model(tmp_path / "run")
    codes = np.concatenate([model.encode(windows) for windows in corpus_of(model, sounds, cache).blocks()])
    stated = [item["windows"][0]["activation"] for item in items(tmp_path / "page.html")]
    np.testing.assert_allclose(stated, codes.max(axis=0), atol=1e-6)


def test_patches_of_pictures_are_shown_with_their_position(tmp_path, run):
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


def test_rows_of_vectors_are_shown_with_their_largest_values(tmp_path, run):
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


def test_neighbourhoods_of_two_axes_contain_each_window_once():
    domain = make_domain(type(Spectrogram()), {"sample_rate": 8000, "n_fft": 256, "hop_length": 80, "frames": 4})
    records = [Record("a", "used", shape=(30, 40), ranges=((0, 30),)), Record("b", "skipped")]
    near = Neighbourhoods.of(EngineCorpus(domain, records, LocalEngine()))
    assert near.reach == (7, 79)
    assert near.crowd == 3
    assert near.cells(np.array([0, 0, 0]), np.array([[0, 0], [6, 0], [7, 0]])).tolist() == [0, 0, 1]


def test_units_do_not_depend_on_the_number_of_workers(monkeypatch):
    monkeypatch.setattr("audiosae.views.unit_sides._UNITS_PER_WORKER", 2)
    model = make(4)  # enough for two processes
    assert [*show_units(model, workers=2)] == [*show_units(model, workers=1)]


def test_similar_units_are_neighbours_on_the_map_and_in_the_order():
    angles = np.random.default_rng(0).permutation(40) * np.pi / 40
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cosines = np.abs(vectors @ vectors.T)
    cells, columns = map_positions(cosines)
    assert len(set(cells)) == 40
    assert max(column for _, column in cells) < columns
    cells = np.array(cells)
    neighbours = [(i, j) for i in range(40) for j in range(i) if np.abs(cells[i] - cells[j]).sum() == 1]
    assert np.mean([cosines[i, j] for i, j in neighbours]) > cosines[~np.eye(40, dtype=bool)].mean() + 0.2
    order = similarity_order(cosines)
    assert sorted(order) == list(range(40))
    assert np.mean([cosines[a, b] for a, b in pairwise(order)]) > 0.95


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span((1.234,), (1.394,), "s"), "1.23 s to 1.39 s"),
        (Span((59.999,), (60.16,), "s"), "1:00.00 to 1:00.16"),
        (Span((3723.5,), (3723.66,), "s"), "1:02:03.50 to 1:02:03.66"),
        (Span((40, 12), (50, 22), "px"), "rows 40 to 49, columns 12 to 21"),
        (Span((7,), (8,), "row"), "row 7"),
    ],
)
def test_positions_are_written_in_the_unit_of_the_domain(span, text):
    assert span_text(span) == text


@pytest.mark.parametrize(
    ("rate", "heard", "slowed"),
    [(8000, 8000, 1), (9600, 9600, 1), (4000, 8000, 1), (44100, 22050, 1), (250000, 22050, SLOWED)],
)
def test_encoded_sounds_keep_pitch_and_length_and_ultrasound_is_slowed_down(rate, heard, slowed):
    tone = np.sin(2 * np.pi * 0.05 * rate * np.arange(rate) / rate).astype(np.float32)
    sound = encode_sound(tone, rate)
    samples, own = decoded(sound.data)
    assert (own, sound.slowed) == (heard, slowed)
    assert len(samples) / own == pytest.approx(slowed, rel=0.01)
    pitch = np.abs(np.fft.rfft(samples)).argmax() * own / len(samples)
    assert pitch == pytest.approx(0.05 * rate / slowed, rel=0.01)


def test_copies_of_a_recording_are_shown_once_and_short_files_are_counted(small, sounds, tmp_path, run):
    folder = tmp_path / "copied"
    shutil.copytree(sounds, folder)
    for copy in range(4):
        shutil.copy(folder / "tone_11.wav", folder / f"copy{copy}.wav")
    soundfile.write(folder / "short.wav", np.linspace(-0.5, 0.5, 300), 8000)
    code, out, err = run("report", small, folder, "-o", tmp_path / "page.html", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert (summary["sources_used"], summary["sources_skipped"]) == (16, 1)
    assert "shorter than a window: 1." in (tmp_path / "page.html").read_text(encoding="utf-8")
    for item in items(tmp_path / "page.html"):
        heard = [pieces(tmp_path / "page.html")[window["piece"]]["sound"] for window in item["windows"]]
        assert len(set(heard)) == len({window["piece"] for window in item["windows"]})


def test_a_folder_is_not_replaced_by_a_page(small, sounds, tmp_path, run):
    (tmp_path / "page.html").mkdir()
    assert "it is a folder" in run("report", small, sounds, "-o", tmp_path / "page.html")[2]
