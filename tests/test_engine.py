"""Dask workers in real processes give the same models and tables as one process, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import UNDRAWN
from test_train import alike, learn

from audiosae.autoencoder.model import load_model
from audiosae.corpus.sources import Source, scan
from audiosae.corpus.windows import Corpus
from audiosae.engine import LocalEngine, start_engine
from audiosae.engine.cluster import connection
from audiosae.engine.corpus import read
from audiosae.features.rows import table_rows, write_rows
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.progress import Progress
from audiosae.training import solvers

EXACT = {"solver": "lbfgs", "dtype": "float64", "epochs": 6, "tol": 0}


@pytest.fixture
def divided(monkeypatch):
    """Divide the windows into blocks; those of a few short recordings would be one block."""
    monkeypatch.setattr(solvers, "_ONE_BLOCK_BYTES", 0)


@contextmanager
def own_folders(workers):
    """Start a cluster whose workers store fields in their own folders; yield the address."""
    connection._import_quietly("local")
    patch = pytest.MonkeyPatch()
    patch.delenv("AUDIOSAE_CACHE", raising=False)
    with connection._started(workers) as address:
        yield address
    patch.undo()


def pids(engine):
    return sorted(engine._calls.run(os.getpid).values())


def fields(engine):
    """Return the number of fields in the own folder of each worker."""
    return sorted(engine._calls.run(count_fields).values())


def count_fields(dask_worker):
    return len(list(Path(dask_worker.local_directory).rglob("*.npy")))


class Killing(Progress):
    """Kills a worker after some iterations."""

    def __init__(self, engine, after):
        self.engine, self.left = engine, after

    def advance(self, amount, **facts):
        if facts:
            self.left -= 1
            if self.left == 0:
                os.kill(pids(self.engine)[0], signal.SIGKILL)


def evaluations(monkeypatch):
    """Return a list that gets every cost and gradient of a run."""
    results, finish = [], solvers.finish

    def spy(*arguments, **options):
        cost, gradient = finish(*arguments, **options)
        results.append((cost.total, gradient.copy()))
        return cost, gradient

    monkeypatch.setattr(solvers, "finish", spy)
    return results


@pytest.mark.usefixtures("divided")
def test_three_workers_train_the_same_model_as_one_process(sounds, tmp_path, cache, monkeypatch):
    results = evaluations(monkeypatch)
    learn(sounds, tmp_path / "here", cache, **EXACT)
    expected = results.copy()
    results.clear()
    with start_engine("local:3", cache=cache) as engine:
        learn(sounds, tmp_path / "there", cache, engine=engine, **EXACT)
    assert len(results) == len(expected) > 6
    for (cost, gradient), (cost_here, gradient_here) in zip(results, expected, strict=True):
        assert cost == pytest.approx(cost_here, rel=1e-12)
        np.testing.assert_allclose(gradient, gradient_here, rtol=0, atol=1e-12 * abs(gradient_here).max())
    assert (tmp_path / "there/journal.csv").read_text() == (tmp_path / "here/journal.csv").read_text()
    assert alike(tmp_path / "there", tmp_path / "here")


@pytest.mark.usefixtures("divided")
def test_a_worker_killed_during_training_does_not_change_the_model(sounds, tmp_path, cache):
    learn(sounds, tmp_path / "here", cache, **EXACT)
    with own_folders(2) as address, start_engine(address) as engine:
        learn(sounds, tmp_path / "whole", cache, engine=engine, **EXACT)
        assert sum(fields(engine)) == 12
        assert min(fields(engine)) > 3
        before = pids(engine)
        killing = Killing(engine, 3)
        learn(sounds, tmp_path / "killed", cache, engine=engine, progress=killing, **EXACT)
        assert killing.left < 0
        assert pids(engine) != before
    assert alike(tmp_path / "whole", tmp_path / "here")
    assert alike(tmp_path / "killed", tmp_path / "here")


class Numbers(list):
    """Window numbers, which can be added."""

    def __add__(self, other):
        return Numbers([*self, *other])


def numbered(backend, shard):
    first, numbers = shard.first, Numbers()
    for block in shard.blocks(backend):
        numbers = numbers + [(first + row, float(window[0])) for row, window in enumerate(block)]
        first += len(block)
    return numbers


def test_shards_have_the_numbers_of_their_windows_and_workers_count_damaged_fields(sounds, tmp_path):
    sources = scan([sounds], Spectrogram.suffixes)
    domain, messages = Spectrogram().resolve([source.path for source in sources]), []
    options = {"cache": tmp_path, "workers": 1, "say": messages.append}
    with start_engine("local:2", cache=tmp_path) as engine:
        records = engine.ingest(domain, sources, **options)
        corpus = Corpus(domain, records).sample(500)
        numbers = engine.reduce(numbered, engine.distribute(corpus))
        firsts = np.concatenate(list(corpus.blocks()))[:, 0]
        for number in (2, 0, 11):  # of both workers
            path = Path(records[number].field)
            path.write_bytes(path.read_bytes()[:-100])
        engine._records.clear()  # as in another run
        assert engine.ingest(domain, sources, **options) == records
        some = [Source(source.name, source.path, stretches=((0, 18), (20, 38))) for source in sources]
        parts = engine.ingest(domain, some, **options)
        assert {(part.shape[0], part.stretches) for part in parts} == {(36, some[0].stretches)}
    assert numbers == [(number, float(value)) for number, value in enumerate(firsts)]
    names = "tone_00.wav, tone_02.wav, tone_11.wav"
    assert messages == [f"the cache was damaged: 3 fields of 12 must be decoded again: {names}"]


@pytest.fixture(scope="module")
def model(sounds, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("engine") / "run"
    learn(sounds, out, cache)
    return load_model(out)


@pytest.mark.parametrize("level", ["file", pytest.param("window", marks=pytest.mark.slow)])
def test_a_worker_killed_during_export_does_not_change_the_table(sounds, tmp_path, cache, model, level, monkeypatch):
    monkeypatch.setattr("audiosae.features.codes._PIECE_WINDOWS", 30)
    sources, options = scan([sounds], Spectrogram.suffixes), {"cache": cache, "workers": 1, "interleaved": True}
    corpus = read(model.domain, sources, LocalEngine(), **options)
    write_rows(table_rows(model, corpus, level=level), tmp_path / "a.parquet")
    killed = []

    def kill_once(record):
        if not killed:
            killed.extend(pids(engine))
            os.kill(killed[1], signal.SIGKILL)

    with own_folders(2) as address, start_engine(address) as engine:
        corpus = read(model.domain, sources, engine, **options)
        write_rows(table_rows(model, corpus, level=level, done=kill_once), tmp_path / "b.parquet")
    one, other = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in "ab")
    assert killed
    pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=1e-6)


def test_commands_give_the_same_results_on_workers_with_their_own_fields(sounds, tmp_path, run, monkeypatch):
    monkeypatch.setattr(*UNDRAWN)
    folders = tmp_path / "labelled"
    for number, path in enumerate(sorted(sounds.iterdir())):
        target = folders / ("odd" if number % 2 else "even") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    results, here, there = {}, tmp_path / "here", tmp_path / "there"
    with own_folders(2) as address:
        for out, engine in ((here, "here"), (there, address)):
            chosen = ["--engine", engine, "--cache", tmp_path / "cache"]
            train = ["--hidden", 8, "--epochs", 3, "--solver", "lbfgs", "--quiet"]
            assert run("train", folders, "-o", out, *train, *chosen) == (0, "", "")
            code, _, err = run("export", out, folders, "-o", out / "codes.npz", "--level", "window", *chosen)
            assert code == 0, err
            code, _, err = run("report", here, folders, "-o", out / "page.html", "--labels", "folder", "-q", *chosen)
            assert code == 0, err
            evaluate = ["--labels", "folder", "--baselines", "kmeans,mfcc", "--json", *chosen]
            code, table, err = run("evaluate", out, folders, *evaluate)
            assert code == 0, err
            results[engine] = json.loads(table)
    with np.load(here / "codes.npz") as one, np.load(there / "codes.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert (here / "page.html").read_bytes() == (there / "page.html").read_bytes()
    assert alike(here, there, 1e-3)  # float32
    for key in ("results", "quality", "seen"):
        assert results["here"][key] == results[address][key]


def test_refit_of_an_adam_model_on_workers_is_refused(sounds, tmp_path, model, cache, run):
    model.save(tmp_path / "model.safetensors")
    rows = "\n".join(f"{path.name},{number % 2}" for number, path in enumerate(sorted(sounds.iterdir())))
    (tmp_path / "labels.csv").write_text(f"filename,label\n{rows}\n")
    command = ["evaluate", tmp_path, sounds, "--labels", tmp_path / "labels.csv", "--baselines", "none", "--refit"]
    code, _, err = run(*command, "--engine", "local:1")
    assert code == 1
    assert "--solver adam --engine local:1" in err.splitlines()[-1]
