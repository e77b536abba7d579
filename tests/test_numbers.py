"""Reproducibility: results do not depend on memory layout, threads, processes or the scale of the numbers."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from audiosae.autoencoder.sae import Penalty, accumulate, encode, finish, start
from audiosae.autoencoder.whitening import prepare
from audiosae.backends import Backend
from audiosae.engine.feed import Feed, score
from audiosae.estimator import SparseAutoencoder

B = Backend()


def relaid(array, layout):
    """Return the same array in another memory layout, or at another alignment."""
    if layout == "columns":
        return np.asfortranarray(array)
    if layout == "strided":
        return np.repeat(array, 2, axis=0)[::2]
    buffer = np.empty(array.nbytes + 128, np.uint8)
    copy = buffer[-buffer.ctypes.data % 64 + layout :][: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


LAYOUTS = ["columns", "strided", 0, 1, 3, 5, 6, 8, 16, 40]


@pytest.mark.parametrize(("layout", "dtype"), list(product(LAYOUTS, ["float32", "float64"])))
def test_gradient_and_codes_do_not_depend_on_memory_layout(layout, dtype):
    rng = np.random.default_rng(0)
    params = start(12, 238, seed=0, rho=0.05, dtype=dtype)
    x = rng.normal(size=(700, 238)).astype(dtype)
    moved = params.like(relaid(params.flat, layout)).on(B)
    for expected, result in zip(results(params, x), results(moved, B.asarray(relaid(x, layout))), strict=True):
        np.testing.assert_array_equal(result, expected)


def results(params, x):
    cost, gradient = finish(B, params, accumulate(B, params, x), Penalty())
    return cost.total, gradient, encode(B, params, x)


@pytest.mark.parametrize("rows", [1, 2, 5, 64, 255, 700])
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("float64", 1e-12)])
def test_codes_do_not_depend_on_the_number_of_windows_up_to_rounding(rows, dtype, most):
    x = np.random.default_rng(0).normal(size=(700, 238)).astype(dtype)
    params = start(64, 238, seed=0, rho=0.05, dtype=dtype)
    np.testing.assert_allclose(encode(B, params, x[:rows]), encode(B, params, x)[:rows], rtol=0, atol=most)


def codes(_=None):
    params = start(16, 30, seed=0, rho=0.1, dtype="float64")
    return encode(Backend(), params, np.random.default_rng(0).normal(size=(1200, 30)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_child_processes_encode_the_same(method):
    expected = codes()
    with multiprocessing.get_context(method).Pool(2) as pool:
        for result in pool.map_async(codes, range(4)).get(timeout=120):
            np.testing.assert_array_equal(result, expected)


def test_threads_and_an_event_loop_encode_the_same():
    async def notebook():
        return codes()

    expected = codes()
    with ThreadPoolExecutor(4) as pool:
        loop = pool.submit(lambda: asyncio.run(notebook()))  # in a thread, as that of a browser test may have a loop
        for result in (*pool.map(codes, range(8)), loop.result()):
            np.testing.assert_array_equal(result, expected)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from safetensors.numpy import load_file
from audiosae import SparseAutoencoder, cli, load_model
from audiosae.commands import train as training

assert callable(training._draw)
training._draw = lambda *_: None  # no pictures

def once(*arguments):
    sys.argv = ["audiosae", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as stop:
        assert stop.code == 0

def work():
    sounds, out, workers = *map(Path, sys.argv[1:3]), sys.argv[3]
    where = ["--workers", workers, "--cache", out / "cache", "-q"]
    for solver in ("adam", "lbfgs"):
        run, table = out / solver, out / f"{solver}.npz"
        how = ["--set", "sample_rate=8000", "--keep", 0.9, "--epochs", 3, "--hidden", 130, "--solver", solver]
        once("train", sounds, "-o", run, *how, *where)
        once("export", run, sounds, "-o", table, *where)
        model = load_model(run)
        x = np.random.default_rng(0).normal(size=(1500, model.whitener.width)).astype("f4")
        yield from (array for _, array in sorted(load_file(run / "model.safetensors").items()))
        yield from (np.load(table)["features"], model.atoms(), model.filters(), model.encode(x))
        sae = SparseAutoencoder(n_components=130, max_iter=4, solver=solver, random_state=0).fit(x[:, :200])
        yield from (sae.transform(x[:, :200]), sae.components_, sae.inverse_transform(sae.transform(x[:, :200])))

if __name__ == "__main__":
    for array in work():
        print(array.shape, hash(array.tobytes()))
"""
ONE = {"AUDIOSAE_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MORE = {"AUDIOSAE_THREADS": "3", "OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4"}


@pytest.mark.parametrize(("other", "more"), [(MORE, 2), pytest.param({}, 3, marks=pytest.mark.slow)])
def test_any_number_of_threads_and_decoding_workers_gives_the_same_bits(sounds, tmp_path, other, more):
    outputs = []
    for workers, cores in ((1, ONE), (more, other)):
        script = [sys.executable, "-c", SCRIPT, sounds, tmp_path / str(workers), str(workers)]
        environment = os.environ | {"PYTHONHASHSEED": "0"} | cores
        done = subprocess.run(list(map(str, script)), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines())
    assert len(outputs[0]) > 20
    assert all(output == outputs[0] for output in outputs)


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1, 1e10])
def test_contrast_does_not_depend_on_the_scale(scale):
    rows = np.random.default_rng(0).normal(size=(5, 40)).astype("f4")
    result = prepare(rows * np.float32(scale), contrast=True, remove_mean=True)
    np.testing.assert_allclose(result.std(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(result, prepare(rows, contrast=True, remove_mean=True), atol=1e-5)


def test_the_variance_of_many_large_windows_is_exact():
    x = np.random.default_rng(0).integers(-2047, 2048, size=(3 * 4096, 64)).astype(np.float32)  # squares are exact
    result = score(Feed.of(x, B), start(2, 64, seed=0, rho=0.05))
    assert result.squares == float(np.square(x.astype(np.int64)).sum())
    np.testing.assert_array_equal(result.total, x.astype(np.int64).sum(axis=0))


@pytest.mark.parametrize("level", [0, 0.1, 1e-7, 12345.678])
def test_contrast_does_not_amplify_the_rounding_errors_of_constant_windows(level):
    assert not prepare(np.full((3, 37), level, "f4"), contrast=True, remove_mean=True).any()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fit_ignores_underflow(solver):
    rows = np.random.default_rng(0).normal(size=(200, 10)).astype("f4")
    rows[0] *= 1e6
    sae = SparseAutoencoder(n_components=6, max_iter=30, learning_rate=1.0, solver=solver, random_state=0)
    with np.errstate(all="raise"):
        result = sae.fit(rows).transform(1e3 * rows)
    assert np.isfinite(result).all()
