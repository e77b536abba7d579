"""What commands write with the card is what they write without, to rounding: tables, evaluations, pages, surveys."""

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

pytestmark = pytest.mark.usefixtures("anywhere")
BOTH = ("numpy", "cupy")


def both(run, *arguments, out, name):
    """Run a command with either backend; return what it wrote, and check that the card had work."""
    found = []
    for backend in BOTH:
        path = out / f"{backend}-{name}"
        before = getattr(device_there(), "launches", None)
        status, told, said = run(*arguments, "-o", path, "--backend", backend, "--json")
        assert status == 0, said
        assert ("backend cupy" in said) == (backend == "cupy")
        if before is not None:
            assert (device_there().launches > before) == (backend == "cupy")
        found.append((path, json.loads(told)))
    return found


def device_there():
    return getattr(sys.modules.get("cupy"), "pretended", None)


def near(one, other, *, rtol=1e-4, atol=1e-4):
    """Compare facts: texts to the letter, numbers to rounding."""
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
def test_an_export_holds_the_same_codes(run, trained, sounds, cache, tmp_path, level):
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


def test_an_evaluation_measures_the_same(run, trained, sounds, cache, tmp_path):
    labels = tmp_path / "labels.csv"
    names = sorted(path.name for path in sounds.iterdir())
    labels.write_text("filename,label\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names)))
    pair = both(
        run, "evaluate", trained, sounds, "--labels", labels, "--baselines", "random-weights,pca", "--cache", cache,
        out=tmp_path, name="evaluation",
    )  # fmt: skip
    near(*(facts for _, facts in pair))


def test_a_report_tells_the_same(run, trained, sounds, cache, tmp_path):
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
def test_a_run_begun_on_either_side_goes_on_on_the_other(sounds, tmp_path, cache, solver, order):
    given = {"dtype": "float64", "solver": solver}
    first, second = order
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, first(), progress=StopAfter(3), **given)
    found = learn(sounds, tmp_path / "cut", cache, second(), resume=True, **given)
    if solver == "adam":
        wanted = learn(sounds, tmp_path / "whole", cache, Backend(), **given)
    else:  # L-BFGS goes on from its parameters alone: so does the CPU
        with pytest.raises(Interrupted):
            learn(sounds, tmp_path / "whole", cache, Backend(), progress=StopAfter(3), **given)
        wanted = learn(sounds, tmp_path / "whole", cache, Backend(), resume=True, **given)
    close(wanted, found, rel=1e-6)


@pytest.mark.parametrize("how", [
    Whitening("pca"), Whitening("scale"), Whitening("pca", contrast=True), Whitening("zca", remove_mean=True),
])  # fmt: skip
def test_the_whitening_is_the_cpus(trained, sounds, cache, how):
    domain, found = load_model(trained).domain, []
    for backend in (Backend(), GpuBackend()):
        corpus = read(domain, scan([sounds], domain.suffixes), LocalEngine(backend), cache=cache, workers=1)
        before = getattr(device_there(), "launches", None)
        found.append(learn_whitener(corpus, how))
        if before is not None:
            assert (device_there().launches > before) == (backend.name == "cupy")
    one, other = found
    np.testing.assert_allclose(other.mean, one.mean, rtol=1e-6, atol=1e-6)
    assert other.scale == pytest.approx(one.scale, rel=1e-6)
    if one.forward is not None:
        between = other.forward @ one.backward  # of eigenvectors that are nearly alike any mixture will do
        np.testing.assert_allclose(one.forward @ one.backward, between, atol=1e-3)


@pytest.mark.parametrize("code", ["sqrt", "activation"])
def test_a_models_codes_are_the_cpus_and_come_back_to_this_process(trained, code):
    model = load_model(trained)
    windows = np.random.default_rng(0).normal(size=(50, *model.domain.window)).astype("f4")
    flat = windows.reshape(50, -1)
    codes = Encoder(model, code, GpuBackend())(flat)
    assert type(codes) is np.ndarray
    np.testing.assert_allclose(codes, Encoder(model, code)(flat), atol=1e-5)
    np.testing.assert_allclose(model.encode(windows, GpuBackend()), model.encode(windows), atol=1e-5)
