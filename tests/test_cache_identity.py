"""Cache entries identify recordings, and a run locks its cache folder until its process ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiosae.corpus import cache as fields
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.corpus.temporary_cache import temporary_cache
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.locks import lock_folder

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)


def digest_of(folder, cache):
    (record,) = ingest(DOMAIN, scan([folder], (".wav",)), cache=cache, workers=1)
    return record.digest


@pytest.fixture
def alike(tmp_path):
    """Two recordings with the same name, size and modification time, and a path to copy either to."""
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
def test_a_recording_that_replaced_another_is_decoded_again(alike, tmp_path, monkeypatch, put, keeps_change_times):
    one, two, recording = alike
    if not keeps_change_times:  # as on memory cards and on Windows

        def stat(path, **options):
            status = os.stat(path, **options)
            return os.stat_result((*status[:9], 0), {"st_mtime_ns": status.st_mtime_ns, "st_ctime_ns": 0})

        monkeypatch.setattr(Path, "stat", stat)
    put(one, recording)
    first = digest_of(recording.parent, tmp_path / "cache")
    put(two, recording)
    second = digest_of(recording.parent, tmp_path / "cache")
    monkeypatch.undo()
    assert os.stat(one).st_size == os.stat(two).st_size
    assert first == digest_of(one.parent, tmp_path / "cache")
    assert second == digest_of(two.parent, tmp_path / "cache") != first


def test_an_unchanged_recording_is_decoded_once(alike, tmp_path):
    one, *_ = alike
    assert digest_of(one.parent, tmp_path / "cache") == digest_of(one.parent, tmp_path / "cache")
    (folder,) = fields.list_folders(tmp_path / "cache")
    assert folder.files == 1


def test_a_run_waits_while_its_cache_folder_is_pruned_and_then_locks_it(tmp_path, monkeypatch):
    monkeypatch.setattr(fields, "_PATIENCE", 0.0)
    folder = fields.open_folder(tmp_path, DOMAIN, print)
    fields._locks.pop(folder).close()
    pruning, messages, folders = lock_folder(folder), [], []
    thread = threading.Thread(target=lambda: folders.append(fields.open_folder(tmp_path, DOMAIN, messages.append)))
    thread.start()
    while not messages:
        time.sleep(0.01)
    shutil.rmtree(folder)  # as pruning does with an empty one
    pruning.close()
    thread.join()
    assert messages == [f"waiting: another process is pruning {tmp_path}"]
    assert folders == [folder]
    assert lock_folder(folder) is None  # the new folder is locked, not the one that was removed
    fields._locks.pop(folder).close()


def test_fields_of_killed_commands_without_a_cache_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, running, recent = (tmp_path / f"audiosae-fields-{name}" for name in ("killed", "running", "recent"))
    for folder in (killed, running, recent):
        entry = folder / "0123456789abcdef" / "field.npy"
        entry.parent.mkdir(parents=True)
        entry.touch()
        for path in (entry.parent, folder) if folder != recent else ():
            os.utime(path, (0, 0))
    with lock_folder(running), temporary_cache() as own:
        assert {*tmp_path.iterdir()} == {running, recent, own}
    assert {*tmp_path.iterdir()} == {running, recent}
