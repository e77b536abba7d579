"""GPU detection: each reason against a GPU is one line with advice. A GPU whose memory is full still trains."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from gpu_runs import steps_of

from audiosae.backends import Backend, choose, detect_gpu
from audiosae.errors import BackendError

GIB = 2**30


class DriverError(RuntimeError):
    """An error of CuPy: the name of CUDA's error, a colon and a description."""


def raises(text):
    def call(*_, **__):
        raise DriverError(text)

    return call


def runtime(**functions):
    facts = {"name": b"Old Faithful", "major": 9, "minor": 0}
    usual = {
        "getDeviceCount": lambda: 1,
        "getDeviceProperties": lambda number: facts,
        "memGetInfo": lambda: (GIB, GIB),
        "driverGetVersion": lambda: 13000,
        "runtimeGetVersion": lambda: 13000,
    }
    return SimpleNamespace(**usual | functions)


CASES = [
    (
        {"getDeviceCount": raises("cudaErrorInsufficientDriver: too low"), "driverGetVersion": lambda: 0},
        "CuPy is installed, but there is no NVIDIA driver",
    ),
    (
        {"getDeviceCount": raises("cudaErrorInsufficientDriver: too low"), "driverGetVersion": lambda: 11040},
        "the NVIDIA driver is too old: it supports CUDA up to 11.4, CuPy needs 13.0",
    ),
    ({"getDeviceCount": lambda: 0}, "no CUDA device"),
    ({"getDeviceCount": raises("cudaErrorNoDevice: no CUDA-capable device is detected")}, "no CUDA device"),
    ({"getDeviceCount": raises("cudaErrorUnknown: it is ill")}, "the NVIDIA driver does not respond: it is ill"),
    ({"memGetInfo": lambda: (100 * 2**20, 8 * GIB)}, "GPU out of memory: 100 of 8,192 MiB free, 512 needed"),
    ({"memGetInfo": raises("cudaErrorMemoryAllocation: out of memory")}, "GPU out of memory"),
    (
        {"getDeviceProperties": lambda number: {"name": b"GTX 1080", "major": 6, "minor": 1}},
        "GTX 1080 (compute capability 6.1) is too old: wanted 7.0 or newer",
    ),
]


def simulate(monkeypatch, functions, **attributes):
    fake = ModuleType("cupy")
    fake.__spec__ = ModuleSpec("cupy", None)
    fake.cuda = SimpleNamespace(runtime=runtime(**functions))
    vars(fake).update(attributes)
    monkeypatch.setitem(sys.modules, "cupy", fake)


@pytest.mark.parametrize(("functions", "reason"), CASES)
def test_each_reason_is_one_line_and_numpy_is_chosen(monkeypatch, functions, reason, run):
    simulate(monkeypatch, functions)
    assert choose("auto")[1] == f"numpy ({reason})"
    with pytest.raises(BackendError) as error:
        choose("cupy")
    assert str(error.value) == f"--backend cupy: {reason} ({detect_gpu().advice}); or use --backend numpy"
    status, out, _ = run("doctor")
    assert status == 0
    assert f"{reason} ({detect_gpu().advice})" in out


def test_a_missing_cuda_toolkit_is_reported(monkeypatch):
    simulate(monkeypatch, {}, RawModule=raises("CuPy failed to load libnvrtc.so.12"))
    assert detect_gpu().reason == "the GPU cannot be used: CuPy failed to load libnvrtc.so.12"
    assert "audiosae[cuda12]" in detect_gpu().advice


def test_a_cupy_that_cannot_be_imported_is_reported(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcuda.so.1 is missing')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert detect_gpu().reason == "CuPy cannot be imported: libcuda.so.1 is missing"


def test_without_cupy_the_advice_names_the_extra(monkeypatch):
    monkeypatch.setattr("audiosae.backends.gpu_status.find_spec", lambda name: None)
    assert "audiosae[cuda12]" in detect_gpu().advice


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed: pip install -e '.[cuda12]', or cuda13")
def test_the_real_cupy_gives_a_reason_or_a_gpu():
    status = detect_gpu()
    assert bool(status.reason) != bool(status.description)
    assert "\n" not in status.reason


@pytest.mark.gpu
def test_a_full_gpu_processes_batches_in_parts_with_the_same_sums(real_gpu):
    import cupy

    from audiosae.backends.gpu import GpuBackend

    expected = steps_of(Backend(), hidden=2000, width=20, rows=(4000,), dtype="float64")
    backend, lines, pool = GpuBackend(), [], cupy.get_default_memory_pool()
    backend.say = lines.append
    pool.set_limit(size=pool.total_bytes() + 100 * 2**20)  # two matrices of activations alone take 128 MB
    try:
        state = steps_of(backend, hidden=2000, width=20, rows=(4000,), dtype="float64")
    finally:
        pool.set_limit(size=0)
    assert "in 2 parts" in lines[0]
    np.testing.assert_allclose(state.flat, expected.flat, atol=1e-8)


@pytest.mark.gpu
def test_the_memory_is_freed_at_the_end_of_a_run(real_gpu, sounds, tmp_path, cache):
    import cupy
    from gpu_runs import learn

    from audiosae.backends.gpu import GpuBackend

    backend = GpuBackend()
    learn(sounds, tmp_path / "first", cache, backend)  # cuBLAS and cuSOLVER keep working memory once they were used
    before = cupy.get_default_memory_pool().total_bytes()
    learn(sounds, tmp_path / "second", cache, backend)
    assert cupy.get_default_memory_pool().total_bytes() <= before
