"""A cache never takes one recording for another, and what a run reads is locked for its whole life."""

from __future__ import annotations

import os
import shutil
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audiosae.corpus import cache as fields
from audiosae.corpus import entries
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.locks import lock_folder

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)


def digest_of(folder, cache):
    (record,) = ingest(DOMAIN, scan([folder], (".wav",)), cache=cache, workers=1)
    return record.digest


@pytest.fixture
def alike(tmp_path):
    """Two recordings of one name, size and modification time, and a folder to put either into."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "001.wav", rng.normal(scale=0.1, size=40_000), 8000)
        os.utime(tmp_path / name / "001.wav", ns=(10**15, 10**15))
    (tmp_path / "card").mkdir()
    return tmp_path / "one/001.wav", tmp_path / "two/001.wav", tmp_path / "card/001.wav"


def put_over(source, target):
    shutil.copy2(source, target)


def put_in_place(source, target):
    shutil.copy2(source, target.with_suffix(".tmp"))
    target.with_suffix(".tmp").replace(target)


@pytest.mark.parametrize("put", [put_over, put_in_place])
@pytest.mark.parametrize("keeps_change_times", [True, False])
def test_a_recording_put_in_anothers_place_is_read_again(alike, tmp_path, monkeypatch, put, keeps_change_times):
    one, two, place = alike
    if not keeps_change_times:  # as on memory cards and on Windows

        def stat(path):
            found = os.stat(path)
            return os.stat_result((*found[:9], 0), {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": 0})

        monkeypatch.setattr(entries, "os", SimpleNamespace(**vars(os) | {"stat": stat}))
    put(one, place)
    first = digest_of(place.parent, tmp_path / "cache")
    put(two, place)
    second = digest_of(place.parent, tmp_path / "cache")
    monkeypatch.undo()
    assert os.stat(one).st_size == os.stat(two).st_size
    assert first == digest_of(one.parent, tmp_path / "cache")
    assert second == digest_of(two.parent, tmp_path / "cache") != first


def test_a_recording_that_stays_is_read_once(alike, tmp_path):
    one, *_ = alike
    assert digest_of(one.parent, tmp_path / "cache") == digest_of(one.parent, tmp_path / "cache")
    (folder,) = fields.list_folders(tmp_path / "cache")
    assert folder.files == 1


def test_a_run_that_begins_while_the_cache_is_pruned_waits_and_then_holds_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(fields, "_PATIENCE", 0.0)
    folder = fields.open_folder(tmp_path, DOMAIN, print)
    fields._locks.pop(folder).close()
    pruning, told, got = lock_folder(folder), [], []
    waiting = threading.Thread(target=lambda: got.append(fields.open_folder(tmp_path, DOMAIN, told.append)))
    waiting.start()
    while not told:
        time.sleep(0.01)
    shutil.rmtree(folder)  # as pruning does with an empty one
    pruning.close()
    waiting.join()
    assert told == [f"waiting: another process makes room in {tmp_path}"]
    assert got == [folder]
    assert lock_folder(folder) is None  # the new folder is locked, not the one that has gone
    fields._locks.pop(folder).close()
