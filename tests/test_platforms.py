"""Other systems: locks on Windows, and its limit of processes."""

from __future__ import annotations

import os
import sys

import pytest

from audiosae.corpus.ingest import ingest
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system import processes
from audiosae.system.locks import lock_folder


class Locks:
    """Fake of msvcrt, for one process that acts as several."""

    LK_NBLCK = 2

    def __init__(self):
        self.locked = {}

    def locking(self, descriptor, mode, count):
        first = os.lseek(descriptor, 0, os.SEEK_CUR)
        self.locked = {d: r for d, r in self.locked.items() if d != descriptor and is_open(d)}
        if any(first < stop and low < first + count for low, stop in self.locked.values()):
            raise OSError(13, "locked")
        self.locked[descriptor] = (first, first + count)


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.fixture
def windows_locks(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Locks())


@pytest.mark.usefixtures("windows_locks")
def test_windows_locks_are_shared_by_runs_and_exclude_an_exclusive_lock(tmp_path, monkeypatch):
    first = lock_folder(tmp_path, shared=True)
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    second = lock_folder(tmp_path, shared=True)
    assert first is not None
    assert second is not None
    assert lock_folder(tmp_path) is None
    first.close()
    assert lock_folder(tmp_path) is None
    second.close()
    with lock_folder(tmp_path):
        assert lock_folder(tmp_path, shared=True) is None
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_processes_on_windows_is_applied_and_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(processes.multiprocessing, "get_start_method", lambda **_: None)  # no test before chose one
    asked, said = [], []

    def run(work, jobs, batches, workers, threads, *, shared, keep):
        asked.append(workers)
        batches.clear()
        return ()

    monkeypatch.setattr(processes, "_run", run)
    assert list(processes.run_in_order(len, ["a"], workers=200, crashed=len)) == []
    assert asked == [61]
    ingest(Spectrogram(sample_rate=8000, n_fft=256), [], cache=tmp_path, workers=200, say=said.append)
    assert said == ["this system allows 61 decoding processes: 61 are used instead of 200"]
