"""The Stanford exercise on the sample pictures: units of a sparse autoencoder become oriented edges."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from conftest import REPOSITORY
from gabor import gabor_r2
from matplotlib.image import imread
from scipy.optimize import minimize

from audiosae.autoencoder.sae import Penalty, accumulate, finish, start
from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_whitener, prepare
from audiosae.backends import Backend


def patches(count, size, seed):
    rng = np.random.default_rng(seed)
    pictures = [imread(path) for path in sorted((REPOSITORY / "samples/pictures").glob("*.png"))]
    assert len(pictures) == 10
    rows = []
    for _ in range(count):
        picture = pictures[rng.integers(len(pictures))]
        row, column = rng.integers(0, picture.shape[0] - size + 1), rng.integers(0, picture.shape[1] - size + 1)
        rows.append(picture[row : row + size, column : column + size].ravel())
    return np.array(rows, np.float32)


def test_white_noise_is_not_an_edge():
    noise = np.random.default_rng(0).normal(size=(10, 8, 8))
    assert max(gabor_r2(patch) for patch in noise) < 0.7


def test_the_stanford_setting_gives_oriented_edges():
    """25 units, rho 0.01, weight decay 1e-4, beta 3, sigmoid output, L-BFGS, patches of 8x8.

    The notes have 10000 patches and 400 iterations, as the test of the plugin; a fifth and a quarter suffice here.
    """
    backend, penalty = Backend(), Penalty(0.01, 3.0, 1e-4)
    windows = patches(2000, 8, seed=0)
    moments = WindowMoments.of(prepare(windows, contrast=False, remove_mean=True), full=False)
    x = make_whitener(moments, Whitening("scale", remove_mean=True, squash=True)).apply(windows).astype(np.float64)
    params = start(25, 64, seed=0, rho=penalty.rho, decoder="sigmoid", dtype="float64")

    def evaluate(flat):
        p = params.like(flat)
        cost, gradient = finish(backend, p, accumulate(backend, p, x, whole=penalty), penalty)
        return cost.total, gradient

    result = minimize(evaluate, params.flat, jac=True, method="L-BFGS-B", options={"maxiter": 100, "maxcor": 20})
    scores = np.array([gabor_r2(row.reshape(8, 8)) for row in params.like(result.x).W1])
    assert np.mean(scores >= 0.7) >= 0.9


@pytest.mark.slow
def test_the_picture_of_the_manual_is_drawn_by_its_script(tmp_path, capsys, monkeypatch):
    spec = spec_from_file_location("ufldl", REPOSITORY / "docs/ufldl.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "SIZES", ((8, 4), (8, 4)))
    pictures = sorted(map(str, (REPOSITORY / "samples/pictures").glob("*.png")))[:1]
    script.main([*pictures, "-o", str(tmp_path / "a.png"), "--epochs", "3", "--max-windows", "300"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 8
    assert rows[0].startswith("| whitened | 4 | 8 x 8 | 0.01 | ")
    assert imread(tmp_path / "a.png").shape == imread(REPOSITORY / "docs/ufldl.png").shape
