"""Training: reproducible to the bit, also after interruption and resume."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import soundfile
from runs import learn

from audiosae.autoencoder.model import load_model
from audiosae.autoencoder.tensors import read_tensors
from audiosae.engine.feed import Feed
from audiosae.errors import InputError, Interrupted
from audiosae.system.progress import Progress
from audiosae.training.options import TrainOptions, choose_solver


def same(a, b):
    one, other = (read_tensors(run / "model.safetensors").tensors for run in (a, b))
    assert one.keys() == other.keys()
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def alike(a, b, most=1e-10):
    """Return whether two runs have the same model up to rounding, as process, cluster and GPU have in float64."""
    one, other = (read_tensors(run / "model.safetensors").tensors for run in (a, b))
    assert one.keys() == other.keys()
    return all(np.allclose(one[name], other[name], rtol=most, atol=most) for name in one)


class StopAfter(Progress):
    """Interrupts the run as Ctrl-C does, after some progress in training."""

    def __init__(self, calls):
        self.calls, self.training = calls, False

    def stage(self, title, total, unit):
        self.training = title == "training"

    def advance(self, amount, **facts):
        if self.training and facts:
            self.calls -= 1
            if self.calls == 0:
                import signal

                signal.raise_signal(signal.SIGINT)


def test_a_run_writes_model_history_and_journal(sounds, tmp_path, cache):
    outcome = learn(sounds, tmp_path / "run", cache)
    rows = list(csv.DictReader((tmp_path / "run/history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["cost"]) < float(rows[0]["cost"])
    journal = list(csv.DictReader((tmp_path / "run/journal.csv").read_text().splitlines()))
    assert len(journal) == 12
    assert sum(int(row["windows"]) for row in journal) > 0
    model = load_model(tmp_path / "run")
    assert model.atoms().shape == (12, 16, 40)
    assert len(outcome.used) == 12
    assert np.isfinite(outcome.model.facts["fvu"])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_same_seed_gives_the_same_bits_for_any_number_of_workers(sounds, tmp_path, solver):
    learn(sounds, tmp_path / "a", tmp_path / "cache1", workers=1, solver=solver)
    learn(sounds, tmp_path / "b", tmp_path / "cache2", workers=2, solver=solver)
    assert same(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_another_seed_gives_another_model(sounds, tmp_path, cache):
    learn(sounds, tmp_path / "a", cache)
    learn(sounds, tmp_path / "b", cache, seed=1)
    assert not same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("calls", [1, 7, 12])
def test_a_run_interrupted_anywhere_and_resumed_gives_the_same_bits(sounds, tmp_path, cache, calls):
    learn(sounds, tmp_path / "whole", cache)
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, progress=StopAfter(calls))
    assert not (tmp_path / "cut/model.safetensors").exists()
    learn(sounds, tmp_path / "cut", cache, resume=True)
    assert same(tmp_path / "whole", tmp_path / "cut")
    whole, cut = ((tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "cut"))
    drop = [[",".join(np.delete(line.split(","), 8)) for line in text] for text in (whole, cut)]
    assert drop[0] == drop[1]


def test_lbfgs_resumes_from_its_parameters(sounds, tmp_path, cache):
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, solver="lbfgs", epochs=10, progress=StopAfter(4))
    outcome = learn(sounds, tmp_path / "cut", cache, solver="lbfgs", epochs=10, resume=True)
    costs = [row.cost for row in outcome.history]
    assert len(costs) == 10
    assert costs == sorted(costs, reverse=True)


def test_resume_refuses_changed_options_and_names_the_first(sounds, tmp_path, cache):
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "run", cache, progress=StopAfter(5))
    with pytest.raises(InputError, match="--resume: --rho was 0.02 and is 0.1 now"):
        learn(sounds, tmp_path / "run", cache, resume=True, rho=0.1)


def test_resume_refuses_options_that_draw_other_windows_before_it_reads(trained, sounds, run):
    code, _, err = run("train", sounds, "-o", trained, "--hidden", 12, "--max-windows", 0, "--resume")
    assert (code, "reading" in err) == (1, False)
    assert "--resume: --max-windows was 750000 and is 0 now; give the earlier value" in err


def test_resume_refuses_changed_sources(sounds, tmp_path, cache):
    folder = tmp_path / "sounds"
    shutil.copytree(sounds, folder)
    with pytest.raises(Interrupted):
        learn(folder, tmp_path / "run", cache, progress=StopAfter(5))
    (folder / "tone_00.wav").unlink()
    shutil.copy(folder / "tone_03.wav", folder / "other.wav")
    journal = (tmp_path / "run" / "journal.csv").read_bytes()
    message = r"--resume: the sources are not those of the checkpoint \(added: other.wav, removed: tone_00.wav\)"
    with pytest.raises(InputError, match=message):
        learn(folder, tmp_path / "run", cache, resume=True)
    assert (tmp_path / "run" / "journal.csv").read_bytes() == journal


def test_resume_without_a_checkpoint_is_refused(sounds, tmp_path, cache):
    with pytest.raises(InputError, match="--resume: no checkpoint"):
        learn(sounds, tmp_path / "nothing", cache, resume=True)
    assert not (tmp_path / "nothing").exists()


def test_an_earlier_run_is_moved_aside(sounds, tmp_path, cache):
    learn(sounds, tmp_path / "run", cache)
    first = (tmp_path / "run/model.safetensors").read_bytes()
    learn(sounds, tmp_path / "run", cache, seed=5)
    assert (tmp_path / "run/before-1/model.safetensors").read_bytes() == first
    assert (tmp_path / "run/model.safetensors").read_bytes() != first


def test_bad_files_do_not_change_the_model(sounds, tmp_path, cache):
    folder = tmp_path / "sounds"
    shutil.copytree(sounds, folder)
    learn(folder, tmp_path / "good", cache)
    (folder / "a_broken.wav").write_bytes(b"RIFF nothing")
    (folder / "tone_03b.wav").write_bytes(b"")
    outcome = learn(folder, tmp_path / "mixed", cache)
    assert [record.file for record in outcome.skipped] == ["a_broken.wav", "tone_03b.wav"]
    assert outcome.skipped[1].reason == "empty: zero bytes"
    assert same(tmp_path / "good", tmp_path / "mixed")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_short_recording_without_held_out_windows_can_be_the_last(tmp_path, cache, streamed, monkeypatch):
    (tmp_path / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for name, seconds in (("a", 14), ("b", 14), ("z", 0.5)):
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", 0.1 * rng.normal(size=int(seconds * 8000)), 8000)
    if streamed:
        monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)
    outcome = learn(tmp_path / "sounds", tmp_path / "run", cache, epochs=2, solver="adam")
    assert outcome.model.facts["held_out"]
    assert len(outcome.used) == 3


def test_max_windows_may_be_less_than_the_number_of_recordings(sounds, tmp_path, cache):
    assert learn(sounds, tmp_path / "run", cache, epochs=2, max_windows=5).model.facts["sources"]["windows"] == 5


def test_if_no_source_can_be_used_there_is_a_clear_error_and_no_run_folder(tmp_path, cache):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 1 sources can be used \(empty\); the first is x.wav"):
        learn(tmp_path / "in", tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_cannot_be_written_is_a_clear_error(sounds, tmp_path, cache):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the run folder"):
        learn(sounds, tmp_path / "file/run", cache)


@pytest.mark.parametrize(
    ("units", "batch", "epochs"), [(200, 64, 200), pytest.param(256, 256, 0, marks=pytest.mark.slow)]
)
def test_training_reduces_the_unexplained_variance_and_keeps_the_activity_near_rho(
    sounds, tmp_path, cache, units, batch, epochs
):
    outcome = learn(sounds, tmp_path / "run", cache, epochs=epochs, hidden=units, batch_size=batch)
    assert outcome.model.facts["fvu"] < 0.5
    assert outcome.model.rho_hat.mean() == pytest.approx(outcome.model.facts["options"]["rho"], rel=0.3)
    assert outcome.model.dead.sum() == 0


def small_feed(*arguments, **options):
    """Return a feed with memory for a few windows only."""
    feed = Feed(*arguments, **options | {"memory": 2**16})
    assert feed.in_memory is None
    return feed


def test_windows_streamed_from_disk_train_a_model_as_good_as_from_memory(sounds, tmp_path, cache, monkeypatch):
    in_memory = learn(sounds, tmp_path / "in_memory", cache, epochs=60)
    monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)
    streamed = learn(sounds, tmp_path / "streamed", cache, epochs=60)
    assert streamed.model.facts["fvu"] == pytest.approx(in_memory.model.facts["fvu"], rel=0.2)


@pytest.mark.parametrize(
    ("windows", "chosen"), [(10_000, ("lbfgs", 400)), (5_000_000, ("adam", 1)), (500_000, ("adam", 3))]
)
def test_auto_chooses_the_solver_by_size_and_says_why(windows, chosen):
    messages = []
    options = choose_solver(TrainOptions(hidden=100), windows, 64, messages.append)
    assert (options.solver, options.epochs) == chosen
    assert f"solver {chosen[0]}: {windows} windows" in messages[0]


@pytest.mark.parametrize(
    "given", [{"hidden": 0}, {"rho": 0.0}, {"learning_rate": -1.0}, {"activation": "relu"}, {"epochs": -1}]
)
def test_impossible_options_are_refused(given):
    with pytest.raises(InputError, match="--"):
        TrainOptions.resolve({}, given)


def test_values_of_the_user_override_defaults_of_the_domain():
    options = TrainOptions.resolve({"rho": 0.3, "beta": 7.0}, {"rho": 0.1, "beta": None})
    assert (options.rho, options.beta, options.hidden) == (0.1, 7.0, 256)
