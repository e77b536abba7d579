"""Errors of clusters are one clear line, and finished work is saved."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from test_engine import own_folders
from test_train import alike, learn

from audiosae.corpus.sources import Source
from audiosae.engine import start_engine
from audiosae.engine.cluster import calls, connection, worker
from audiosae.engine.shards import ShardTotals, divide, source_key
from audiosae.errors import EngineError, InputError
from audiosae.system.processes import prepare
from audiosae.training import solvers


@pytest.fixture(scope="module")
def address():
    with own_folders(2) as address:
        yield address


@contextmanager
def patched(address, number, name, value):
    """Replace a function on one worker; yield its address."""
    from distributed import Client

    def change(name, value):
        before = getattr(worker, name)
        setattr(worker, name, value or worker.original)
        worker.original = before

    with Client(address, set_as_default=False) as client:
        chosen = [sorted(client.nthreads())[number]]
        client.run(change, name, value, workers=chosen)
        yield chosen[0]
        client.run(change, name, None, workers=chosen)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no forks: each worker imports what it needs")
def test_workers_are_forks_of_one_process_and_keep_their_memory(address):
    with start_engine(address) as engine:
        parents = set(engine._calls.run(os.getppid).values())
        assert len(parents) == 1
        assert os.getpid() not in parents
        assert set(engine._calls.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == {None}


def test_workers_have_the_present_environment(monkeypatch):
    prepare()  # the server of forks has started
    monkeypatch.setenv("AUDIOSAE_OF_NOW", "1")
    monkeypatch.delenv("AUDIOSAE_CACHE", raising=False)
    with start_engine("local:1") as engine:
        values = [set(engine._calls.run(os.getenv, name).values()) for name in ("AUDIOSAE_OF_NOW", "AUDIOSAE_CACHE")]
    assert values == [{"1"}, {""}]


@pytest.mark.parametrize(
    "name", ["there", "local:0", "local:x", "localhost:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"]
)
def test_an_invalid_engine_name_is_refused(name):
    with pytest.raises(InputError, match="wanted here, local:N"), start_engine(name):
        pass


def test_the_address_of_another_server_is_refused(address, monkeypatch):
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EngineError, match="no Dask scheduler answers there"), start_engine(name):
            pass
    with start_engine(address) as engine:
        address_of_worker = engine._calls.threads()[0]
    expected = "that is a Dask (worker|nanny); give the address"
    with pytest.raises(EngineError, match=expected), start_engine(address_of_worker):
        pass


def test_an_address_without_a_server_is_refused(monkeypatch):
    monkeypatch.setattr("audiosae.engine.cluster.connection._CONNECT_SECONDS", 1)
    with pytest.raises(EngineError, match="no Dask scheduler answers"), start_engine("tcp://127.0.0.1:9"):
        pass


def test_adam_on_workers_is_refused_with_sizes_before_reading(sounds, tmp_path, run):
    code, _, err = run("train", sounds, "-o", tmp_path / "run", "--engine", "local:1", "--solver", "adam")
    assert code == 1
    last = err.splitlines()[-1]
    assert re.search(
        r"a step of 1024 windows \(640 numbers, 256 units\) is 1.7 GFlop .* 2.6 MB .* --solver lbfgs", last
    )
    assert not (tmp_path / "run").exists()


def test_without_dask_only_the_engine_option_fails_and_names_the_package(sounds, tmp_path, cache):
    (tmp_path / "distributed.py").write_text("raise ImportError('not installed')")
    (tmp_path / "dask.py").write_text("raise ImportError('not installed')")
    runs = [audiosae(tmp_path, sounds, cache, *more) for more in ([], ["--engine", "local:2"])]
    assert [run.returncode for run in runs] == [0, 1]
    assert runs[1].stderr.splitlines()[-1].endswith("--engine local:2 needs Dask: pip install 'audiosae[cluster]'")


def audiosae(path, sounds, cache, *more):
    command = [sys.executable, "-m", "audiosae", "train", sounds, "-o", path / "run", "--hidden", "8", "--epochs", "1"]
    environment = os.environ | {"PYTHONPATH": str(path), "AUDIOSAE_CACHE": str(cache)}
    return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "version_of",
            lambda package: "9.9",
            r"has audiosae 9.9, this machine audiosae \d.*; install the same on both",
        ),
        (
            "describe",
            lambda backend: ("cupy", "a GPU"),
            "different backends .* has cupy, .* has numpy.*--backend numpy",
        ),
        ("describe", lambda backend: ("", "--backend cupy: no device"), "--backend cupy: no device"),
    ],
)
def test_a_worker_with_another_version_or_backend_is_named(address, name, value, message):
    with patched(address, 1, name, value) as chosen:
        with pytest.raises(EngineError, match=message) as caught, start_engine(address):
            pass
        assert chosen in str(caught.value)


def test_a_worker_without_a_source_is_named(address, sounds, tmp_path, cache):
    with (
        patched(address, 0, "missing_paths", list) as chosen,
        start_engine(address) as engine,
        pytest.raises(EngineError, match=rf"worker {chosen} cannot find .*tone_..\.wav.*same storage"),
    ):
        learn(sounds, tmp_path / "run", cache, engine=engine, solver="lbfgs")


def test_broken_sources_on_workers_are_skipped_and_do_not_change_the_model(
    address, sounds, tmp_path, cache, monkeypatch
):
    monkeypatch.setattr(solvers, "_ONE_BLOCK_BYTES", 0)
    folder = tmp_path / "mixed"
    shutil.copytree(sounds, folder)
    (folder / "a_broken.wav").write_bytes(b"RIFF nothing")
    (folder / "tone_03b.wav").write_bytes(b"")
    learn(sounds, tmp_path / "good", cache, solver="lbfgs", dtype="float64")
    learn(folder, tmp_path / "here", cache, solver="lbfgs", dtype="float64")
    with start_engine(address) as engine:
        outcome = learn(folder, tmp_path / "there", cache, engine=engine, solver="lbfgs", dtype="float64")
    assert [record.file for record in outcome.skipped] == ["a_broken.wav", "tone_03b.wav"]
    assert (tmp_path / "there/journal.csv").read_text() == (tmp_path / "here/journal.csv").read_text()
    assert alike(tmp_path / "there", tmp_path / "good")


DIVIDED = "from audiosae import cli; from audiosae.training import solvers; solvers._ONE_BLOCK_BYTES = 0; cli.main()"


def started(sounds, out, *more, how=("-m", "audiosae")):
    options = ["--hidden", "12", "--epochs", "100000", "--solver", "lbfgs", "--tol", "0", *more]
    run = subprocess.Popen(
        [sys.executable, *how, "train", sounds, "-o", out, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    while not (out / "checkpoint.safetensors").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    return run


def test_a_lost_scheduler_is_a_one_line_error_and_the_checkpoint_stays(sounds, tmp_path):
    script = (
        "import sys\nfrom test_engine_lines import own_folders\n"
        "if __name__ == '__main__':\n    with own_folders(1) as a:\n        print(a, flush=True)\n"
        "        sys.stdin.read()"
    )
    path = tmp_path / "scheduler.py"
    path.write_text(script)
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    server = subprocess.Popen(
        [sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    run = started(sounds, tmp_path / "run", "--engine", server.stdout.readline().strip(), how=("-c", DIVIDED))
    server.kill()
    _, err = run.communicate(timeout=60)
    server.communicate()
    assert run.returncode == 1
    assert "Traceback" not in err
    assert re.search(r"the scheduler at tcp://\S+ was lost; start the cluster .* with --resume$", err.splitlines()[-1])
    assert (tmp_path / "run/checkpoint.safetensors").exists()


def test_ctrl_c_saves_a_checkpoint_and_ends_the_workers(sounds, tmp_path):
    run = started(sounds, tmp_path / "run", "--engine", "local:2")
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("audiosae: interrupted; a checkpoint was saved")
    deadline = time.monotonic() + 10
    while members(run.pid):
        assert time.monotonic() < deadline, members(run.pid)
        time.sleep(0.1)


def members(group):
    """Return the commands of the running processes of a group."""
    listing = subprocess.run(["/bin/ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    fields = (line.split(maxsplit=2) for line in listing.splitlines())
    return [args for number, state, *args in fields if int(number) == group and not state.startswith("Z")]


class Expression(str):
    """A total that shows the order of the additions."""

    __slots__ = ()

    def __add__(self, other):
        return Expression(f"({self}{other})")


def totals_of(first, stop, missing=()):
    """Return the totals of shards `first` to `stop`, exclusive, some of which have none."""
    totals = ShardTotals(first)
    for shard in range(first, stop):
        if shard not in missing:
            totals.add(shard, Expression(shard))
    totals.fill(stop)
    return totals


def test_totals_are_added_in_the_same_tree_for_any_division_of_shards():
    whole = totals_of(0, 13, missing=[3])
    for cuts in ([4, 9], [1], [5, 6, 12], [8], [3, 4], [0, 13]):
        parts = [totals_of(a, b, missing=[3]) for a, b in zip([0, *cuts], [*cuts, 13], strict=True)]
        before = [list(part.nodes) for part in parts]
        assert sum(parts[1:], parts[0]) == whole
        assert [part.nodes for part in parts] == before  # a sum does not change its parts
    assert whole.total() == "((((01)2)((45)(67)))(((89)(1011))12))"


def test_shards_without_a_total_do_not_move_others_in_the_tree():
    assert totals_of(0, 6, missing=[0, 1, 2, 4]).total() == "(35)"
    assert totals_of(0, 8, missing=[0, 5]).total() == "((1(23))(4(67)))"
    assert totals_of(0, 4, missing=range(4)).total() is None
    assert ShardTotals().total() is None


def test_shards_have_about_equal_bytes_without_counting_unusable_sources(tmp_path):
    sources = []
    for number in range(40):
        path = tmp_path / f"{number:02d}.wav"
        path.write_bytes(bytes(1000 * (1 + number % 3)))
        sources.append(Source(path.name, path))
    shards = divide(sources)
    numbers = [shards[source_key(source.path)] for source in sources]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(16))
    extra = [sources[0], Source("x", tmp_path / "gone.wav"), *sources[1:]]
    assert divide(extra, [1, 0, *[1] * 39]) == shards | {source_key(tmp_path / "gone.wav"): 0}


def test_calls_without_a_worker_end_with_an_error(monkeypatch):
    from distributed import Client

    monkeypatch.setattr(calls, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(calls, "_ALONE_SECONDS", 0.1)
    with Client(n_workers=0, processes=False, dashboard_address=":0", set_as_default=False) as client:
        alone = calls.Calls(client, "tcp://nowhere")
        for wait in (alone.result, lambda future: next(alone.as_ready([future]))):
            with pytest.raises(EngineError, match="tcp://nowhere has had no worker for two minutes"):
                wait(alone.submit(abs, -1))
