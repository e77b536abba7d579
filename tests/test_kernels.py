"""kernels.cu without a card: against the NumPy specification on the host, and compiled for every card by NVRTC."""

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


@pytest.fixture(params=["threads as fibers", "one thread a block", pytest.param("card", marks=pytest.mark.gpu)])
def gpu(request):
    from audiosae.backends.gpu import GpuBackend

    device = request.getfixturevalue("card" if request.param == "card" else "device")
    if device:
        device.fibers = request.param == "threads as fibers"
    return GpuBackend()


def agree(gpu, operation, arrays, *rest, changed=(0,)):
    """Call an operation of both backends; compare what it returns and what it changed in place."""
    mine, theirs = [a.copy() for a in arrays], [gpu.asarray(a) for a in arrays]
    wanted, found = getattr(B, operation)(*mine, *rest), getattr(gpu, operation)(*theirs, *rest)
    pairs = zip(wanted, found, strict=True) if isinstance(wanted, tuple) else [(wanted, found)]
    near = 2e-5 if arrays[0].dtype == np.float32 else 1e-11
    for one, other in [*pairs, *((mine[i], theirs[i]) for i in changed)]:
        scale = max(1e-3, float(np.abs(one).max()))
        np.testing.assert_allclose(gpu.to_host(other), one, rtol=near, atol=near * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_equal_the_specification(gpu, shape, dtype):
    z, x, bias = numbers(shape, dtype), numbers(shape, dtype, 1), numbers(shape[1], dtype, 2)
    for kind in ("sigmoid", "tanh"):
        agree(gpu, "activate", [z, bias], kind)
        agree(gpu, "hidden_delta", [z, np.tanh(x), bias], kind)
        agree(gpu, "hidden_delta", [z, np.tanh(x)], None, kind)
        agree(gpu, "slope", [np.tanh(x)], kind)
    for kind in ("linear", "sigmoid"):
        agree(gpu, "residual", [z, bias, x], kind)
    agree(gpu, "unit_rows", [np.vstack([z, np.zeros_like(z[:1])])], changed=())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_sums_saturate_and_nothing_overflows(gpu, dtype):
    agree(gpu, "activate", [np.array([[-1e4, 1e4, 0.0]], dtype), np.zeros(3, dtype)], "sigmoid")


@pytest.mark.parametrize("hidden", [1, 7, 1023, 4097])
@pytest.mark.parametrize("kind", ["sigmoid", "tanh"])
def test_pull_and_cost_equal_the_specification(gpu, hidden, kind):
    activity = np.random.default_rng(0).uniform(0, 100, hidden)
    activity[0] = 0.0  # a unit that is never active is clipped
    penalty = Penalty(0.05, 3.0, 1e-3)
    np.testing.assert_allclose(
        gpu.to_host(gpu.kl_gradient(gpu.asarray(activity), 100, penalty, kind, np.float64)),
        B.kl_gradient(activity, 100, penalty, kind, np.float64), rtol=1e-12,
    )  # fmt: skip
    totals_kept = np.arange(4.0 + hidden), gpu.asarray(np.arange(4.0 + hidden))
    wanted = B.cost(np.float64(7.0), activity, np.float64(5.0), 100, penalty, running_totals=totals_kept[0])
    parts = gpu.asarray(np.array([2.0, 2.5, 0.5]))
    found = gpu.cost(
        gpu.asarray(np.array(7.0)), gpu.asarray(activity), parts, 100, penalty, running_totals=totals_kept[1]
    )
    np.testing.assert_allclose(gpu.to_host(found), wanted, rtol=1e-12)
    np.testing.assert_allclose(gpu.to_host(totals_kept[1]), totals_kept[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "decayed"), [(1, 0), (1, 1), (7, 5), (1023, 1021), (300001, 299998)])
@pytest.mark.parametrize("fused", [True, False])
def test_adam_and_settle_equal_the_specification_apart_and_in_one_launch(device, size, decayed, fused, dtype):
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
    for wanted, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-7)


