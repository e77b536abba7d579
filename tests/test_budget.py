"""What a run will take, and a refusal in time."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from test_train import learn, same

from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system import memory
from audiosae.system.parameters import byte_count
from audiosae.training import memory_estimate as budget
from audiosae.training.options import TrainOptions

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80)


def test_the_estimate_grows_with_what_takes_the_memory():
    small = budget.estimate(DOMAIN, TrainOptions(), windows=1000, n_components=100)
    assert (
        budget.estimate(DOMAIN, TrainOptions(hidden=8192), windows=1000, n_components=100).weights > 10 * small.weights
    )
    assert budget.estimate(DOMAIN, TrainOptions(), windows=10**9, n_components=100).windows == 256 * budget.MIB
    assert budget.estimate(DOMAIN, TrainOptions(memory=32), windows=10**9, n_components=100).windows == 32 * budget.MIB
    assert (
        budget.estimate(DOMAIN, TrainOptions(dtype="float64"), windows=1000, n_components=100).weights
        == 2 * small.weights
    )
    assert budget.estimate(DOMAIN, TrainOptions(whiten="scale"), windows=1000, n_components=100).whitening == 0


def test_what_cannot_fit_is_refused_with_what_to_change_first(monkeypatch):
    monkeypatch.setattr(budget, "available", lambda: 400 * budget.MIB)
    budget.check(budget.estimate(DOMAIN, TrainOptions(), windows=1000, n_components=100))
    with pytest.raises(InputError, match=r"would take about [\d,]+ MiB of memory and 400 are free; change --hidden"):
        budget.check(budget.estimate(DOMAIN, TrainOptions(hidden=50000), windows=1000, n_components=100))
    with pytest.raises(InputError, match=r"change --memory, then"):
        budget.check(budget.estimate(DOMAIN, TrainOptions(memory=512), windows=10**9, n_components=100))
    with pytest.raises(InputError, match=r"change --whiten scale"):
        budget.check(budget.least(Spectrogram(frames=500, sample_rate=8000), TrainOptions()))


def test_a_run_that_cannot_fit_is_refused_before_anything_is_read_or_moved(sounds, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(budget, "available", lambda: 10 * budget.MIB)
    with pytest.raises(InputError, match="MiB of memory"):
        learn(sounds, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(budget, "available", lambda: None)
    budget.check(budget.estimate(DOMAIN, TrainOptions(hidden=10**7), windows=10**9, n_components=600))


def test_a_container_with_a_limit_counts(tmp_path):
    (tmp_path / "most").write_text("1000000\n")
    (tmp_path / "used").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert memory._left_in_group(tmp_path, "most", "used") == 500000
    (tmp_path / "most").write_text("max\n")
    assert memory._left_in_group(tmp_path, "most", "used") is None


@pytest.mark.parametrize(("used", "free"), [(700000, 300000), (400000, 500000)])
def test_the_lesser_of_the_systems_free_memory_and_the_containers_counts(tmp_path, monkeypatch, used, free):
    (tmp_path / "most").write_text("1000000\n")
    (tmp_path / "used").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text("inactive_file 0\n")
    monkeypatch.setattr(memory, "_GROUPS", [(tmp_path, "most", "used"), (tmp_path, "none", "none")])
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=500000))
    assert memory.available() == free


def test_available_memory_is_not_known_where_the_system_does_not_report_it(monkeypatch):
    def no_proc():
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(memory, "_GROUPS", [])
    monkeypatch.setattr("psutil.virtual_memory", no_proc)
    assert memory.available() is None


def test_the_same_bound_gives_the_same_bits_and_it_belongs_to_the_run(sounds, tmp_path, cache):
    for name in ("a", "b"):
        outcome = learn(sounds, tmp_path / name, cache, memory=16)
    assert same(tmp_path / "a", tmp_path / "b")
    assert outcome.model.facts["options"]["memory"] == 16
    with pytest.raises(InputError, match="--resume: --memory was 16 and is 32 now"):
        learn(sounds, tmp_path / "a", cache, memory=32, resume=True)


@pytest.mark.parametrize(
    ("text", "count"), [("512M", 2**29), ("1.5G", 3 * 2**29), ("20 GiB", 20 * 2**30), ("7", 7), ("2kb", 2048), ("0", 0)]
)
def test_a_size_is_read_as_people_write_it(text, count):
    assert byte_count("--size", text) == count


@pytest.mark.parametrize("text", ["", "M", "-3G", "1e9", "five"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match=r"wanted a size such as"):
        byte_count("--size", text)


def test_available_memory_is_less_than_there_is():
    assert 0 < memory.available() < psutil.virtual_memory().total


def test_too_little_is_told_as_it_was_typed():
    with pytest.raises(InputError, match="--memory 10K: wanted at least 16M"):
        byte_count("--memory", "10K", least="16M")
