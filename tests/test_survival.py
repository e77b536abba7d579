"""Runs survive kills, full disks, damaged files and untrusted files."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, once
from fuzz import DOMAIN, fuzz_models, fuzz_recordings, mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signals import tone, write
from test_train import learn, same

from audiosae.autoencoder.model import load_model
from audiosae.commands.run_folder import RunFolder
from audiosae.corpus.ingest import decode
from audiosae.errors import AudiosaeError


def audiosae(*arguments, how=("-m", "audiosae"), **options):
    command = [sys.executable, *how, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def at_a_random_time(rng, *_):
    time.sleep(rng.uniform(0.2, 1.6))


def after_a_checkpoint(rng, run, checkpoint):
    """Wait until a run has written a checkpoint, and a short time after that."""
    before = written(checkpoint)
    while run.poll() is None and written(checkpoint) == before:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.2))


@pytest.mark.parametrize(
    ("most", "epochs", "wait"),
    [(3, 800, after_a_checkpoint), pytest.param(15, 1500, at_a_random_time, marks=pytest.mark.slow)],
)
def test_a_run_killed_and_resumed_gives_the_same_bits(sounds, tmp_path, most, epochs, wait):
    command = ["--hidden", 12, "--epochs", epochs, "--tol", 0, "--batch-size", 128, "--cache", tmp_path / "cache", "-q"]
    once(["train", sounds, "-o", tmp_path / "whole", *command], pictures=False)
    rng, kills, number = random.Random(0), 0, 0
    while kills < most:
        number += 1
        out = tmp_path / f"run{number}"
        count = killed(most - kills, lambda *run: wait(rng, *run), ["train", sounds, "-o", out, *command])
        assert count, "the run ended before it was killed"
        assert same(tmp_path / "whole", out)
        kills += count


def written(path):
    return path.stat().st_mtime_ns if path.exists() else 0


OFTEN = "from audiosae import cli; from audiosae.training import solvers; solvers._AT_MOST_EVERY = 0.1; cli.main()"


def killed(most, wait, command):
    """Kill and resume a run, which saves checkpoints often, until it ends; return the number of kills."""
    kills, out = 0, command[3]
    while True:
        resumed = ["--resume"] if out.exists() else []
        run = audiosae(*command, *resumed, how=("-c", OFTEN), start_new_session=True)
        if kills < most:
            wait(run, out / "checkpoint.safetensors")
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                kills += 1
        _, err = run.communicate()
        assert "Traceback" not in err
        if run.returncode == 0:
            return kills


def test_a_full_disk_leaves_the_earlier_checkpoint(sounds, tmp_path, cache):
    learn(sounds, tmp_path / "run", cache, epochs=2)
    good = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from audiosae.cli import main; "
        "sys.argv = ['audiosae', *sys.argv[1:]]; main()"
    )
    options = ["--hidden", "12", "--epochs", "4", "--batch-size", "128", "--workers", "1"]
    command = [sys.executable, "-c", limited, "train", str(sounds), "-o", str(tmp_path / "run"), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("audiosae: cannot write ")
    assert "File too large" in last
    earlier = tmp_path / "run" / "before-1" / "checkpoint.safetensors"
    assert earlier.read_bytes() == good
    assert not [path for path in (tmp_path / "run").iterdir() if path.suffix == ".tmp"]


def test_a_run_folder_that_is_moved_is_a_one_line_error(sounds, tmp_path, cache):
    command = ["--hidden", 12, "--epochs", 100000, "--tol", 0, "--cache", cache]
    run = audiosae("train", sounds, "-o", tmp_path / "run", *command)
    while not (tmp_path / "run" / "checkpoint.safetensors").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.rename(tmp_path / "run", tmp_path / "elsewhere")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("audiosae: cannot write ")
    assert (tmp_path / "elsewhere" / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_two_runs_may_share_a_cache(sounds, tmp_path):
    options = ["--hidden", 12, "--epochs", 30, "--batch-size", 128, "--tol", 0, "--cache", tmp_path / "cache"]
    runs = [audiosae("train", sounds, "-o", tmp_path / name, *options) for name in ("a", "b")]
    errors = [one.communicate(timeout=120)[1] for one in runs]
    assert [one.returncode for one in runs] == [0, 0], errors
    assert same(tmp_path / "a", tmp_path / "b")


def test_a_run_folder_in_use_is_refused(sounds, tmp_path, run):
    with RunFolder(tmp_path / "run", resume=False, say=print):
        code, _, err = run("train", sounds, "-o", tmp_path / "run", "--epochs", 1)
    assert code == 1
    assert "another run is writing" in err.splitlines()[-1]


def damaged(path, folder):
    """Write five damaged copies of a recording, named after the damage."""
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    samples, rate = soundfile.read(path, dtype="float32")
    made = {
        "cut": bytes(content[:half]),
        "zeroed": bytes(len(content)),
        "emptied": b"",
        "header": b"\xff" * 44 + bytes(content[44:]),
    }
    for kind, changed in made.items():
        (folder / f"{path.stem}_{kind}.wav").write_bytes(changed)
    samples[len(samples) // 2] = np.nan
    soundfile.write(folder / f"{path.stem}_nan.wav", samples, rate, subtype="FLOAT")


def test_every_damaged_copy_is_in_the_journal_with_its_reason(sounds, tmp_path, cache):
    folder = tmp_path / "mixed"
    shutil.copytree(sounds, folder)
    for path in sorted(sounds.iterdir()):
        damaged(path, folder)
    outcome = learn(folder, tmp_path / "run", cache)
    rows = list(csv.DictReader((tmp_path / "run" / "journal.csv").read_text().splitlines()))
    reasons = {row["file"]: (row["status"], row["reason"]) for row in rows}
    assert len(rows) == 72
    assert Counter(row["status"] for row in rows) == {"used": 24, "skipped": 48}
    for path in sorted(sounds.iterdir()):
        assert reasons[path.name] == ("used", "")
        assert reasons[f"{path.stem}_cut.wav"][1].startswith("truncated at ")
        assert reasons[f"{path.stem}_emptied.wav"] == ("skipped", "empty: zero bytes")
        assert reasons[f"{path.stem}_nan.wav"][1].startswith("NaN or infinite samples: the first at ")
        for kind in ("zeroed", "header"):
            assert reasons[f"{path.stem}_{kind}.wav"][1].startswith("undecodable: ")
    assert len(outcome.used) == 24
    assert len(outcome.skipped) == 48


def test_messages_of_a_decoder_on_stderr_go_into_the_journal(tmp_path, capfd):
    class Loud(type(DOMAIN)):
        def field(self, path):
            os.write(2, b"[decoder] part\n3: odd frame\n")
            return super().field(path)

    path = write(tmp_path / "a.wav", tone())
    record = decode((Loud(sample_rate=8000, n_fft=256, hop_length=80), path, tmp_path / "field.npy"))
    assert (record.status, record.reason) == ("used", "decoder: [decoder] part 3: odd frame")
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def model(sounds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    learn(sounds, folder / "run", folder / "cache", epochs=1)
    return folder / "run" / "model.safetensors"


def test_mutated_models_are_refused_or_equal(model):
    counts = fuzz_models(model, 300, seed=1)
    assert counts["refused"] > 250


def test_mutated_recordings_are_used_or_skipped_with_a_reason(sounds, tmp_path):
    kinds = {"a.flac": {}, "b.ogg": {}, "c.mp3": {}, "d.aiff": {}, "e.wav": {}}
    paths = [write(tmp_path / name, tone(1.0), **kind) for name, kind in kinds.items()]
    counts = fuzz_recordings(paths, 150, seed=1)
    assert counts["used"] > 10
    assert counts["skipped"] > 10


def test_the_fuzzer_runs_as_a_script_within_bounded_memory(model, sounds):
    files = [str(model), *map(str, sorted(sounds.iterdir())[:3])]
    command = [sys.executable, str(REPOSITORY / "tests" / "fuzz.py"), "30", "2", *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "models {'refused'" in result.stdout


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=2000), head=st.booleans(), seed=st.integers(0, 2**32))
def test_random_bytes_are_refused_as_model_and_skipped_as_recording(model, tmp_path, content, head, seed):
    target = tmp_path / "any.safetensors"
    target.write_bytes(mutated(model.read_bytes(), random.Random(seed))[:600] + content if head else content)
    with pytest.raises(AudiosaeError) as caught:
        load_model(target)
    assert "\n" not in str(caught.value)
    sound = tmp_path / "any.wav"
    sound.write_bytes((b"RIFF\x24\x00\x00\x00WAVEfmt " if head else b"") + content)
    record = decode((DOMAIN, sound, tmp_path / "field.npy"))
    assert record.status == "used" or record.reason


@pytest.mark.parametrize(
    "header", [b"[" * 200000, b'{"__metadata__":{"audiosae":"' + b"[" * 100000 + b'"}}', b'{"a":' * 60000, b"{}"]
)
def test_a_deeply_nested_header_is_refused_quickly(tmp_path, header):
    path = tmp_path / "deep.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    began = time.monotonic()
    with pytest.raises(AudiosaeError, match="damaged|not written by audiosae"):
        load_model(path)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("length", [2**63 - 1, 2**40, 2**26])
def test_a_header_with_an_impossible_length_is_refused(tmp_path, length):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(AudiosaeError, match="damaged"):
        load_model(path)