@pytest.mark.parametrize(("count", "width", "run", "pitch"), [(1, 1, 1, 1), (5, 30, 30, 40), (1023, 12, 3, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gathered_windows_are_the_specifications(gpu, count, width, run, pitch, dtype):
    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends.gpu_fields import DeviceSlab
    from audiosae.corpus.windows import Slab

    rng = np.random.default_rng(0)
    runs = width // run
    flat = numbers(5 * count + runs * pitch, "float32")
    starts = rng.integers(0, 5 * count, count)
    slab = Slab(flat, starts, np.full(count, pitch), run, runs)
    there = DeviceSlab(gpu.asarray(flat), gpu.asarray(starts), gpu.asarray(slab.pitches), run, runs)
    mean, index = numbers(width, "float32", 1), rng.permutation(count)[: count // 2 + 1]
    for flags in ({}, {"remove_mean": True}):
        whitener = Whitener("scale", mean, scale=2.0, **flags)
        wanted = B.windows(slab, index, whitener, np.dtype(dtype))
        found = gpu.windows(there, gpu.asarray(index), whitener.moved(gpu.asarray), np.dtype(dtype))
        np.testing.assert_allclose(gpu.to_host(found), wanted, rtol=1e-5, atol=1e-6)
        part = gpu.windows(there, slice(1, 4), whitener.moved(gpu.asarray), np.dtype(dtype))
        wanted = B.windows(slab, slice(1, 4), whitener, np.dtype(dtype))
        np.testing.assert_allclose(gpu.to_host(part), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_taken_by_their_numbers(gpu, dtype):
    held, index = numbers((50, 6), dtype), np.random.default_rng(0).permutation(50)[:17]
    np.testing.assert_array_equal(gpu.to_host(gpu.take(gpu.asarray(held), gpu.asarray(index))), held[index])


def test_four_numbers_are_loaded_at_once_only_where_addresses_allow(device):
    from audiosae.backends.gpu import GpuBackend

    flat = GpuBackend().asarray(np.zeros(4097, "f4"))
    assert pack([flat], 128) == 4
    assert pack([flat], 127) == 1
    assert pack([flat, flat[1:]], 128) == 1
    assert pack([GpuBackend().asarray(np.zeros(8))], 4) == 2


def test_a_grid_covers_everything_and_depends_on_the_shape_alone():
    assert matrix_grid(4097, 3, 1) == ((1, 65), (32, 8), 64)
    assert matrix_grid(0, 3, 1)[0] == (1, 1)
    assert matrix_grid(10**7, 4096, 4)[0] == (32, 65535)


def test_without_rows_sums_are_zero(gpu):
    z = gpu.asarray(np.zeros((0, 5)))
    assert gpu.to_host(gpu.activate(z, gpu.asarray(np.zeros(5)), "sigmoid")).tolist() == [0.0] * 5
    assert float(gpu.residual(z, gpu.asarray(np.zeros(5)), z, "linear")[0]) == 0


def test_a_launch_with_a_wrong_argument_is_refused(device):
    xp, (pace,) = device, [device.empty(2)]
    good = [pace, *map(np.float64, (0.1, 1, 0.9, 0.999, 1e-8))]
    xp.launch("pace", (1,), (1,), good)
    for wrong in ([*good[:-1]], [*good[:-1], 1e-8], [*good[:-1], np.float32(1e-8)], [device.empty(2, "f4"), *good[1:]]):
        with pytest.raises(TypeError, match="wanted"):
            xp.launch("pace", (1,), (1,), wrong)


def test_a_kernel_that_writes_too_far_is_found(device):
    short = device.empty(2, "f4")
    with pytest.raises(RuntimeError, match="outside of its array"):
        device.launch("unit_rows<float>", (1,), (1,), [device.empty((3, 2), "f4"), short, np.int64(3), np.int32(2)])


def test_operations_of_both_backends_have_one_signature():
    from audiosae.backends.gpu import GpuBackend

    own = [n for n, member in vars(GpuBackend).items() if callable(member) and hasattr(Backend, n) and n[0] != "_"]
    assert {
        "activate",
        "residual",
        "hidden_delta",
        "slope",
        "adam",
        "average_gradient",
        "kl_gradient",
        "cost",
        "unit_rows",
    } <= set(own)
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
    found = [path for folder in folders for path in Path(folder).glob("lib/libnvrtc.so.1?")]
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed: pip install -e '.[test]', on Linux (elsewhere there is none)")
    return ctypes.CDLL(str(found[0]))


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
            found = ctypes.c_char_p()
            call("nvrtcGetLoweredName", program, name.encode(), ctypes.byref(found))
            lowered[name] = found.value.decode()
        call("nvrtcGetPTXSize", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        call("nvrtcGetPTX", program, text)
        call("nvrtcDestroyProgram", ctypes.byref(program))
        return text.value.decode(), lowered

    return compile_for


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_instance_compiles_for_a_card(ptx, capability):
    text, lowered = ptx(capability)
    assert f".target sm_{capability}" in text
    entries = re.findall(r"\.entry (\w+)\((.*?)\)", text, re.DOTALL)
    assert {name for name, _ in entries} == set(lowered.values())
    counts = {name: parameters.count(".param") for name, parameters in entries}
    assert {name: counts[lowered[name]] for name in instance_names()} == {name: len(instance_types(name)) for name in instance_names()}


def test_wide_instances_load_16_bytes_at_once(ptx):
    text, lowered = ptx(80)
    bodies = dict(re.findall(r"\.entry (\w+)\(.*?\)\s*(.*?)\n\}", text, re.DOTALL))
    for kernel in ("activate<float, 4, 0>", "residual<float, 4, 2>", "hidden_delta<float, 4, 0>", "adam<float, 4>"):
        body = bodies[lowered[kernel]]
        assert "ld.global.v4.f32" in body, kernel
        assert "st.global.v4.f32" in body, kernel
    assert "ld.global.v2.f64" in bodies[lowered["adam<double, 2>"]]
