"""Short training runs for the tests of the GPU backend, and their comparison."""

from __future__ import annotations

import numpy as np
import pytest
import runs
from test_corpus import Grid, field, record

from audiosae.autoencoder.sae import Penalty, start
from audiosae.autoencoder.whitening import Whitening
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.engine.feed import Feed
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.training.checkpoint import State
from audiosae.training.steps import Steps


class RecordedProgress:
    """Progress whose lines are collected."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def stage(self, title, total, unit):
        pass

    def advance(self, amount, **facts):
        pass


def learn(folder, out, cache, backend, *, progress=None, resume=False, **options):
    return runs.learn(folder, out, cache, engine=LocalEngine(backend), progress=progress, resume=resume, **options)


def close(outcome, other, *, rel):
    """Assert that two runs gave the same model up to rounding."""
    for one, two in zip(outcome.history, other.history, strict=True):
        assert one.cost == pytest.approx(two.cost, rel=rel)
        assert one.fvu == pytest.approx(two.fvu, rel=10 * rel)
    for model in (outcome.model, other.model):
        assert type(model.params.flat) is np.ndarray
    np.testing.assert_allclose(outcome.model.params.flat, other.model.params.flat, atol=30 * rel)
    np.testing.assert_allclose(outcome.model.rho_hat, other.model.rho_hat, atol=10 * rel)


def steps_of(backend, *, hidden=30, width=17, rows=(64, 64, 63), dtype="float32", rounds=3):
    """Run some training steps; return the state."""
    params = start(hidden, width, seed=0, rho=0.1, dtype=dtype)
    state = State.fresh(params.flat, hidden)
    state.move(backend.asarray)
    steps = Steps(backend, params.like(state.flat), state, Penalty(0.1, 3.0, 1e-4))
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for count in rows:
            steps.take(backend.asarray(rng.normal(size=(count, width)).astype(dtype)), 1e-2)
    steps.read()
    state.move(backend.to_host)
    return state


def feeds(tmp_path, backend):
    records = [record(tmp_path, field(300, 4, seed=i), name=str(i)) for i in range(6)]
    corpus = EngineCorpus(Grid("5,4", "1,4"), records, LocalEngine(backend))
    return Feed(corpus, learn_whitener(corpus, Whitening("pca", keep=0.9)))
