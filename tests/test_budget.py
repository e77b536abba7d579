"""Memory estimate of a run, available memory, and sizes in bytes."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from test_train import learn, same

from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system import memory
from audiosae.system.parameters import byte_count
from audiosae.training import memory_estimate
from audiosae.training.options import TrainOptions

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80)
MIB = 2**20


def test_the_estimate_grows_with_the_options():
    def estimate(windows=1000, **options):
        return memory_estimate.estimate(DOMAIN, TrainOptions(**options), windows=windows, n_components=100)

    assert estimate(hidden=8192).weights > 10 * estimate().weights
    assert estimate(10**9).windows == 256 * MIB
    assert estimate(10**9, memory=32).windows == 32 * MIB
    assert estimate(dtype="float64").weights == 2 * estimate().weights
    assert estimate(whiten="scale").whitening == 0


def test_a_run_that_does_not_fit_is_refused_with_the_options_to_change(monkeypatch):
    monkeypatch.setattr(memory_estimate, "available", lambda: 400 * MIB)
    memory_estimate.check(memory_estimate.estimate(DOMAIN, TrainOptions(), windows=1000, n_components=100))
    with pytest.raises(
        InputError, match=r"would take about [\d,]+ MiB of memory, but 400 MiB are free; change --hidden"
    ):
        memory_estimate.check(
            memory_estimate.estimate(DOMAIN, TrainOptions(hidden=50000), windows=1000, n_components=100)
        )
    with pytest.raises(InputError, match=r"change --memory, then"):
        memory_estimate.check(
            memory_estimate.estimate(DOMAIN, TrainOptions(memory=512), windows=10**9, n_components=100)
        )
    with pytest.raises(InputError, match=r"change --whiten scale"):
        memory_estimate.check(memory_estimate.lower_bound(Spectrogram(frames=500, sample_rate=8000), TrainOptions()))


def test_a_run_that_does_not_fit_is_refused_before_reading_and_writing(sounds, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(memory_estimate, "available", lambda: 10 * MIB)
    with pytest.raises(InputError, match="MiB of memory"):
        learn(sounds, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_no_run_is_refused_if_the_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory_estimate, "available", lambda: None)
    memory_estimate.check(memory_estimate.estimate(DOMAIN, TrainOptions(hidden=10**7), windows=10**9, n_components=600))


def test_the_free_memory_of_a_container_is_its_limit_minus_its_use(tmp_path):
    (tmp_path / "most").write_text("1000000\n")
    (tmp_path / "used").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert memory._left_in_group(tmp_path, "most", "used") == 500000
    (tmp_path / "most").write_text("max\n")
    assert memory._left_in_group(tmp_path, "most", "used") is None


@pytest.mark.parametrize(("used", "free"), [(700000, 300000), (400000, 500000)])
def test_available_memory_is_the_minimum_of_system_and_container(tmp_path, monkeypatch, used, free):
    (tmp_path / "most").write_text("1000000\n")
    (tmp_path / "used").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text("inactive_file 0\n")
    monkeypatch.setattr(memory, "_GROUPS", [(tmp_path, "most", "used"), (tmp_path, "none", "none")])
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=500000))
    assert memory.available() == free


def test_available_memory_is_none_if_the_system_does_not_report_it(monkeypatch):
    def no_proc():
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(memory, "_GROUPS", [])
    monkeypatch.setattr("psutil.virtual_memory", no_proc)
    assert memory.available() is None


def test_resume_needs_the_same_memory_limit(sounds, tmp_path, cache):
    for name in ("a", "b"):
        outcome = learn(sounds, tmp_path / name, cache, memory=16)
    assert same(tmp_path / "a", tmp_path / "b")
    assert outcome.model.facts["options"]["memory"] == 16
    with pytest.raises(InputError, match="--resume: --memory was 16 and is 32 now"):
        learn(sounds, tmp_path / "a", cache, memory=32, resume=True)


@pytest.mark.parametrize(
    ("text", "count"), [("512M", 2**29), ("1.5G", 3 * 2**29), ("20 GiB", 20 * 2**30), ("7", 7), ("2kb", 2048), ("0", 0)]
)
def test_sizes_have_units(text, count):
    assert byte_count("--size", text) == count


@pytest.mark.parametrize("text", ["", "M", "-3G", "1e9", "five"])
def test_an_invalid_size_is_refused(text):
    with pytest.raises(InputError, match=r"wanted a size such as"):
        byte_count("--size", text)


@pytest.mark.parametrize("text", [f"1{'0' * 30}G", "1048577T", "9" * 400], ids=len)
def test_an_absurd_size_is_refused(text):
    with pytest.raises(InputError, match=f"--size {text}: wanted at most 1048576T$"):
        byte_count("--size", text)


def test_available_memory_is_less_than_the_total():
    assert 0 < memory.available() < psutil.virtual_memory().total


def test_the_message_on_a_small_size_has_the_text_of_the_user():
    with pytest.raises(InputError, match="--memory 10K: wanted at least 16M"):
        byte_count("--memory", "10K", least="16M")
