"""Feature tables: correct values in each row, in every format, with bounded memory."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import soundfile
from test_train import learn

from audiosae import cli, load_model
from audiosae.corpus.entries import HEADER_BYTES
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.journal import Record
from audiosae.corpus.labels import read_labels
from audiosae.corpus.sources import scan
from audiosae.domain import Domain
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.errors import InputError
from audiosae.features.codes import Encoder, classifier_defaults, pooled_files, window_blocks
from audiosae.features.pooling import Pool, check_pools, pooled_names, without_change
from audiosae.features.rows import table_rows, write_rows
from audiosae.recordings.spectrogram import Spectrogram


@dataclass(frozen=True)
class Grid(Domain):
    """Domain with several windows along the second axis, as in pictures."""

    name = "grid"
    suffixes = (".npy",)
    window = (4, 3)

    def field(self, path):
        yield np.load(path)


@pytest.fixture(scope="module")
def run(sounds, tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("export") / "run"
    learn(sounds, out, cache)
    return out


@pytest.fixture
def model(run):
    return load_model(run)


@pytest.fixture
def records(model, sounds, cache):
    return ingest(model.domain, scan([sounds], model.domain.suffixes), cache=cache, workers=1)


@pytest.fixture
def call(capfd, monkeypatch):
    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capfd.readouterr()

    return command


def codes(model, record):
    """Compute the square-root codes of every window directly."""
    view = np.lib.stride_tricks.sliding_window_view(read_field(record), (16, 40)).reshape(-1, 640)
    return np.sqrt(model.encode(view))


def corpus_of(model, records):
    return EngineCorpus(model.domain, records, LocalEngine())


def export(model, records, path, **options):
    """Write a table and return the number of its rows."""
    rows = table_rows(model, corpus_of(model, records), **options)
    write_rows(rows, path)
    return rows.count


def test_row_of_a_file_has_its_pooled_codes(model, records, tmp_path):
    rows = export(model, records, tmp_path / "f.csv", pools=("max", "mean", "std"))
    table = pd.read_csv(tmp_path / "f.csv")
    assert rows == len(table) == 12
    expected = codes(model, records[4])
    row = table.iloc[4]
    assert row["file"] == records[4].file
    assert row["u007_mean"] == pytest.approx(expected[:, 7].mean(), rel=1e-4)
    assert row["u007_max"] == pytest.approx(expected[:, 7].max(), rel=1e-4)
    assert row["u007_std"] == pytest.approx(expected[:, 7].std(), rel=1e-3)


def test_share_is_the_root_of_a_units_share_of_the_activity(model, records):
    squares = np.square(codes(model, records[4]))
    shares = next(pooled_files(model.domain, [records[4]], Encoder(model, "share"), pools=("mean",)))[1][:, 0, 0]
    expected = np.sqrt(squares / squares.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(shares, expected, rtol=1e-3)


def test_columns_are_named_and_sorted(model, records, tmp_path):
    export(model, records, tmp_path / "f.csv", pools=("max", "mean"), segments=2, labels=["a"] * 12)
    names = pd.read_csv(tmp_path / "f.csv").columns.tolist()
    assert names[:3] == ["file", "label", "duration"]
    assert names[3:7] == ["u000_max_1", "u000_max_2", "u000_mean_1", "u000_mean_2"]
    assert names[3:] == sorted(names[3:])


def test_segments_divide_the_duration(model, records):
    expected = codes(model, records[6])
    pooled = next(pooled_files(model.domain, [records[6]], Encoder(model), pools=("mean",), segments=3))[1]
    bounds = [len(expected) * i // 3 for i in range(4)]
    np.testing.assert_allclose(pooled[:, 0, 1], expected[bounds[1] : bounds[2] + 1].mean(axis=0), atol=0.02)
    assert pooled.shape == (12, 1, 3)


def test_times_of_windows_do_not_drift(model, records, tmp_path):
    export(model, records, tmp_path / "w.parquet", level="window")
    table = pd.read_parquet(tmp_path / "w.parquet")
    last = table[table["file"] == records[-1].file].iloc[-1]
    windows = len(codes(model, records[-1]))
    assert last["start"] == (windows - 1) * 80 / 8000
    assert last["end"] == (windows - 1 + 16) * 80 / 8000
    np.testing.assert_allclose(last[["u000", "u001"]].to_numpy(float), codes(model, records[-1])[-1, :2], rtol=1e-4)


def test_all_formats_have_the_same_values(model, records, tmp_path):
    for suffix in ("csv", "parquet", "npz"):
        export(model, records, tmp_path / f"f.{suffix}", labels=[str(i) for i in range(12)])
    from_csv = pd.read_csv(tmp_path / "f.csv", dtype={"label": str})
    from_parquet = pd.read_parquet(tmp_path / "f.parquet")
    from_npz = np.load(tmp_path / "f.npz", allow_pickle=False)
    numbers = from_parquet.iloc[:, 3:].to_numpy()
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(from_csv.iloc[:, 3:].to_numpy(np.float32), numbers)
    np.testing.assert_array_equal(from_npz["features"], numbers)
    assert from_npz["names"].tolist() == from_parquet.columns[3:].tolist()
    assert from_csv["label"].tolist() == from_parquet["label"].tolist() == from_npz["label"].tolist()


def test_pyarrow_and_pandas_read_the_same_table(model, records, tmp_path):
    import pyarrow.parquet as pq

    export(model, records, tmp_path / "f.parquet")
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.num_rows == 12
    assert table.to_pandas().equals(pd.read_parquet(tmp_path / "f.parquet"))


def test_file_shorter_than_a_window_has_one_row(model, tmp_path, cache):
    time = np.arange(400) / 8000
    soundfile.write(tmp_path / "short.wav", np.sin(2 * np.pi * 500 * time), 8000)
    records = ingest(model.domain, scan([tmp_path], (".wav",)), cache=cache, workers=1)
    assert records[0].shape[0] < 16
    assert export(model, records, tmp_path / "f.csv") == 1
    assert export(model, records, tmp_path / "w.csv", level="window") == 1


def test_more_segments_than_windows_give_finite_values():
    pool = Pool(windows=2, segments=5, lag=1)
    pool.add(np.array([[1.0], [3.0]]))
    pooled = pool.result(("mean", "max", "change"))
    assert np.isfinite(pooled).all()
    assert pooled[0, 0, 0] == 1.0
    assert pooled[0, 1, 4] == 3.0


def test_pooling_in_blocks_equals_pooling_at_once():
    codes = np.random.default_rng(0).normal(size=(97, 4))
    whole, blocks = Pool(97, 3, lag=7), Pool(97, 3, lag=7)
    whole.add(codes)
    for at in range(0, 97, 5):
        blocks.add(codes[at : at + 5])
    pools = ("mean", "std", "max", "change")
    np.testing.assert_allclose(whole.result(pools), blocks.result(pools), rtol=1e-5)


def test_deviation_of_nearly_constant_units_is_accurate():
    codes = (0.9 + 1e-4 * np.random.default_rng(0).normal(size=(5000, 6))).astype(np.float32)
    pool = Pool(5000, 1)
    for at in range(0, 5000, 1300):
        pool.add(codes[at : at + 1300])
    mean, deviation = pool.result(("mean", "std"))[:, :, 0].T
    np.testing.assert_allclose(mean, codes.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(deviation, codes.std(axis=0, dtype=np.float64), rtol=1e-3)


@pytest.mark.parametrize("code", ["activation", "sqrt", "share"])
def test_overlapping_views_have_the_same_codes_as_copies(model, records, code):
    _, windows = next(window_blocks(model.domain, records[3]))
    assert windows.base is not None
    encode = Encoder(model, code)
    np.testing.assert_array_equal(encode(windows), encode(windows.copy()))


def test_change_is_the_mean_absolute_difference_within_each_segment():
    codes = np.random.default_rng(0).normal(size=(20, 4))
    pool = Pool(20, 2, lag=3)
    pool.add(codes)
    expected = [np.abs(half[3:] - half[:-3]).mean(axis=0) for half in (codes[:10], codes[10:])]
    np.testing.assert_allclose(pool.result(("change",))[:, 0], np.transpose(expected), rtol=1e-5)


def test_change_is_along_time_if_windows_are_side_by_side(tmp_path):
    field = np.random.default_rng(0).normal(size=(12, 9)).astype(np.float32)
    (tmp_path / "field").write_bytes(bytes(HEADER_BYTES) + field.tobytes())
    domain, record = Grid(), Record("grid", "used", shape=field.shape, field=str(tmp_path / "field"))
    by_row = np.lib.stride_tricks.sliding_window_view(field, (4, 3))[:: domain.stride[0]]
    sums = by_row[:, :: domain.stride[1]].sum(axis=(2, 3))
    pooled = next(pooled_files(domain, [record], lambda x: x.sum(axis=1, keepdims=True), pools=("change",)))[1]
    assert pooled.item() == pytest.approx(np.abs(np.diff(sums, axis=0)).mean(), rel=1e-4)


def test_change_is_exported_on_request(call, run, model, records, sounds, tmp_path):
    call("export", run, sounds, "-o", tmp_path / "f.csv", "--pool", "mean,change", "--code", "sqrt")
    table, expected = pd.read_csv(tmp_path / "f.csv"), codes(model, records[4])
    assert table["u007_change"][4] == pytest.approx(np.abs(np.diff(expected[:, 7])).mean(), rel=1e-3)
    assert json.loads((tmp_path / "f.json").read_text())["pool"] == ["change", "mean"]


def test_description_has_model_and_options(call, run, sounds, tmp_path):
    import hashlib

    code, _, _ = call("export", run, sounds, "-o", tmp_path / "f.csv", "--pool", "mean", "--segments", "2")
    facts = json.loads((tmp_path / "f.json").read_text())
    model = (run / "model.safetensors").read_bytes()
    assert code == 0
    assert facts["model_digest"] == hashlib.blake2b(model, digest_size=16).hexdigest()
    assert (facts["pool"], facts["segments"], facts["level"]) == (["mean"], 2, "file")
    assert {path.name for path in tmp_path.iterdir()} == {"f.csv", "f.json"}


def test_labels_come_from_the_parent_folder(call, run, sounds, tmp_path):
    for number, name in enumerate(("tone_01.wav", "tone_02.wav")):
        folder = tmp_path / "in" / f"class{number}"
        folder.mkdir(parents=True)
        shutil.copy(sounds / name, folder / name)
    call("export", run, tmp_path / "in", "-o", tmp_path / "f.csv", "--labels", "folder")
    assert pd.read_csv(tmp_path / "f.csv")["label"].tolist() == ["class0", "class1"]
    facts = json.loads((tmp_path / "f.json").read_text())
    assert (facts["code"], facts["pool"]) == ("share", ["change", "max", "mean", "std"])


def test_defaults_depend_on_the_kind_of_input():
    assert classifier_defaults(Spectrogram()) == (("mean", "max", "std", "change"), "share")
    assert classifier_defaults(Spectrogram(), pooled=False)[1] == "sqrt"
    assert classifier_defaults(Grid()) == (("mean", "max", "std"), "sqrt")


def test_change_can_be_left_out_of_pooled_features():
    values = np.arange(24, dtype=np.float32).reshape(2, 12)  # two units, three pools, two segments
    kept = [2, 3, 4, 5, 8, 9, 10, 11]
    np.testing.assert_array_equal(without_change(values, ("change", "max", "mean"), 2), values[:, kept])
    assert without_change(values, ("change",), 2) is values


def labels_csv(path, text):
    path.write_text(text)
    return str(path)


def test_labels_come_from_a_csv(sounds, tmp_path):
    sources = scan([sounds], (".wav",))
    rows = "".join(f"{source.name},{index % 3},x\n" for index, source in enumerate(sources))
    path = labels_csv(tmp_path / "l.csv", "filename,kind,other\n" + rows)
    assert read_labels(path, sources, "kind") == [str(i % 3) for i in range(12)]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("name,kind\n", None, "no column filename, only name, kind"),
        ("filename,a,b\n", None, "choose one with --label-column"),
        ("filename,a\ntone_00.wav,1\n", "b", "no such column; it has filename, a"),
        ("filename,a\nx.wav,1\n", None, "no row for tone_00.wav, tone_01.wav, tone_02.wav and 9 more"),
        ("filename,a\nx.wav,1\nx.wav,2\n", None, "names x.wav more than once"),
        ("filename,a\nx.wav\n", None, "line 2 has 1 cell, wanted 2"),
        (
            "filename,a\n" + "".join(f"tone_{i:02d}.wav, \n" for i in range(12)),
            None,
            "has only empty cells in column a for tone_00.wav",
        ),
    ],
)
def test_invalid_labels_are_refused(sounds, tmp_path, text, column, words):
    with pytest.raises(InputError, match=words):
        read_labels(labels_csv(tmp_path / "l.csv", text), scan([sounds], (".wav",)), column)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "f.xlsx"], "wanted .parquet, .csv, .npz"),
        (["-o", "f.csv", "--pool", "median"], "wanted some of max, mean, std"),
        (["-o", "f.csv", "--segments", "0"], "--segments 0"),
        (["-o", "f.csv", "--level", "window", "--segments", "2"], "--pool and --segments apply to files"),
        (["-o", "f.csv", "--label-column", "kind"], "--label-column kind works only with --labels"),
        (["-o", "gone/f.csv"], "cannot write"),
        (["-o", "f.csv", "--labels", "no.csv"], "wanted 'folder' or a CSV"),
    ],
)
def test_invalid_options_give_a_one_line_error(call, run, sounds, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("export", run, sounds, *arguments, "-q")
    assert code == 1
    assert words in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_names_the_missing_extra(model, records, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'audiosae\[parquet\]'"):
        export(model, records, tmp_path / "f.parquet")
    assert list(tmp_path.iterdir()) == []


def test_pools_are_checked_and_sorted():
    assert check_pools("std,mean,mean", 1) == ("mean", "std")
    assert pooled_names(2, ("max", "mean"), 1) == ["u000_max", "u000_mean", "u001_max", "u001_mean"]


def test_window_blocks_have_every_window_in_order(model, records):
    starts, windows = zip(*window_blocks(model.domain, records[3]), strict=True)
    assert [start[0] for block in starts for start in block] == list(range(read_field(records[3]).shape[0] - 15))
    np.testing.assert_array_equal(windows[0][5], read_field(records[3])[5:21].ravel())


@pytest.mark.slow  # the blocks are tested above
def test_200000_windows_are_written_with_little_memory(run, tmp_path, cache):
    """The resident memory of the command stays under 400 MB."""
    import os
    import subprocess

    noise = np.random.default_rng(0).normal(scale=0.1, size=8000 * 2010).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, 8000)
    code = (
        "import re, sys; from audiosae.cli import main\n"
        "try: main()\n"  # getrusage would include the resident memory of the parent process
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
    )
    arguments = ["export", run, tmp_path / "long.wav", "-o", tmp_path / "w.csv", "--level", "window", "-q"]
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"AUDIOSAE_CACHE": str(cache)},
    )
    resident = int(process.stderr.split()[-1])
    assert resident < 400 * 1024
    with (tmp_path / "w.csv").open() as file:
        assert sum(1 for _ in file) > 200_000
