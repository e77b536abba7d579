"""Outputs of the commands with GPU and CPU are equal up to rounding: tables, evaluations, pages, surveys."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from gpu_runs import close, learn
from pages import items
from test_train import StopAfter

from audiosae.autoencoder.model import load_model
from audiosae.autoencoder.whitening import Whitening
from audiosae.backends import Backend
from audiosae.backends.gpu import GpuBackend
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.errors import Interrupted
from audiosae.features.codes import Encoder

pytestmark = pytest.mark.usefixtures("any_gpu")
BOTH = ("numpy", "cupy")


def both(run, *arguments, out, name):
    """Run a command with each backend, check that the GPU was used; return paths and printed facts."""
    results = []
    for backend in BOTH:
        path = out / f"{backend}-{name}"
        before = getattr(simulated_gpu(), "launches", None)
        status, printed, err = run(*arguments, "-o", path, "--backend", backend, "--json")
        assert status == 0, err
        assert ("backend cupy" in err) == (backend == "cupy")
        if before is not None:
            assert (simulated_gpu().launches > before) == (backend == "cupy")
        facts = json.loads(printed)
        if isinstance(facts.get("files"), dict):
            facts["files"] = sorted(facts["files"])  # the digests of files differ with the rounding
        results.append((path, facts))
    return results


def simulated_gpu():
    return getattr(sys.modules.get("cupy"), "simulated", None)


def near(one, other, *, rtol=1e-4, atol=1e-4):
    """Assert that facts are equal: texts exactly, numbers up to rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"seconds", "table", "out", "report", "page", "bytes", "folder", "options"}:
            near(one[key], other[key], rtol=rtol, atol=atol)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            near(*pair, rtol=rtol, atol=atol)
    elif isinstance(one, float):
        assert other == pytest.approx(one, rel=rtol, abs=atol, nan_ok=True)
    else:
        assert one == other


@pytest.mark.parametrize("level", ["file", "window"])
def test_an_export_contains_the_same_codes(run, trained, sounds, cache, tmp_path, level):
    (one, facts), (other, more) = both(
        run, "export", trained, sounds, "--level", level, "--cache", cache, out=tmp_path, name="codes.npz"
    )
    near(facts, more)
    with np.load(one) as first, np.load(other) as second:
        assert first.files == second.files
        for name in first.files:
            if first[name].dtype.kind == "f":
                np.testing.assert_allclose(second[name], first[name], atol=2e-5)
            else:
                np.testing.assert_array_equal(second[name], first[name])


@pytest.mark.slow  # exports, reports and surveys are compared in the quick tests
def test_an_evaluation_gives_the_same_scores(run, trained, sounds, cache, tmp_path):
    labels = tmp_path / "labels.csv"
    names = sorted(path.name for path in sounds.iterdir())
    # short and long ones: of labels without a meaning, several classifiers have equal scores, and rounding decides
    labels.write_text("filename,label\n" + "".join(f"{name},{'ab'[i // 6]}\n" for i, name in enumerate(names)))
    pair = both(
        run,
        "evaluate",
        trained,
        sounds,
        "--labels",
        labels,
        "--baselines",
        "random-weights,pca",
        "--cache",
        cache,
        out=tmp_path,
        name="evaluation",
    )
    near(*(facts for _, facts in pair))


def test_a_report_has_the_same_contents(run, trained, sounds, cache, tmp_path):
    pair = both(run, "report", trained, sounds, "--top", 2, "--cache", cache, out=tmp_path, name="page.html")
    near(*(facts for _, facts in pair))
    one, other = (items(path) for path, _ in pair)
    for mine, theirs in zip(one, other, strict=True):
        assert mine["histogram"] == pytest.approx(theirs["histogram"], abs=2)
        near([w["activation"] for w in mine["windows"]], [w["activation"] for w in theirs["windows"]])


def test_a_survey_finds_the_same_events_and_types(run, trained, sounds, cache, tmp_path):
    pair = both(run, "survey", trained, sounds, "--types", 2, "--cache", cache, out=tmp_path, name="found")
    near(*(facts for _, facts in pair), atol=1e-3)
    one, other = ((path / "types.csv").read_text().splitlines()[0] for path, _ in pair)
    assert one == other


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("order", [(Backend, GpuBackend), (GpuBackend, Backend)])
def test_a_run_begun_with_one_backend_resumes_with_the_other(sounds, tmp_path, cache, solver, order):
    options = {"dtype": "float64", "solver": solver}
    first, second = order
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, first(), progress=StopAfter(3), **options)
    run = learn(sounds, tmp_path / "cut", cache, second(), resume=True, **options)
    if solver == "adam":
        expected = learn(sounds, tmp_path / "whole", cache, Backend(), **options)
    else:  # L-BFGS resumes from the parameters only, on the CPU too
        with pytest.raises(Interrupted):
            learn(sounds, tmp_path / "whole", cache, Backend(), progress=StopAfter(3), **options)
        expected = learn(sounds, tmp_path / "whole", cache, Backend(), resume=True, **options)
    close(expected, run, rel=1e-6)


@pytest.mark.parametrize(
    "how",
    [
        Whitening("pca"),
        Whitening("scale"),
        Whitening("pca", contrast=True),
        Whitening("zca", remove_mean=True),
    ],
)
def test_the_whitening_equals_the_cpus(trained, sounds, cache, how):
    domain, whiteners = load_model(trained).domain, []
    for backend in (Backend(), GpuBackend()):
        corpus = read(domain, scan([sounds], domain.suffixes), LocalEngine(backend), cache=cache, workers=1)
        before = getattr(simulated_gpu(), "launches", None)
        whiteners.append(learn_whitener(corpus, how))
        if before is not None:
            assert (simulated_gpu().launches > before) == (backend.name == "cupy")
    one, other = whiteners
    np.testing.assert_allclose(other.mean, one.mean, rtol=1e-6, atol=1e-6)
    assert other.scale == pytest.approx(one.scale, rel=1e-6)
    if one.forward is not None:
        between = other.forward @ one.backward  # eigenvectors of nearly equal eigenvalues may be mixed
        np.testing.assert_allclose(one.forward @ one.backward, between, atol=1e-3)


@pytest.mark.parametrize("code", ["sqrt", "activation"])
def test_a_models_codes_equal_the_cpus_and_are_numpy_arrays(trained, code):
    model = load_model(trained)
    windows = np.random.default_rng(0).normal(size=(50, *model.domain.window)).astype("f4")
    flat = windows.reshape(50, -1)
    codes = Encoder(model, code, GpuBackend())(flat)
    assert type(codes) is np.ndarray
    np.testing.assert_allclose(codes, Encoder(model, code)(flat), atol=1e-5)
    np.testing.assert_allclose(model.encode(windows, GpuBackend()), model.encode(windows), atol=1e-5)
