"""Matching of the atoms of two models."""

from __future__ import annotations

import numpy as np
import pytest
from test_render import make

from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import Params
from audiosae.errors import InputError
from audiosae.features.matching import match, redundant


def shuffled(model, order, noise=0.0):
    p = model.params
    flat = p.flat.copy()
    changed = Params(flat, p.hidden, p.width)
    changed.W1[...] = p.W1[order] + noise * np.random.default_rng(0).normal(size=p.W1.shape)
    return Model(model.domain, model.whitener, changed, model.rho_hat, model.facts)


def test_shuffled_model_is_matched_unit_by_unit():
    model = make(20)
    order = np.random.default_rng(1).permutation(20)
    pairs = match(model, shuffled(model, order))
    np.testing.assert_allclose(pairs.cosine, 1, atol=1e-6)
    assert (order[pairs.second] == pairs.first).all()
    assert pairs.to_json()["alike"] == 1


def test_pairs_are_sorted_and_different_atoms_are_not_alike():
    model = make(20)
    pairs = match(model, shuffled(model, np.arange(20), noise=5.0))
    assert (np.diff(pairs.cosine) <= 0).all()
    assert pairs.to_json()["alike"] < 0.5


def test_every_unit_of_the_smaller_model_is_matched():
    assert match(make(5), make(12)).to_json()["pairs"] == 5


def test_models_with_different_windows_are_refused():
    model = make(4)
    domain = type(model.domain)(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)
    other = Model(domain, model.whitener, model.params, model.rho_hat, model.facts)
    with pytest.raises(InputError, match="cannot be compared"):
        match(model, other)


def test_redundant_units_are_counted():
    model = make(20)
    order = np.arange(20)
    order[3] = 4
    assert redundant(model) == 0
    assert redundant(shuffled(model, order)) == 2
    assert redundant(make(1)) == 0
