"""Decoding processes: where they cannot be started, how they are started, and what they leave."""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

import audiosae
from audiosae.autoencoder.model import load_model
from audiosae.corpus.sources import scan
from audiosae.corpus.windows import Corpus
from audiosae.engine import LocalEngine, start_engine
from audiosae.engine.shards import Shard
from audiosae.errors import BackendError, EngineError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system import processes
from audiosae.system.processes import helpers, lean_in_worker, main_hidden, run_in_order

FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def double(number):
    return 2 * number


def die(*_):
    os._exit(1)


def die_elsewhere(process):
    return process if os.getpid() == process else die()


def features(model, sounds, cache):
    return audiosae.export(model, sounds, cache=cache, workers=2).features


def engine_error(_):
    with pytest.raises(EngineError) as caught, start_engine("local:2"):
        pass
    return str(caught.value)


def page_faults(_):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        arrays = [np.ones(2**18, np.float32) for _ in range(24)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_processes_that_keep_freed_memory_use_it_again(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    import resource

    once = 24 * 2**20 // resource.getpagesize()
    faults = [next(run_in_order(page_faults, [0], workers=1, crashed=die, keep=keep)) for keep in (False, True)]
    assert faults[1] < 2 * once < faults[0]


def held():
    """Mebibytes that this process has after it freed arrays between others, the first of which was larger."""
    np.ones(2**20)  # 8 MiB: from then on, smaller arrays are in the heap by default
    arrays = [np.ones(2**18) for _ in range(48)]
    before = int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    arrays = arrays[-1:]
    after = int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    return len(arrays) * 94 - (before - after) / 1024


def imported():
    with lean_in_worker("pandas"), pytest.raises(ImportError):
        import_module("pandas")
    return "pandas" in sys.modules, "numpy.f2py" in sys.modules, np.testing.__name__


def test_helpers_import_less_and_return_freed_memory():
    with helpers(1) as begin:
        assert begin(imported)() == (False, False, "numpy.testing")
        if platform.libc_ver()[0] == "glibc":
            assert begin(held)() < 10
    with lean_in_worker("no_such_package"):
        assert "no_such_package" not in sys.modules


@FORKS
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_of_a_pool_decodes_by_itself(trained, sounds, cache, tmp_path, method):
    expected = features(trained, sounds, cache)
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(features, (trained, sounds, tmp_path / "cache"))
    np.testing.assert_array_equal(found, expected)


@FORKS
def test_a_cluster_in_a_worker_of_a_pool_is_refused_with_the_reason():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        message = pool.apply(engine_error, (None,))
    assert message.startswith(
        "--engine local:2: a process of multiprocessing.Pool or joblib cannot start others; leave"
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_workers_of_joblib_export(trained, sounds, cache, tmp_path, backend):
    joblib = pytest.importorskip("joblib")
    calls = [joblib.delayed(features)(trained, sounds, tmp_path / name) for name in "ab"]
    for found in joblib.Parallel(n_jobs=2, backend=backend)(calls):
        np.testing.assert_array_equal(found, features(trained, sounds, cache))


def test_a_worker_of_loky_does_the_jobs_itself(monkeypatch):
    monkeypatch.setattr(processes.multiprocessing, "get_start_method", lambda **_: "loky")
    monkeypatch.setattr(processes, "ProcessPoolExecutor", None)
    assert list(run_in_order(double, [1, 2, 3], workers=2, crashed=str)) == [2, 4, 6]


def test_helpers_work_beside_this_process_which_does_what_they_cannot(monkeypatch):
    with helpers(1) as begin:
        elsewhere, died = begin(os.getpid), begin(die_elsewhere, os.getpid())
        assert elsewhere() != os.getpid()
        assert died() == os.getpid()
        assert begin(os.getpid)() == os.getpid(), "a process died"
    monkeypatch.setattr(processes, "can_start_processes", lambda *_: False)
    with helpers(1) as begin:
        assert begin(os.getpid)() == os.getpid()


@pytest.mark.parametrize("error", [OSError("no semaphores"), ImportError("no sem_open"), NotImplementedError()])
def test_without_semaphores_this_process_does_the_jobs(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(processes, "ProcessPoolExecutor", fail)
    assert list(run_in_order(double, [1, 2, 3], workers=2, crashed=str)) == [2, 4, 6]


def test_if_every_process_dies_at_its_start_this_process_does_the_jobs(monkeypatch):
    monkeypatch.setattr(processes, "_init_worker", die)
    assert list(run_in_order(double, [1, 2, 3], workers=2, crashed=str)) == [2, 4, 6]


def test_a_script_whose_own_jobs_cannot_start_is_told_to_use_a_guard(monkeypatch):
    monkeypatch.setattr(processes, "_init_worker", die)
    monkeypatch.setattr(double, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "double", double, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)  # a script has it
    with pytest.raises(BackendError, match="import what the script defines.*below: if __name__ == '__main__':$"):
        list(run_in_order(double, [1], workers=1, crashed=str))


def test_jobs_that_a_notebook_defines_are_done_in_its_process(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(double, "__module__", "__main__")
    monkeypatch.setattr(processes, "ProcessPoolExecutor", None)
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.delattr(main, "__file__", raising=False)
    assert list(run_in_order(double, [1, 2], workers=2, crashed=str)) == [2, 4]


def test_the_main_module_is_restored_when_the_last_thread_has_started_its_processes():
    main, inside, leave = sys.modules["__main__"], threading.Event(), threading.Event()
    before = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}

    def second():
        with main_hidden:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=second)
    with main_hidden:
        assert main.__spec__ is None
        thread.start()
        inside.wait()
    assert main.__spec__ is None
    leave.set()
    thread.join()
    assert {name: getattr(main, name, None) for name in ("__spec__", "__file__")} == before


UNGUARDED = """
import sys
import audiosae
print("started")
run = audiosae.train(sys.argv[1], hidden=2, epochs=2, engine="local:1")
print(len(run.used))
"""


@pytest.mark.slow
def test_a_script_without_a_guard_may_start_a_cluster(sounds, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    command = [sys.executable, script, sounds]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (found.returncode, found.stdout) == (0, "started\n12\n"), found.stderr


def test_a_shard_does_not_read_fields_in_the_folder_of_another_worker(sounds, tmp_path, trained):
    domain = load_model(trained).domain
    sources = scan([sounds], Spectrogram.suffixes)[:2]
    records = LocalEngine().ingest(domain, sources, cache=tmp_path / "other", workers=1)
    shard = Shard(Corpus(domain, records), cache_folder=lambda: tmp_path / "own")
    assert all(record.field.startswith(str(tmp_path / "own")) for record in shard.corpus.records)
    shutil.rmtree(tmp_path / "other")  # as when that worker ends
    assert sum(len(block) for block in shard.windows(LocalEngine().backend)) == len(shard)
