"""Kernels of kernels.cu without a GPU: compared with NumPy on the host, and compiled by NVRTC for every GPU."""

from __future__ import annotations

import ctypes
import inspect
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from host_kernels import instance_types, signatures

from audiosae.autoencoder.sae import Penalty
from audiosae.backends import Backend
from audiosae.backends.gpu_launch import OPTIONS, SOURCE, instance_names, matrix_grid, pack

B = Backend()
SHAPES = [(1, 1), (1, 7), (3, 1), (1023, 5), (4097, 3), (17, 4000), (130, 132)]
CAPABILITIES = [70, 75, 80, 86, 89, 90, 100, 120]


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture(params=["threads as fibers", "one thread per block", pytest.param("real GPU", marks=pytest.mark.gpu)])
def gpu_backend(request):
    from audiosae.backends.gpu import GpuBackend

    device = request.getfixturevalue("real_gpu" if request.param == "real GPU" else "device")
    if device:
        device.fibers = request.param == "threads as fibers"
    return GpuBackend()


def agree(gpu_backend, operation, arrays, *rest, changed=(0,)):
    """Assert that an operation of both backends returns the same and changes the same arrays in place."""
    cpu_arrays, gpu_arrays = [a.copy() for a in arrays], [gpu_backend.asarray(a) for a in arrays]
    expected, result = getattr(B, operation)(*cpu_arrays, *rest), getattr(gpu_backend, operation)(*gpu_arrays, *rest)
    pairs = zip(expected, result, strict=True) if isinstance(expected, tuple) else [(expected, result)]
    rtol = 2e-5 if arrays[0].dtype == np.float32 else 1e-11
    for one, other in [*pairs, *((cpu_arrays[i], gpu_arrays[i]) for i in changed)]:
        scale = max(1e-3, float(np.abs(one).max()))
        np.testing.assert_allclose(gpu_backend.to_host(other), one, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_equal_the_specification(gpu_backend, shape, dtype):
    z, x, bias = numbers(shape, dtype), numbers(shape, dtype, 1), numbers(shape[1], dtype, 2)
    for kind in ("sigmoid", "tanh"):
        agree(gpu_backend, "activate", [z, bias], kind)
        agree(gpu_backend, "hidden_delta", [z, np.tanh(x), bias], kind)
        agree(gpu_backend, "hidden_delta", [z, np.tanh(x)], None, kind)
        agree(gpu_backend, "slope", [np.tanh(x)], kind)
    for kind in ("linear", "sigmoid"):
        agree(gpu_backend, "residual", [z, bias, x], kind)
    agree(gpu_backend, "unit_rows", [np.vstack([z, np.zeros_like(z[:1])])], changed=())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_sums_saturate_without_overflow(gpu_backend, dtype):
    agree(gpu_backend, "activate", [np.array([[-1e4, 1e4, 0.0]], dtype), np.zeros(3, dtype)], "sigmoid")


@pytest.mark.parametrize("hidden", [1, 7, 1023, 4097])
@pytest.mark.parametrize("kind", ["sigmoid", "tanh"])
def test_kl_gradient_and_cost_equal_the_specification(gpu_backend, hidden, kind):
    activity = np.random.default_rng(0).uniform(0, 100, hidden)
    activity[0] = 0.0  # rho_hat of a unit that is never active is clipped
    penalty = Penalty(0.05, 3.0, 1e-3)
    np.testing.assert_allclose(
        gpu_backend.to_host(gpu_backend.kl_gradient(gpu_backend.asarray(activity), 100, penalty, kind, np.float64)),
        B.kl_gradient(activity, 100, penalty, kind, np.float64),
        rtol=1e-12,
    )
    running_totals = np.arange(4.0 + hidden), gpu_backend.asarray(np.arange(4.0 + hidden))
    expected = B.cost(np.float64(7.0), activity, np.float64(5.0), 100, penalty, running_totals=running_totals[0])
    parts = gpu_backend.asarray(np.array([2.0, 2.5, 0.5]))
    result = gpu_backend.cost(
        gpu_backend.asarray(np.array(7.0)),
        gpu_backend.asarray(activity),
        parts,
        100,
        penalty,
        running_totals=running_totals[1],
    )
    np.testing.assert_allclose(gpu_backend.to_host(result), expected, rtol=1e-12)
    np.testing.assert_allclose(gpu_backend.to_host(running_totals[1]), running_totals[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "decayed"), [(1, 0), (1, 1), (7, 5), (1023, 1021), (300001, 299998)])
@pytest.mark.parametrize("fused", [True, False])
def test_adam_and_average_gradient_equal_the_specification_alone_and_in_one_launch(device, size, decayed, fused, dtype):
    from audiosae.backends.gpu import GpuBackend

    results = []
    for backend in (B, GpuBackend()):
        arrays = [backend.asarray(a) for a in (numbers(size, dtype), *np.zeros((2, size), dtype))]
        flat, first, second = arrays
        for step in (1, 2, 3):
            gradient = backend.asarray(numbers(size, dtype, step))
            before = device.launches
            update = backend.adam(flat, gradient, first, second, backend.pace(0.01, step))
            then = update if fused else lambda part, update=update: update(part)
            squares = backend.average_gradient(flat, gradient, decayed, count=10, decay=0.1, then=then)
            assert device.launches - before == (0 if backend is B else 2 + (not fused))
        results.append([backend.to_host(a) for a in arrays] + [np.sum(backend.to_host(squares), dtype=float)])
    for expected, result in zip(*results, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-7)


@pytest.mark.parametrize(("count", "width", "run", "pitch"), [(1, 1, 1, 1), (5, 30, 30, 40), (1023, 12, 3, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gathered_windows_equal_the_specification(gpu_backend, count, width, run, pitch, dtype):
    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends.gpu_fields import DeviceSlab
    from audiosae.corpus.windows import Slab

    rng = np.random.default_rng(0)
    runs = width // run
    flat = numbers(5 * count + runs * pitch, "float32")
    starts = rng.integers(0, 5 * count, count)
    slab = Slab(flat, starts, np.full(count, pitch), run, runs)
    device_slab = DeviceSlab(
        gpu_backend.asarray(flat), gpu_backend.asarray(starts), gpu_backend.asarray(slab.pitches), run, runs
    )
    mean, index = numbers(width, "float32", 1), rng.permutation(count)[: count // 2 + 1]
    for flags in ({}, {"remove_mean": True}):
        whitener = Whitener("scale", mean, scale=2.0, **flags)
        expected = B.windows(slab, index, whitener, np.dtype(dtype))
        result = gpu_backend.windows(
            device_slab, gpu_backend.asarray(index), whitener.moved(gpu_backend.asarray), np.dtype(dtype)
        )
        np.testing.assert_allclose(gpu_backend.to_host(result), expected, rtol=1e-5, atol=1e-6)
        part = gpu_backend.windows(device_slab, slice(1, 4), whitener.moved(gpu_backend.asarray), np.dtype(dtype))
        expected = B.windows(slab, slice(1, 4), whitener, np.dtype(dtype))
        np.testing.assert_allclose(gpu_backend.to_host(part), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_taken_by_their_indices(gpu_backend, dtype):
    rows, index = numbers((50, 6), dtype), np.random.default_rng(0).permutation(50)[:17]
    np.testing.assert_array_equal(
        gpu_backend.to_host(gpu_backend.take(gpu_backend.asarray(rows), gpu_backend.asarray(index))), rows[index]
    )


def test_16_bytes_are_loaded_at_once_only_at_aligned_addresses(device):
    from audiosae.backends.gpu import GpuBackend

    flat = GpuBackend().asarray(np.zeros(4097, "f4"))
    assert pack([flat], 128) == 4
    assert pack([flat], 127) == 1
    assert pack([flat, flat[1:]], 128) == 1
    assert pack([GpuBackend().asarray(np.zeros(8))], 4) == 2


def test_a_grid_covers_the_matrix_and_depends_on_its_shape_only():
    assert matrix_grid(4097, 3, 1) == ((1, 65), (32, 8), 64)
    assert matrix_grid(0, 3, 1)[0] == (1, 1)
    assert matrix_grid(10**7, 4096, 4)[0] == (32, 65535)


def test_sums_over_no_rows_are_zero(gpu_backend):
    z = gpu_backend.asarray(np.zeros((0, 5)))
    assert (
        gpu_backend.to_host(gpu_backend.activate(z, gpu_backend.asarray(np.zeros(5)), "sigmoid")).tolist() == [0.0] * 5
    )
    assert float(gpu_backend.residual(z, gpu_backend.asarray(np.zeros(5)), z, "linear")[0]) == 0


def test_a_launch_with_a_wrong_argument_is_an_error(device):
    xp, (pace,) = device, [device.empty(2)]
    good = [pace, *map(np.float64, (0.1, 1, 0.9, 0.999, 1e-8))]
    xp.launch("pace", (1,), (1,), good)
    for wrong in ([*good[:-1]], [*good[:-1], 1e-8], [*good[:-1], np.float32(1e-8)], [device.empty(2, "f4"), *good[1:]]):
        with pytest.raises(TypeError, match="wanted"):
            xp.launch("pace", (1,), (1,), wrong)


def test_a_kernel_that_writes_outside_of_its_array_is_detected(device):
    short = device.empty(2, "f4")
    with pytest.raises(RuntimeError, match="outside of its array"):
        device.launch("unit_rows<float>", (1,), (1,), [device.empty((3, 2), "f4"), short, np.int64(3), np.int32(2)])


def test_operations_of_both_backends_have_the_same_signature():
    from audiosae.backends.gpu import GpuBackend

    own = [n for n, member in vars(GpuBackend).items() if callable(member) and hasattr(Backend, n) and n[0] != "_"]
    sweeps = {"activate", "residual", "hidden_delta", "slope", "adam", "average_gradient", "unit_rows"}
    assert sweeps | {"kl_gradient", "cost"} <= set(own)
    for name in own:
        one, other = (inspect.signature(getattr(cls, name)) for cls in (Backend, GpuBackend))
        plain = [[(p.name, p.kind, p.default) for p in s.parameters.values()] for s in (one, other)]
        assert plain[0] == plain[1], name


def test_every_kernel_has_instances_and_no_atomics():
    assert {name.split("<")[0] for name in instance_names()} == set(signatures())
    assert "atomic" not in re.sub(r"//.*", "", SOURCE.read_text())


def nvrtc():
    spec = find_spec("nvidia.cuda_nvrtc") if find_spec("nvidia") else None
    folders = spec.submodule_search_locations if spec else []
    libraries = [path for folder in folders for path in Path(folder).glob("lib/libnvrtc.so.1?")]
    if not libraries:
        pytest.skip(
            "nvidia-cuda-nvrtc is not installed: pip install -e '.[test]', on Linux (not available for other systems)"
        )
    return ctypes.CDLL(str(libraries[0]))


@pytest.fixture(scope="module")
def ptx():
    """Return a function that compiles all instances for a compute capability."""
    library = nvrtc()

    def call(function, *arguments):
        assert getattr(library, function)(*arguments) == 0, function

    @cache
    def compile_for(capability):
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        call("nvrtcCreateProgram", ctypes.byref(program), SOURCE.read_bytes(), b"kernels.cu", 0, None, None)
        for name in instance_names():
            call("nvrtcAddNameExpression", program, name.encode())
        options = [o.encode() for o in (*OPTIONS, f"--gpu-architecture=compute_{capability}")]
        status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        call("nvrtcGetProgramLog", program, log)
        assert status == 0, log.value.decode()
        lowered = {}
        for name in instance_names():
            mangled = ctypes.c_char_p()
            call("nvrtcGetLoweredName", program, name.encode(), ctypes.byref(mangled))
            lowered[name] = mangled.value.decode()
        call("nvrtcGetPTXSize", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        call("nvrtcGetPTX", program, text)
        call("nvrtcDestroyProgram", ctypes.byref(program))
        return text.value.decode(), lowered

    return compile_for


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_instance_compiles_for_a_compute_capability(ptx, capability):
    text, lowered = ptx(capability)
    assert f".target sm_{capability}" in text
    entries = re.findall(r"\.entry (\w+)\((.*?)\)", text, re.DOTALL)
    assert {name for name, _ in entries} == set(lowered.values())
    counts = {name: parameters.count(".param") for name, parameters in entries}
    assert {name: counts[lowered[name]] for name in instance_names()} == {
        name: len(instance_types(name)) for name in instance_names()
    }


def test_wide_instances_load_16_bytes_at_once(ptx):
    text, lowered = ptx(80)
    bodies = dict(re.findall(r"\.entry (\w+)\(.*?\)\s*(.*?)\n\}", text, re.DOTALL))
    for kernel in ("activate<float, 4, 0>", "residual<float, 4, 2>", "hidden_delta<float, 4, 0>", "adam<float, 4>"):
        body = bodies[lowered[kernel]]
        assert "ld.global.v4.f32" in body, kernel
        assert "st.global.v4.f32" in body, kernel
    assert "ld.global.v2.f64" in bodies[lowered["adam<double, 2>"]]
