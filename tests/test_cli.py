"""The command line: output and exit status of the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

TRAIN = ["--hidden", "4", "--epochs", "2", "--workers", "1"]


@pytest.fixture(scope="module")
def trained(sounds, tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("cli") / "run"
    environment = os.environ | {"AUDIOSAE_CACHE": str(cache)}
    command = [sys.executable, "-m", "audiosae", "train", str(sounds), "-o", str(out), *TRAIN]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return out


def one_line(text):
    lines = [line for line in text.splitlines() if line.startswith("audiosae: ")]
    return len(lines) == 1 and "Traceback" not in text


def test_train_writes_all_files_and_names_the_next_step(run, sounds, tmp_path):
    code, out, _ = run("train", sounds, "-o", tmp_path / "run", *TRAIN)
    assert code == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    wanted = {"model.safetensors", "history.csv", "journal.csv", "atoms.png", "history.png", "checkpoint.safetensors"}
    assert names == wanted | {"README.md"}
    for words in ("learned 4 units from 12 of 12 sources", "unexplained variance", "whitened", "rho 0.02", "next:"):
        assert words in out


def test_train_json_has_the_documented_keys(run, sounds, tmp_path):
    code, out, err = run("train", sounds, "-o", tmp_path / "run", *TRAIN, "--json")
    facts = json.loads(out)
    keys = {"fvu", "rho_hat_mean", "dead_units", "sources_used", "sources_skipped", "seconds", "model"}
    assert code == 0
    assert keys <= facts.keys()
    assert "reading" in err


def test_quiet_prints_nothing(run, sounds, tmp_path):
    code, out, err = run("train", sounds, "-o", tmp_path / "run", *TRAIN, "--quiet")
    assert (code, out, err) == (0, "", "")


def test_strict_exits_with_1_when_a_source_was_skipped(run, sounds, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    code, out, _ = run("train", sounds, tmp_path / "empty.wav", "-o", tmp_path / "run", *TRAIN, "--strict")
    assert code == 1
    assert "skipped               1: empty (1)" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "/no/such", "-o", "x"], 1, "no such file or folder: /no/such"),
        (["train", "EMPTY", "-o", "x"], 1, "no .wav, .flac"),
        (["train", "SOUNDS", "-o", "x", "--set", "n_mel=64"], 1, "spectrogram has no option n_mel; it has"),
        (["train", "SOUNDS", "-o", "x", "--set", "n_mels"], 1, "wanted KEY=VALUE"),
        (["train", "SOUNDS", "-o", "x", "--domain", "sonar"], 1, "no domain sonar is installed"),
        (["train", "SOUNDS", "-o", "x", "--backend", "cupy"], 1, "or use --backend numpy"),
        (["train", "SOUNDS", "-o", "/dev/null/x"], 1, "cannot write the run folder"),
        (["train", "SOUNDS", "-o", "x", "--rho", "2"], 1, "--rho 2"),
        (["train", "SOUNDS", "-o", "x", "--rhoo", "2"], 2, "--rhoo"),
        (["train", "SOUNDS", "-o", "x", "--solver", "sgd"], 2, "sgd"),
        (["train", "SOUNDS"], 2, "--out"),
        (["sing"], 2, "sing"),
        (["info", "EMPTY"], 1, "no model.safetensors"),
        (["render", "EMPTY", "-o", "a.png"], 1, "no model.safetensors"),
    ],
)
def test_errors_are_one_line_with_the_right_status(run, sounds, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    paths = {"SOUNDS": sounds, "EMPTY": tmp_path / "empty"}
    found, out, err = run(*[paths.get(argument, argument) for argument in arguments])
    assert found == code
    assert words in err
    assert one_line(err)
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_info_describes_a_model(run, trained):
    code, out, _ = run("info", trained)
    assert code == 0
    for words in ("4 sigmoid", "spectrogram of audiosae", "16 x 40", "12 sources used", "rho 0.02"):
        assert words in out
    facts = json.loads(run("info", trained, "--json")[1])
    assert facts["domain"]["options"]["sample_rate"] == 8000
    assert facts["activity"]["dead_units"] >= 0


def test_render_draws_the_requested_units(run, trained, tmp_path):
    code, out, _ = run("render", trained, "-o", tmp_path / "a.png", "--units", "3,1", "--show", "filter", "--json")
    assert code == 0
    assert json.loads(out)["units"] == [3, 1]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert run("render", trained, "-o", tmp_path / "b.png", "--units", "a,b")[0] == 1


def test_inspect_adds_up_lengths_and_names_broken_files(run, sounds, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"nonsense")
    code, out, _ = run("inspect", sounds, tmp_path / "bad.wav")
    assert code == 0
    assert "12 of 13 sources can be read" in out
    assert "undecodable" in out
    assert "rate 8000" in out
    facts = json.loads(run("inspect", sounds, "--json")[1])
    assert facts["sources_ok"] == 12
    assert facts["estimate"]["seconds"] > 0


def test_domains_lists_the_built_in_one_with_its_options(run):
    code, out, _ = run("domains")
    assert code == 0
    assert "spectrogram  (audiosae " in out
    assert "n_mels=40" in out
    listed = {entry["name"]: entry for entry in json.loads(run("domains", "--json")[1])["domains"]}
    assert listed["spectrogram"]["options"]["frames"] == 16


def test_gradcheck_passes_and_fails_with_a_wrong_gradient(run, monkeypatch):
    from audiosae.autoencoder.gradient_check import FORMS
    from audiosae.autoencoder.sae import Penalty

    code, out, _ = run("gradcheck")
    assert code == 0
    assert "every gradient is right" in out
    monkeypatch.setattr("audiosae.autoencoder.gradient_check.FORMS", FORMS[-1:])  # one of 16
    right = Penalty.kl_gradient
    monkeypatch.setattr(Penalty, "kl_gradient", lambda self, rho_hat, kind: -right(self, rho_hat, kind))
    code, out, _ = run("gradcheck", "--json")
    assert code == 1
    assert json.loads(out)["passed"] is False


def test_doctor_names_versions_and_why_there_is_no_gpu(run):
    code, out, _ = run("doctor")
    assert code == 0
    for words in ("numpy", "libsndfile", "blas", "backend", "gpu"):
        assert words in out


def test_help_and_version_are_printed(run):
    assert "train" in run("--help")[1]
    assert run("--version")[1].startswith("audiosae ")
    assert "--whiten-power" in run("train", "--help")[1]


def test_ctrl_c_writes_the_checkpoint_and_resume_continues(sounds, tmp_path, cache):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "audiosae", "train", str(sounds), "-o", str(out), "--hidden", "64"]
    command += ["--epochs", "100000", "--batch-size", "128", "--cache", str(cache), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err
    assert one_line(err)
    again = subprocess.Popen([*command, "--resume"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = ""
    while "resumed at epoch" not in line and again.poll() is None:
        line = again.stderr.readline()
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert "resumed at epoch" in line
